"""The command ``matbench-segvae run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matbench_segvae.cli.common import INTERRUPTED, SeedOption, console, whole_number
from matbench_segvae.errors import UserError, one_line

if TYPE_CHECKING:
    from matbench_segvae.running import RunReport

DEFAULT_TASK = "defects2d_xtb_mos2"
DEFAULT_ALGORITHMS = ("segvae", "megnet", "dummy")


def run_command(
    task: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Task or folder of a task, repeatable. Default: {DEFAULT_TASK}.", metavar="NAME"
        ),
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Algorithm, repeatable. Default: {', '.join(DEFAULT_ALGORITHMS)}.",
            metavar="NAME",
        ),
    ] = None,
    fold: Annotated[
        list[int] | None,
        typer.Option(
            help="Fold number, repeatable. Default: all folds.",
            parser=whole_number,
            metavar="INTEGER",
        ),
    ] = None,
    seed: SeedOption = 0,
    seeds: Annotated[
        int,
        typer.Option(
            help="Number of seeds, from --seed on; the first one makes the submission, the "
            "others show how much it depends on the seed.",
            min=1,
            metavar="INTEGER",
        ),
    ] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the results.", metavar="DIR")] = Path(
        "results"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run finished folds again.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Folds at a time, of algorithms whose fits take minutes, one core each; as many "
            "as there are cores, up to 8, by default.",
            min=1,
            metavar="INTEGER",
        ),
    ] = None,
) -> None:
    """Run algorithms on the folds of tasks and write a submission folder for each.

    Finished folds are kept and not run again, so an interrupted run can go on. An algorithm
    that fails does not stop the others: what failed is listed at the end, with exit status 2.
    """
    from matbench_segvae.benchmark import quiet_matbench
    from matbench_segvae.reporting import (
        ConsoleObserver,
        print_run,
        require_readable_results,
        write_submissions,
    )
    from matbench_segvae.reporting.seeds import seed_folder
    from matbench_segvae.running import RunOptions, prepare_tasks, run, usable_cores

    terminal = console()
    tasks = _distinct(task or [DEFAULT_TASK])
    algorithms = _distinct(algorithm or _default_algorithms())
    with quiet_matbench():
        prepared = prepare_tasks(tasks, fold)
        counts = [len(set(fold or t.folds)) for t in prepared.values()]
        require_readable_results(out, algorithms, prepared)
    total = seeds * len(algorithms) * sum(counts)
    try:
        with ConsoleObserver(terminal, total) as observer:
            reports = [
                run(
                    tasks,
                    algorithms,
                    RunOptions(fold or None, number, overwrite, workers or usable_cores()),
                    seed_folder(out, number, seed),
                    observer,
                )
                for number in range(seed, seed + seeds)
            ]
    except KeyboardInterrupt:
        print(
            f"interrupted: finished folds are kept in '{out}', the same command resumes the run",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None
    submissions = write_submissions(out, algorithms, reports[0].tasks)
    print_run(terminal, reports[0], submissions)
    _raise_problems(reports, explicit=algorithm is not None)


def _default_algorithms() -> list[str]:
    """The default algorithms whose packages are installed; a warning names the others."""
    from matbench_segvae.algorithms.registry import load_failures

    failures = load_failures(DEFAULT_ALGORITHMS)
    for message in failures.values():
        print(one_line(f"warning: left out: {message}"), file=sys.stderr)
    return [name for name in DEFAULT_ALGORITHMS if name not in failures]


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _raise_problems(reports: Sequence[RunReport], explicit: bool) -> None:
    """Raise one error for everything that failed, after all results are written.

    An algorithm that was chosen by default need not support a task: a warning has reported
    that. The failure of a fold is always an error.
    """
    from matbench_segvae.running import problem_lines

    problems = [problem for report in reports for problem in report.problems]
    if not explicit and reports[0].results:
        problems = [problem for problem in problems if problem.fold is not None]
    if problems:
        raise UserError("; ".join(problem_lines(problems)))
