"""Cross-validation of formulas that are linear in their terms, inside the training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from matbench_segvae.algorithms.feature_formulas.metrics import Metric, fit_linear
from matbench_segvae.types import Floats, Ints

Split = tuple[Ints, Ints]
"""Positions of the rows to fit on, and of the hold-out rows."""


_FIT_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """A target, a metric, and the splits by which formulas are compared.

    Attributes:
        target: Shape ``(N,)``.
        metric: What formulas are fitted under and judged by.
        splits: Every row is a hold-out row once in each repeat.
    """

    target: Floats
    metric: Metric
    splits: Sequence[Split]

    @classmethod
    def repeated(
        cls, target: Floats, metric: Metric, folds: int, repeats: int, seed: int
    ) -> CrossValidation:
        """Split the rows several times.

        Args:
            target: Shape ``(N,)``; 0 and 1 for a classification.
            metric: What formulas are fitted under and judged by.
            folds: Folds of each repeat, fewer if there are fewer rows, or fewer of a class.
            repeats: How many times the rows are split.
            seed: Seed of the first repeat; the others count on from it.
        """
        kind = StratifiedKFold if metric.stratified else KFold
        rarest = int(np.unique(target, return_counts=True)[1].min()) if metric.stratified else 0
        n_folds = max(2, min(folds, len(target), rarest or folds))
        splits: list[Split] = []
        for repeat in range(repeats):
            splitter = kind(n_folds, shuffle=True, random_state=seed + repeat)
            splits += list(splitter.split(np.zeros(len(target)), target))
        return cls(target, metric, splits)

    def loss(self, design: Floats) -> float:
        """Mean hold-out loss; that of a row is its mean over the repeats.

        Args:
            design: A column of ones and the terms, shape ``(N, 1 + T)``.
        """
        total, count = np.zeros(len(self.target)), np.zeros(len(self.target))
        for split in self.splits:
            _, hold_out = split
            eta = self.hold_out_values(design, split)
            total[hold_out] += self.metric.losses(eta, self.target[hold_out])
            count[hold_out] += 1
        return float((total / np.maximum(count, 1)).mean())

    def hold_out_values(self, design: Floats, split: Split) -> Floats:
        """Values of a formula, fitted to the other rows, on the hold-out rows of a split.

        Args:
            design: A column of ones and the terms, shape ``(N, 1 + T)``.
            split: One of the splits.

        Returns:
            Values before the link, within the bounds that the metric derives from the fit.
        """
        fitted, hold_out = split
        target = self.target[fitted]
        coefficients, _ = fit_linear(design[fitted], target, self.metric, _FIT_ROUNDS)
        low, high = self.metric.bounds(design[fitted] @ coefficients, target)
        return np.asarray(np.clip(design[hold_out] @ coefficients, low, high))
