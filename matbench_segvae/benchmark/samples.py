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
from matbench_segvae.benchmark.low_density import low_density
from matbench_segvae.benchmark.reconstruct import REPEATS, Sites, match_rows
from matbench_segvae.benchmark.xtb_file import read_xtb_file
from matbench_segvae.benchmark.xtb_recipes import RECIPES
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies
from matbench_segvae.errors import UserError

INPUT = "structure"
"""Column of the inputs, pymatgen structures."""


TARGET = "formation_energy_per_site"
"""Column of the target of most tasks, eV."""


FAMILY = "kinds"
"""Column that says which kinds of defects a sample has, where folds are made of such families."""


_TRIPLE = 3  # defects

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


def xtb_mos2_samples() -> pd.DataFrame:
    """Read the embedded data set of MoS2: X1, V1, X2, V2 and V3 in 4 x 4 cells by GFN1-xTB.

    Returns:
        As :func:`v3_samples`, indexed by family and sites.
    """
    return _xtb_samples("xtb-mos2")


def xtb_hbn_samples() -> pd.DataFrame:
    """Read the embedded data set of h-BN: up to three of C_B, V_B, C_N, V_N by GFN1-xTB.

    Returns:
        As :func:`v3_samples`, indexed by family and sites.
    """
    return _xtb_samples("xtb-hbn")


def mos2_low_samples() -> pd.DataFrame:
    """The 5,933 MoS2 cells with up to three of V_Mo, V_S, Se_S, W_Mo.

    Returns:
        As :func:`v3_samples`, by ascending 2DMD id.

    Raises:
        UserError: If a data file cannot be had.
    """
    return low_density()[[INPUT, TARGET]].copy()


def mos2_low_transfer_samples() -> pd.DataFrame:
    """The same cells, those with one or two defects (131 rows) first, then the triples.

    Raises:
        UserError: If a data file cannot be had.
    """
    cells = low_density()
    triples = cells["n_defects"] == _TRIPLE
    return pd.concat([cells[~triples], cells[triples]])[[INPUT, TARGET]]


def mos2_low_families_samples() -> pd.DataFrame:
    """The 5,802 cells with three defects.

    Returns:
        As :func:`v3_samples`, with a column ``kinds`` of six different families.

    Raises:
        UserError: If a data file cannot be had.
    """
    cells = low_density()
    return cells[cells["n_defects"] == _TRIPLE][[INPUT, TARGET, FAMILY]]


def mos2_low_gap_samples() -> pd.DataFrame:
    """The 5,933 cells with their HOMO-LUMO gaps.

    Returns:
        Columns ``structure``, ``band_gap``, and the levels it is the difference of, ``homo`` and
        ``lumo``, all in eV.

    Raises:
        UserError: If a data file cannot be had.
    """
    return low_density()[[INPUT, "band_gap", "homo", "lumo"]].copy()


def mos2_low_homo_samples() -> pd.DataFrame:
    """The 5,933 cells with their highest occupied levels.

    Returns:
        Columns ``structure`` and ``homo``, eV.

    Raises:
        UserError: If a data file cannot be had.
    """
    return low_density()[[INPUT, "homo"]].copy()


def _xtb_samples(name: str) -> pd.DataFrame:
    recipe = RECIPES[name]
    dataset = read_xtb_file(recipe.file)
    n = int(dataset.settings["repeats"])
    cell = Supercell(recipe.host, n, n)
    structures = [
        defective_structure(cell, recipe.defects(entry.kind, entry.sites, n))
        for entry in dataset.entries
    ]
    names = [f"{e.kind}_{'-'.join(map(str, e.sites))}" for e in dataset.entries]
    energies = [entry.formation_energy_per_site for entry in dataset.entries]
    index = pd.Index(names, name="source_id")
    return pd.DataFrame({INPUT: structures, TARGET: np.array(energies)}, index=index)


def _only_id(index: pd.Index, fragment: str) -> str:
    """The only id that contains a fragment."""
    found = [str(label) for label in index if fragment in str(label)]
    if len(found) != 1:
        raise UserError(f"{len(found)} ids contain {fragment}, not one: use the catalogue's table")
    return found[0]


def _samples(rows: Sequence[Sites], energies: pd.Series) -> pd.DataFrame:
    """A data frame of cells of MoS2 without the atoms of some sites, and their energies."""
    cell = Supercell(HOSTS["MoS2"], REPEATS, REPEATS)
    structures = [defective_structure(cell, vacancies(cell, sites)) for sites in rows]
    index = pd.Index([str(label) for label in energies.index], name="source_id")
    return pd.DataFrame({INPUT: structures, TARGET: energies.to_numpy(dtype=float)}, index=index)


SAMPLES: Mapping[str, Callable[[], pd.DataFrame]] = MappingProxyType(
    {
        "defects2d_mos2_v3": v3_samples,
        "defects2d_mos2_v2": v2_samples,
        "defects2d_mos2_x2": x2_samples,
        "defects2d_mos2_transfer": transfer_samples,
        "defects2d_mos2_low": mos2_low_samples,
        "defects2d_mos2_low_transfer": mos2_low_transfer_samples,
        "defects2d_mos2_low_families": mos2_low_families_samples,
        "defects2d_mos2_low_gap": mos2_low_gap_samples,
        "defects2d_mos2_low_homo": mos2_low_homo_samples,
        "defects2d_xtb_mos2": xtb_mos2_samples,
        "defects2d_xtb_hbn": xtb_hbn_samples,
    }
)
"""What makes the samples of a task, by its name: inputs, target, and what else is known of them."""
