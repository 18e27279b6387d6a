"""The task's own metric, and how a formula's value becomes a prediction.

A formula has a value ``eta``, which the link turns into a prediction. Everything is fitted by
the Gauss-Newton method on weighted squares that follow the metric at the present fit:
iteratively reweighted least squares (Schlossmacher, J. Am. Stat. Assoc. 68, 857, 1973, for
absolute errors; Nelder and Wedderburn, J. R. Stat. Soc. A 135, 370, 1972, for links).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from matbench_segvae.types import Floats

_FLOOR = 1e-2  # share of the median residual below which weights grow no further
_LARGEST = 30.0  # argument of an exponential beyond which it is kept constant
_SLACK = 1.02  # a step may raise the loss this much: reweighting need not descend
_SHORTENINGS = 6  # of a step that raises the loss by more
_SPAN = 10.0  # largest over smallest target from which on an exponential link competes
_RIDGE = 1e-9
_CONVERGED = 1e-7  # relative gain below which a fit ends


class Metric(Protocol):
    """What a formula is fitted under and judged by."""

    @property
    def name(self) -> str:
        """Name of the link: ``"identity"``, ``"exponential"`` or ``"logistic"``."""

    @property
    def head(self) -> tuple[str, ...]:
        """Tokens of the link, which stand before those of the formula."""

    @property
    def stratified(self) -> bool:
        """Whether cross-validation splits keep the shares of the target's classes."""

    def constant(self, target: Floats) -> float:
        """The value of the best constant formula."""

    def predict(self, eta: Floats) -> Floats:
        """Predictions from values, shape ``(N,)``."""

    def losses(self, eta: Floats, target: Floats) -> Floats:
        """Loss of each row: the absolute error, or the log loss of a classification."""

    def working(self, eta: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Working residuals in units of ``eta``, and the weight of each row, mean 1."""

    def bounds(self, eta: Floats, target: Floats) -> tuple[float, float]:
        """The range of values on other rows, from the values and targets that were fitted."""


@dataclass(frozen=True)
class AbsoluteError:
    """Absolute errors of ``eta``, or of ``exp(eta)`` for positive targets with a long tail."""

    exponential: bool = False

    @property
    def name(self) -> str:
        """Name of the link."""
        return "exponential" if self.exponential else "identity"

    @property
    def head(self) -> tuple[str, ...]:
        """Tokens of the link."""
        return ("exp",) if self.exponential else ()

    @property
    def stratified(self) -> bool:
        """No: there are no classes."""
        return False

    def constant(self, target: Floats) -> float:
        """The median, through the link."""
        middle = float(np.median(target))
        return float(np.log(middle)) if self.exponential else middle

    def predict(self, eta: Floats) -> Floats:
        """The values, or their exponentials."""
        return np.exp(np.minimum(eta, _LARGEST)) if self.exponential else eta

    def losses(self, eta: Floats, target: Floats) -> Floats:
        """Absolute errors."""
        return np.abs(target - self.predict(eta))

    def working(self, eta: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Residuals in units of the values, weighted by one over their size."""
        predicted = self.predict(eta)
        residual = target - predicted
        size = np.abs(residual)
        weights = 1 / np.maximum(size, _FLOOR * float(np.median(size)) + 1e-12)
        if self.exponential:
            slope = np.maximum(predicted, 1e-12)
            residual, weights = residual / slope, weights * slope**2
        return residual, weights / weights.mean()

    def bounds(self, eta: Floats, target: Floats) -> tuple[float, float]:
        """The range of the targets, through the link."""
        low, high = float(target.min()), float(target.max())
        return (float(np.log(low)), float(np.log(high))) if self.exponential else (low, high)


@dataclass(frozen=True)
class LogLoss:
    """Log loss of the probability ``1/(1 + exp(-eta))`` of the positive class."""

    name: str = "logistic"
    head: tuple[str, ...] = ("inv", "add", "1", "exp", "neg")
    stratified: bool = True

    def constant(self, target: Floats) -> float:
        """The log odds, with half a row added to each class so that they are finite."""
        share = (float(target.sum()) + 0.5) / (len(target) + 1.0)
        return float(np.log(share / (1 - share)))

    def predict(self, eta: Floats) -> Floats:
        """Probabilities."""
        return np.asarray(1 / (1 + np.exp(-np.clip(eta, -_LARGEST, _LARGEST))))

    def losses(self, eta: Floats, target: Floats) -> Floats:
        """Minus the logarithm of the probability of the true class."""
        inside = np.clip(eta, -_LARGEST, _LARGEST)
        return np.asarray(np.logaddexp(0.0, inside) - target * inside)

    def working(self, eta: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Working residuals and weights ``p(1 - p)``."""
        predicted = self.predict(eta)
        weights = np.maximum(predicted * (1 - predicted), 1e-4)
        return (target - predicted) / weights, weights / weights.mean()

    def bounds(self, eta: Floats, target: Floats) -> tuple[float, float]:
        """The range of the values: targets of 0 and 1 have no finite log odds."""
        return float(eta.min()), float(eta.max())


def candidate_metrics(target: Floats, classification: bool) -> list[Metric]:
    """The metric with each link that a target may need.

    Args:
        target: Shape ``(N,)``; 0 and 1 for a classification.
        classification: Whether it is one.
    """
    if classification:
        return [LogLoss()]
    low, high = float(target.min()), float(target.max())
    # Over a narrower range the two links differ little, and chance would choose.
    wide = 0 < low * _SPAN < high
    return [AbsoluteError(), *([AbsoluteError(exponential=True)] if wide else [])]


def fit_linear(design: Floats, target: Floats, metric: Metric, rounds: int) -> tuple[Floats, float]:
    """Fit the coefficients of a design whose first column is 1, starting at the best constant.

    Args:
        design: Shape ``(N, P)``.
        target: Shape ``(N,)``.
        metric: What to minimise.
        rounds: Largest number of steps.

    Returns:
        The best coefficients found, and their loss, which is infinite if it is not defined at
        the start.
    """
    parameters = np.zeros(design.shape[1])
    parameters[0] = metric.constant(target)
    best, eta = parameters, design @ parameters
    least = current = _mean_loss(metric, eta, target) if np.isfinite(eta).all() else np.inf
    if not np.isfinite(least):
        return best, np.inf
    for number in range(rounds):
        step = _step(design, *metric.working(eta, target))
        taken = False
        for _ in range(_SHORTENINGS):
            trial = parameters + step
            values = design @ trial
            loss = _mean_loss(metric, values, target) if np.isfinite(values).all() else np.inf
            if loss <= current * _SLACK:
                taken = True
                break
            step = step / 3
        if not taken:
            break
        converged = (
            number > 2 and least - loss < _CONVERGED * least and loss >= current * (1 - 1e-5)
        )
        parameters, eta, current = trial, values, loss
        if loss < least:
            best, least = trial, loss
        if converged:
            break
    return best, least


def _step(slopes: Floats, residual: Floats, weights: Floats) -> Floats:
    """The Gauss-Newton step under weighted squares, shape ``(P,)``."""
    size = np.sqrt((slopes**2 * weights[:, None]).mean(axis=0))
    size[size == 0] = 1.0
    scaled = slopes / size
    normal = (scaled * weights[:, None]).T @ scaled
    normal[np.diag_indices_from(normal)] += _RIDGE * len(residual)
    return np.asarray(np.linalg.solve(normal, scaled.T @ (weights * residual)) / size)


def _mean_loss(metric: Metric, eta: Floats, target: Floats) -> float:
    loss = float(metric.losses(eta, target).mean())
    return loss if np.isfinite(loss) else np.inf
