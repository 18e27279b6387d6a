"""The command line: ``matbench-segvae run`` and what goes with it.

Imports that take long or load torch are made inside the commands that need them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matbench_segvae.errors import UserError

if TYPE_CHECKING:
    from matbench_segvae.running import RunReport

DEFAULT_TASK = "defects2d_xtb_mos2"
DEFAULT_ALGORITHMS = ("segvae", "megnet", "dummy")
USER_ERROR = 2
INTERRUPTED = 130

# The base class of typer's own errors; typer ships its own click since 0.2x, so it is
# looked up rather than imported.
_UsageError: type[Exception] = next(
    kind
    for kind in typer.BadParameter.__mro__
    if issubclass(kind, Exception) and kind.__name__ == "ClickException"
)

app = typer.Typer(
    name="matbench-segvae",
    help="Readable formulas beside graph networks on Matbench.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="The data sets behind the tasks.", rich_markup_mode=None)
app.add_typer(data_app, name="data")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after the program's name; those it was started with by default.

    Returns:
        The exit status: 0, or 2 for bad input, after one line on stderr.
    """
    if not sys.warnoptions:
        # Deprecations inside matminer, pymatgen and torch are no concern of the reader.
        warnings.simplefilter("ignore")
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    try:
        status = command.main(words, prog_name="matbench-segvae", standalone_mode=False)
    except UserError as error:
        return _fail(str(error))
    except _UsageError as error:
        return _fail(error.format_message())  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _fail(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return USER_ERROR


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"matbench-segvae {version('matbench_segvae')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@data_app.callback(invoke_without_command=True)
def _data_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        # typer's own message does not name the bad value.
        raise typer.BadParameter(f"'{text}' is not a whole number") from None


@app.command("run")
def run_command(
    task: Annotated[
        list[str] | None,
        typer.Option(help=f"Task, repeatable. Default: {DEFAULT_TASK}.", metavar="NAME"),
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
            parser=_whole_number,
            metavar="INTEGER",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="The source of all randomness.", min=0, metavar="INTEGER")
    ] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.", metavar="DIR")] = Path(
        "results"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run finished folds again.")
    ] = False,
) -> None:
    """Run algorithms on the folds of tasks and write a submission folder for each.

    Finished folds are kept and not run again, so an interrupted run can go on.
    """
    from matbench_segvae.reporting import ConsoleObserver, print_run, write_submissions
    from matbench_segvae.running import prepare_tasks, quiet_matbench, run

    console = _console()
    tasks = _distinct(task or [DEFAULT_TASK])
    algorithms = _distinct(algorithm or DEFAULT_ALGORITHMS)
    with quiet_matbench():
        counts = [len(set(fold or t.folds)) for t in prepare_tasks(tasks, fold).values()]
    total = len(algorithms) * sum(counts)
    try:
        with ConsoleObserver(console, total) as observer:
            report = run(tasks, algorithms, fold or None, seed, out, overwrite, observer)
    except KeyboardInterrupt:
        print(
            f"interrupted: finished folds are kept in '{out}', the same command goes on from there",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None
    submissions = write_submissions(out, algorithms, report.tasks)
    print_run(console, report, submissions)
    _complain(report, explicit=algorithm is not None)


@app.command("leaderboard")
def leaderboard_command(
    directory: Annotated[Path, typer.Argument(help="Folder with submission folders.")],
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw predictions against truth, as SVG, PNG or PDF.", metavar="FILE"),
    ] = None,
) -> None:
    """Rank the submissions in a folder, ours or in Matbench's form."""
    from matbench_segvae.reporting import print_leaderboard, rank, read_results, units_of

    scores = read_results(directory)
    board = rank(scores)
    print_leaderboard(_console(), board, units_of(board))
    if plot is not None:
        from matbench_segvae.reporting.picture import draw_parity

        print(draw_parity(scores, plot))


@app.command("tasks")
def tasks_command() -> None:
    """List the tasks."""
    from matbench_segvae.benchmark import task_names, task_summary

    summaries = [task_summary(name) for name in task_names()]
    for benchmark in dict.fromkeys(summary.benchmark for summary in summaries):
        rows = [summary.as_row() for summary in summaries if summary.benchmark == benchmark]
        _print_records(benchmark, rows)


@app.command("algorithms")
def algorithms_command() -> None:
    """List the installed algorithms."""
    from matbench_segvae.algorithms.registry import algorithm_origins

    _print_records(
        "algorithms",
        [{"algorithm": name, "from": origin} for name, origin in algorithm_origins().items()],
    )


_DataNames = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Data files. Default: all.")
]


@data_app.command("list")
def data_list_command() -> None:
    """List the data files, and where they are."""
    from matbench_segvae.benchmark import status

    rows = [
        {
            "name": row.file.name,
            "place": row.place,
            "sha256": {True: "right", False: "WRONG", None: ""}[row.intact],
            "description": f"{row.file.description} [{row.file.licence}]",
        }
        for row in status()
    ]
    _print_records("data", rows)


@data_app.command("fetch")
def data_fetch_command(names: _DataNames = None) -> None:
    """Get data files: from the mirror or the cache, else by download."""
    from matbench_segvae.benchmark import CATALOGUE, fetch

    for name in names or CATALOGUE:
        print(f"{name}: {fetch(name)}")


@data_app.command("verify")
def data_verify_command(names: _DataNames = None) -> None:
    """Check the sha256 of data files; by default of all that are on this machine."""
    from matbench_segvae.benchmark import status, verify

    present = [row.file.name for row in status() if row.place != "absent"]
    for name in names or present:
        print(f"{name}: {verify(name)} is right")
    if not names and not present:
        print("no data file is on this machine")


@data_app.command("build")
def data_build_command(
    name: Annotated[str, typer.Argument(help="What to compute: xtb-mos2.")],
    out: Annotated[Path, typer.Option(help="Folder of the finished parts.", metavar="DIR")] = Path(
        "xtb-mos2"
    ),
) -> None:
    """Compute the embedded data set again; it can be interrupted and goes on where it was."""
    if name != "xtb-mos2":
        raise UserError(f"unknown data set '{name}': only xtb-mos2 can be computed")
    from matbench_segvae.benchmark.xtb import build

    print(build(out, report=print))


def _console() -> Console:
    return Console(highlight=False)


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _complain(report: RunReport, explicit: bool) -> None:
    """Turn an algorithm that gave up into an error, after all else is written.

    An algorithm that was only there by default may be left out: it was said in a warning.
    """
    if report.problems and (explicit or not report.results):
        raise UserError(
            "; ".join(f"{p.algorithm} on {p.task}: {p.message}" for p in report.problems)
        )


def _print_records(title: str, records: Sequence[Mapping[str, str]]) -> None:
    """Print a table; on a narrow terminal names stay whole and the rest wraps."""
    table = Table(
        title=title, title_style="bold", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in records[0] if records else ():
        table.add_column(name, overflow="fold", no_wrap=name in ("task", "name", "algorithm"))
    for record in records:
        table.add_row(*(Text(value) for value in record.values()))
    _console().print(table)


if __name__ == "__main__":
    sys.exit(main())
