"""Losses of a table's residuals, and the weights under which least squares minimises them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matbench_segvae.fitting.robust import absolute_weights
from matbench_segvae.types import Floats

LOSSES = ("squared", "absolute", "huber")
HUBER_WIDTH = 1.35
"""Standard deviations up to which Huber's loss is squared: 95 % efficient on normal errors
(Huber, Robust Statistics, 1981)."""


_TO_SIGMA = 1.4826  # of the median absolute deviation, for normal errors


@dataclass(frozen=True)
class Loss:
    """The mean loss of residuals.

    Attributes:
        name: ``"squared"``, ``"absolute"`` or ``"huber"``.
        width: Where Huber's loss turns from squared to absolute, in units of the target.
    """

    name: str
    width: float = 1.0

    def mean(self, residuals: Floats, weights: Floats) -> float:
        """Weighted mean loss.

        Args:
            residuals: Shape ``(N,)``.
            weights: Shape ``(N,)``, not all 0.
        """
        size = np.abs(residuals)
        with np.errstate(over="ignore"):
            match self.name:
                case "squared":
                    losses = size**2
                case "absolute":
                    losses = size
                case _:
                    inside = 0.5 * size**2
                    losses = np.where(
                        size <= self.width, inside, self.width * (size - 0.5 * self.width)
                    )
        return float(np.average(losses, weights=weights))

    def factors(self, residuals: Floats) -> Floats:
        """Weights that make a squared loss lead to this loss's minimum, with mean 1.

        Iteratively reweighted least squares (Schlossmacher, J. Am. Stat. Assoc. 68, 857,
        1973).
        """
        match self.name:
            case "squared":
                return np.ones_like(residuals)
            case "absolute":
                return absolute_weights(residuals)
            case _:
                factors = self.width / np.maximum(np.abs(residuals), self.width)
                return np.asarray(factors / factors.mean())

    def floor(self, spread: float) -> float:
        """The loss below which differences are rounding.

        Args:
            spread: Standard deviation of the target.
        """
        error = 1e-9 * spread
        return {"squared": error**2, "absolute": error}.get(self.name, error * self.width)


def huber(residuals: Floats, spread: float) -> Loss:
    """Huber's loss with its width taken from the residuals of a robust fit.

    Args:
        residuals: Shape ``(N,)``.
        spread: Standard deviation of the target; the width is at least a thousandth of it.
    """
    sigma = _TO_SIGMA * float(np.median(np.abs(residuals)))
    return Loss("huber", max(HUBER_WIDTH * sigma, 1e-3 * spread))
