"""Jobs side by side, each in a process of its own on one core, that end when they are told to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from typing import TypeVar

from matbench_segvae.lightning_tools import use_one_core

J = TypeVar("J")
R = TypeVar("R")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def _all_wanted(_: object) -> bool:
    """No job is unwanted."""
    return False


def side_by_side(
    work: Callable[[J], R],
    jobs: Sequence[J],
    workers: int,
    unwanted: Callable[[J], bool] = _all_wanted,
    set_up: Callable[[], None] | None = None,
) -> Iterator[tuple[J, Future[R]]]:
    """Do jobs in several processes.

    Args:
        work: Does a job. It, the jobs and what it returns are sent between processes.
        jobs: The jobs, in the order in which they are begun.
        workers: Number of processes.
        unwanted: Whether a job that has not begun is to be left out; asked after each job.
        set_up: Prepares a process.

    Yields:
        Jobs with their futures, as they finish. A future of a process that died raises
        ``BrokenProcessPool``.

    Raises:
        KeyboardInterrupt: If the user interrupted; the processes are then ended at once.
    """
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _prepare, (set_up,))
    try:
        with _one_thread_each(), _deaf_to_interrupts():
            futures = {pool.submit(work, job): job for job in jobs}
        for future in as_completed(futures):
            if future.cancelled():
                continue
            yield futures[future], future
            for other, job in futures.items():
                if not other.done() and unwanted(job):
                    other.cancel()
    except BaseException:
        # Lightning swallows a request to end. What jobs write is whole or not there.
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let libraries in new processes use one thread, unless the user chose a number."""
    chosen = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(chosen, "1"))
    try:
        yield
    finally:
        for name in chosen:
            os.environ.pop(name, None)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C: this one ends them when it is pressed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare(set_up: Callable[[], None] | None) -> None:
    """Prepare a process."""
    use_one_core()
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if set_up is not None:
        set_up()
