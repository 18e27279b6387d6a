"""Tasks × algorithms × folds, one file per finished fold."""

from matbench_segvae.running.fold import run_fold
from matbench_segvae.running.piece import Problem
from matbench_segvae.running.runner import (
    Observer,
    RunOptions,
    RunReport,
    SilentObserver,
    prepare_tasks,
    problem_lines,
    run,
)
from matbench_segvae.running.store import FoldResult, FoldStore
from matbench_segvae.running.workers import usable_cores

__all__ = [
    "FoldResult",
    "FoldStore",
    "Observer",
    "Problem",
    "RunOptions",
    "RunReport",
    "SilentObserver",
    "prepare_tasks",
    "problem_lines",
    "run",
    "run_fold",
    "usable_cores",
]
