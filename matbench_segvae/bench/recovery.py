"""Recovery: whether a search finds the true formula, under two published rules.

*Strict*: the selected formula has a normalised squared error below 1e-12 against the
noiseless truth on fresh points; under noise after constants within 1e-3 of a simple number
have been set to it. *Front*: any formula of the Pareto front has a mean squared error below
1e-9 against the noiseless truth on the training points.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from matbench_segvae.bench.known_formulas import RecoveryProblem, suite_named
from matbench_segvae.bench.records import append, stored
from matbench_segvae.expressions import Expression
from matbench_segvae.processes import side_by_side
from matbench_segvae.regressor.regressor import SEGVAERegressor
from matbench_segvae.regressor.validation import check_parameters
from matbench_segvae.types import Floats

_STRICT = 1e-12
_FRONT = 1e-9
_NEAR = 1e-3
_OUTLIER = 3.0  # root mean squares of the values
_LARGEST_DENOMINATOR = 4
_FRESH_POINTS = 1000

Finder = Callable[
    [Floats, Floats, tuple[str, ...], int],
    tuple[Expression, Iterable[Expression]],
]
"""Given points (N, V), values (N,), names of the variables and a seed, returns the selected
formula and all formulas of the front."""


@dataclass(frozen=True)
class RecoverySettings:
    """The data of the problems, and how often each is searched for.

    Attributes:
        noise: Standard deviation of Gaussian noise in units of the values' root mean square.
        outliers: How many of a problem's values are off by three times the root mean square.
        seeds: Number of seeds, from 0.
        workers: Searches at a time, each in a process of its own on one core; with 1, they
            take place in this process and on all cores.
        search: What the search is, such as its arguments: stored attempts of another one are
            not taken for its own.
    """

    noise: float = 0.0
    outliers: int = 0
    seeds: int = 10
    workers: int = 1
    search: str = ""


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
        outliers: How many of the values were outliers.
        search: What the search was.
    """

    problem: str
    seed: int
    noise: float
    strict: bool
    front: bool
    seconds: float
    formula: str
    outliers: int = 0
    search: str = ""


@dataclass(frozen=True)
class Recovery:
    """How often a problem was recovered.

    Attributes:
        problem: Name of the problem.
        attempts: Number of searches.
        strict: Share recovered under the strict rule.
        front: Share recovered under the front rule.
        seconds: Median time of a search.
    """

    problem: str
    attempts: int
    strict: float
    front: float
    seconds: float


@dataclass(frozen=True)
class EstimatorFinder:
    """A search with the estimator; it can be pickled, and so run in other processes.

    Attributes:
        arguments: Of :class:`~matbench_segvae.SEGVAERegressor`, ``random_state`` left out.

    Raises:
        UserError: If one of them has a value that is not allowed.
    """

    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_parameters(SEGVAERegressor(**self.arguments).get_params(deep=False))

    def __str__(self) -> str:
        return json.dumps(dict(self.arguments), sort_keys=True, default=str)

    def __call__(
        self,
        points: Floats,
        values: Floats,
        variables: tuple[str, ...],
        seed: int,
    ) -> tuple[Expression, Iterable[Expression]]:
        """Search; return the selected formula and all formulas of the fronts."""
        import pandas as pd

        model = SEGVAERegressor(**self.arguments, random_state=seed)
        model.fit(pd.DataFrame(points, columns=list(variables)), values)
        front = [equation.expression for equation in (*model.front_, *model.constant_free_front_)]
        return front[model.best_index_], front


