"""Single calculations with GFN1-xTB: a supercell with vacancies, and the S8 molecule.

The method is that of Grimme, Bannwarth and Shushkov, J. Chem. Theory Comput. 13, 1989
(2017), doi 10.1021/acs.jctc.7b00118, as implemented in tblite and driven through ase.
Both come with the extra ``xtb`` and are imported only when something is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matbench_segvae.defects import HOSTS, Supercell
from matbench_segvae.errors import UserError

HOST = HOSTS["MoS2"]
_HARTREE = 27.211386245988  # eV, CODATA 2018
_GAP_DIGITS = 6  # of eV; those beyond are noise of the self-consistency
_S8_STEPS = 300
Sites = tuple[int, ...]


@dataclass(frozen=True)
class XtbSettings:
    """Settings of the calculation; saved with the data.

    Attributes:
        method: Hamiltonian in tblite's spelling.
        accuracy: tblite's numerical accuracy; smaller is tighter.
        electronic_temperature: Of the Fermi smearing, K; its entropy is in the energy.
        max_iterations: Of the self-consistent cycle; not converging is an error.
        repeats: MoS2 cells along each in-plane axis.
        fmax: Largest force left in the relaxed S8 molecule, eV/Å.
    """

    method: str = "GFN1-xTB"
    accuracy: float = 0.1
    electronic_temperature: float = 300.0
    max_iterations: int = 250
    repeats: int = 4
    fmax: float = 0.005


def chemistry() -> tuple[Any, Any]:
    """Import ase and tblite's calculator.

    Returns:
        The module ``ase`` and the class ``TBLite``.

    Raises:
        UserError: If the extra ``xtb`` is missing.
    """
    try:
        import ase
        from tblite.ase import TBLite
    except ImportError as error:
        raise UserError(
            f"{error.name or 'tblite'} is not installed: computing GFN1-xTB energies needs "
            'the extra xtb, run "pip install matbench_segvae[xtb]"'
        ) from error
    return ase, TBLite


def _calculator(settings: XtbSettings) -> Any:  # noqa: ANN401
    """Make a silent ASE calculator."""
    return chemistry()[1](
        method=settings.method,
        accuracy=settings.accuracy,
        electronic_temperature=settings.electronic_temperature,
        max_iterations=settings.max_iterations,
        verbosity=0,
    )


def single_point(removed: Sites, settings: XtbSettings | None = None) -> tuple[float, float]:
    """Compute one supercell with vacancies.

    Args:
        removed: Site numbers to leave out; empty for the pristine cell.
        settings: Settings of the calculation.

    Returns:
        Total energy and HOMO-LUMO gap, both in eV.

    Raises:
        UserError: If the extra ``xtb`` is missing.
        RuntimeError: If the self-consistent cycle does not converge.
    """
    settings = settings or XtbSettings()
    ase, _ = chemistry()
    cell = Supercell(HOST, settings.repeats, settings.repeats)
    kept = np.setdiff1d(np.arange(cell.n_sites), removed)
    elements = cell.elements
    atoms = ase.Atoms(
        symbols=[elements[site] for site in kept],
        scaled_positions=cell.coords[kept],
        cell=cell.lattice.matrix,
        pbc=True,
    )
    atoms.calc = _calculator(settings)
    energy = float(atoms.get_potential_energy())
    return energy, _gap(atoms.calc)


def _gap(calculator: Any) -> float:  # noqa: ANN401
    """Read the HOMO-LUMO gap in eV of a finished closed-shell calculation."""
    # ASE has no name for orbital energies, so they are read from tblite's own result.
    result = calculator._res
    levels = np.sort(result.get("orbital-energies")) * _HARTREE
    pairs = round(float(np.sum(result.get("orbital-occupations"))) / 2)
    return round(float(levels[pairs] - levels[pairs - 1]), _GAP_DIGITS)


def relaxed_s8(settings: XtbSettings | None = None) -> tuple[float, list[list[float]]]:
    """Relax the crown-shaped S8 molecule.

    Args:
        settings: Settings of the calculation.

    Returns:
        Its total energy in eV and its Cartesian coordinates in Å, shape ``(8, 3)``.

    Raises:
        UserError: If the extra ``xtb`` is missing.
        RuntimeError: If the relaxation does not get there.
    """
    settings = settings or XtbSettings()
    ase, _ = chemistry()
    from ase.optimize import BFGS

    # Start from D4d with the measured radius and puckering of orthorhombic sulfur.
    angle = np.arange(8) * np.pi / 4
    height = 0.5 * (-1.0) ** np.arange(8)
    atoms = ase.Atoms(
        "S8", positions=np.stack([2.34 * np.cos(angle), 2.34 * np.sin(angle), height], axis=1)
    )
    atoms.calc = _calculator(settings)
    if not BFGS(atoms, logfile=None).run(fmax=settings.fmax, steps=_S8_STEPS):
        raise RuntimeError(f"the S8 molecule did not relax in {_S8_STEPS} steps")
    return float(atoms.get_potential_energy()), np.round(atoms.positions, 6).tolist()
