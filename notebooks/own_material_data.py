"""Computes the data of `your_own_material.ipynb` with GFN1-xTB: about fifteen minutes on one core.

Run `python notebooks/own_material_data.py` with the extra `xtb`. Two extended XYZ files come out,
with total energies in eV, and finished structures are kept if it is interrupted:

* `own_material/hbn_relaxed.extxyz`: C_B and C_N in 5 x 5 h-BN, up to three of them, relaxed;
* `own_material/black_phosphorus.extxyz`: V_P and N_P in 5 x 4 black phosphorus, up to two of them,
  not relaxed.

The first frames are the pristine supercell and the elements that the chemical potentials are of.
"""

from pathlib import Path

import ase
import numpy as np
from ase.io import read, write
from ase.optimize import BFGS
from tblite.ase import TBLite

from matbench_segvae.defects import HOSTS, Supercell, defect_orbits, defective_structure

FOLDER = Path(__file__).parent / "own_material"
FMAX = 0.05  # eV/Å
SAMPLE = 12  # triples of each composition


def placements(cell, families):
    """Name and structure of the pristine cell and of every inequivalent placement of defects."""
    yield "pristine", defective_structure(cell, ())
    rng = np.random.default_rng(0)
    for counts in families:
        orbits = defect_orbits(cell, counts).defects
        if sum(counts.values()) > 2:
            orbits = [orbits[i] for i in sorted(rng.permutation(len(orbits))[:SAMPLE])]
        for defects in orbits:
            label = "_".join(f"{defect.kind}{defect.site}" for defect in defects)
            yield label, defective_structure(cell, defects)


def atoms_of(structure):
    return ase.Atoms(
        [site.specie.symbol for site in structure],
        scaled_positions=structure.frac_coords,
        cell=structure.lattice.matrix,
        pbc=True,
    )


def elements(material):
    """What the chemical potentials are of."""
    if material == "hbn_relaxed":
        yield "N2", ase.Atoms("N2", [[0, 0, 0], [0, 0, 1.1]])
        yield "graphene", atoms_of(Supercell(HOSTS["C"], 5, 5).structure())
    else:
        yield "N2", ase.Atoms("N2", [[0, 0, 0], [0, 0, 1.1]])


def compute(material, frames, relax):
    """Write every frame that is not there yet."""
    path = FOLDER / f"{material}.extxyz"
    done = {atoms.info["name"] for atoms in read(path, ":")} if path.exists() else set()
    for name, atoms in frames:
        if name in done:
            continue
        atoms.calc = TBLite(method="GFN1-xTB", verbosity=0, max_iterations=250)
        if relax and name != "graphene":
            BFGS(atoms, logfile=None).run(fmax=FMAX, steps=200)
        energy = round(float(atoms.get_potential_energy()), 5)
        atoms.calc = None
        atoms.info.update(name=name, total_energy=energy)
        atoms.positions = atoms.positions.round(4)
        write(path, atoms, append=True, columns=["symbols", "positions"])
        print(material, name, energy, flush=True)


def main():
    FOLDER.mkdir(exist_ok=True)
    carbon = ({"C_B": 1}, {"C_N": 1}, {"C_B": 2}, {"C_N": 2}, {"C_B": 1, "C_N": 1},
              {"C_B": 2, "C_N": 1}, {"C_B": 1, "C_N": 2})  # fmt: skip
    nitrogen = ({"V_P": 1}, {"N_P": 1}, {"V_P": 2}, {"N_P": 2}, {"V_P": 1, "N_P": 1})
    cells = {
        "black_phosphorus": (Supercell(HOSTS["P"], 5, 4), nitrogen, False),
        "hbn_relaxed": (Supercell(HOSTS["BN"], 5, 5), carbon, True),
    }
    for material, (cell, families, relax) in cells.items():
        structures = placements(cell, families)
        defective = [(name, atoms_of(structure)) for name, structure in structures]
        compute(material, [defective[0], *elements(material), *defective[1:]], relax)


if __name__ == "__main__":
    main()
