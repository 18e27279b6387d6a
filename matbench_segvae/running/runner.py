"""The loop over tasks, algorithms and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from matbench_segvae.algorithms.registry import algorithm_class
from matbench_segvae.benchmark import load_task, make_task
from matbench_segvae.benchmark._matbench import quiet_matbench
from matbench_segvae.errors import UserError
from matbench_segvae.running.fold import run_fold
from matbench_segvae.running.store import BrokenFoldFile, FoldResult, FoldStore


class Observer(Protocol):
    """Hears how a run goes."""

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """A fold is about to be run."""

    def progress(self, line: str) -> None:
        """The algorithm of the current fold has something to say."""

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """A fold is done; ``resumed`` if it was found in the store."""

    def warning(self, line: str) -> None:
        """Something that the user should know."""


class SilentObserver:
    """Hears nothing."""

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """Say nothing."""

    def progress(self, line: str) -> None:
        """Say nothing."""

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """Say nothing."""

    def warning(self, line: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Problem:
    """An algorithm that could not be run on a task, and why."""

    task: str
    algorithm: str
    message: str


@dataclass(frozen=True)
class RunReport:
    """What came of a run.

    Attributes:
        tasks: The loaded tasks by name.
        results: Finished folds, new and resumed, in the order of the run.
        problems: Algorithms that gave up on a task; the others were finished all the same.
    """

    tasks: Mapping[str, Any]
    results: tuple[FoldResult, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Plan:
    """The answers to everything that could be wrong, found before any long work."""

    folds: dict[str, list[int]]
    stored: dict[tuple[str, str, int], FoldResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def prepare_tasks(names: Sequence[str], folds: Sequence[int] | None = None) -> dict[str, Any]:
    """Make the tasks and check the folds; the data are not loaded yet.

    Args:
        names: Task names; one that is named twice counts once.
        folds: Fold numbers that every task has to have, or ``None``.

    Returns:
        Task objects by name.

    Raises:
        UserError: If a task or a fold does not exist.
    """
    tasks = {name: make_task(name) for name in names}
    for name, task in tasks.items():
        missing = [fold for fold in folds or () if fold not in task.folds]
        if missing:
            raise UserError(
                f"task '{name}' has no fold {missing[0]}: "
                f"choose from {', '.join(map(str, task.folds))}"
            )
    return tasks


def run(
    tasks: Sequence[str],
    algorithms: Sequence[str],
    folds: Sequence[int] | None = None,
    seed: int = 0,
    out: Path | str = "results",
    overwrite: bool = False,
    observer: Observer | None = None,
) -> RunReport:
    """Run algorithms on folds of tasks; what is stored already is not run again.

    Every fold is written as it finishes, so an interrupted run goes on where it stopped.
    A stored fold is taken as it is, even if the algorithm's code has changed since.

    Args:
        tasks: Task names.
        algorithms: Names of algorithms.
        folds: Fold numbers, all of them by default.
        seed: Seed of every fold.
        out: Folder of all results.
        overwrite: Whether to run stored folds again.
        observer: Hears how it goes.

    Returns:
        All finished folds, and the algorithms that gave up on a task.

    Raises:
        UserError: Before anything is run, if a task, an algorithm or a fold does not exist,
            data cannot be had, or a stored fold has another seed.
    """
    observer = observer or SilentObserver()
    with quiet_matbench():
        made = prepare_tasks(tasks, folds)
        for name in algorithms:
            algorithm_class(name)
        stores = _stores(made, algorithms, Path(out))
        plan = _plan(made, stores, folds, seed, overwrite)
        for line in plan.warnings:
            observer.warning(line)
        for task in made.values():
            load_task(task)
        results: list[FoldResult] = []
        problems: list[Problem] = []
        for (task_name, algorithm), store in stores.items():
            try:
                _run_folds(made[task_name], store, plan, seed, observer, results)
            except UserError as error:
                problems.append(Problem(task_name, algorithm, str(error)))
                observer.warning(f"{algorithm} on {task_name}: {error}")
    return RunReport(made, tuple(results), tuple(problems))


def _stores(
    tasks: Mapping[str, Any], algorithms: Sequence[str], out: Path
) -> dict[tuple[str, str], FoldStore]:
    return {
        (name, algorithm): FoldStore(out, str(task.benchmark_name), algorithm)
        for name, task in tasks.items()
        for algorithm in algorithms
    }


def _plan(
    tasks: Mapping[str, Any],
    stores: Mapping[tuple[str, str], FoldStore],
    folds: Sequence[int] | None,
    seed: int,
    overwrite: bool,
) -> _Plan:
    """Look at what is stored."""
    chosen = {n: sorted(set(task.folds if folds is None else folds)) for n, task in tasks.items()}
    plan = _Plan(chosen)
    if overwrite:
        return plan
    for (task, algorithm), store in stores.items():
        for fold in plan.folds[task]:
            try:
                result = store.load(task, fold)
            except BrokenFoldFile as error:
                plan.warnings.append(f"{error}; running the fold again")
                continue
            if result is None:
                continue
            if result.seed != seed:
                raise UserError(
                    f"{store.path(task, fold)} was run with seed {result.seed}, not {seed}: "
                    "choose another --out, the same --seed, or --overwrite"
                )
            made = tasks[task]
            ids = [str(i) for i in made.validation[made.folds_map[fold]]["test"]]
            if list(result.predictions) != ids:
                plan.warnings.append(
                    f"{store.path(task, fold).name} was made for other data; running it again"
                )
                continue
            plan.stored[task, algorithm, fold] = result
    return plan


def _run_folds(
    task: Any,  # noqa: ANN401 - matbench is not typed
    store: FoldStore,
    plan: _Plan,
    seed: int,
    observer: Observer,
    results: list[FoldResult],
) -> None:
    name = str(task.dataset_name)
    for fold in plan.folds[name]:
        result = plan.stored.get((name, store.algorithm, fold))
        resumed = result is not None
        if result is None:
            observer.started(name, store.algorithm, fold)
            result = run_fold(task, store.algorithm, fold, seed, observer.progress)
            store.save(result)
        results.append(result)
        observer.finished(result, resumed)
