"""Structures and formation energies of every task, in the order of their source.

The published files of the 2DMD data set hold energies and distances; the structures are
rebuilt from the distances, see :mod:`~matbench_segvae.benchmark.reconstruct`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from matbench_segvae.benchmark.datasets import read_pickle_verified
from matbench_segvae.benchmark.reconstruct import REPEATS, Sites, match_rows
from matbench_segvae.benchmark.xtb_file import read_xtb_file
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies
from matbench_segvae.errors import UserError

INPUT = "structure"
"""Column of the inputs, pymatgen structures."""


TARGET = "formation_energy_per_site"
"""Column of the target, eV."""


# What the 2DMD ids of the two single vacancies contain, and the site to empty.
_SINGLES = MappingProxyType({"V1": ("ae4fb853db", 0), "X1": ("fbfd4bd9ab", REPEATS**2)})


def v3_samples() -> pd.DataFrame:
    """Rebuild the 743 MoS2 cells without one Mo and two S.

    Returns:
        Columns ``structure`` and ``formation_energy_per_site`` (eV), indexed by 2DMD id.

    Raises:
        UserError: If the data file cannot be had.
    """
    source = read_pickle_verified("v3-table")
    distances = np.array(source["distance"].tolist())
    rows = np.column_stack([np.sort(distances[:, :2], axis=1), distances[:, 2:]])
    return _samples(match_rows(rows, (1, 2)), source["formE"])


def v2_samples() -> pd.DataFrame:
    """Rebuild the 15 MoS2 cells without one Mo and one S.

    Returns:
        As :func:`v3_samples`.

    Raises:
        UserError: If the data file cannot be had.
    """
    source = read_pickle_verified("v2-table")
    return _samples(match_rows(source[["distance"]].to_numpy(), (1, 1)), source["formE"])


def x2_samples() -> pd.DataFrame:
    """Rebuild the 19 MoS2 cells without two S.

    Returns:
        As :func:`v3_samples`.

    Raises:
        UserError: If the data file cannot be had.
    """
    source = read_pickle_verified("x2-table")
    rows = np.abs(source[["distance", "dz"]].to_numpy())
    return _samples(match_rows(rows, (0, 2)), source["formE"])


def single_vacancy_samples() -> pd.DataFrame:
    """Build the MoS2 cells without one Mo (first) and without one S.

    Returns:
        As :func:`v3_samples`, two rows.

    Raises:
        UserError: If the data file cannot be had.
    """
    energies = read_pickle_verified("dft-table")[("DFT", TARGET)]
    ids = [_only_id(energies.index, fragment) for fragment, _ in _SINGLES.values()]
    return _samples([(site,) for _, site in _SINGLES.values()], energies[ids])


def transfer_samples() -> pd.DataFrame:
    """Put all families together: V1, X1, V2 and X2 (36 rows), then V3 (743 rows).

    Returns:
        As :func:`v3_samples`.

    Raises:
        UserError: If a data file cannot be had.
    """
    return pd.concat([single_vacancy_samples(), v2_samples(), x2_samples(), v3_samples()])


def xtb_samples() -> pd.DataFrame:
    """Read the embedded data set: X1, V1, X2, V2 and V3 in 4 x 4 MoS2 by GFN1-xTB.

    Returns:
        As :func:`v3_samples`, indexed by family and removed sites.
    """
    dataset = read_xtb_file()
    n = int(dataset.settings["repeats"])
    names = [f"{e.kind}_{'-'.join(map(str, e.sites))}" for e in dataset.entries]
    energies = pd.Series([e.formation_energy_per_site for e in dataset.entries], index=names)
    return _samples([entry.sites for entry in dataset.entries], energies, n)


def _only_id(index: pd.Index, fragment: str) -> str:
    """The only id that contains a fragment."""
    found = [str(label) for label in index if fragment in str(label)]
    if len(found) != 1:
        raise UserError(f"{len(found)} ids contain {fragment}, not one: use the catalogue's table")
    return found[0]


def _samples(rows: Sequence[Sites], energies: pd.Series, n: int = REPEATS) -> pd.DataFrame:
    """A data frame of structures and their energies."""
    cell = Supercell(HOSTS["MoS2"], n, n)
    structures = [defective_structure(cell, vacancies(cell, sites)) for sites in rows]
    index = pd.Index([str(label) for label in energies.index], name="source_id")
    return pd.DataFrame({INPUT: structures, TARGET: energies.to_numpy(dtype=float)}, index=index)


SAMPLES: Mapping[str, Callable[[], pd.DataFrame]] = MappingProxyType(
    {
        "defects2d_mos2_v3": v3_samples,
        "defects2d_mos2_v2": v2_samples,
        "defects2d_mos2_x2": x2_samples,
        "defects2d_mos2_transfer": transfer_samples,
        "defects2d_xtb_mos2": xtb_samples,
    }
)
"""What makes the samples of a task, by its name."""
