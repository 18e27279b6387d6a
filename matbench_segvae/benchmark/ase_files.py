"""Structures from the files of ase: extended XYZ and databases."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.structure_text import plain_structure


def structures_from_xyz(path: Path) -> list[tuple[int, Structure]]:
    """Read the frames of an extended XYZ file.

    Args:
        path: The file.

    Returns:
        Number, from 1 on, and structure of each frame.

    Raises:
        ValueError: If a frame has no lattice, or other than the atoms that it counts.
        Exception: Whatever ase raises.
    """
    from ase.io.extxyz import XYZError, read_xyz

    with path.open(encoding="utf-8", errors="strict") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames = list(read_xyz(file, index=slice(None)))
        except (XYZError, UnicodeDecodeError) as error:
            raise ValueError(f"it is no whole extended XYZ file: {error}") from error
    found = []
    for number, atoms in enumerate(frames, 1):
        try:
            found.append((number, _structure(atoms)))
        except ValueError as error:
            raise ValueError(f"{error} (structure {number} in the file)") from error
    return found


def structures_from_database(path: Path) -> list[tuple[int, Structure]]:
    """Read all rows of an SQLite database of ase.

    Args:
        path: The file.

    Returns:
        Id and structure of each row.

    Raises:
        ValueError: If it is no such database, or a row is no structure with a lattice.
        Exception: Whatever ase raises.
    """
    from ase.db import connect

    _require_rows(path)
    found = []
    for row in connect(path, type="db", use_lock_file=False).select():
        try:
            found.append((int(row.id), _structure(row.toatoms())))
        except ValueError as error:
            raise ValueError(f"{error} (row {row.id})") from error
    return found


def _require_rows(path: Path) -> None:
    """Refuse any other file: ase would add its tables to an SQLite file without them."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise ValueError(f"it is no SQLite database of ase: {error}") from error
    if not {"systems", "information"} <= names:
        raise ValueError("it is an SQLite database, but none of ase")


def _structure(atoms: Any) -> Structure:  # noqa: ANN401 - ase is not typed
    """The structure of ase's atoms; constraints, calculators and tags are left out."""
    if atoms.cell.rank < 3:
        raise ValueError("it has no lattice: give cells with three vectors")
    if not len(atoms):
        raise ValueError("it has no atoms")
    if atoms.info.get("occupancy"):
        raise ValueError("it has partly occupied sites: give an ordered structure")
    coords = atoms.get_scaled_positions(wrap=False)
    return plain_structure(atoms.cell.array, atoms.get_chemical_symbols(), coords)
