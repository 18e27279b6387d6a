"""What each choice of the search is worth: searches with it and without, on the same problems.

One search gives its loss at a number of scored formulas and at a number of CPU seconds,
pretraining left out: it is looked up where the search passed the one mark and the other.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from matbench_segvae.bench.records import append, stored
from matbench_segvae.bench.search_problems import SearchProblem, problems
from matbench_segvae.bench.trials import Budgeted, Trial
from matbench_segvae.bench.variants import Budget, budget_of, variant
from matbench_segvae.lightning_tools import use_one_core
from matbench_segvae.segvae import Search, SEGVAEModule, pretrained

_ROUNDS = 1_000_000  # searches end with their budget


@dataclass(frozen=True)
class _Point:
    """State of a search after a round."""

    loss: float
    formulas: int
    cpu_seconds: float
    leaders: Mapping[str, int]
    front: Mapping[str, int]


class _Trace(Callback):
    """Records a search round by round, and ends it once both budgets are used up."""

    def __init__(self, search: Search, budget: Budget) -> None:
        self._search, self._budget = search, budget
        self._started = time.process_time()
        self.points: list[_Point] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the round."""
        search = self._search
        leader = search.population.leader
        point = _Point(
            loss=leader.loss if leader else math.inf,
            formulas=len(search.population.best),
            cpu_seconds=time.process_time() - self._started,
            leaders=dict(search.leaders_by_writer),
            front=dict(search.front_by_writer),
        )
        self.points.append(point)
        budget = self._budget
        trainer.should_stop |= point.cpu_seconds >= budget.cpu and point.formulas >= budget.formulas


def search_trials(
    problem: SearchProblem, suite: str, name: str, seed: int, budget: Budget
) -> list[Trial]:
    """One search; its state at both budgets.

    Args:
        problem: What is searched for.
        suite: Name of its suite.
        name: Name of the variant.
        seed: Of the points and the search.
        budget: How long to search; a search that has solved its problem ends earlier.
    """
    changed = variant(name)
    settings = replace(
        problem.search,
        **changed.search,
        epochs=_ROUNDS,
        patience=None,
        target_loss=problem.floor * problem.spread,
    )
    objective = problem.objective(replace(problem.fitting, **changed.fitting), seed)
    if settings.generator == "network":
        module = pretrained(problem.grammar, settings)
    else:
        module = SEGVAEModule(len(problem.grammar.tokens), settings.network, settings.training)
    _warm_up(problem)
    search = Search(problem.grammar, objective, module, settings, seed)
    trace = _Trace(search, budget)
    search.run(trainer_options={"callbacks": [trace]})

    def at(kind: Budgeted, limit: float, used: Callable[[_Point], float]) -> Trial:
        within = [point for point in trace.points if used(point) <= limit]
        last = within[-1] if within else trace.points[0]
        return Trial(
            suite,
            problem.name,
            seed,
            name,
            kind,
            limit,
            last.loss / problem.spread,
            problem.floor,
            last.formulas,
            last.cpu_seconds,
            last.leaders,
            last.front,
        )

    return [
        at("cpu", budget.cpu, lambda point: point.cpu_seconds),
        at("formulas", budget.formulas, lambda point: point.formulas),
    ]


def _warm_up(problem: SearchProblem) -> None:
    """Score a formula, so that nothing is compiled or loaded within a budget."""
    formula = ("exp", "mul", "c", problem.grammar.variables[0])
    problem.objective(problem.fitting, 0).score([formula])


def run_ablation(
    suite: str,
    names: Sequence[str],
    seeds: Sequence[int],
    store: Path,
    *,
    budget: Budget | None = None,
    workers: int = 1,
    report: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Search every problem of a suite with every variant and seed; what is stored is not repeated.

    Variants take turns, so that all of them meet the same load of the machine.

    Args:
        suite: Name of the suite.
        names: Names of the variants.
        seeds: Seeds.
        store: File that gets two JSON lines for each search; an existing one is continued.
        budget: How long searches are; by default as long as the suite's.
        workers: Searches at a time, each in a process of its own on one core; with 1, they take
            place in this process, on one core too.
        report: Takes each state of a search that finishes.

    Returns:
        The trials of those variants and seeds.

    Raises:
        UserError: If there is no such suite or variant, or the file cannot be used.
    """
    for name in names:
        variant(name)
    budget = budget or budget_of(suite)
    limits = {"cpu": budget.cpu, "formulas": budget.formulas}
    found = [trial for trial in stored(store, Trial) if trial.suite == suite]
    found = [t for t in found if t.limit == limits[t.budget] and t.variant in names]
    found = [trial for trial in found if trial.seed in seeds]
    done = {(trial.problem, trial.seed, trial.variant) for trial in found}
    jobs = [
        (suite, problem, name, seed, budget)
        for problem in problems(suite)
        for seed in seeds
        for name in names
        if (problem, seed, name) not in done
    ]
    for trials in _searched(jobs, workers):
        for trial in trials:
            append(store, trial)
            found.append(trial)
            report(trial)
    return found


_Job = tuple[str, str, str, int, Budget]


def _searched(jobs: Sequence[_Job], workers: int) -> Iterator[list[Trial]]:
    """Searches as they finish."""
    if workers == 1:
        use_one_core()
        yield from map(_search, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=use_one_core) as pool:
        running = [pool.submit(_search, job) for job in jobs]
        yield from (future.result() for future in as_completed(running))


def _search(job: _Job) -> list[Trial]:
    suite, problem, name, seed, budget = job
    return search_trials(problems(suite)[problem], suite, name, seed, budget)
