"""Reading a table of numbers that a user gives as a text file."""

from __future__ import annotations

import csv
import io
import re
import sys
import warnings
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
    header = text.split("\n", 1)[0].rstrip("\r")
    separator = _separator(header) if separator is None else separator
    if len(separator) != 1 or separator in '"\r\n':
        raise UserError(f"the separator is '{cut(separator)}': give one character, such as ';'")
    decimal = _decimal(text, separator) if decimal is None else decimal
    if decimal not in _DECIMALS or decimal == separator:
        raise UserError(f"the decimal mark is '{cut(decimal)}': give . or , but not the separator")
    _require_different(path, next(csv.reader([header], delimiter=separator), []))
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
    return _named(frame, path)


def _text(path: Path) -> str:
    """The text of a file.

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
    return text


def _separator(header: str) -> str:
    """The separator that a header has most of; a comma if it has none."""
    return max(_SEPARATORS, key=header.count)


def _decimal(text: str, separator: str) -> str:
    """A comma if numbers have one and no number has a point."""
    if separator == ",":
        return "."
    lines = text.split("\n", _LOOKED_AT)[1:_LOOKED_AT]
    cells = [cell.strip('"') for line in lines for cell in line.rstrip("\r").split(separator)]
    commas, points = (
        any(re.fullmatch(_NUMBER.format(mark), cell) for cell in cells) for mark in (",", r"\.")
    )
    return "," if commas and not points else "."


def _require_different(path: Path, names: list[str]) -> None:
    """Check that no two columns have the same name: pandas would rename them."""
    stripped = [name for name in names if name.strip()]
    doubled = next((name for name in stripped if stripped.count(name) > 1), None)
    if doubled is not None:
        raise UserError(f"'{path}' has two columns called '{cut(doubled)}': rename one of them")


def _named(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns that have a name: a column of row numbers has none."""
    frame.columns = frame.columns.map(str)
    nameless = [name for name in frame if re.fullmatch(r"Unnamed: \d+", str(name))]
    if nameless:
        message = f"warning: {len(nameless)} column(s) of '{path}' without a name, left out"
        print(one_line(message), file=sys.stderr)
    return frame.drop(columns=nameless)
