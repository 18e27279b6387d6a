import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matbench_segvae.defects import HOSTS, Host, Supercell
from matbench_segvae.errors import UserError

LAYER_GROUPS = {
    "MoS2": "p-6m2",
    "WSe2": "p-6m2",
    "BN": "p-6m2",
    "GaSe": "p-6m2",
    "InSe": "p-6m2",
    "P": "pman",
    "C": "p6/mmm",
    "1T-MoS2": "p-3m1",
}
BONDS = {  # Å and number of nearest neighbours of the first atom
    "MoS2": (2.417, 6),
    "WSe2": (2.553, 6),
    "BN": (1.451, 3),
    "GaSe": (2.471, 1),
    "InSe": (2.683, 3),
    "P": (2.220, 2),
    "C": (1.420, 3),
    "1T-MoS2": (2.416, 6),
}


def every_host():
    return pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)


@every_host()
def test_the_layer_group_is_found(host):
    assert host.layer_group.symbol == LAYER_GROUPS[host.name]


@every_host()
def test_bonds(host):
    cell = Supercell(host, 3, 3).structure()
    length, number = BONDS[host.name]
    assert host.shortest_bond == pytest.approx(length, abs=1e-3)
    assert len(cell.get_neighbors(cell[0], length + 0.005)) == number


@every_host()
def test_one_kind_of_site_for_each_element(host):
    assert host.site_kinds == host.elements


@every_host()
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_host_is_found_in_any_of_its_cells(host, axis):
    """Vacuum along any axis, more of it, a larger cell, another origin and order of atoms."""
    cell = Supercell(host, 2, 3).structure()
    matrix = np.array(cell.lattice.matrix)
    coords = cell.cart_coords + np.array([0.3, 0.2, 0.9 * host.c])
    matrix[2] *= 1.4
    axes = np.roll([0, 1, 2], axis)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(cell))
    changed = Structure(
        Lattice(matrix[axes]),
        [cell[i].specie for i in order],
        coords[order],
        coords_are_cartesian=True,
        to_unit_cell=True,
    )
    found = Host.from_structure(changed)
    assert sorted([found.a, found.b]) == pytest.approx(sorted([host.a, host.b]), abs=1e-6)
    assert found.c == pytest.approx(1.4 * host.c)
    assert sorted(found.elements) == sorted(host.elements)
    assert found.layer_group.symbol == host.layer_group.symbol
    assert found.shortest_bond == pytest.approx(host.shortest_bond, abs=1e-6)


def test_inequivalent_sites_of_an_element_are_numbered(bismuth_selenide):
    host = Host.from_structure(bismuth_selenide)
    assert host.name == "Bi2Se3"
    assert host.site_kinds == ("Bi", "Bi", "Se(1)", "Se(1)", "Se(2)")
    assert abs(host.heights[[2, 4]]) == pytest.approx([3.6, 0.0])


def test_noise_of_a_relaxation_is_averaged_out():
    host = HOSTS["P"]
    noisy = Supercell(host, 1, 1).structure()
    noisy.perturb(0.002)
    found = Host.from_structure(noisy)
    assert found.layer_group.symbol == "pman"
    assert np.ptp(np.abs(found.heights)) < 1e-6


def test_oxidation_states_do_not_matter():
    cell = Supercell(HOSTS["BN"], 1, 1).structure()
    cell.add_oxidation_state_by_element({"B": 3, "N": -3})
    assert Host.from_structure(cell).elements == ("B", "N")


def test_bulk_is_refused():
    rock_salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    with pytest.raises(UserError, match=r"MgO is no layer: its largest vacuum is 2\.1 Å"):
        Host.from_structure(rock_salt)


def test_coinciding_atoms_are_refused():
    doubled = Structure(Lattice.hexagonal(2.46, 20), ["C", "C"], [[0, 0, 0.5], [0, 0, 0.5]])
    with pytest.raises(UserError, match="no two atoms of which coincide"):
        Host.from_structure(doubled)


@every_host()
def test_a_host_survives_json(host):
    assert Host.from_json(json.loads(json.dumps(host.as_json()))) == host


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"a": "wide"}, "'wide'"),
        ({"a": float("nan")}, "'nan'"),
        ({"gamma": 180}, "has no cell"),
        ({"gamma": 1e-9}, "has no cell"),
        ({"c": True}, "'True'"),
        ({"atoms": []}, "no atoms of known elements"),
        ({"atoms": [["Xx", [0, 0, 0.5]]]}, "no atoms of known elements"),
        ({"atoms": [["C", [0, 0, 0.5]], ["C", [1, 0, 0.5]]]}, "two atoms at the same place"),
        ({"atoms": 3}, "describes no host"),
        ({"atoms": [["C", [0, 1e308, 0.5]]]}, "not between -10 and 10"),
        ({"atoms": [["C", [0, 10**400, 0.5]]]}, "number of its atoms"),
        ({"atoms": [["C", [0, 0, 0.5]]] * 201}, "201 atoms, at most 200"),
        ({"name": "\x1b[31mMoS2"}, r"'\\x1b\[31mMoS2' cannot be the name"),
        ({"name": "M" * 10**6}, "cannot be the name"),
        ({"name": None}, "cannot be the name"),
    ],
)
def test_a_damaged_host_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Host.from_json({**HOSTS["MoS2"].as_json(), **change})
    assert len(str(caught.value)) < 300


def test_a_crystal_of_too_many_atoms_is_refused():
    rng = np.random.default_rng(0)
    amorphous = Supercell(HOSTS["MoS2"], 9, 9).structure()
    amorphous.translate_sites(range(len(amorphous)), [0, 0, 0.1])
    for site in range(len(amorphous)):
        amorphous.translate_sites([site], rng.normal(0, 0.1, 3), frac_coords=False)
    with pytest.raises(UserError, match="primitive cell of the host has 243 atoms, at most 200"):
        Host.from_structure(amorphous)
    with pytest.raises(UserError, match="at most 5,000"):
        Host.from_structure(Supercell(HOSTS["MoS2"], 41, 41).structure())


def test_a_host_without_a_part_names_it():
    content = HOSTS["MoS2"].as_json()
    del content["c"]
    with pytest.raises(ValueError, match="lacks 'c'"):
        Host.from_json(content)
