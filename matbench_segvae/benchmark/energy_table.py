"""Tables of a user's own: energies of structures, and chemical potentials, from CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
from pymatgen.core.periodic_table import Element

from matbench_segvae.errors import UserError, cut, raise_all, shortened
from matbench_segvae.files import read_text

ID_COLUMNS = ("id", "file", "name", "structure")
"""Names of the column with names or ids; without any of them it is the first column."""

VALUE_COLUMN = "energy"
"""Name of the column with energies; without it, it is the only one with numbers alone."""

_MAX_BYTES = 256 * 2**20
_MAX_ENERGY = 1e9  # eV; all-electron energies of large cells are below
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_SHOWN = 40  # characters of a bad value


@dataclass(frozen=True)
class _Row:
    """A line of a CSV file and what is in it by column."""

    line: int
    cells: Mapping[str, str]


def read_energies(path: Path, ids: Sequence[str]) -> tuple[pd.Series, pd.DataFrame]:
    """Read the energy of every structure.

    Args:
        path: CSV file with a header, separated by commas. One column has the names of the
            files, or ids (see `ID_COLUMNS`), with or without suffix and folder, one the
            energies (see `VALUE_COLUMN`). Any others are kept.
        ids: Ids of the structures: names of files, ``"a.db#3"`` for files with several.

    Returns:
        Energies, and all columns as texts, both by id in the order of `ids`.

    Raises:
        UserError: If the table cannot be read, or rows are missing, doubled, superfluous or
            without a number: a line for each.
    """
    columns, rows = _read_rows(path)
    id_column = next((c for name in ID_COLUMNS for c in columns if c.lower() == name), columns[0])
    value_column = _value_column(path, columns, rows, id_column)
    places = _places(ids)
    found: dict[str, _Row] = {}
    superfluous, doubled, wrong = [], [], []
    for row in rows:
        name = row.cells[id_column]
        matches = places.get(name) or places.get(PurePosixPath(name).name) or []
        where = f"{path}, line {row.line}"
        if len(matches) > 1:
            wrong.append(f"{where}: '{cut(name)}' may be {' or '.join(matches)}: add the suffix")
        elif not matches:
            superfluous.append(f"{where}: there is no structure '{cut(name)}'")
        elif matches[0] in found:
            first = found[matches[0]].line
            doubled.append(f"{where}: '{cut(name)}' has an energy in line {first} already")
        else:
            found[matches[0]] = row
            if _number(row.cells[value_column]) is None:
                wrong.append(f"{where}: {_no_number(row.cells[value_column])}")
    missing = [f"{path}: no energy of '{name}'" for name in ids if name not in found]
    kinds = (missing, doubled, superfluous, wrong)
    raise_all([problem for kind in kinds for problem in shortened(kind)])
    values = [_number(found[name].cells[value_column]) for name in ids]
    table = pd.DataFrame([dict(found[name].cells) for name in ids], list(ids), columns, dtype=str)
    return pd.Series(values, list(ids), dtype=float), table


def read_potentials(path: Path) -> dict[str, float]:
    """Read chemical potentials, eV per atom.

    Args:
        path: CSV file with a header; the first column has elements, the second one values.

    Raises:
        UserError: If it cannot be read, or a line has no element or no number: a line for each.
    """
    columns, rows = _read_rows(path)
    found: dict[str, float] = {}
    problems = []
    for row in rows:
        element, value = (row.cells[column] for column in columns[:2])
        number = _number(value)
        if not Element.is_valid_symbol(element):
            problems.append(f"{path}, line {row.line}: '{cut(element)}' is no element")
        elif element in found:
            problems.append(f"{path}, line {row.line}: {element} is there twice")
        elif number is None:
            problems.append(f"{path}, line {row.line}: {_no_number(value)}")
        else:
            found[element] = number
    raise_all(shortened(problems))
    return found


def _read_rows(path: Path) -> tuple[list[str], list[_Row]]:
    """Columns and rows of a CSV file, spaces around values removed, empty lines left out."""
    lines = csv.reader(_lines(path), strict=True)
    try:
        columns = [name.strip() for name in next(lines, [])]
        if len(columns) < 2:
            raise UserError(
                f"'{path}' has {len(columns)} columns: give a CSV file with a header and columns "
                "separated by commas, such as file,energy"
            )
        if len(set(columns)) < len(columns) or "" in columns:
            raise UserError(f"the header of '{path}' has columns without or with the same name")
        rows, problems = [], []
        for cells in lines:
            if len(cells) == len(columns):
                stripped = (cell.strip() for cell in cells)
                rows.append(_Row(lines.line_num, dict(zip(columns, stripped, strict=True))))
            elif any(cell.strip() for cell in cells):
                problems.append(
                    f"{path}, line {lines.line_num}: {len(cells)} values in {len(columns)} columns"
                )
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: it is no CSV ({error})") from error
    raise_all(shortened(problems))
    if not rows:
        raise UserError(f"'{path}' has a header but no rows")
    return columns, rows


def _lines(path: Path) -> Iterable[str]:
    try:
        text = read_text(path, _MAX_BYTES)
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is no CSV file in UTF-8: {error.reason}") from error
    except ValueError as error:
        raise UserError(f"{error}: it is no such table") from error
    if "\0" in text:
        raise UserError(f"'{path}' is no text: give a CSV file")
    # str.splitlines would also end lines at U+2028 and form feeds, which are part of a cell.
    return io.StringIO(text, newline="")


def _value_column(path: Path, columns: Sequence[str], rows: Sequence[_Row], id_column: str) -> str:
    """The column with energies."""
    others = [column for column in columns if column != id_column]
    named = [column for column in others if column.lower() == VALUE_COLUMN]
    if named or len(others) == 1:
        return (named or others)[0]
    numeric = [c for c in others if all(_number(row.cells[c]) is not None for row in rows)]
    if len(numeric) != 1:
        raise UserError(
            f"'{path}' has no column '{VALUE_COLUMN}', and {len(numeric)} others hold numbers "
            f"({cut(', '.join(numeric)) or 'none'}): call the one with energies '{VALUE_COLUMN}'"
        )
    return numeric[0]


def _places(ids: Iterable[str]) -> dict[str, list[str]]:
    """Ids by what a row may call them: themselves, without the suffix of the file, the folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in ids:
        file, mark, number = name.partition("#")
        path = PurePosixPath(file)
        stem = f"{path.stem}{mark}{number}"
        # Cells are read without the spaces around them, which names of files may have.
        for shorter in {stem.strip(), name.strip()} - {name}:
            found[shorter].append(name)
        if path.parent.name:  # an id with a folder, as where every run has its CONTCAR
            found[f"{path.parent.name}{mark}{number}"].append(name)
            found[f"{path.with_suffix('')}{mark}{number}"].append(name)
    # A whole id stands for itself, also where it is another one's without suffix.
    return {**found, **{name: [name] for name in ids}}


def _number(text: str) -> float | None:
    """A finite number of plausible size, or None."""
    if len(text) > _SHOWN or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) <= _MAX_ENERGY else None


def _no_number(text: str) -> str:
    return f"'{cut(text)}' is no number of eV between -{_MAX_ENERGY:.0e} and {_MAX_ENERGY:.0e}"
