"""Losses of a table's residuals, and the weights under which squares follow them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.fitting.robust import absolute_weights

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

    def mean(self, residuals: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
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

    def factors(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
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

    def comparable(self, spread: float) -> float:
        """The loss below which differences are rounding, for a target of this spread."""
        error = 1e-9 * spread
        return {"squared": error**2, "absolute": error}.get(self.name, error * self.width)


def huber(residuals: NDArray[np.float64], spread: float) -> Loss:
    """Huber's loss with its width taken from the residuals of a robust fit.

    Args:
        residuals: Shape ``(N,)``.
        spread: Spread of the target; a width below a thousandth of it makes no sense.
    """
    sigma = _TO_SIGMA * float(np.median(np.abs(residuals)))
    return Loss("huber", max(HUBER_WIDTH * sigma, 1e-3 * spread))
