"""One piece of a run: an algorithm on a fold of a task. What it ends with is never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError, one_line
from matbench_segvae.running.fold import OutputError, run_fold
from matbench_segvae.running.store import FoldResult, FoldStore
from matbench_segvae.types import Report

_LONGEST = 300  # characters of a message of somebody else's exception; the rest is in a file


@dataclass(frozen=True)
class Piece:
    """What a process needs to know to run a fold.

    Attributes:
        task: Task name.
        algorithm: Name of the algorithm's entry point.
        fold: Fold number.
        seed: Seed of the fold.
    """

    task: str
    algorithm: str
    fold: int
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Task, algorithm and fold, which name it within a run of one seed."""
        return self.task, self.algorithm, self.fold

    @property
    def pair(self) -> tuple[str, str]:
        """Task and algorithm, which pieces of several folds have in common."""
        return self.task, self.algorithm


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


def run_piece(
    task: Any,  # noqa: ANN401 - matbench is not typed
    piece: Piece,
    out: Path,
    report: Report,
) -> FoldResult | Problem:
    """Run and store a fold.

    A `UserError` holds for all folds of a task; predictions that cannot be used, and any other
    exception, are the failure of one fold.

    Args:
        task: The loaded task.
        piece: What to run.
        out: Folder of all results.
        report: Takes a line of progress.

    Returns:
        The result, or the problem in place of it.

    Raises:
        KeyboardInterrupt: If the user interrupted.
    """
    store = FoldStore(out, str(task.benchmark_name), piece.algorithm)
    try:
        result = run_fold(task, piece.algorithm, piece.fold, piece.seed, report)
        store.save(result)
    except KeyboardInterrupt:
        raise
    except OutputError as error:
        return Problem(piece.task, piece.algorithm, one_line(str(error)), piece.fold)
    except UserError as error:
        return Problem(piece.task, piece.algorithm, one_line(str(error)))
    # Algorithms of other packages may raise anything, and even exit.
    except BaseException as error:
        # Lightning answers an interrupt by the user with an exit.
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        return _failure(store, piece, error)
    return result


def _failure(store: FoldStore, piece: Piece, error: BaseException) -> Problem:
    """The failure of one fold; its traceback is kept in a file."""
    try:
        text = one_line(str(error))[:_LONGEST]
    except Exception:
        text = "its message cannot be read"
    message = f"{type(error).__name__}: {text}".removesuffix(": ")
    try:
        hint = f"traceback in {store.save_error(piece.task, piece.fold, error)}"
    except UserError as unwritten:
        hint = str(unwritten)
    return Problem(piece.task, piece.algorithm, message, piece.fold, hint)
