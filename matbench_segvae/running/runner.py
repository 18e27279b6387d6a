"""The loop over tasks, algorithms and folds.

Whatever is wrong with the names, the data or the stored folds ends a run before it starts.
After that an algorithm that fails costs its own folds only: the others are run and stored, and
the report of the run lists what failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from matbench_segvae.algorithms.registry import algorithm_class, load_failures
from matbench_segvae.benchmark import (
    data_file_of,
    load_task,
    make_task,
    quiet_matbench,
    task_name_of,
)
from matbench_segvae.errors import UserError
from matbench_segvae.running.piece import Piece, Problem, run_piece
from matbench_segvae.running.store import BrokenFoldFile, FoldResult, FoldStore, fits_task
from matbench_segvae.running.workers import Listener, run_pieces


@dataclass(frozen=True)
class RunOptions:
    """Which folds of every task are run, and how.

    Attributes:
        folds: Fold numbers; ``None`` for all of them.
        seed: Seed of every fold.
        overwrite: Whether to run stored folds again.
        workers: Processes in which folds of algorithms that take minutes are run side by side;
            with 1 everything takes place in this process.
    """

    folds: Sequence[int] | None = None
    seed: int = 0
    overwrite: bool = False
    workers: int = 1


class Observer(Listener, Protocol):
    """Is notified of the progress of a run."""

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """A fold is finished; ``resumed`` if it was found in the store."""

    def warning(self, line: str) -> None:
        """Something needs the attention of the user."""


class SilentObserver:
    """Ignores every notification."""

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """Do nothing."""

    def progress(self, task: str, algorithm: str, fold: int, line: str) -> None:
        """Do nothing."""

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """Do nothing."""

    def warning(self, line: str) -> None:
        """Do nothing."""


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
    out = Path(out)
    outcomes: dict[Piece, FoldResult | Problem] = {}
    with quiet_matbench():
        made = prepare_tasks(tasks, options.folds)
        broken = load_failures(algorithms)
        stores = _stores(made, algorithms, out)
        plan = _plan(made, stores, options)
        for line in plan.warnings:
            observer.warning(line)
        for (task_name, algorithm), store in stores.items():
            if any((task_name, algorithm, f) not in plan.stored for f in plan.folds[task_name]):
                store.require_writable()
        for task in made.values():
            load_task(task)
            data = data_file_of(task)
            if data and data.warning:
                observer.warning(data.warning)
        unloaded = [
            Problem(task, algorithm, broken[algorithm])
            for task, algorithm in stores
            if algorithm in broken
        ]
        for problem in unloaded:
            observer.warning(*problem_lines([problem]))
        pieces = [
            Piece(task, algorithm, fold, options.seed)
            for task, algorithm in stores
            if algorithm not in broken
            for fold in plan.folds[task]
        ]
        context = _Context(out, options.workers, observer)
        for piece, outcome in _outcomes(pieces, plan, made, context):
            outcomes[piece] = outcome
            if isinstance(outcome, Problem):
                observer.warning(*problem_lines([outcome]))
            else:
                observer.finished(outcome, resumed=piece.key in plan.stored)
    found = [outcomes[piece] for piece in pieces if piece in outcomes]
    return RunReport(
        made,
        tuple(one for one in found if isinstance(one, FoldResult)),
        (*unloaded, *(one for one in found if isinstance(one, Problem))),
    )


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


@dataclass(frozen=True)
class _Context:
    """Where pieces are run and stored, and who is notified."""

    out: Path
    workers: int
    observer: Observer


def _outcomes(
    pieces: Sequence[Piece], plan: _Plan, tasks: Mapping[str, Any], context: _Context
) -> Iterator[tuple[Piece, FoldResult | Problem]]:
    """What pieces end with: those that are stored, quick ones one by one, long ones side by side.

    What holds for all folds of a task ends its other pieces.
    """
    yield from ((piece, plan.stored[piece.key]) for piece in pieces if piece.key in plan.stored)
    missing = [piece for piece in pieces if piece.key not in plan.stored]
    long = [piece for piece in missing if algorithm_class(piece.algorithm).card.takes_minutes]
    if context.workers == 1 or len(long) == 1:
        long = []
    refused = set()
    for piece in missing:
        if piece not in long and piece.pair not in refused:
            outcome = _run_here(tasks[piece.task], piece, context)
            if isinstance(outcome, Problem) and outcome.fold is None:
                refused.add(piece.pair)
            yield piece, outcome
    if long:
        yield from run_pieces(long, context.out, min(context.workers, len(long)), context.observer)


def _run_here(task: Any, piece: Piece, context: _Context) -> FoldResult | Problem:  # noqa: ANN401
    """Run a piece in this process."""
    context.observer.started(*piece.key)
    return run_piece(task, piece, context.out, partial(context.observer.progress, *piece.key))
