"""The loop over tasks, algorithms and folds.

Whatever is wrong with the names, the data or the stored folds ends a run before it starts.
After that an algorithm that fails costs its own folds only: the others are run and stored, and
the report of the run lists what failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from matbench_segvae.algorithms.registry import load_failures
from matbench_segvae.benchmark import load_task, make_task, quiet_matbench, task_name_of
from matbench_segvae.errors import UserError, one_line
from matbench_segvae.running.fold import OutputError, run_fold
from matbench_segvae.running.store import BrokenFoldFile, FoldResult, FoldStore, fits_task

_LONGEST = 300  # characters of a message of somebody else's exception; the rest is in a file


@dataclass(frozen=True)
class RunOptions:
    """Which folds of every task are run, and how.

    Attributes:
        folds: Fold numbers; ``None`` for all of them.
        seed: Seed of every fold.
        overwrite: Whether to run stored folds again.
    """

    folds: Sequence[int] | None = None
    seed: int = 0
    overwrite: bool = False


class Observer(Protocol):
    """Is notified of the progress of a run."""

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """A fold is about to be run."""

    def progress(self, line: str) -> None:
        """The algorithm of the current fold reports its progress."""

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """A fold is finished; ``resumed`` if it was found in the store."""

    def warning(self, line: str) -> None:
        """Something needs the attention of the user."""


class SilentObserver:
    """Ignores every notification."""

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """Do nothing."""

    def progress(self, line: str) -> None:
        """Do nothing."""

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """Do nothing."""

    def warning(self, line: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Problem:
    """Why an algorithm could not be run on a task, or on one fold of it.

    Attributes:
        task: Task name.
        algorithm: Name of the algorithm's entry point.
        message: The reason, in one line.
        fold: Fold number; ``None`` if the reason holds for the whole task, such as inputs
            that the algorithm cannot read.
        hint: How to find out more; may be empty.
    """

    task: str
    algorithm: str
    message: str
    fold: int | None = None
    hint: str = ""


@dataclass(frozen=True)
class RunReport:
    """The outcome of a run.

    Attributes:
        tasks: The loaded tasks by name.
        results: Finished folds, new and resumed, in the order of the run.
        problems: Failures; everything else was finished all the same.
    """

    tasks: Mapping[str, Any]
    results: tuple[FoldResult, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Plan:
    """What is to be run, found before any long work.

    Attributes:
        seed: Seed of every fold.
        folds: Fold numbers by task name.
        stored: Finished folds by task, algorithm and fold.
        warnings: Stored folds that cannot be used, and why.
    """

    seed: int
    folds: dict[str, list[int]]
    stored: dict[tuple[str, str, int], FoldResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def run(
    tasks: Sequence[str],
    algorithms: Sequence[str],
    options: RunOptions | None = None,
    out: Path | str = "results",
    observer: Observer | None = None,
) -> RunReport:
    """Run algorithms on folds of tasks; stored folds are not run again.

    Every fold is written as it finishes, so an interrupted run can be resumed. A stored fold
    is used as it is, even if the algorithm's code was modified since.

    Args:
        tasks: Task names or folders of tasks.
        algorithms: Names of algorithms.
        options: Folds, seed, and whether to run stored folds again.
        out: Folder of all results.
        observer: Is notified of the progress.

    Returns:
        All finished folds, and what failed.

    Raises:
        UserError: Before anything is run, if a task, an algorithm or a fold does not exist,
            data cannot be had, or a stored fold has another seed.
    """
    options = options or RunOptions()
    observer = observer or SilentObserver()
    results: list[FoldResult] = []
    problems: list[Problem] = []
    with quiet_matbench():
        made = prepare_tasks(tasks, options.folds)
        broken = load_failures(algorithms)
        stores = _stores(made, algorithms, Path(out))
        plan = _plan(made, stores, options)
        for line in plan.warnings:
            observer.warning(line)
        for task in made.values():
            load_task(task)
        for (task_name, name), store in stores.items():
            if name in broken:
                problems.append(Problem(task_name, name, broken[name]))
                observer.warning(*problem_lines(problems[-1:]))
                continue
            for outcome in _run_folds(made[task_name], store, plan, observer):
                if isinstance(outcome, FoldResult):
                    results.append(outcome)
                else:
                    problems.append(outcome)
                    observer.warning(*problem_lines([outcome]))
    return RunReport(made, tuple(results), tuple(problems))


def prepare_tasks(names: Sequence[str], folds: Sequence[int] | None = None) -> dict[str, Any]:
    """Make the tasks and check the folds; the data are not loaded yet.

    Args:
        names: Task names or folders of tasks; one that is named twice counts once.
        folds: Fold numbers that every task has to have, or ``None``.

    Returns:
        Task objects by name.

    Raises:
        UserError: If a task or a fold does not exist.
    """
    tasks = {name: make_task(name) for name in dict.fromkeys(map(task_name_of, names))}
    for name, task in tasks.items():
        missing = [fold for fold in folds or () if fold not in task.folds]
        if missing:
            raise UserError(
                f"task '{name}' has no fold {missing[0]}: "
                f"choose from {', '.join(map(str, task.folds))}"
            )
    return tasks


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """One line for each different problem, with the folds it occurred in.

    A problem that recurs, on several folds or with several seeds, is one line with the hint of
    its first occurrence.
    """
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.algorithm, problem.task, problem.message), []).append(problem)
    lines = []
    for (algorithm, task, message), members in alike.items():
        folds = sorted({member.fold for member in members if member.fold is not None})
        number = f", fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
        hint = f" ({members[0].hint})" if members[0].hint else ""
        lines.append(f"{algorithm} on {task}{number if folds else ''}: {message}{hint}")
    return lines


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
    options: RunOptions,
) -> _Plan:
    """Find the folds to be run and those that are stored already."""
    chosen = {
        name: sorted(set(task.folds if options.folds is None else options.folds))
        for name, task in tasks.items()
    }
    plan = _Plan(options.seed, chosen)
    if options.overwrite:
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
            if result.seed != options.seed:
                raise UserError(
                    f"{store.path(task, fold)} was run with seed {result.seed}, not "
                    f"{options.seed}: choose another --out, the same --seed, or --overwrite"
                )
            if not fits_task(result, tasks[task]):
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
    observer: Observer,
) -> Iterator[FoldResult | Problem]:
    """Every fold's result in order, or the problem in place of it.

    A `UserError` holds for all folds of a task and is the last outcome; predictions that
    cannot be used, and any other exception, are the failure of one fold.
    """
    name = str(task.dataset_name)
    for fold in plan.folds[name]:
        stored = plan.stored.get((name, store.algorithm, fold))
        if stored is not None:
            observer.finished(stored, resumed=True)
            yield stored
            continue
        observer.started(name, store.algorithm, fold)
        try:
            result = run_fold(task, store.algorithm, fold, plan.seed, observer.progress)
            store.save(result)
        except KeyboardInterrupt:
            raise
        except OutputError as error:
            yield Problem(name, store.algorithm, one_line(str(error)), fold)
            continue
        except UserError as error:
            yield Problem(name, store.algorithm, one_line(str(error)))
            return
        # Algorithms of other packages may raise anything, and even exit.
        except BaseException as error:
            # Lightning answers an interrupt by the user with an exit.
            if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            yield _failure(store, name, fold, error)
            continue
        observer.finished(result, resumed=False)
        yield result


def _failure(store: FoldStore, task: str, fold: int, error: BaseException) -> Problem:
    """The failure of one fold; its traceback is kept in a file."""
    try:
        text = one_line(str(error))[:_LONGEST]
    except Exception:
        text = "its message cannot be read"
    message = f"{type(error).__name__}: {text}".removesuffix(": ")
    try:
        hint = f"traceback in {store.save_error(task, fold, error)}"
    except UserError as unwritten:
        hint = str(unwritten)
    return Problem(task, store.algorithm, message, fold, hint)
