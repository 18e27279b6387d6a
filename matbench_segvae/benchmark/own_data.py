"""Data of a user's own: structures, their energies, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.energy_table import read_energies, read_potentials
from matbench_segvae.benchmark.formation import References, formation_energies
from matbench_segvae.benchmark.structure_files import read_structure, read_structures
from matbench_segvae.defects import MAX_STRAIN, DefectiveCell, Host, sparse_defects
from matbench_segvae.errors import UserError, one_line, raise_all, shortened

PER = ("site", "total")
"""What energies may be for: each defect site, or all defects of a structure."""

_MAX_PER_SITE = 1000.0  # eV; no defect has such a formation energy


@dataclass(frozen=True)
class OwnDataSource:
    """Where a user's data are, and how to read them.

    Attributes:
        structures: Files and folders, see
            :func:`~matbench_segvae.benchmark.structure_files.read_structures`.
        energies: CSV file, see :func:`~matbench_segvae.benchmark.energy_table.read_energies`.
        host: File of the pristine crystal; ``None`` if it is one of the known hosts.
        per: Whether energies are formation energies per defect ``"site"`` or in ``"total"``;
            of no effect on total energies of DFT.
        pristine_energy: Total energy of the pristine supercell, eV; says, together with
            `chemical_potentials`, that energies are total energies of DFT.
        chemical_potentials: CSV file with an element and a value, eV per atom, in a line.
        max_strain: Largest relative change of a length up to which a host is recognised.
    """

    structures: tuple[Path, ...]
    energies: Path
    host: Path | None = None
    per: str = "site"
    pristine_energy: float | None = None
    chemical_potentials: Path | None = None
    max_strain: float = MAX_STRAIN


@dataclass(frozen=True, eq=False)
class OwnData:
    """A user's data, checked.

    Attributes:
        structures: Whole supercells by id.
        targets: Formation energy per defect site, eV, by id.
        hosts: What they are supercells of, sorted by name.
        table: All columns of the table of energies as texts, by id.
        cells: The structures as their defects, by id.
        computed: Whether formation energies were computed from total energies.
    """

    structures: pd.Series = field(repr=False)
    targets: pd.Series = field(repr=False)
    hosts: tuple[Host, ...]
    table: pd.DataFrame = field(repr=False)
    cells: Mapping[str, DefectiveCell] = field(repr=False)
    computed: bool = False


def read_own_data(source: OwnDataSource) -> OwnData:
    """Read structures and energies, and find the defects.

    Raises:
        UserError: If files cannot be used, structures and rows of the table do not belong
            together, or a structure is a supercell of no host with at least one defect.
            Everything of a kind is reported at once, a line for each mistake.
    """
    references = _references(source)
    hosts = None if source.host is None else (host_from(source.host),)
    structures = read_structures(source.structures)
    energies, table = read_energies(source.energies, list(structures.index))
    cells = find_defects(structures, hosts, source.max_strain)
    values = energies.to_numpy(dtype=np.float64)
    if references is not None:
        values = formation_energies(list(cells.values()), values, references)
    n_defects = np.array([len(cell.defects) for cell in cells.values()])
    if references is not None or source.per == "total":
        values = values / n_defects
    _require_plausible(values, list(cells), references is not None)
    found = {cell.supercell.host for cell in cells.values()}
    return OwnData(
        structures=structures,
        targets=pd.Series(values, structures.index, dtype=float),
        hosts=tuple(sorted(found, key=lambda host: host.name)),
        table=table,
        cells=cells,
        computed=references is not None,
    )


def host_from(path: Path) -> Host:
    """Read a host from the file of its pristine crystal.

    Raises:
        UserError: If it cannot be read or is not two-dimensional, naming the file.
    """
    pristine = read_structure(path)
    try:
        return Host.from_structure(pristine)
    except UserError as error:
        raise UserError(f"the host '{path}' cannot be used: {error}") from error


def find_defects(
    structures: Mapping[str, Structure] | pd.Series,
    hosts: Sequence[Host] | None,
    max_strain: float = MAX_STRAIN,
) -> dict[str, DefectiveCell]:
    """Find the defects of structures.

    Args:
        structures: Supercells by id.
        hosts: What they may be supercells of; all known hosts by default.
        max_strain: Largest relative change of a length in the plane.

    Returns:
        Each as its defects, by id.

    Raises:
        UserError: If some are supercells of no host, or pristine: a line for each.
    """
    cells: dict[str, DefectiveCell] = {}
    problems = []
    for name, structure in structures.items():
        try:
            cell = sparse_defects(structure, hosts, max_strain)
        except UserError as error:
            problems.append(f"'{name}': {one_line(str(error))}")
            continue
        if not cell.defects:
            problems.append(f"'{name}' is the pristine {cell.supercell}: leave it out")
        cells[str(name)] = cell
    raise_all(shortened(problems))
    return cells


def _references(source: OwnDataSource) -> References | None:
    """What total energies are compared with; None for formation energies."""
    if source.per not in PER:
        raise UserError(f"energies are per {' or '.join(PER)}, not per '{source.per}'")
    if not 0 < source.max_strain < 0.5:
        raise UserError(f"a strain of {source.max_strain:g} is not between 0 and 0.5")
    if (source.pristine_energy is None) != (source.chemical_potentials is None):
        raise UserError(
            "total energies of DFT need both --pristine-energy and --chemical-potentials; "
            "formation energies neither"
        )
    if source.pristine_energy is None or source.chemical_potentials is None:
        return None
    if not np.isfinite(source.pristine_energy):
        raise UserError(f"the pristine energy {source.pristine_energy} is not finite")
    return References(source.pristine_energy, read_potentials(source.chemical_potentials))


def _require_plausible(values: np.ndarray, ids: Sequence[str], computed: bool) -> None:
    """Refuse energies that are no formation energies of defects, eV per site."""
    remedy = (
        "--pristine-energy has to be that of the supercell, and all energies of one method"
        if computed
        else "total energies of DFT need --pristine-energy and --chemical-potentials"
    )
    problems = [
        f"'{name}' has a formation energy of {value:.6g} eV per defect site, beyond "
        f"{_MAX_PER_SITE:g} eV: {remedy}"
        for name, value in zip(ids, values.tolist(), strict=True)
        if not abs(value) <= _MAX_PER_SITE
    ]
    raise_all(shortened(problems))
