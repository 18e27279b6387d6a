"""Least absolute deviations, for targets with a few large errors that should not rule.

Iteratively reweighted least squares: a squared loss with weights ``1 / |residual|`` has
the absolute loss's minimum (Schlossmacher, J. Am. Stat. Assoc. 68, 857, 1973). Residuals
below a floor all get the floor's weight, which keeps the weights finite.
"""

from __future__ import annotations

import numpy as np

from matbench_segvae.expressions.compiled import Floats
from matbench_segvae.expressions.fitting import AdditiveProblem

_FLOOR = 1e-2  # share of the median residual below which weights grow no further
_COARSE_FLOOR = 1.0  # the same where residuals are still to move by about as much


def absolute_weights(residuals: Floats, floor: float = _FLOOR) -> Floats:
    """Weights that make a squared loss follow the absolute one, with mean 1.

    Args:
        residuals: Shape ``(N,)``.
        floor: Share of the median residual below which weights grow no further.
    """
    size = np.abs(residuals)
    least = max(floor * float(np.median(size)), 1e-9 * (1 + float(size.max())))
    weights = 1 / np.maximum(size, least)
    return np.asarray(weights / weights.mean())


def robust_weights(problem: AdditiveProblem, n_rounds: int = 20) -> Floats:
    """Weights under which a squared loss judges formulas as the absolute loss would.

    They come from a robust fit of free values at the points: what even free values cannot
    describe is an outlier for every formula. With these weights the data are condensed once,
    and each candidate is then as cheap as under squared loss. Free values under the absolute
    loss pass through some observations exactly, and formulas do not: weights grow no further
    below the median residual, or those few observations would count for more than all others.

    Args:
        problem: The data; its own weights are not used.
        n_rounds: Rounds of reweighting.

    Returns:
        Weights, shape ``(N,)``. All 1 if free values describe the data without error, as
        they always do for a table.
    """
    weights = np.ones_like(problem.target)
    if problem.mixing is None:
        return weights
    design = np.concatenate([problem.base, problem.mixing], axis=1)
    scale = np.abs(problem.target).max()
    for _ in range(n_rounds):
        coefficients = problem.reweighted(weights).linear_part(problem.mixing)
        residuals = problem.target - design @ coefficients
        if np.median(np.abs(residuals)) <= 1e-9 * scale:
            return np.ones_like(weights)
        weights = absolute_weights(residuals, _COARSE_FLOOR)
    return weights
