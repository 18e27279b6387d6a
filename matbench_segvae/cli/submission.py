"""The commands ``matbench-segvae submission …``: making and checking what is submitted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from matbench_segvae.cli.common import USER_ERROR
from matbench_segvae.errors import one_line

submission_app = typer.Typer(
    help="Make and check submissions to a leaderboard.", rich_markup_mode=None
)


@submission_app.callback(invoke_without_command=True)
def _submission_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@submission_app.command("check")
def submission_check_command(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Submission folders, <benchmark>_<algorithm>."),
    ],
) -> None:
    """Apply the rules of Matbench's submission page and of its checker.

    Prints a line for every rule that is broken, with where and what is allowed.
    """
    from matbench_segvae.reporting.submission.check import check_submissions, notes_on

    violations = check_submissions(folders)
    for violation in violations:
        print(violation)
    if violations:
        raise typer.Exit(USER_ERROR)
    for folder in folders:
        for note in notes_on(folder):
            print(one_line(f"{folder}: note: {note}"))
        print(one_line(f"{folder}: can be submitted"))


@submission_app.command("make")
def submission_make_command(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder of one algorithm's finished run.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder to make, <benchmark>_<algorithm>.", metavar="FOLDER")
    ],
    authors: Annotated[
        str | None,
        typer.Option(help="Who submits it. Default: as in the algorithm's card.", metavar="NAMES"),
    ] = None,
) -> None:
    """Assemble a submission folder from the results of a run, and check it.

    It holds the results, info.json with the exact versions they were made with, run.py and
    an executed notebook.
    """
    from matbench_segvae.reporting.submission.make import make_submission

    made = make_submission(results, out, authors)
    for warning in made.warnings:
        print(one_line(f"warning: {warning}"), file=sys.stderr)
    for violation in made.violations:
        print(violation)
    if made.violations:
        raise typer.Exit(USER_ERROR)
    print(one_line(f"{made.folder}: can be submitted"))
