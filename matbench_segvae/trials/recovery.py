"""Whether a search found the truth, under two published rules.

*Strict*: the selected formula has a normalised squared error below 1e-12 against the
noiseless truth on fresh points; under noise after constants within 1e-3 of a simple number
have been set to it. *Front*: any formula of the Pareto front has a mean squared error below
1e-9 against the noiseless truth on the training points.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import Expression
from matbench_segvae.trials.nguyen import RecoveryProblem

_STRICT = 1e-12
_FRONT = 1e-9
_NEAR = 1e-3
_OUTLIER = 3.0  # root mean squares of the values
_LARGEST_DENOMINATOR = 4
_FRESH_POINTS = 1000

# Given points (N, V), values (N,), names of the variables and a seed, gives the selected
# formula and all formulas of the front.
Finder = Callable[
    [NDArray[np.float64], NDArray[np.float64], tuple[str, ...], int],
    tuple[Expression, Iterable[Expression]],
]


@dataclass(frozen=True)
class Attempt:
    """One search for one known formula.

    Attributes:
        problem: Name of the problem.
        seed: Seed of the points, the noise and the search.
        noise: Standard deviation of the noise in units of the values' root mean square.
        strict: Whether the selected formula is the truth.
        front: Whether a formula of the front is the truth.
        seconds: Time of the search.
        formula: The selected formula.
        outliers: How many of the values were far off.
    """

    problem: str
    seed: int
    noise: float
    strict: bool
    front: bool
    seconds: float
    formula: str
    outliers: int = 0


def rounded(expression: Expression) -> Expression:
    """The formula with constants next to a simple number set to that number.

    Simple are fractions with a denominator up to 4, pi and e.
    """

    def simple(value: float) -> float:
        for number in (Fraction(value).limit_denominator(_LARGEST_DENOMINATOR), np.pi, np.e):
            for sign in (1, -1):
                if abs(value - sign * float(number)) < _NEAR:
                    return sign * float(number)
        return value

    return expression.with_constants([simple(value) for value in expression.constants])


def attempt(
    problem: RecoveryProblem, find: Finder, noise: float, seed: int, outliers: int = 0
) -> Attempt:
    """Sample a known formula, search for it and judge what was found.

    Args:
        problem: The formula and its range.
        find: The search.
        noise: Standard deviation of Gaussian noise in units of the values' root mean square.
        seed: Seed of the points, the noise and the search.
        outliers: How many values are off by three times the values' root mean square.
    """
    rng = np.random.default_rng(seed)
    points = problem.points(rng)
    truth = problem.values(points)
    size = np.sqrt(np.mean(truth**2))
    values = truth + noise * size * rng.normal(size=len(truth))
    values += _OUTLIER * size * _signs_of_outliers(len(truth), outliers, seed)
    start = time.perf_counter()
    selected, front = find(points, values, problem.variables, seed)
    seconds = time.perf_counter() - start
    fresh = problem.points(rng, _FRESH_POINTS)
    judged = rounded(selected) if noise else selected
    return Attempt(
        problem=problem.name,
        seed=seed,
        noise=noise,
        strict=_error(judged, problem, fresh) < _STRICT * float(np.var(problem.values(fresh))),
        front=any(_error(expression, problem, points) < _FRONT for expression in front),
        seconds=seconds,
        formula=str(selected),
        outliers=outliers,
    )


def _signs_of_outliers(n_rows: int, outliers: int, seed: int) -> NDArray[np.float64]:
    """1 or -1 for the rows that are outliers, 0 for all others."""
    # A generator of its own: points and noise are the same with and without outliers.
    rng = np.random.default_rng([seed, outliers])
    signs = np.zeros(n_rows)
    rows = rng.choice(n_rows, outliers, replace=False)
    signs[rows] = rng.choice([-1.0, 1.0], outliers)
    return signs


def _error(expression: Expression, problem: RecoveryProblem, points: NDArray[np.float64]) -> float:
    """Mean squared error against the truth; infinite where the formula is undefined."""
    values = expression(dict(zip(problem.variables, points.T, strict=True)))
    error = float(np.mean((values - problem.values(points)) ** 2))
    return error if np.isfinite(error) else float("inf")
