"""Standard deviations of predictions, from where the formulas of the front disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.regressor.front import Equation
from matbench_segvae.regressor.table import Table
from matbench_segvae.types import Floats

_CLOSE = 2.0  # times the least loss: formulas that count


@dataclass(frozen=True)
class Uncertainty:
    """Standard deviation of a prediction: ``factor * sqrt(noise² + spread²)``.

    The noise is the same everywhere, the spread is that of the front's better formulas
    around the one that predicts: small between the training rows, where they agree, and
    growing away from them. The factor makes the squared residuals of training, in units of
    the predicted variance, 1 on average.

    Attributes:
        noise: Root mean squared residual of training, in units of the target.
        factor: Fitted on the training residuals.
        members: Positions in the front of the formulas that count.
    """

    noise: float
    factor: float
    members: tuple[int, ...]

    def std(self, chosen: Floats, predictions: Sequence[Floats]) -> Floats:
        """Standard deviations of predictions.

        Args:
            chosen: Predictions, shape ``(N,)``.
            predictions: Those of the members, shape ``(N,)`` each.

        Returns:
            Shape ``(N,)``.
        """
        return np.asarray(self.factor * np.sqrt(self.noise**2 + _spread(chosen, predictions)))


def members_of(front: Sequence[Equation], floor: float) -> tuple[int, ...]:
    """Positions of the formulas whose loss is close to the least."""
    losses = [max(equation.loss, floor) for equation in front]
    return tuple(i for i, loss in enumerate(losses) if loss <= _CLOSE * min(losses))


def fit_uncertainty(
    table: Table, front: Sequence[Equation], chosen: int, floor: float
) -> Uncertainty:
    """Scale the spread of the front's better formulas on the training residuals.

    Args:
        table: The training rows, features in the user's units.
        front: The formulas.
        chosen: Position of the formula that predicts.
        floor: Loss below which differences are rounding; positive.
    """
    best = front[chosen].expression
    predictions = table.values(best)
    members = members_of(front, floor)
    squares = (table.target - predictions) ** 2
    mean = float(np.average(squares, weights=table.weights))
    variance = mean + _spread(predictions, [table.values(front[i].expression) for i in members])
    # Each constant of the formula costs a degree of freedom.
    n_rows = len(table.target)
    free = max(1, n_rows - best.n_constants) / n_rows
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(squares > 0, squares / variance, 0.0)
    factor = np.sqrt(float(np.average(ratio, weights=table.weights)) / free)
    return Uncertainty(float(np.sqrt(mean)), float(factor), members)


def _spread(chosen: Floats, predictions: Sequence[Floats]) -> Floats:
    """Mean squared distance of the members that have a value, shape ``(N,)``."""
    if not predictions:
        return np.zeros_like(chosen)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.array([(values - chosen) ** 2 for values in predictions])
    defined = np.isfinite(squares)
    total = np.where(defined, squares, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(defined.sum(axis=0), 1))
