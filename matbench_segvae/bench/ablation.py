"""What each choice of the search is worth: searches with it and without, on the same problems.

One search gives its loss at a number of scored formulas and at a number of CPU seconds,
pretraining left out: it is looked up where the search passed the one mark and the other.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from matbench_segvae.bench.records import append, stored
from matbench_segvae.bench.search_problems import SearchProblem, problems
from matbench_segvae.bench.trials import BudgetKind, Trial
from matbench_segvae.bench.variants import Budget, budget_of, variant
from matbench_segvae.lightning_tools import use_one_core
from matbench_segvae.processes import side_by_side
from matbench_segvae.segvae import Search, SEGVAEModule, pretrained

_ROUNDS = 1_000_000  # searches end with their budget


@dataclass(frozen=True)
class _Point:
    """State of a search after a round, in the terms of :class:`Trial`."""

    loss: float
    formulas: int
    cpu_seconds: float
    leaders_by_source: Mapping[str, int]
    front_by_source: Mapping[str, int]


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
            leaders_by_source=dict(search.leaders_by_source),
            front_by_source=dict(search.front_by_source),
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

    def at(kind: BudgetKind, limit: float, used: Callable[[_Point], float]) -> Trial:
        within = [point for point in trace.points if used(point) <= limit]
        point = within[-1] if within else trace.points[0]
        return Trial(
            suite=suite,
            problem=problem.name,
            seed=seed,
            variant=name,
            budget=kind,
            limit=limit,
            floor=problem.floor,
            **{**asdict(point), "loss": point.loss / problem.spread},
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

    def belongs(trial: Trial) -> bool:
        chosen = trial.suite == suite and trial.variant in names and trial.seed in seeds
        return chosen and trial.limit == limits[trial.budget]

    found = [trial for trial in stored(store, Trial) if belongs(trial)]
    states = Counter(trial.search for trial in found)
    jobs = [
        _Job(suite, problem, name, seed, budget)
        for problem in problems(suite)
        for seed in seeds
        for name in names
        # A search that was interrupted between its two lines is done again.
        if states[suite, problem, seed, name] < len(limits)
    ]
    again = {(job.suite, job.problem, job.seed, job.variant) for job in jobs}
    found = [trial for trial in found if trial.search not in again]
    for trials in _searched(jobs, workers):
        for trial in trials:
            append(store, trial)
            found.append(trial)
            report(trial)
    return found


@dataclass(frozen=True)
class _Job:
    """A search, by the names of what it needs."""

    suite: str
    problem: str
    variant: str
    seed: int
    budget: Budget


def _searched(jobs: Sequence[_Job], workers: int) -> Iterator[list[Trial]]:
    """Searches as they finish."""
    if workers == 1:
        use_one_core()
        yield from map(_search, jobs)
        return
    yield from (future.result() for _, future in side_by_side(_search, jobs, workers))


def _search(job: _Job) -> list[Trial]:
    problem = problems(job.suite)[job.problem]
    return search_trials(problem, job.suite, job.variant, job.seed, job.budget)
