"""Submission folders and the leaderboard."""

from matbench_segvae.reporting.console import (
    ConsoleObserver,
    print_leaderboard,
    print_run,
    print_seeds,
)
from matbench_segvae.reporting.leaderboard import (
    FoldScore,
    Row,
    best_formula,
    rank,
    read_results,
    submission_folders,
    units_of,
)
from matbench_segvae.reporting.submission.write import (
    Submission,
    require_readable_results,
    write_submissions,
)

__all__ = [
    "ConsoleObserver",
    "FoldScore",
    "Row",
    "Submission",
    "best_formula",
    "print_leaderboard",
    "print_run",
    "print_seeds",
    "rank",
    "read_results",
    "require_readable_results",
    "submission_folders",
    "units_of",
    "write_submissions",
]
