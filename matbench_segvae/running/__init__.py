"""Tasks × algorithms × folds, one file per finished fold."""

from matbench_segvae.benchmark._matbench import quiet_matbench
from matbench_segvae.running.fold import run_fold
from matbench_segvae.running.runner import (
    Observer,
    Problem,
    RunReport,
    SilentObserver,
    prepare_tasks,
    run,
)
from matbench_segvae.running.store import FoldResult, FoldStore

__all__ = [
    "FoldResult",
    "FoldStore",
    "Observer",
    "Problem",
    "RunReport",
    "SilentObserver",
    "prepare_tasks",
    "quiet_matbench",
    "run",
    "run_fold",
]
