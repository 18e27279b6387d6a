"""Least absolute deviations, for targets with a few large errors that should not rule.

Iteratively reweighted least squares: a squared loss with weights ``1 / |residual|`` has
the absolute loss's minimum (Schlossmacher, J. Am. Stat. Assoc. 68, 857, 1973). Residuals
below a floor all get the floor's weight, which keeps the weights finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.expressions.compiled import Floats, Program
from matbench_segvae.expressions.fitting import AdditiveProblem, fit_constants

_FLOOR = 1e-2  # share of the median residual below which weights grow no further
_SETTLED = 1e-5  # relative gain in the absolute error at which to stop
_FIRST_ROUNDS = 3  # these only bring the weights into line with the formula


@dataclass(frozen=True, eq=False)
class LawFit:
    """One formula fitted under absolute error, with everything that predicts.

    Attributes:
        constants: Constants of the formula in each group, shape ``(K, C)``.
        coefficients: Of the base and of each group's sum, shape ``(P + K,)``.
        mae: Mean absolute error on the data it was fitted to.
    """

    constants: Floats
    coefficients: Floats
    mae: float


def absolute_weights(residuals: Floats) -> Floats:
    """Weights that make a squared loss follow the absolute one, with mean 1."""
    size = np.abs(residuals)
    floor = max(_FLOOR * float(np.median(size)), 1e-9 * (1 + float(size.max())))
    weights = 1 / np.maximum(size, floor)
    return np.asarray(weights / weights.mean())


def robust_weights(problem: AdditiveProblem, n_rounds: int = 20) -> Floats:
    """Weights under which a squared loss judges formulas as the absolute loss would.

    They come from the least absolute fit of free values at the points: what even free
    values cannot describe is an outlier for every formula. With these weights the data
    are condensed once, and each candidate is then as cheap as under squared loss.

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
        weights = absolute_weights(residuals)
    return weights


def predict(
    problem: AdditiveProblem, program: Program, constants: Floats, coefficients: Floats
) -> Floats:
    """What one fitted formula says of a problem's observations, shape ``(N,)``.

    Args:
        problem: Gives points, mixing and base; its target is not looked at.
        program: A batch of the one formula.
        constants: Shape ``(K, C)``.
        coefficients: Shape ``(P + K,)``.
    """
    columns = problem.columns(problem.values(program, constants))
    return np.asarray(np.concatenate([problem.base, columns], axis=1) @ coefficients)


def fit_absolute(
    problem: AdditiveProblem,
    tokens: Sequence[str],
    variables: Sequence[str],
    start: Floats,
    decay: float = 0.0,
    admissible: Callable[[Floats], bool] = lambda _: True,
    n_rounds: int = 12,
    n_steps: int = 8,
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
        n_steps: Levenberg-Marquardt steps in each round.

    Returns:
        The fit with the smallest absolute error met on the way, the start included.

    Raises:
        ValueError: If no constants were met that are admissible and for which the
            formula is defined at every point of the data.
    """
    program = Program.compile([tokens], variables)
    constants = start
    best: LawFit | None = None
    for number in range(n_rounds):
        fit = fit_constants(problem, program, constants[None], n_steps if number else 0, decay)
        if not np.isfinite(fit.loss[0]):
            break
        constants = fit.constants[0]
        columns = problem.columns(problem.values(program, constants))
        coefficients = problem.linear_part(columns)
        fitted = np.concatenate([problem.base, columns], axis=1) @ coefficients
        residuals = problem.target - fitted
        mae = float(np.abs(residuals).mean())
        settled = best is not None and mae > best.mae * (1 - _SETTLED)
        if (best is None or mae < best.mae) and admissible(constants):
            best = LawFit(constants, coefficients, mae)
        if settled and number >= _FIRST_ROUNDS:
            break
        problem = problem.reweighted(absolute_weights(residuals))
    if best is None:
        raise ValueError(f"'{' '.join(tokens)}' has no admissible fit to the data")
    return best
