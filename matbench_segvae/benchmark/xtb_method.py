"""Single calculations with GFN1-xTB: a supercell with defects, and the S8 and N2 molecules.

The method is that of Grimme, Bannwarth and Shushkov, J. Chem. Theory Comput. 13, 1989
(2017), doi 10.1021/acs.jctc.7b00118, as implemented in tblite and driven through ase.
Both come with the extra ``xtb`` and are imported only when something is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats

_HARTREE = 27.211386245988  # eV, CODATA 2018
_GAP_DIGITS = 6  # of eV; those beyond are noise of the self-consistency
_STEPS = 300


@dataclass(frozen=True)
class XtbSettings:
    """Settings of the calculation; saved with the data.

    Attributes:
        method: Hamiltonian in tblite's spelling.
        accuracy: tblite's numerical accuracy; smaller is tighter.
        electronic_temperature: Of the Fermi smearing, K; its entropy is in the energy.
        max_iterations: Of the self-consistent cycle; not converging is an error.
        repeats: Unit cells along each in-plane axis.
        fmax: Largest force left in a relaxed molecule, eV/Å.
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
        import ase.calculators.calculator
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


def single_point(structure: Structure, settings: XtbSettings) -> tuple[float, float]:
    """Compute one supercell as it is, at Γ, periodic in all directions.

    With an odd number of electrons one of them is unpaired, with an even number none. GFN1-xTB
    has no exchange splitting, so that this settles the occupation and nothing else.

    Args:
        structure: The supercell.
        settings: Settings of the calculation.

    Returns:
        Total energy and HOMO-LUMO gap, both in eV.

    Raises:
        UserError: If the extra ``xtb`` is missing.
        RuntimeError: If the self-consistent cycle does not converge.
    """
    ase, _ = chemistry()
    atoms = ase.Atoms(
        symbols=[site.specie.symbol for site in structure],
        scaled_positions=structure.frac_coords,
        cell=structure.lattice.matrix,
        pbc=True,
    )
    atoms.calc = _calculator(settings)
    try:
        energy = float(atoms.get_potential_energy())
    except ase.calculators.calculator.CalculationFailed as error:
        raise RuntimeError(str(error)) from error
    return energy, _gap(atoms.calc)


def _gap(calculator: Any) -> float:  # noqa: ANN401
    """Read the HOMO-LUMO gap in eV of a finished calculation.

    The HOMO is the highest level with an electron in it, be it one or two.
    """
    # ASE has no name for orbital energies, so they are read from tblite's own result.
    result = calculator._res
    levels = np.sort(result.get("orbital-energies")) * _HARTREE
    electrons = round(float(np.sum(result.get("orbital-occupations"))))
    occupied = (electrons + 1) // 2
    return round(float(levels[occupied] - levels[occupied - 1]), _GAP_DIGITS)


def relaxed_s8(settings: XtbSettings) -> tuple[float, list[list[float]]]:
    """Relax the crown-shaped S8 molecule.

    Args:
        settings: Settings of the calculation.

    Returns:
        Its total energy in eV and its Cartesian coordinates in Å, shape ``(8, 3)``.

    Raises:
        UserError: If the extra ``xtb`` is missing.
        RuntimeError: If the relaxation does not get there.
    """
    # Start from D4d with the measured radius and puckering of orthorhombic sulfur.
    angle = np.arange(8) * np.pi / 4
    height = 0.5 * (-1.0) ** np.arange(8)
    start = np.stack([2.34 * np.cos(angle), 2.34 * np.sin(angle), height], axis=1)
    return _relaxed("S8", start, settings)


def relaxed_n2(settings: XtbSettings) -> tuple[float, list[list[float]]]:
    """Relax the N2 molecule; see :func:`relaxed_s8`."""
    return _relaxed("N2", np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]]), settings)


def _relaxed(formula: str, start: Floats, settings: XtbSettings) -> tuple[float, list[list[float]]]:
    """Relax a molecule from Cartesian coordinates in Å."""
    ase, _ = chemistry()
    from ase.optimize import BFGS

    atoms = ase.Atoms(formula, positions=start)
    atoms.calc = _calculator(settings)
    if not BFGS(atoms, logfile=None).run(fmax=settings.fmax, steps=_STEPS):
        raise RuntimeError(f"the {formula} molecule did not relax in {_STEPS} steps")
    return float(atoms.get_potential_energy()), np.round(atoms.positions, 6).tolist()
