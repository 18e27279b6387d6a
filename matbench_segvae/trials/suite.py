"""Running a recovery suite: every problem with every seed, kept as they finish."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression
from matbench_segvae.isolation import use_one_core
from matbench_segvae.segvae.regressor import SEGVAERegressor
from matbench_segvae.trials.nguyen import NGUYEN, RecoveryProblem
from matbench_segvae.trials.records import append, stored
from matbench_segvae.trials.recovery import Attempt, Finder, attempt

SUITES: dict[str, tuple[RecoveryProblem, ...]] = {"nguyen": NGUYEN}
"""Recovery suites by name."""


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
    """A search with the estimator; one that other processes can be told of.

    Attributes:
        arguments: Of :class:`~matbench_segvae.SEGVAERegressor`, ``random_state`` left out.
    """

    arguments: Mapping[str, Any]

    def __call__(
        self,
        points: NDArray[np.float64],
        values: NDArray[np.float64],
        variables: tuple[str, ...],
        seed: int,
    ) -> tuple[Expression, Iterable[Expression]]:
        """Search; give the selected formula and all formulas of the fronts."""
        import pandas as pd

        model = SEGVAERegressor(**self.arguments, random_state=seed)
        model.fit(pd.DataFrame(points, columns=list(variables)), values)
        front = [equation.expression for equation in (*model.front_, *model.plain_front_)]
        return front[model.best_index_], front


def run_suite(
    suite: str,
    find: Finder,
    noise: float,
    seeds: int,
    store: Path,
    report: Callable[[Attempt], None] = lambda _: None,
    workers: int = 1,
    outliers: int = 0,
) -> list[Attempt]:
    """Run every problem of a suite with every seed; what is stored is not run again.

    Args:
        suite: Name of the suite.
        find: The search.
        noise: Standard deviation of the noise in units of the values' root mean square.
        seeds: Number of seeds, from 0.
        store: File that gets a JSON line per finished search; the same file goes on.
        report: Hears of each search that finishes.
        workers: Searches at a time, each in a process of its own on one core; with 1, they
            take place here and on all cores.
        outliers: How many of a problem's values are far off.

    Returns:
        The searches, by problem and seed.

    Raises:
        UserError: If there is no such suite or the file cannot be used.
    """
    if suite not in SUITES:
        raise UserError(f"unknown suite '{suite}': choose from {', '.join(SUITES)}")
    alike = (a for a in stored(store, Attempt) if (a.noise, a.outliers) == (noise, outliers))
    done = {(a.problem, a.seed): a for a in alike}
    wanted = [(problem, seed) for seed in range(seeds) for problem in SUITES[suite]]
    missing = [(p, seed) for p, seed in wanted if (p.name, seed) not in done]
    for result in _attempts(missing, find, noise, outliers, workers):
        append(store, result)
        done[result.problem, result.seed] = result
        report(result)
    return [done[problem.name, seed] for problem in SUITES[suite] for seed in range(seeds)]


def _attempts(
    wanted: Sequence[tuple[RecoveryProblem, int]],
    find: Finder,
    noise: float,
    outliers: int,
    workers: int,
) -> Iterator[Attempt]:
    """Searches as they finish."""
    if workers == 1:
        yield from (attempt(problem, find, noise, seed, outliers) for problem, seed in wanted)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=use_one_core) as pool:
        running = [pool.submit(attempt, p, find, noise, seed, outliers) for p, seed in wanted]
        yield from (future.result() for future in as_completed(running))


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
