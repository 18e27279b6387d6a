"""How large the errors of a formula are, told from rows that were held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.algorithms.base import STD_PER_MAE
from matbench_segvae.algorithms.formulas.metrics import Metric
from matbench_segvae.algorithms.formulas.path import Split, held_out

Floats = NDArray[np.float64]

_NEIGHBOURS = 50  # rows with the most similar predictions whose errors are averaged


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """Errors of held-out rows by what was predicted for them.

    Attributes:
        predicted: Ascending, shape ``(N,)``.
        size: Mean absolute error among similar predictions, shape ``(N,)``.
    """

    predicted: Floats
    size: Floats

    @classmethod
    def cross_validated(
        cls, values: Floats | None, target: Floats, metric: Metric, parts: Sequence[Split]
    ) -> ErrorModel:
        """Fit on parts of the rows and look at the rest.

        Args:
            values: Of the terms, shape ``(N, T)``; none for a formula without terms.
            target: Shape ``(N,)``.
            metric: What formulas are fitted under.
            parts: Which rows are fitted on and which are held back.
        """
        design = np.ones((len(target), 1))
        if values is not None:
            size = values.std(axis=0)
            units = (values - values.mean(axis=0)) / np.where(size > 0, size, 1.0)
            design = np.column_stack([design, units])
        predicted = np.empty(len(target))
        for rest, held in parts:
            predicted[held] = metric.predict(held_out(design, target, metric, rest, held))
        order = np.argsort(predicted, kind="stable")
        return cls(predicted[order], _running_mean(np.abs(target - predicted)[order]))

    def std(self, predictions: Floats) -> Floats:
        """Standard deviations at predictions, both of shape ``(M,)``."""
        return np.asarray(STD_PER_MAE * np.interp(predictions, self.predicted, self.size))


def _running_mean(errors: Floats) -> Floats:
    """Means over the neighbours of each entry, fewer kinds of them at the ends."""
    width = min(_NEIGHBOURS, len(errors))
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    first = np.clip(np.arange(len(errors)) - width // 2, 0, len(errors) - width)
    return np.asarray((sums[first + width] - sums[first]) / width)
