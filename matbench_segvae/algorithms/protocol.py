"""What an algorithm has to offer to be run on the folds of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class AlgorithmCard:
    """What a leaderboard says about an algorithm; becomes its ``info.json``.

    Attributes:
        algorithm: Short name shown in the leaderboard.
        algorithm_long: What it does, in a sentence or two.
        authors: Who submits it.
        bibtex_refs: BibTeX entries of the methods it uses.
        notes: Anything a reader of the scores should know.
        packages: Names of the distributions whose versions matter for the result.
    """

    algorithm: str
    algorithm_long: str
    authors: str
    bibtex_refs: tuple[str, ...] = ()
    notes: str = ""
    packages: tuple[str, ...] = ()


def _ignore(_: str) -> None:
    """Drop a progress line."""


@dataclass(frozen=True)
class FoldContext:
    """Everything an algorithm may know about the fold beside its training data.

    Attributes:
        benchmark: Benchmark name, such as ``"defects2d_v0.1"``.
        task: Task name, such as ``"defects2d_mos2_v3"``.
        fold: Fold number.
        input_type: ``"structure"`` or ``"composition"``.
        task_type: ``"regression"`` or ``"classification"``.
        target: Name of the target column.
        unit: Unit of the target.
        seed: The only source of randomness an algorithm may use.
        scratch: An empty folder that is removed after the fold; nothing else may be
            written to, but for a cache that changes no result.
        report: Takes one line of progress, such as the best formula so far.
    """

    benchmark: str
    task: str
    fold: int
    input_type: str
    task_type: str
    target: str
    unit: str
    seed: int
    scratch: Path
    report: Callable[[str], None] = field(default=_ignore, repr=False, compare=False)

    @property
    def on_defects(self) -> bool:
        """Whether inputs are supercells of a known host with a few defects."""
        return self.benchmark.startswith("defects2d_")


@runtime_checkable
class Algorithm(Protocol):
    """One contestant; a fresh instance is made for every fold.

    Attributes:
        card: What the leaderboard says about it.
    """

    card: ClassVar[AlgorithmCard]

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Learn from the training part of a fold.

        Args:
            inputs: Structures or compositions, indexed by sample id.
            targets: Target values with the same index.
            context: What else may be known about the fold.

        Raises:
            UserError: If the algorithm has no way to read such inputs.
        """

    def predict(self, inputs: pd.Series) -> np.ndarray:
        """Predict the target of unseen inputs.

        Args:
            inputs: Structures or compositions, indexed by sample id.

        Returns:
            Predictions, shape ``(len(inputs),)``, in the unit of the target.
        """

    def describe(self) -> Mapping[str, Any]:
        """Say what was learned, in JSON's own types.

        Some names mean the same for all algorithms: ``formula`` and ``latex`` (texts),
        ``complexity`` (nodes of the formula) and ``parameters`` (how many numbers were
        fitted).
        """


@runtime_checkable
class PredictsStd(Protocol):
    """What an algorithm may offer beside `Algorithm`: how uncertain its predictions are.

    Whoever has this method has its uncertainties recorded with its predictions.
    """

    def predict_std(self, inputs: pd.Series) -> np.ndarray:
        """Estimate the standard deviation of each prediction of a regression.

        Args:
            inputs: Structures or compositions, indexed by sample id.

        Returns:
            Standard deviations, not negative, shape ``(len(inputs),)``, in the unit of the
            target.
        """