def run_suite(
    suite: str,
    find: Finder,
    settings: RecoverySettings,
    store: Path,
    report: Callable[[Attempt], None] = lambda _: None,
) -> list[Attempt]:
    """Run every problem of a suite with every seed; stored searches are not run again.

    Args:
        suite: Name of the suite.
        find: The search.
        settings: Noise, outliers, seeds and processes.
        store: File to which every finished search is appended as a JSON line.
        report: Called with each search that finishes.

    Returns:
        The searches, by problem and seed.

    Raises:
        UserError: If there is no such suite or the file cannot be used.
    """
    problems = suite_named(suite)
    same = settings.noise, settings.outliers, settings.search
    done = {
        (a.problem, a.seed): a
        for a in stored(store, Attempt)
        if (a.noise, a.outliers, a.search) == same
    }
    missing = [
        (problem, seed)
        for seed in range(settings.seeds)
        for problem in problems
        if (problem.name, seed) not in done
    ]
    for result in _attempts(missing, find, settings):
        append(store, result)
        done[result.problem, result.seed] = result
        report(result)
    return [done[problem.name, seed] for problem in problems for seed in range(settings.seeds)]


def _attempts(
    missing: Sequence[tuple[RecoveryProblem, int]], find: Finder, settings: RecoverySettings
) -> Iterator[Attempt]:
    """Searches as they finish."""
    jobs = [(problem, find, settings, seed) for problem, seed in missing]
    if settings.workers == 1:
        yield from map(_attempt, jobs)
        return
    yield from (future.result() for _, future in side_by_side(_attempt, jobs, settings.workers))


def _attempt(job: tuple[RecoveryProblem, Finder, RecoverySettings, int]) -> Attempt:
    problem, find, settings, seed = job
    found = attempt(problem, find, settings.noise, seed, settings.outliers)
    return replace(found, search=settings.search)


def attempt(
    problem: RecoveryProblem, find: Finder, noise: float, seed: int, outliers: int = 0
) -> Attempt:
    """Sample a known formula, search for it and compare what was found with it.

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
    compared = rounded(selected) if noise else selected
    return Attempt(
        problem=problem.name,
        seed=seed,
        noise=noise,
        strict=_error(compared, problem, fresh) < _STRICT * float(np.var(problem.values(fresh))),
        front=any(_error(expression, problem, points) < _FRONT for expression in front),
        seconds=seconds,
        formula=str(selected),
        outliers=outliers,
    )


def _signs_of_outliers(n_rows: int, outliers: int, seed: int) -> Floats:
    """1 or -1 for the rows that are outliers, 0 for all others."""
    # A generator of its own: points and noise are the same with and without outliers.
    rng = np.random.default_rng([seed, outliers])
    signs = np.zeros(n_rows)
    rows = rng.choice(n_rows, outliers, replace=False)
    signs[rows] = rng.choice([-1.0, 1.0], outliers)
    return signs


def _error(expression: Expression, problem: RecoveryProblem, points: Floats) -> float:
    """Mean squared error against the truth; infinite where the formula is undefined."""
    values = expression(dict(zip(problem.variables, points.T, strict=True)))
    error = float(np.mean((values - problem.values(points)) ** 2))
    return error if np.isfinite(error) else float("inf")


def rounded(expression: Expression) -> Expression:
    """The formula with every constant close to a simple number set to that number.

    Simple are fractions with a denominator up to 4, pi and e.
    """

    def simple(value: float) -> float:
        for number in (Fraction(value).limit_denominator(_LARGEST_DENOMINATOR), np.pi, np.e):
            for sign in (1, -1):
                if abs(value - sign * float(number)) < _NEAR:
                    return sign * float(number)
        return value

    return expression.with_constants([simple(value) for value in expression.constants])


def summarise(attempts: Sequence[Attempt]) -> list[Recovery]:
    """Rates and median times by problem, in the order of the attempts."""
    names = dict.fromkeys(a.problem for a in attempts)
    return [_recovery(name, [a for a in attempts if a.problem == name]) for name in names]


def overall(attempts: Sequence[Attempt]) -> Recovery:
    """Rates and median time of all problems together."""
    return _recovery("all", attempts)


def _recovery(name: str, attempts: Sequence[Attempt]) -> Recovery:
    return Recovery(
        name,
        len(attempts),
        statistics.fmean(a.strict for a in attempts),
        statistics.fmean(a.front for a in attempts),
        statistics.median(a.seconds for a in attempts),
    )
