"""Telling a terminal, or a log file, how a run goes."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from matbench_segvae.reporting.tables import display_unit
from matbench_segvae.running import FoldResult

# A log file gets a line of progress at most this often, in seconds.
LOG_INTERVAL = 10.0


class ConsoleObserver:
    """Prints a line per finished fold and keeps the latest progress in sight.

    On a terminal progress is one moving line; elsewhere it is a plain line every ten
    seconds. To be used as a context manager.

    Args:
        console: Where to print.
        total: Number of folds of the whole run.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._fold = ""
        self._said = time.monotonic()
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
        """Take the moving line away."""
        if self._status is not None:
            self._status.stop()

    def started(self, task: str, algorithm: str, fold: int) -> None:
        """Say which fold is being run."""
        self._fold = f"{task} fold {fold}: {algorithm}"
        self._said = time.monotonic()
        if self._status is not None:
            self._status.update(self._line(self._fold))

    def progress(self, line: str) -> None:
        """Show a line of progress of the current fold."""
        if self._status is not None:
            self._status.update(self._line(f"{self._fold}  {line}"))
        elif time.monotonic() - self._said >= LOG_INTERVAL:
            self._said = time.monotonic()
            self._print(f"{self._fold}  {line}")

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
        self._console.print(Text(line, style=style), soft_wrap=True)

    def _line(self, text: str) -> Text:
        # One line on any width, so that the moving line stays one line.
        room = max(10, self._console.width - 4)
        return Text(text if len(text) <= room else f"{text[: room - 1]}…")
