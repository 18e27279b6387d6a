"""Least absolute deviations, for targets with a few large errors that should not rule.

Iteratively reweighted least squares: a squared loss with weights ``1 / |residual|`` has
the absolute loss's minimum (Schlossmacher, J. Am. Stat. Assoc. 68, 857, 1973). Residuals
below a floor all get the floor's weight, which keeps the weights finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from matbench_segvae.expressions.evaluate import Batch
from matbench_segvae.expressions.fitting import AdditiveProblem, fit_constants, group_columns

_FLOOR = 1e-2  # share of the median residual below which weights grow no further
_SETTLED = 1e-5  # relative gain in the absolute error at which to stop


@dataclass(frozen=True)
class LawFit:
    """One formula fitted under absolute error, with everything that predicts.

    Attributes:
        constants: Constants of the formula in each group, shape ``(K, C)``.
        coefficients: Of the base and of each group's sum, shape ``(P + K,)``.
        mae: Mean absolute error on the data it was fitted to.
    """

    constants: torch.Tensor
    coefficients: torch.Tensor
    mae: float


def _weights(residuals: torch.Tensor) -> torch.Tensor:
    """Weights that make a squared loss follow the absolute one, with mean 1."""
    size = residuals.abs()
    floor = torch.clamp(_FLOOR * size.median(), min=1e-9 * (1 + size.max()))
    weights = 1 / torch.maximum(size, floor)
    return weights / weights.mean()


def robust_weights(problem: AdditiveProblem, n_iterations: int = 20) -> torch.Tensor:
    """Weights under which a squared loss judges formulas as the absolute loss would.

    They come from the least absolute fit of free values at the points: what even free
    values cannot describe is an outlier for every formula. With these weights the data
    are condensed once, and each candidate is then as cheap as under squared loss.

    Args:
        problem: The data; its own weights are not used.
        n_iterations: Rounds of reweighting.

    Returns:
        Weights, shape ``(N,)``. All 1 if free values describe the data without error.
    """
    weights = torch.ones_like(problem.target)
    design = torch.cat([problem.base, problem.mixing], dim=1)
    scale = problem.target.abs().max()
    for _ in range(n_iterations):
        coefficients = problem.reweighted(weights).linear_part(problem.mixing)
        residuals = problem.target - design @ coefficients
        if residuals.abs().median() <= 1e-9 * scale:
            return torch.ones_like(weights)
        weights = _weights(residuals)
    return weights


def fit_absolute(
    problem: AdditiveProblem,
    tokens: Sequence[str],
    variables: Sequence[str],
    start: torch.Tensor,
    decay: float = 0.0,
    admissible: Callable[[torch.Tensor], bool] = lambda _: True,
    n_rounds: int = 12,
    n_iterations: int = 5,
) -> LawFit:
    """Refine one formula's constants under absolute error.

    Args:
        problem: The data, with weights to start from.
        tokens: The formula.
        variables: Names of the columns of the points.
        start: Constants to start from, shape ``(K, C)``.
        decay: As in :func:`~matbench_segvae.expressions.fitting.fit_constants`.
        admissible: Says whether constants, shape ``(K, C)``, may be kept.
        n_rounds: Rounds of reweighting at most.
        n_iterations: Levenberg-Marquardt steps in each round.

    Returns:
        The fit with the smallest absolute error met on the way, the start included.

    Raises:
        ValueError: If no constants were met that are admissible and for which the
            formula is defined at every point of the data.
    """
    batch = Batch([tokens], variables)
    constants = start[None]
    best: LawFit | None = None
    for number in range(n_rounds):
        n_steps = n_iterations if number else 0
        fit = fit_constants(problem, batch, constants, n_steps, decay)
        if not torch.isfinite(fit.loss).item():
            break
        constants = fit.constants
        values = batch.values(problem.points, constants[:, problem.group])
        columns = group_columns(problem, problem.mixing, values)[0]
        coefficients = problem.linear_part(columns)
        residuals = problem.target - torch.cat([problem.base, columns], dim=1) @ coefficients
        mae = float(residuals.abs().mean())
        # The first rounds only bring the weights into line with the formula.
        settled = number > 2 and best is not None and mae > best.mae * (1 - _SETTLED)
        if (best is None or mae < best.mae) and admissible(constants[0]):
            best = LawFit(constants[0], coefficients, mae)
        if settled:
            break
        problem = problem.reweighted(_weights(residuals))
    if best is None:
        raise ValueError(f"'{' '.join(tokens)}' has no admissible fit to the data")
    return best
