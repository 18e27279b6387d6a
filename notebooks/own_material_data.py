"""Computes the data of `your_own_material.ipynb` with GFN1-xTB: about ten minutes on one core.

Run `python notebooks/own_material_data.py` with the extra `xtb`. What is finished is kept if it is
interrupted. Each material gets a table of total energies, eV:

* `own_material/hbn.csv`: C_B and C_N in 5 x 5 h-BN, up to three of them, relaxed; the structures
  are in `hbn.extxyz`;
* `own_material/black_phosphorus.csv`: V_P and N_P in 5 x 4 black phosphorus, up to two of them, not
  relaxed; the structures follow from the names, kinds of defects and their sites.

The first lines are the pristine supercell and the elements that the chemical potentials are of.
"""

import csv
from pathlib import Path

import ase
import numpy as np
from ase.io import write
from ase.optimize import BFGS
from tblite.ase import TBLite

from matbench_segvae.defects import HOSTS, Supercell, defect_orbits, defective_structure

FOLDER = Path(__file__).parent / "own_material"
FMAX = 0.05  # eV/Å
SAMPLE = 12  # triples of each composition
CARBON = ({"C_B": 1}, {"C_N": 1}, {"C_B": 2}, {"C_N": 2}, {"C_B": 1, "C_N": 1},
          {"C_B": 2, "C_N": 1}, {"C_B": 1, "C_N": 2})  # fmt: skip
NITROGEN = ({"V_P": 1}, {"N_P": 1}, {"V_P": 2}, {"N_P": 2}, {"V_P": 1, "N_P": 1})
N2 = ase.Atoms("N2", [[0, 0, 0], [0, 0, 1.1]])


def atoms_of(structure):
    """Atoms of ase, periodic in all directions."""
    return ase.Atoms(
        [site.specie.symbol for site in structure],
        scaled_positions=structure.frac_coords,
        cell=structure.lattice.matrix,
        pbc=True,
    )


def placements(cell, families):
    """Name and atoms of every inequivalent placement of defects, of three a sample."""
    rng = np.random.default_rng(0)
    for counts in families:
        orbits = defect_orbits(cell, counts).defects
        if sum(counts.values()) > 2:
            orbits = [orbits[i] for i in sorted(rng.permutation(len(orbits))[:SAMPLE])]
        for defects in orbits:
            label = "_".join(f"{defect.kind}{defect.site}" for defect in defects)
            yield label, atoms_of(defective_structure(cell, defects))


def compute(material, frames, relaxed=()):
    """Add a line for every structure that has none yet."""
    table = FOLDER / f"{material}.csv"
    if not table.exists():
        table.write_text("name,total_energy\n")
    with table.open(newline="") as file:
        done = {row["name"] for row in csv.DictReader(file)}
    for name, atoms in frames:
        if name in done:
            continue
        atoms.calc = TBLite(method="GFN1-xTB", verbosity=0, max_iterations=250)
        if name == "N2" or name in relaxed:
            BFGS(atoms, logfile=None).run(fmax=FMAX, steps=200)
        energy = float(atoms.get_potential_energy())
        atoms.calc = None
        if name in relaxed:
            atoms.info["name"] = name
            atoms.positions = atoms.positions.round(4)
            write(FOLDER / f"{material}.extxyz", atoms, append=True)
        with table.open("a") as file:
            file.write(f"{name},{energy:.5f}\n")
        print(material, name, f"{energy:.5f}", flush=True)


def main():
    """Compute both materials."""
    FOLDER.mkdir(exist_ok=True)
    cell = Supercell(HOSTS["P"], 5, 4)
    frames = [("pristine", atoms_of(cell.structure())), ("N2", N2.copy())]
    compute("black_phosphorus", [*frames, *placements(cell, NITROGEN)])
    cell = Supercell(HOSTS["BN"], 5, 5)
    graphene = atoms_of(Supercell(HOSTS["C"], 5, 5).structure())
    frames = [("pristine", atoms_of(cell.structure())), ("N2", N2.copy()), ("graphene", graphene)]
    defective = list(placements(cell, CARBON))
    compute("hbn", [*frames, *defective], relaxed={name for name, _ in defective})


if __name__ == "__main__":
    main()
