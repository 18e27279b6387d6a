"""Figures of a distribution of errors: mean, median, largest, and the share of small ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_THRESHOLD = 0.02  # eV


@dataclass(frozen=True)
class ErrorFigures:
    """How large the errors of some predictions are.

    A few structures with very large errors decide a mean; the other two figures say how well
    the rest is predicted.

    Attributes:
        mean: Mean absolute error, in the unit of the target.
        median: Median absolute error, in the unit of the target.
        largest: Largest absolute error, in the unit of the target.
        within_20_mev: Share, 0 to 1, of absolute errors below 20 meV, "energy within
            threshold", by which the IDAO 2022 olympiad was scored (Kazeev et al., npj Comput.
            Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z); None for targets that are not
            in eV.
    """

    mean: float
    median: float
    largest: float
    within_20_mev: float | None

    @classmethod
    def of(cls, truth: ArrayLike, predictions: ArrayLike, unit: str) -> ErrorFigures:
        """Take the figures of one number or more.

        Args:
            truth: Values of the target, shape ``(N,)``.
            predictions: Predictions, shape ``(N,)``.
            unit: Unit of the target.
        """
        errors = np.abs(np.asarray(predictions, dtype=float) - np.asarray(truth, dtype=float))
        within = float((errors < _THRESHOLD).mean()) if unit == "eV" else None
        return cls(float(errors.mean()), float(np.median(errors)), float(errors.max()), within)
