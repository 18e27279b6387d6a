"""What is printed on a terminal: the leaderboard as tables, and the progress of a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from matbench_segvae.benchmark.published import PublishedScore
from matbench_segvae.errors import one_line
from matbench_segvae.reporting.board_table import board_table, display_unit, spread_text
from matbench_segvae.reporting.leaderboard import FoldScore, Row, best_formula, rank
from matbench_segvae.reporting.seeds import read_seeds, spread_of
from matbench_segvae.reporting.submission.write import Submission
from matbench_segvae.running import FoldResult, RunReport

LOG_INTERVAL = 10.0
"""Least time between two lines of progress in a log file, s."""


def print_leaderboard(
    console: Console,
    board: Mapping[str, Sequence[Row]],
    units: Mapping[str, str],
    published: Mapping[str, Sequence[PublishedScore]] | None = None,
) -> None:
    """Print a table per task, and the formulas below it.

    Args:
        console: Where to print.
        board: Rows by task name, best first.
        units: Unit of the target by task name; energies in eV are shown in meV.
        published: Published scores by task name; listed below the rows, not ranked.
    """
    for task, rows in board.items():
        others = (published or {}).get(task, ())
        console.print(board_table(rows, others, units.get(task, ""), console.width))
        best = best_formula(rows)
        for row in rows:
            if row.formula:
                console.print(_formula_line(row, "best formula" if row is best else "formula"))


def print_run(console: Console, report: RunReport, submissions: Sequence[Submission]) -> None:
    """Print the leaderboard of a run, and where its submissions are.

    Args:
        console: Where to print.
        report: The outcome of the run.
        submissions: Its submission folders.
    """
    board = rank(FoldScore.of(result) for result in report.results)
    units = {r.task: r.unit for r in report.results}
    print_leaderboard(console, board, units)
    print_seeds(console, [submission.folder for submission in submissions], units)
    for submission in submissions:
        lines = []
        for task, folds in submission.missing.items():
            lacking = f"{task} lacks fold {', '.join(map(str, folds))}"
            lines.append(Text(one_line(f"{submission.folder}: not complete, {lacking}")))
        if submission.tasks:
            lines.append(Text(one_line(f"submission: {submission.folder}")))
        for line in lines:
            console.print(line, soft_wrap=True)


def print_seeds(
    console: Console, folders: Iterable[Path], units: Mapping[str, str] | None = None
) -> None:
    """Print the mean scores of submissions over their seeds, if they have several.

    Args:
        console: Where to print.
        folders: Submission folders.
        units: Unit of the target by task name.
    """
    table = Table(title="over seeds", title_style="bold", title_justify="left")
    for header in ("task", "submission", "seeds", "mean ± std over seeds"):
        table.add_column(header, justify="left" if header in ("task", "submission") else "right")
    for folder in folders:
        scores = read_seeds(folder)
        for task in dict.fromkeys(score.task for score in scores):
            spread = spread_of(scores, task)
            metric = next(score.metric for score in scores if score.task == task)
            if spread is not None:
                factor, unit = display_unit((units or {}).get(task, ""))
                factor, unit = (factor, unit) if metric == "mae" else (1.0, "")
                figure = spread_text(spread.mean * factor, spread.std * factor, metric)
                seeds = ",".join(map(str, spread.seeds))
                cells = (task, folder.name, seeds, f"{figure} {unit}".strip())
                table.add_row(*(Text(one_line(cell)) for cell in cells))
    if table.row_count:
        console.print(table)


def _formula_line(row: Row, what: str) -> Text:
    # A Text, not markup: brackets in a formula are brackets.
    fold = f"fold {row.formula_fold}, the closest to the mean"
    size = "" if row.complexity is None else f", complexity {row.complexity}"
    line = Text(one_line(f"{what} ({row.algorithm}, {fold}{size}):"), style="dim")
    for law in str(row.formula).split("; "):
        line.append(f"\n  {one_line(law)}", style="bold not dim")
    return line


def _fold_name(task: str, algorithm: str, fold: int) -> str:
    return f"{task} fold {fold}: {algorithm}"


class ConsoleObserver:
    """Prints a line per finished fold and shows the latest progress.

    On a terminal progress is one moving line; in a log file it is a line every ten seconds.
    To be used as a context manager.

    Args:
        console: Where to print.
        total: Number of folds of the whole run.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._printed = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> ConsoleObserver:
        """Start the moving line, on a terminal."""
        if self._console.is_terminal:
            self._status = self._console.status("loading tasks")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the moving line."""
        if self._status is not None:
            self._status.stop()

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """Show which fold is being run."""
        self._printed = time.monotonic()
        if self._status is not None:
            self._status.update(self._line(_fold_name(task, algorithm, fold)))

    def progress(self, task: str, algorithm: str, fold: int, line: str) -> None:
        """Show a line of progress of a fold."""
        line = f"{_fold_name(task, algorithm, fold)}  {line}"
        if self._status is not None:
            self._status.update(self._line(line))
        elif time.monotonic() - self._printed >= LOG_INTERVAL:
            self._printed = time.monotonic()
            self._print(line)

    def finished(self, result: FoldResult, resumed: bool) -> None:
        """Print the score of a finished fold."""
        self._done += 1
        factor, unit = display_unit(result.unit)
        if result.metric == "mae":
            score = f"MAE {result.score * factor:.4g} {unit}".rstrip()
        else:
            score = f"ROC-AUC {result.score:.3f}"
        seconds = result.params.get("seconds_fit")
        how = "already finished" if resumed else f"{seconds or 0.0:.1f} s"
        line = f"[{self._done}/{self._total}] {result.task} fold {result.fold}: "
        line += f"{result.algorithm}  {score}  ({how})"
        formula = result.params.get("formula")
        self._print(f"{line}  {formula}" if formula else line)

    def warning(self, line: str) -> None:
        """Print a warning."""
        self._print(f"warning: {line}", style="yellow")

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(one_line(line), style=style), soft_wrap=True)

    def _line(self, text: str) -> Text:
        # One line on any width, so that the moving line stays one line.
        text = one_line(text)
        room = max(10, self._console.width - 4)
        return Text(text if len(text) <= room else f"{text[: room - 1]}…")
