"""Submission folders and the leaderboard."""

from matbench_segvae.reporting.leaderboard import (
    FoldScore,
    Row,
    best_formula,
    rank,
    read_results,
    submission_folders,
    units_of,
)
from matbench_segvae.reporting.progress import ConsoleObserver
from matbench_segvae.reporting.submission import Submission, write_submissions
from matbench_segvae.reporting.tables import print_leaderboard, print_run, print_seeds

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
    "submission_folders",
    "units_of",
    "write_submissions",
]
