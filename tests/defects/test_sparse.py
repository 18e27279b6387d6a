import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matbench_segvae.defects import HOSTS, Defect, defective_structure, sparse_defects, vacancies
from matbench_segvae.errors import UserError

MOS2, WSE2 = HOSTS["MoS2"], HOSTS["WSe2"]


def example(host=MOS2, n=4):
    """A vacancy of each element and a substitution."""
    coords = host.site_coords(n, n)
    chalcogen = host.elements[1]
    last = 3 * n * n - 1
    placed = Defect(last, chalcogen, "Te", tuple(coords[last]))
    defects = (*vacancies(host, n, n, [5, n * n + 2]), placed)
    return defective_structure(host, n, n, defects), defects


def rebuilt(structure, order=None, shift=(0, 0, 0), noise=0.0):
    order = np.arange(len(structure)) if order is None else order
    rng = np.random.default_rng(1)
    coords = structure.cart_coords[order] + noise * rng.uniform(-1, 1, (len(structure), 3))
    frac = structure.lattice.get_fractional_coords(coords) + np.asarray(shift)
    return Structure(structure.lattice, [structure[i].specie for i in order], frac)


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_round_trip(host):
    structure, defects = example(host)
    cell = sparse_defects(structure)
    assert (cell.host, cell.repeats) == (host.name, (4, 4, 1))
    assert cell.defects == defects
    metal, chalcogen = host.elements[:2]
    kinds = [defect.kind for defect in cell.defects]
    assert kinds == [f"V_{metal}", f"V_{chalcogen}", f"Te_{chalcogen}"]
    assert np.allclose(cell.lattice, structure.lattice.matrix)


def test_removing_and_replacing_do_what_they_say():
    structure, _ = example()
    assert structure.composition.as_dict() == {"Mo": 15, "S": 30, "Te": 1}


def test_pristine_cells_have_no_defects():
    assert sparse_defects(WSE2.supercell(3, 5)).defects == ()
    assert sparse_defects(WSE2.supercell(3, 5)).repeats == (3, 5, 1)


def test_order_images_noise_and_rigid_shifts_do_not_matter():
    structure, _ = example()
    expected = sparse_defects(structure)
    order = np.random.default_rng(0).permutation(len(structure))
    images = np.random.default_rng(2).integers(-2, 3, size=(len(structure), 3))
    changed = {
        "reordered": rebuilt(structure, order),
        "images": rebuilt(structure, shift=images),
        "noise": rebuilt(structure, noise=0.05),
        "by whole cells": rebuilt(structure, shift=(1, -1, 1)),
    }
    for what, other in changed.items():
        assert sparse_defects(other).defects == expected.defects, what


@pytest.mark.parametrize("shift", [(0.031, 0.017, 0.0), (0.0, 0.0, 0.25), (0.13, -0.4, -0.37)])
def test_a_rigid_shift_is_found_up_to_a_translation(shift):
    structure, defects = example()
    cell = sparse_defects(rebuilt(structure, shift=shift))
    assert sorted(d.kind for d in cell.defects) == sorted(d.kind for d in defects)


def test_real_supercells_are_read(dft_data):
    import re

    import pandas as pd

    from matbench_segvae.benchmark.datasets import fetch

    table = pd.read_csv(fetch("pilot-structures"))
    text = table["structures"][0]
    atoms = re.findall(r"^ +([A-Z][a-z]?) +\w+ +1 +(\S+) +(\S+) +(\S+)", text, re.MULTILINE)
    a, c = (float(re.search(rf"_cell_length_{x} +(\S+)", text)[1]) for x in "ac")
    structure = Structure(
        Lattice.hexagonal(a, c),
        [row[0] for row in atoms],
        [list(map(float, row[1:])) for row in atoms],
    )
    cell = sparse_defects(structure)
    assert (cell.host, cell.repeats, len(cell.defects)) == ("MoS2", (8, 8, 1), 3)


def test_unknown_host_names_the_cell_and_the_known_hosts():
    graphene = Structure(
        Lattice.hexagonal(2.46, 15), ["C", "C"], [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0]]
    )
    with pytest.raises(UserError, match=r"2\.4600.*no known host.*MoS2.*WSe2") as caught:
        sparse_defects(graphene)
    assert "\n" not in str(caught.value)


def test_cubic_cell_with_the_right_lengths_is_refused():
    with pytest.raises(UserError, match="no known host"):
        sparse_defects(Structure(Lattice.tetragonal(MOS2.a, MOS2.c), ["Mo"], [[0, 0, 0]]))


def test_an_atom_off_all_sites_is_refused():
    structure, _ = example()
    structure.append("S", [0.05, 0.05, 0.5])
    with pytest.raises(UserError, match=r"atom 46 \(S\) is .* Å away from every site"):
        sparse_defects(structure)


def test_two_atoms_on_a_site_are_refused():
    structure, _ = example()
    structure.append(
        "S", structure[20].frac_coords + np.array([0, 0, 0.005]), validate_proximity=False
    )
    with pytest.raises(UserError, match="atoms 20 and 46 are on the same site"):
        sparse_defects(structure)


def test_another_material_in_the_lattice_of_a_host_is_refused():
    structure = MOS2.supercell(2, 2)
    structure.replace_species({"Mo": "Nb", "S": "Te"})
    with pytest.raises(UserError, match="differs on 12 of its 12 sites"):
        sparse_defects(structure)


def test_partly_occupied_sites_are_refused():
    structure = MOS2.supercell(2, 2)
    structure[0] = {"Mo": 0.5, "W": 0.5}
    with pytest.raises(UserError, match="partly occupied"):
        sparse_defects(structure)


def test_impossible_defects_are_refused():
    with pytest.raises(UserError, match="V_S cannot be on site 0"):
        defective_structure(MOS2, 2, 2, [Defect(0, "S", None, (0.0, 0.0, 0.0))])
