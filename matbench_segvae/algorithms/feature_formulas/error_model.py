"""How uncertain a formula's predictions are, by the errors of rows it was not fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matbench_segvae.algorithms.feature_formulas.cross_validation import CrossValidation
from matbench_segvae.fitting.robust import STD_PER_MAE
from matbench_segvae.types import Floats

_NEIGHBOURS = 50  # rows with the most similar predictions whose errors are averaged


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """Absolute errors of hold-out rows as a function of their predictions.

    Attributes:
        predicted: Predictions, ascending, shape ``(N,)``.
        mean_error: Mean absolute error among similar predictions, shape ``(N,)``.
    """

    predicted: Floats
    mean_error: Floats

    @classmethod
    def cross_validated(cls, design: Floats, validation: CrossValidation) -> ErrorModel:
        """Take the errors of every row when it was a hold-out row.

        Args:
            design: A column of ones and the terms, shape ``(N, 1 + T)``.
            validation: One repeat.
        """
        target = validation.target
        predicted = np.empty(len(target))
        for split in validation.splits:
            eta = validation.hold_out_values(design, split)
            predicted[split[1]] = validation.metric.predict(eta)
        order = np.argsort(predicted, kind="stable")
        return cls(predicted[order], _running_mean(np.abs(target - predicted)[order]))

    def std(self, predictions: Floats) -> Floats:
        """Standard deviations at predictions, both of shape ``(M,)``."""
        return np.asarray(STD_PER_MAE * np.interp(predictions, self.predicted, self.mean_error))


def _running_mean(errors: Floats) -> Floats:
    """Means over the neighbours of each entry; near the ends the window is not centred."""
    width = min(_NEIGHBOURS, len(errors))
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    first = np.clip(np.arange(len(errors)) - width // 2, 0, len(errors) - width)
    return np.asarray((sums[first + width] - sums[first]) / width)
