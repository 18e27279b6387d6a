"""What the commands share: exit statuses, the console, tables, numbers read from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matbench_segvae.errors import UserError, one_line
from matbench_segvae.files import write_text

DEFAULT_STRAIN = 0.03
"""Largest strain up to which a host is recognised; that of :mod:`matbench_segvae.defects`."""

MaxStrainOption = Annotated[
    float,
    typer.Option(
        help="Largest relative change of a length up to which a host is recognised.",
        metavar="NUMBER",
    ),
]

SEED_LIMIT = 2**32 - 1
"""Largest seed: numpy takes no larger ones."""


SeedOption = Annotated[
    int,
    typer.Option(help="The source of all randomness.", min=0, max=SEED_LIMIT, metavar="INTEGER"),
]

USER_ERROR = 2
"""Exit status after bad input."""


INTERRUPTED = 130
TERMINATED = 143
"""Exit status after an interruption."""


def console(*, stderr: bool = False) -> Console:
    """A console that colours nothing by itself."""
    return Console(highlight=False, stderr=stderr)


def print_records(title: str, records: Sequence[Mapping[str, str]]) -> None:
    """Print a table; on a narrow terminal names stay whole and the other columns wrap."""
    table = Table(
        title=Text(title),
        title_style="bold",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in records[0] if records else ():
        table.add_column(name, overflow="fold", no_wrap=name in ("task", "name", "algorithm"))
    for record in records:
        table.add_row(*(Text(one_line(value)) for value in record.values()))
    console().print(table)


def whole_number(text: str) -> int:
    """Read a whole number.

    Raises:
        typer.BadParameter: If it is none.
    """
    try:
        return int(text)
    except ValueError:
        # typer's own message does not name the bad value.
        raise typer.BadParameter(f"'{text}' is not a whole number") from None


def make_folder(path: Path) -> None:
    """Make a folder for results, unless it is there.

    Raises:
        UserError: If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder '{path}': {error.strerror}") from error


def write_file(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error
