"""Formation energies from total energies."""

from __future__ import annotations

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
        pristine_energy: Of the pristine supercell, eV.
        potentials: Chemical potential of each element that comes or goes, eV.
    """

    pristine_energy: float
    potentials: Mapping[str, float]


def formation_energies(
    cells: Sequence[DefectiveCell], total: Sequence[float] | Floats, references: References
) -> Floats:
    """``E - E(pristine) + sum of mu of removed atoms - sum of mu of placed atoms``.

    Args:
        cells: Supercells of the same size.
        total: Their total energies, eV, shape ``(n,)``.
        references: Energy of the pristine supercell, chemical potentials.

    Returns:
        Formation energies of all defects of a cell together, eV, shape ``(n,)``.

    Raises:
        UserError: If an element has no chemical potential.
    """
    return np.array(
        [
            energy - references.pristine_energy + _exchanged(cell, references.potentials)
            for cell, energy in zip(cells, total, strict=True)
        ]
    )


def _exchanged(cell: DefectiveCell, potentials: Mapping[str, float]) -> float:
    """Chemical potentials of the atoms that went less those of the ones that came, eV."""
    removed = [defect.removed.partition("(")[0] for defect in cell.defects]
    placed = [defect.placed for defect in cell.defects if defect.placed]
    missing = sorted({*removed, *placed} - set(potentials))
    if missing:
        raise UserError(f"no chemical potential of {', '.join(missing)}: give one, in eV")
    return sum(potentials[element] for element in removed) - sum(
        potentials[element] for element in placed
    )
