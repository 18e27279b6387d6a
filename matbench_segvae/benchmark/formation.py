"""Formation energies of defects from total energies of DFT."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.defects import DefectiveCell
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats


@dataclass(frozen=True)
class References:
    """What total energies are compared with.

    Attributes:
        pristine_energy: Total energy of the pristine supercell, eV.
        potentials: Chemical potential of each element, eV per atom.
        n_sites: Number of sites of that pristine supercell, to which the energy is
            proportional; ``None`` for that of the structures, which all have to have the
            same then.
    """

    pristine_energy: float
    potentials: Mapping[str, float]
    n_sites: int | None = None


def formation_energies(
    cells: Sequence[DefectiveCell], total: Sequence[float] | Floats, references: References
) -> Floats:
    """Total formation energies of all defects of each cell.

    ``E − E(pristine) + Σ mu(removed atom) − Σ mu(placed atom)``, for neutral cells; see Huang et
    al., npj 2D Mater. Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1.

    Args:
        cells: ``N`` structures as their defects.
        total: Their total energies, eV, shape ``(N,)``.
        references: Energies of what they are made of.

    Returns:
        Formation energies, eV, shape ``(N,)``.

    Raises:
        UserError: If cells differ in their number of sites or in their host, so that one
            pristine energy does not fit all, or a chemical potential is missing.
    """
    pristine = _pristine_energies(cells, references)
    missing = sorted({e for cell in cells for e in _exchanged(cell)} - set(references.potentials))
    if missing:
        raise UserError(
            f"there is no chemical potential of {', '.join(missing)}: give those of all elements "
            "that defects remove or place"
        )
    exchanged = [
        sum(n * references.potentials[element] for element, n in _exchanged(cell).items())
        for cell in cells
    ]
    return np.asarray(np.asarray(total, dtype=np.float64) - pristine + np.asarray(exchanged))


def _pristine_energies(cells: Sequence[DefectiveCell], references: References) -> Floats:
    """Energy of the pristine supercell of each cell, eV, shape ``(N,)``."""
    hosts = sorted({cell.supercell.host.name for cell in cells})
    sizes = sorted({cell.supercell.n_sites for cell in cells})
    if len(hosts) > 1:
        raise UserError(
            f"the structures have several hosts ({', '.join(hosts)}), but there is one pristine "
            "energy: take each host by itself"
        )
    if references.n_sites is None and len(sizes) > 1:
        raise UserError(
            f"the supercells have {', '.join(map(str, sizes))} sites, but there is one pristine "
            "energy: take each size by itself and join the formation energies, which do not "
            "depend on it"
        )
    n_sites = np.array([cell.supercell.n_sites for cell in cells], dtype=np.float64)
    return np.asarray(references.pristine_energy * n_sites / (references.n_sites or n_sites))


def _exchanged(cell: DefectiveCell) -> dict[str, int]:
    """How many atoms of each element the defects took away, less those they brought."""
    found: dict[str, int] = {}
    for defect in cell.defects:
        removed = re.sub(r"\(\d+\)$", "", defect.removed)
        found[removed] = found.get(removed, 0) + 1
        if defect.placed is not None:
            found[defect.placed] = found.get(defect.placed, 0) - 1
    return found
