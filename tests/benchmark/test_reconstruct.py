"""The structures given back from distance tables are the right ones."""

import re

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from matbench_segvae.benchmark import reconstruct, samples
from matbench_segvae.benchmark.datasets import fetch, read_pickle_verified
from matbench_segvae.defects import HOSTS, Supercell, defect_orbits, sparse_defects
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]


def canonical(structure):
    cell = sparse_defects(structure)
    assert cell.supercell == Supercell(MOS2, 8, 8)
    images = cell.supercell.permutations[:, [defect.site for defect in cell.defects]]
    return min(map(tuple, np.sort(images, axis=1).tolist()))


def sites_of(structure):
    return [defect.site for defect in sparse_defects(structure).defects]


@pytest.fixture(scope="module")
def canonical_v3(v3_table):
    return [canonical(structure) for structure in v3_table["structure"]]


def read_cif(text):
    """Read the plain P1 files of the pilot, far faster than pymatgen does."""
    lengths = [float(re.search(rf"_cell_length_{x} +(\S+)", text)[1]) for x in "abc"]
    angles = [
        float(re.search(rf"_cell_angle_{x} +(\S+)", text)[1]) for x in ("alpha", "beta", "gamma")
    ]
    rows = re.findall(r"^ +([A-Z][a-z]?) +\S+ +1 +(\S+) +(\S+) +(\S+) +1(?:\.0)?\s*$", text, re.M)
    coords = [[float(x) for x in row[1:]] for row in rows]
    return Structure(Lattice.from_parameters(*lengths, *angles), [row[0] for row in rows], coords)


def test_counts_and_source_order(v3_table):
    source = read_pickle_verified("v3-table")
    assert v3_table.index.tolist() == source.index.tolist()
    assert v3_table["formation_energy_per_site"].tolist() == source["formE"].tolist()
    formulas = {structure.formula for structure in v3_table["structure"]}
    assert formulas == {"Mo63 S126"}


def test_the_743_are_pairwise_inequivalent(canonical_v3):
    assert len(set(canonical_v3)) == len(canonical_v3) == 743


def test_rebuilt_distances_equal_the_tables(v3_table):
    source = np.array(read_pickle_verified("v3-table")["distance"].tolist())
    expected = np.column_stack([np.sort(source[:, :2], axis=1), source[:, 2:]])
    rebuilt = [reconstruct.signature(sites_of(s)) for s in v3_table["structure"]]
    assert np.abs(np.array(rebuilt) - expected).max() < 1e-9


def test_all_27_in_the_pilot_come_out_the_same(v3_table, canonical_v3):
    pilot = pd.read_csv(fetch("pilot-targets"))
    texts = pd.read_csv(fetch("pilot-structures"))["structures"]
    known = dict(zip(v3_table.index, canonical_v3, strict=True))
    common = [row for row, label in enumerate(pilot["_id"]) if label in known]
    assert len(common) == 27
    for row in common:
        assert canonical(read_cif(texts[row])) == known[pilot["_id"][row]]


def test_energies_of_the_pilot_agree(v3_table):
    pilot = pd.read_csv(fetch("pilot-targets"), index_col="_id")["formation_energy_per_site"]
    ours = v3_table["formation_energy_per_site"]
    common = ours.index.intersection(pilot.index)
    assert np.abs(ours[common] - pilot[common]).max() < 1e-3


def test_only_a_few_rows_leave_a_choice(v3_table):
    orbits = defect_orbits(Supercell(MOS2, 8, 8), {"V_Mo": 1, "V_S": 2})
    fitting = {}
    for sites, orbit in orbits.members.items():
        fitting.setdefault(tuple(np.round(reconstruct.signature(sites), 6)), set()).add(orbit)
    rows = [
        fitting[tuple(np.round(reconstruct.signature(sites_of(s)), 6))]
        for s in v3_table["structure"]
    ]
    assert [sum(len(row) == n for row in rows) for n in (1, 2)] == [728, 15]


def test_pairs(dft_data):
    v2, x2 = samples.v2_samples(), samples.x2_samples()
    assert (len(v2), len(x2)) == (15, 19)
    for table, name in ((v2, "v2-table"), (x2, "x2-table")):
        source = read_pickle_verified(name)
        assert table.index.tolist() == source.index.tolist()
        assert len({canonical(structure) for structure in table["structure"]}) == len(table)
        rebuilt = [reconstruct.signature(sites_of(s))[0] for s in table["structure"]]
        assert np.abs(np.array(rebuilt) - source["distance"]).max() < 1e-9


def test_single_vacancies(dft_data):
    singles = samples.single_vacancy_samples()
    assert [s.formula for s in singles["structure"]] == ["Mo63 S128", "Mo64 S127"]
    assert np.allclose(singles["formation_energy_per_site"], [7.12148, 2.64569], atol=1e-5)


def test_far_pairs_approach_two_single_vacancies(dft_data):
    """An independent check that V1 and X1 are what the samples claim."""
    v1, x1 = samples.single_vacancy_samples()["formation_energy_per_site"]
    v2 = samples.v2_samples()["formation_energy_per_site"]
    assert abs(2 * v2.max() - v1 - x1) < 0.05


def test_twins_get_one_orbit_each():
    assert reconstruct.assign([[3, 5], [3], [5, 3, 8]]) == [5, 3, 8]
    assert reconstruct.assign([[1, 2], [1, 2]]) == [1, 2]
    with pytest.raises(UserError, match="fits no configuration"):
        reconstruct.assign([[1], [1]])


def test_distances_of_no_configuration_are_refused():
    with pytest.raises(UserError, match="row 0"):
        reconstruct.match_rows(np.array([[2.5]]), (1, 1))
