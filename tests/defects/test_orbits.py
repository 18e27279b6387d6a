import itertools

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from matbench_segvae.defects import (
    HOSTS,
    Host,
    Supercell,
    defect_orbits,
    defective_structure,
    sparse_defects,
    vacancies,
)
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]


@pytest.mark.parametrize(
    ("n", "counts", "expected"),
    [(8, (1, 2), 743), (8, (1, 1), 15), (8, (0, 2), 19), (8, (1, 0), 1), (8, (0, 1), 1),
     (4, (1, 2), 57), (4, (1, 1), 5), (4, (0, 2), 7)],
)  # fmt: skip
def test_number_of_inequivalent_vacancies_of_mos2(n, counts, expected):
    orbits = defect_orbits(Supercell(MOS2, n, n), {"V_Mo": counts[0], "V_S": counts[1]})
    assert len(orbits.representatives) == expected


def test_orbits_agree_with_counting_by_burnside():
    """The number of orbits is the mean number of configurations an operation keeps."""
    cell = Supercell(MOS2, 3, 3)
    pairs = [(a, b) for a in range(9, 27) for b in range(a + 1, 27)]
    kept = sum(
        sorted((image[a], image[b])) == [a, b] for image in cell.permutations for a, b in pairs
    )
    orbits = defect_orbits(cell, {"V_S": 2})
    assert kept / len(cell.permutations) == len(orbits.representatives)


SMALL = {"MoS2": (2, 2), "WSe2": (1, 3, 1), "BN": (2, 2), "GaSe": (1, 3, 1), "InSe": (1, 3, 1),
         "P": (1, 2), "C": (2, 2), "1T-MoS2": (2, 2)}  # fmt: skip
LARGE = {"MoS2": (2, 3), "WSe2": (2, 3), "BN": (3, 3), "GaSe": (2, 2), "InSe": (2, 2),
         "P": (2, 2), "C": (3, 3), "1T-MoS2": (2, 3)}  # fmt: skip


def check_by_brute_force(cell, number):
    """Sort every way to empty so many sites without the use of symmetry."""
    matcher = StructureMatcher(
        ltol=1e-3, stol=1e-3, angle_tol=0.1, primitive_cell=False, scale=False
    )
    every = [
        defective_structure(cell, vacancies(cell, sites))
        for sites in itertools.combinations(range(cell.n_sites), number)
    ]
    inequivalent = len(matcher.group_structures(every))
    kinds = list(dict.fromkeys(cell.host.site_kinds))
    placements = [
        {f"V_{kind}": chosen.count(kind) for kind in kinds}
        for chosen in itertools.combinations_with_replacement(kinds, number)
    ]
    assert sum(len(defect_orbits(cell, p).representatives) for p in placements) == inequivalent


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_orbits_are_those_of_a_structure_matcher(host, number):
    check_by_brute_force(Supercell(host, *SMALL[host.name]), number)


@pytest.mark.slow
@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_orbits_of_larger_cells_are_those_of_a_structure_matcher(host, number):
    check_by_brute_force(Supercell(host, *LARGE[host.name]), number)


def test_defects_of_several_kinds_on_the_same_sites():
    cell = Supercell(HOSTS["BN"], 3, 3)
    orbits = defect_orbits(cell, {"C_B": 1, "V_B": 1, "C_N": 1})
    assert orbits.kinds == ("C_B", "V_B", "C_N")
    for defects in orbits.defects:
        found = sparse_defects(defective_structure(cell, defects)).defects
        assert sorted(d.kind for d in found) == ["C_B", "C_N", "V_B"]
    # By Burnside's lemma on all 9 * 8 * 9 configurations.
    kept = [
        sum(image[list(sites)].tolist() == list(sites) for image in cell.permutations)
        for sites in itertools.product(range(9), range(9), range(9, 18))
        if sites[0] != sites[1]
    ]
    assert len(orbits.representatives) == sum(kept) / len(cell.permutations)


def test_every_first_site_of_a_host_with_inequivalent_sites_is_tried(bismuth_selenide):
    cell = Supercell(Host.from_structure(bismuth_selenide), 2, 2)
    found = {kind: len(defect_orbits(cell, {kind: 1}).representatives) for kind in
             ("V_Bi", "V_Se(1)", "V_Se(2)")}  # fmt: skip
    assert found == {"V_Bi": 1, "V_Se(1)": 1, "V_Se(2)": 1}
    # Sites that are equivalent in the crystal need not be in a supercell of lower symmetry.
    long = Supercell(HOSTS["P"], 1, 2, 1)
    singles = defect_orbits(long, {"V_P": 1})
    images = {tuple(sorted(set(column.tolist()))) for column in long.permutations.T}
    assert len(singles.representatives) == len(images)


@pytest.mark.parametrize("counts", [{}, {"V_Mo": 0}, {"V_Mo": 17}, {"V_Mo": -1}, {"V_Se": 1}])
def test_impossible_numbers_of_defects(counts):
    with pytest.raises(UserError, match=r"cannot place .* in 4 x 4 MoS2: give"):
        defect_orbits(Supercell(MOS2, 4, 4), counts)


def test_large_configurations_do_not_overflow():
    cell = Supercell(MOS2, 3, 3)
    orbits = defect_orbits(cell, {"V_Mo": 9, "V_S": 17})
    assert len(orbits.representatives) == 1
    assert len(orbits.representatives[0]) == 26
    assert np.unique(orbits.representatives[0]).size == 26
