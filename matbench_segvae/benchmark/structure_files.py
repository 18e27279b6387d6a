"""Reading structures from a user's files and folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.ase_files import structures_from_database, structures_from_xyz
from matbench_segvae.benchmark.structure_text import (
    parse_cif,
    parse_json,
    parse_poscar,
)
from matbench_segvae.errors import UserError, raise_all, shortened

MAX_BYTES = 64 * 2**20
"""Largest file with one structure, 64 MiB: a million atoms."""

MAX_BYTES_OF_MANY = 2 * 2**30
"""Largest file with any number of structures, 2 GiB."""

FORMATS = (
    "CIF (.cif), POSCAR (POSCAR or CONTCAR in the name, .poscar or .vasp), extended XYZ (.xyz or "
    ".extxyz), a database of ase (.db), pymatgen's JSON (.json)"
)
"""The formats that are read, in words."""

_LONGEST = 300  # characters of the message of another library

Numbered = list[tuple[int, Structure]]
"""Structures of a file by their numbers in it, from 1 on."""


def _one(read: Callable[[str], Structure]) -> Callable[[Path], Numbered]:
    return lambda path: [(1, read(_text(path)))]


def _json(path: Path) -> Numbered:
    return list(enumerate(parse_json(_text(path)), 1))


_POSCAR = _one(parse_poscar)
_READERS: Mapping[str, Callable[[Path], Numbered]] = MappingProxyType(
    {
        ".cif": _one(parse_cif),
        ".vasp": _POSCAR,
        ".poscar": _POSCAR,
        ".json": _json,
        ".xyz": structures_from_xyz,
        ".extxyz": structures_from_xyz,
        ".db": structures_from_database,
    }
)
_OF_MANY = frozenset({".json", ".xyz", ".extxyz", ".db"})


def read_structure(path: Path) -> Structure:
    """Read the structure of a file that holds one.

    The suffix or name of the file says which of `FORMATS` it is in.

    Args:
        path: The file.

    Returns:
        The structure without oxidation states, labels and site properties.

    Raises:
        UserError: If it cannot be read, holds several structures, has partly occupied sites,
            or has other atoms than its own composition says.
    """
    found = _read(path)
    if len(found) > 1:
        raise UserError(f"'{path}' holds {len(found)} structures: give a file with one")
    return found[0][1]


def structure_from_cif(text: str, name: str) -> Structure:
    """Read the one structure of a CIF that is at hand as text.

    Args:
        text: Content of the CIF.
        name: What to call it in messages, such as the name of a file.

    Raises:
        UserError: See :func:`read_structure`.
    """
    try:
        return parse_cif(text)
    # pymatgen's reader raises whatever it stumbles over.
    except Exception as error:
        raise _unreadable(name, error) from error


def read_structures(paths: Sequence[Path]) -> pd.Series:
    """Read all structures of files and folders.

    Args:
        paths: Files, or folders, which stand for all files in them that have the name of a
            format, sorted by name; folders inside them are not searched.

    Returns:
        The structures. Their ids are the names of the files, such as ``"a.cif"``; with the
        number of the structure, ``"a.db#3"``, where a file holds several; with the folder as
        it was given, ``"run1/CONTCAR"``, where files have the same name.

    Raises:
        UserError: If a file cannot be used (see :func:`read_structure`) or is given twice. All
            files with mistakes are named, a line for each.
    """
    files = list(_files(paths))
    names = Counter(path.name for path in files)
    structures: dict[str, Structure] = {}
    problems: list[str] = []
    for path in files:
        try:
            found = _read(path)
        except UserError as error:
            problems.extend(error.lines)
            continue
        file = path.name if names[path.name] == 1 else path.as_posix()
        for number, structure in found:
            name = file if len(found) == 1 else f"{file}#{number}"
            if name in structures:
                problems.append(f"'{path}' is given twice: leave one out")
            structures[name] = structure
    raise_all(shortened(problems))
    return pd.Series(structures, dtype=object)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files of all paths, in their order."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in _entries(path) if p.is_file() and _format(p) is not None)
        if not found:
            raise UserError(f"there is no structure in the folder '{path}': it takes {FORMATS}")
        yield from found


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise UserError(f"cannot read '{folder}': {error.strerror or error}") from error


def _format(path: Path) -> str | None:
    """Suffix that stands for the format of a file, by its name alone."""
    name, suffix = path.name.upper(), path.suffix.lower()
    if suffix in _READERS:
        return suffix
    return ".vasp" if "POSCAR" in name or "CONTCAR" in name else None


def _read(path: Path) -> Numbered:
    """Read a file.

    Raises:
        UserError: In a line that names the file.
    """
    suffix = _format(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"'{path}' is no file: give structures in {FORMATS}")
        if suffix is None:
            raise UserError(f"'{path}' has the name of no known format: give {FORMATS}")
        limit = MAX_BYTES_OF_MANY if suffix in _OF_MANY else MAX_BYTES
        if size > limit:
            raise UserError(
                f"'{path}' has {size / 2**20:,.0f} MiB, more than the {limit / 2**20:,.0f} MiB "
                "that are read: split it"
            )
        found = _READERS[suffix](path)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    # The readers of pymatgen and ase raise whatever they stumble over.
    except Exception as error:
        raise _unreadable(str(path), error) from error
    if not found:
        raise UserError(f"'{path}' holds no structure")
    return found


def _unreadable(name: str, error: Exception) -> UserError:
    reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    line = " ".join(reason.split())  # the readers' messages may have several lines
    return UserError(f"cannot read '{name}' as a structure: {line[:_LONGEST]}")


def _text(path: Path) -> str:
    content = path.read_bytes()
    if b"\0" in content:
        raise ValueError("it is no text")
    return content.decode("utf-8", "replace")
