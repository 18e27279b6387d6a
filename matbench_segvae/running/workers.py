"""Pieces of a run side by side, each in a process of its own on one core."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from matbench_segvae.benchmark import load_task, make_task, quiet_matbench
from matbench_segvae.errors import UserError, one_line
from matbench_segvae.processes import side_by_side
from matbench_segvae.running.piece import Piece, Problem, run_piece
from matbench_segvae.running.store import FoldResult

_MOST = 8  # processes by default: each takes about 2 GB
_PAUSE = 0.1  # seconds between looking for messages
_PATIENCE = 2.0  # seconds to wait for the last of them
_DIED = (
    "its process ended before it, as happens where memory runs out: "
    "the same command goes on with what is missing; --workers 1 needs the least memory"
)

_tasks: dict[str, Any] = {}  # loaded in this process
_messages: Any = None  # to the process of the run


class Listener(Protocol):
    """Is notified of what happens to pieces."""

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """A fold is about to be run."""

    def progress(self, task: str, algorithm: str, fold: int, line: str) -> None:
        """The algorithm of a fold reports its progress."""


def usable_cores() -> int:
    """How many processes are worth running side by side here, at most 8."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return min(cores, _MOST)


def run_pieces(
    pieces: Sequence[Piece], out: Path, workers: int, listener: Listener
) -> Iterator[tuple[Piece, FoldResult | Problem]]:
    """Run pieces side by side; each is stored by its process as it finishes.

    What holds for all folds of a task ends its other pieces.

    Args:
        pieces: What to run, in the order in which pieces are begun.
        out: Folder of all results.
        workers: Number of processes.
        listener: Is notified of starts and progress.

    Yields:
        Pieces with what they ended with, as they finish.

    Raises:
        KeyboardInterrupt: If the user interrupted; the processes are ended.
    """
    messages = multiprocessing.get_context("spawn").SimpleQueue()
    ended = threading.Event()
    relay = threading.Thread(target=_relay, args=(messages, listener, ended), daemon=True)
    relay.start()
    refused: set[tuple[str, str]] = set()
    set_up = partial(_keep, messages)
    work = partial(_work, out=out)
    try:
        for piece, future in side_by_side(
            work, pieces, workers, lambda piece: piece.pair in refused, set_up
        ):
            outcome = _outcome(future, piece)
            if piece.pair in refused:
                continue
            if isinstance(outcome, Problem) and outcome.fold is None:
                refused.add(piece.pair)
            yield piece, outcome
    finally:
        ended.set()
        # A process that was killed in the middle of a message leaves the rest of it missing.
        relay.join(_PATIENCE)


def _outcome(future: Future[FoldResult | Problem], piece: Piece) -> FoldResult | Problem:
    try:
        return future.result()
    except BrokenProcessPool:
        return Problem(piece.task, piece.algorithm, _DIED, piece.fold)
    except UserError as error:  # the data were there a moment ago
        return Problem(piece.task, piece.algorithm, one_line(str(error)))


def _relay(messages: Any, listener: Listener, ended: threading.Event) -> None:  # noqa: ANN401
    """Hand on what processes send, until they have ended and there is nothing more to come.

    Nothing is put into the queue to end this: a process that was killed may hold its lock.
    """
    while not (messages.empty() and ended.is_set()):
        if messages.empty():
            ended.wait(_PAUSE)
            continue
        piece, line = messages.get()
        if line is None:
            listener.started(piece.task, piece.algorithm, piece.fold)
        else:
            listener.progress(piece.task, piece.algorithm, piece.fold, line)


def _keep(messages: Any) -> None:  # noqa: ANN401
    """Keep the way to the process of the run."""
    global _messages
    _messages = messages


def _work(piece: Piece, out: Path) -> FoldResult | Problem:
    """Run a piece in this process."""
    _messages.put((piece, None))
    with quiet_matbench():
        if piece.task not in _tasks:
            task = make_task(piece.task)
            load_task(task)
            _tasks[piece.task] = task
        return run_piece(_tasks[piece.task], piece, out, lambda line: _messages.put((piece, line)))
