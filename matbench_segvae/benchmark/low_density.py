"""The whole low-density MoS2 set of 2DMD: 5,933 supercells with up to three defects.

The structures were published for the IDAO 2022 olympiad, the energies and levels with the table
of published predictions; both have the ids of 2DMD. Sources: Huang et al., npj 2D Mater. Appl. 7, 6
(2023), doi 10.1038/s41699-023-00369-1.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.datasets import fetch, mirror_folder, read_pickle_verified
from matbench_segvae.defects import (
    HOSTS,
    Defect,
    Supercell,
    defective_structure,
    defects_on,
    sparse_defects,
)
from matbench_segvae.errors import UserError
from matbench_segvae.files import DAMAGED
from matbench_segvae.types import Floats

STAND_IN = "2dmd/mos2_low/mos2_low_density_5933.csv.gz"
"""Path in a mirror of a table of the same defects, read in place of the archives if it is there."""

_STAND_IN_SHA256 = "3dcc273a36251b92055c9326dd2531f6efa33ffc27c5d6f7952ded8e1e439355"
_ARCHIVES = ("mos2-low-public", "mos2-low-private")
_REPEATS = 8
_SAME_SITE = 1e-3  # fractional coordinates; those of the table have four decimals
_LARGEST_JSON = 2**22  # bytes of one structure
_PROPERTIES = ("formation_energy_per_site", "homo", "lumo", "band_gap")


@lru_cache(maxsize=1)
def low_density() -> pd.DataFrame:
    """Structures and properties of all 5,933 cells.

    Returns:
        Columns ``structure``, ``n_defects``, ``kinds`` (kinds of defects, sorted, joined by
        ``+``), and in eV ``formation_energy_per_site``, ``homo``, ``lumo`` and ``band_gap``;
        indexed by 2DMD id, ascending. It is kept, and has to be copied before it is changed.

    Raises:
        UserError: If a data file cannot be had.
    """
    defects = _defects()
    cell = _cell()
    targets = read_pickle_verified("dft-table")["DFT"]
    ids = sorted(map(str, targets.index))
    if set(ids) != defects.keys():
        raise UserError("the structures of low-density MoS2 are not those of the table of targets")
    found = [defects[name] for name in ids]
    columns = {
        "structure": [defective_structure(cell, each) for each in found],
        "n_defects": [len(each) for each in found],
        "kinds": ["+".join(sorted(defect.kind for defect in each)) for each in found],
        **{name: targets[name].loc[ids].to_numpy(dtype=float) for name in _PROPERTIES},
    }
    return pd.DataFrame(columns, index=pd.Index(ids, name="source_id"))


def _cell() -> Supercell:
    return Supercell(HOSTS["MoS2"], _REPEATS, _REPEATS)


def _defects() -> Mapping[str, tuple[Defect, ...]]:
    """The defects of every cell by its id."""
    mirror = mirror_folder()
    stand_in = mirror / STAND_IN if mirror else None
    if stand_in is not None and stand_in.is_file():
        return _of_stand_in(stand_in)
    found: dict[str, tuple[Defect, ...]] = {}
    for name in _ARCHIVES:
        for label, structure in _archived(fetch(name)):
            found[label] = sparse_defects(structure, [HOSTS["MoS2"]]).defects
    return found


def _of_stand_in(path: Path) -> dict[str, tuple[Defect, ...]]:
    """The defects of the table that stands in for the archives."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != _STAND_IN_SHA256:
        raise UserError(f"{path} is not the published table: remove it to use the archives")
    table = pd.read_csv(BytesIO(content), compression="gzip", usecols=["_id", "defects"])
    cell = _cell()
    coords = cell.coords
    return {
        name: defects_on(cell, _occupants(coords, json.loads(text)))
        for name, text in zip(table["_id"], table["defects"], strict=True)
    }


def _occupants(
    coords: Floats, listed: list[tuple[str, float, float, float]]
) -> dict[int, str | None]:
    """Site and new element of each ``[kind, x, y, z]``."""
    occupants: dict[int, str | None] = {}
    for kind, *place in listed:
        apart = coords - np.array(place)
        distance = np.abs(apart - np.round(apart)).max(axis=1)
        site = int(distance.argmin())
        if distance[site] > _SAME_SITE:
            raise UserError(f"{kind} at {place} is on no site of 8 x 8 MoS2")
        placed = kind.split("_")[0]
        occupants[site] = None if placed == "V" else placed
    return occupants


def _archived(path: Path) -> Iterator[tuple[str, Structure]]:
    """Id and structure of every JSON file of an archive."""
    try:
        with (
            gzip.open(path) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as tar,
        ):
            for member in tar:
                name = PurePosixPath(member.name)
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None and name.suffix == ".json" and name.parent.name == "structures":
                    yield name.stem, Structure.from_dict(json.loads(file.read(_LARGEST_JSON)))
    except (OSError, tarfile.TarError, *DAMAGED) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error
