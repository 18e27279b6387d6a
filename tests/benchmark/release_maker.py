"""Makes releases in the layout of the 2DMD data set, of given structures and energies."""

import csv
import gzip
import io
import json
import tarfile
from dataclasses import dataclass

import numpy as np
import yaml
from pymatgen.io.cif import CifWriter

from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    Supercell,
    count_pairs,
    defective_structure,
    defects_on,
)

CONCENTRATIONS = "total_concentrations"
POTENTIALS = {"Mo": -10.9332, "S": -4.127, "W": -13.0106, "Se": -3.489, "B": -6.704, "N": -8.324,
              "Ga": -3.03, "In": -2.715, "P": -5.362, "C": -9.226}  # fmt: skip
PRISTINE = {"MoS2": -1398.1131, "WSe2": -1384.9085, "BN": -1124.4346, "GaSe": -554.0446,
            "InSe": -522.7948, "P": -772.1556}  # fmt: skip


@dataclass
class Row:
    """One structure of a release."""

    sample: str
    descriptor: str
    cell: DefectiveCell
    formation: float  # eV, of all defects together
    gap: float = 1.0
    given: bool = True  # whether the formation energy is in targets.csv.gz

    @property
    def energy(self):
        """Total energy, eV."""
        host = self.cell.supercell.host.name
        removed = sum(POTENTIALS[d.removed] for d in self.cell.defects)
        placed = sum(POTENTIALS[d.placed] for d in self.cell.defects if d.placed)
        return self.formation + PRISTINE[host] - removed + placed


def write_set(folder, rows):
    """Write one set of a release, as its authors lay it out."""
    folder.mkdir(parents=True)
    host = rows[0].cell.supercell.host
    energies = [[r.sample, r.descriptor, r.energy, r.gap] for r in rows]
    _packed(
        folder / "defects.csv.gz", ["_id", "descriptor_id", "energy", "homo_lumo_gap"], energies
    )
    targets = [[r.sample, r.formation, r.formation / len(r.cell.defects)] for r in rows if r.given]
    header = ["_id", "formation_energy", "formation_energy_per_site"]
    _packed(folder / "targets.csv.gz", header, targets)
    descriptors = {r.descriptor: r.cell for r in rows}
    lines = [
        [name, "", host.name, _size(cell), _listed(cell)] for name, cell in descriptors.items()
    ]
    _plain(folder / "descriptors.csv", ["_id", "description", "base", "cell", "defects"], lines)
    _plain(folder / "elements.csv", ["element", "chemical_potential"], POTENTIALS.items())
    pristine = [[host.name, _size(rows[0].cell), PRISTINE[host.name]]]
    _plain(folder / "initial_structures.csv", ["base", "cell_size", "energy"], pristine)
    (folder / "unit_cells").mkdir()
    unit = str(CifWriter(Supercell(host, 1, 1).structure()))
    (folder / "unit_cells" / f"{host.name}.cif").write_text(unit)
    texts = {
        r.sample: str(CifWriter(defective_structure(r.cell.supercell, r.cell.defects)))
        for r in rows
    }
    write_structures(folder / "initial.tar.gz", texts)


def write_structures(path, texts):
    """Write CIF texts by id into the archive of a set."""
    with tarfile.open(path, "w:gz") as tar:
        for sample, text in texts.items():
            member = tarfile.TarInfo(f"{sample}.cif")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))


def random_rows(recipe, law, n_per_concentration, seed=0):
    """Structures with random defects as a recipe of the high-density sets says.

    Args:
        recipe: Text of a ``gen_*.yaml``.
        law: From kind of pair and distance to an energy, eV.
        n_per_concentration: Structures of each concentration.
        seed: Of the placement.
    """
    content = yaml.safe_load(recipe)
    host = HOSTS[content["base_material"]]
    supercell = Supercell(host, *content["supercell"][:2])
    rng = np.random.default_rng(seed)
    kinds = [(site, to) for site, options in content["defects"].items() for to in options]
    rows = []
    for concentration in content[CONCENTRATIONS]:
        for _ in range(n_per_concentration):
            n = round(concentration * supercell.n_sites)
            cell = _random_cell(supercell, kinds, n, rng)
            name = f"{host.name}{len(rows):04d}"
            rows.append(Row(name, f"d{name}", cell, planted(cell, law)))
    return rows


def planted(cell, law):
    """Formation energy of all defects together by a law of pairs, eV."""
    table = count_pairs([cell])
    singles = sum(2.0 + 0.5 * (defect.placed is None) for defect in cell.defects)
    values = [
        law(str(table.pair_kinds[k]), r) for k, r in zip(table.kind, table.distance, strict=True)
    ]
    return float(singles + table.counts[0] @ np.array(values))


def _random_cell(supercell, kinds, n, rng):
    shares = rng.multinomial(n, np.full(len(kinds), 1 / len(kinds)))
    occupants = {}
    for (element, to), count in zip(kinds, shares, strict=True):
        free = [s for s, e in enumerate(supercell.elements) if e == element and s not in occupants]
        for site in rng.choice(free, count, replace=False):
            occupants[int(site)] = None if to == "Vacancy" else to
    return DefectiveCell(supercell, defects_on(supercell, occupants))


def _size(cell):
    return json.dumps([cell.supercell.nx, cell.supercell.ny, 1])


def _listed(cell):
    return repr([
        {"type": "substitution", "from": d.removed, "to": d.placed} if d.placed
        else {"type": "vacancy", "element": d.removed}
        for d in cell.defects
    ])  # fmt: skip


def _plain(path, header, rows):
    path.write_text(_csv(header, rows))


def _packed(path, header, rows):
    path.write_bytes(gzip.compress(_csv(header, rows).encode()))


def _csv(header, rows):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
