"""The command line: ``matbench-segvae run`` and what goes with it.

Imports that take long or load torch are made inside the commands that need them.
"""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from matbench_segvae.cli.bench import bench_app
from matbench_segvae.cli.common import (
    INTERRUPTED,
    TERMINATED,
    USER_ERROR,
    console,
    print_records,
)
from matbench_segvae.cli.data import data_app
from matbench_segvae.cli.fit import fit_command, predict_command
from matbench_segvae.cli.law import law_app
from matbench_segvae.cli.law_fit import law_fit_command
from matbench_segvae.cli.run import run_command
from matbench_segvae.cli.submission import submission_app
from matbench_segvae.cli.task import task_app
from matbench_segvae.errors import UserError, one_line

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


app.add_typer(bench_app, name="bench")


app.add_typer(data_app, name="data")


law_app.command("fit")(law_fit_command)


app.add_typer(law_app, name="law")


app.add_typer(submission_app, name="submission")


app.add_typer(task_app, name="task")


app.command("run")(run_command)


app.command("fit")(fit_command)


app.command("predict")(predict_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after the program's name; those it was started with by default.

    Returns:
        The exit status: 0; 2 for bad input, after a line on stderr for each mistake; 130 after
        an interrupt and 143 after a request to end, which is handled like an interrupt.
    """
    if not sys.warnoptions:
        # Deprecations inside matminer, pymatgen and torch are no concern of the reader.
        warnings.simplefilter("ignore")
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    with ended_on_request() as requests:
        status = _run(command, words)
    return TERMINATED if requests and status == INTERRUPTED else status


def _run(command: Any, words: Sequence[str]) -> int:  # noqa: ANN401 - typer's own click
    try:
        status = command.main(words, prog_name="matbench-segvae", standalone_mode=False)
    except UserError as error:
        return _fail(*error.lines)
    except _UsageError as error:
        return _fail(error.format_message())  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else 0


@contextmanager
def ended_on_request() -> Iterator[list[int]]:
    """Turn a request to end, SIGTERM, into an interrupt; yields a list that it is added to.

    Lightning would swallow it: the fold would fail, and the run go on with the next one.
    """
    requests: list[int] = []

    def interrupt(number: int, _: object) -> None:
        requests.append(number)
        raise KeyboardInterrupt

    # Handlers can only be set in the main thread; a program's own handler is left alone.
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield requests
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield requests
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _fail(*messages: str) -> int:
    for message in messages:
        print(f"error: {one_line(message)}", file=sys.stderr)
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


@app.command("leaderboard")
def leaderboard_command(
    directory: Annotated[Path, typer.Argument(help="Folder with submission folders.")],
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw predictions against truth, as SVG, PNG or PDF.", metavar="FILE"),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Below the ranks, show what others published: predictions that came with the "
            "DFT data, scores of Matbench's own leaderboards.",
        ),
    ] = False,
) -> None:
    """Rank the submissions in a folder, ours or in Matbench's form."""
    from matbench_segvae.reporting import (
        print_leaderboard,
        print_seeds,
        rank,
        read_results,
        submission_folders,
        units_of,
    )

    scores = read_results(directory)
    board = rank(scores)
    others = {}
    if published:
        from matbench_segvae.benchmark.published import published_scores

        others = {task: published_scores(task) for task in board}
    units = units_of(board, scores)
    print_leaderboard(console(), board, units, others)
    print_seeds(console(), submission_folders(directory), units)
    if plot is not None:
        from matbench_segvae.reporting.plots.parity import draw_parity

        print(one_line(str(draw_parity(scores, plot))))


@app.command("tasks")
def tasks_command() -> None:
    """List the tasks."""
    from matbench_segvae.benchmark import task_names, task_summary

    summaries = []
    for name in task_names():
        try:
            summaries.append(task_summary(name))
        except UserError as error:
            # The folder of a task of the user's own is gone; the other tasks are still there.
            print(f"warning: {one_line(str(error))}", file=sys.stderr)
    for benchmark in dict.fromkeys(summary.benchmark for summary in summaries):
        rows = [summary.as_row() for summary in summaries if summary.benchmark == benchmark]
        print_records(benchmark, rows)


@app.command("algorithms")
def algorithms_command() -> None:
    """List the installed algorithms."""
    from matbench_segvae.algorithms.registry import algorithm_origins

    print_records(
        "algorithms",
        [{"algorithm": name, "from": origin} for name, origin in algorithm_origins().items()],
    )
