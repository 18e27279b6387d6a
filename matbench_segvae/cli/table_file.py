"""Reading a table of numbers that a user gives as a text file."""

from __future__ import annotations

import csv
import io
import re
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matbench_segvae.errors import UserError, cut, one_line
from matbench_segvae.files import read_text

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = (",", ";", "\t", "|")
_DECIMALS = (".", ",")
_LOOKED_AT = 1000  # lines from which the decimal mark is told
_NUMBER = r"\s*[-+]?\d+{}\d+([eE][-+]?\d+)?\s*"


def read_table(
    path: Path, separator: str | None = None, decimal: str | None = None
) -> pd.DataFrame:
    """Read a table with a header.

    Args:
        path: A text file, in UTF-8, compressed with gzip or not.
        separator: What stands between two values; told from the header by default.
        decimal: Decimal mark; told from the values by default.

    Returns:
        The table; columns without a name are left out with a warning.

    Raises:
        UserError: If it cannot be read, two columns have one name, or rows have more values than
            the header has names.
    """
    import pandas as pd

    text = _text(path)
    separator = _separator(text) if separator is None else separator
    if len(separator) != 1 or separator in '"\r\n':
        raise UserError(f"the separator is '{cut(separator)}': give one character, such as ';'")
    decimal = _decimal(text, separator) if decimal is None else decimal
    if decimal not in _DECIMALS or decimal == separator:
        raise UserError(f"the decimal mark is '{cut(decimal)}': give . or , but not the separator")
    names = _header(path, text, separator)
    try:
        with warnings.catch_warnings():
            # pandas only warns of values that it drops.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text), sep=separator, decimal=decimal, index_col=False, low_memory=False
            )
    except pd.errors.ParserWarning as error:
        raise UserError(
            f"'{path}' is not a table: a row has more values than the header has names"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise UserError(f"'{path}' is empty: it needs a header and rows of numbers") from error
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        raise UserError(f"'{path}' is not a table: {one_line(str(error))}") from error
    if frame.empty:
        raise UserError(f"'{path}' has no rows: it needs a header and rows of numbers")
    return _named(frame, names, path)


def _text(path: Path) -> str:
    """The text of a file, with line ends of one kind and no empty lines at its top.

    Raises:
        UserError: If it cannot be read, or is no text.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is no text in UTF-8: {error.reason}") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    if "\0" in text:
        raise UserError(f"'{path}' is no text: give a table with a header")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")


def _separator(text: str) -> str:
    """The separator that the first line has most of; a comma if it has none."""
    return max(_SEPARATORS, key=text.partition("\n")[0].count)


def _decimal(text: str, separator: str) -> str:
    """A comma if numbers have one and no number has a point."""
    if separator == ",":
        return "."
    lines = text.split("\n", _LOOKED_AT)[1:_LOOKED_AT]
    cells = [cell.strip('"') for line in lines for cell in line.split(separator)]
    commas, points = (
        any(re.fullmatch(_NUMBER.format(mark), cell) for cell in cells) for mark in (",", r"\.")
    )
    return "," if commas and not points else "."


def _header(path: Path, text: str, separator: str) -> list[str]:
    """Names of the columns, some of which may be empty.

    Raises:
        UserError: If two columns have the same name: pandas would rename them.
    """
    try:
        names = next(csv.reader(io.StringIO(text), delimiter=separator), [])
    except csv.Error as error:
        raise UserError(f"'{path}' is not a table: {one_line(str(error))}") from error
    counts = Counter(name for name in names if name.strip())
    doubled = next((name for name, n in counts.items() if n > 1), None)
    if doubled is not None:
        raise UserError(f"'{path}' has two columns called '{cut(doubled)}': rename one of them")
    return names


def _named(frame: pd.DataFrame, names: Sequence[str], path: Path) -> pd.DataFrame:
    """The columns that have a name: a column of row numbers has none."""
    frame.columns = frame.columns.map(str)
    named = [bool(name.strip()) for name in names]
    if not all(named):
        message = f"warning: {named.count(False)} column(s) of '{path}' without a name, left out"
        print(one_line(message), file=sys.stderr)
    return frame.loc[:, named]
