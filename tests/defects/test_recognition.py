import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    Host,
    Supercell,
    count_pairs,
    defective_structure,
    defects_on,
    sparse_defects,
)
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]
MATRICES = {
    "4 x 4": [[4, 0], [0, 4]],
    "3 x 5": [[3, 0], [0, 5]],
    "root 3 R30": [[2, -2], [2, 4]],
    "rectangular": [[3, 0], [2, 4]],
    "oblique": [[4, 1], [-1, 3]],
}


def every_host():
    return pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)


def example(cell, seed=0):
    """Two vacancies and a substitution at random sites."""
    sites = np.random.default_rng(seed).choice(cell.n_sites, 3, replace=False).tolist()
    defects = defects_on(cell, {sites[0]: None, sites[1]: None, sites[2]: "Te"})
    return defective_structure(cell, defects), defects


def rebuilt(structure, order=None, shift=(0, 0, 0), noise=0.0):
    order = np.arange(len(structure)) if order is None else order
    rng = np.random.default_rng(1)
    coords = structure.cart_coords[order] + noise * rng.uniform(-1, 1, (len(structure), 3))
    frac = structure.lattice.get_fractional_coords(coords) + np.asarray(shift)
    return Structure(structure.lattice, [structure[i].specie for i in order], frac)


def deformed(structure, deformation):
    matrix = structure.lattice.matrix @ deformation
    return Structure(Lattice(matrix), structure.species, structure.frac_coords)


def pair_table(cell):
    """Kinds, rounded distances and numbers of the pairs of one cell."""
    table = count_pairs([cell])
    kinds = [str(table.pair_kinds[kind]) for kind in table.kind]
    distances = np.round(table.distance, 3).tolist()
    return dict(zip(zip(kinds, distances, strict=True), table.counts[0].tolist(), strict=True))


@every_host()
def test_round_trip(host):
    cell = Supercell(host, 4, 4)
    structure, defects = example(cell)
    found = sparse_defects(structure)
    assert found.supercell == cell
    assert found.defects == defects
    assert found.strain < 1e-6
    assert found.displacement < 1e-6


@every_host()
def test_pristine_cells_have_no_defects(host):
    assert sparse_defects(Supercell(host, 3, 5).structure()).defects == ()


def test_order_images_noise_and_shifts_by_whole_cells_do_not_matter():
    structure, defects = example(Supercell(MOS2, 4, 4))
    order = np.random.default_rng(0).permutation(len(structure))
    images = np.random.default_rng(2).integers(-2, 3, size=(len(structure), 3))
    changed = {
        "reordered": rebuilt(structure, order),
        "images": rebuilt(structure, shift=images),
        "noise": rebuilt(structure, noise=0.05),
        "by whole cells": rebuilt(structure, shift=(1, -1, 1)),
    }
    for what, other in changed.items():
        assert sparse_defects(other).defects == defects, what


@st.composite
def motions(draw):
    """A supercell with defects, and a motion and a change of its description."""
    name = draw(st.sampled_from(sorted(HOSTS)))
    cell = Supercell.of_matrix(
        HOSTS[name], np.array(draw(st.sampled_from(list(MATRICES.values()))))
    )
    return cell, draw(st.integers(0, 2**16)), draw(st.floats(0, 0.012)), draw(st.floats(0, 0.1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(motions())
def test_pairs_are_unchanged_under_every_motion_and_description(motion):
    """Rotated, mirrored, strained, shifted, relaxed, reordered, wrapped, with more vacuum."""
    cell, seed, strain, noise = motion
    structure, defects = example(cell, seed)
    expected = pair_table(DefectiveCell(cell, defects))
    rng = np.random.default_rng(seed)
    deformation = np.eye(3)
    deformation[:2, :2] += strain * rng.uniform(-1, 1, (2, 2))
    matrix = structure.lattice.matrix @ deformation
    coords = (structure.frac_coords + rng.random(3)) @ matrix
    coords += noise * rng.uniform(-1, 1, coords.shape)
    matrix[2] *= 1 + rng.random()
    orthogonal, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes, order = rng.permutation(3), rng.permutation(len(structure))
    changed = Structure(
        Lattice((matrix @ orthogonal)[axes]),
        [structure[i].specie for i in order],
        (coords @ orthogonal)[order],
        coords_are_cartesian=True,
        to_unit_cell=True,
    )
    found = sparse_defects(changed)
    assert found.supercell.host == cell.host
    assert pair_table(found) == expected
    assert found.strain <= 2.1 * strain + 1e-6
    assert found.displacement <= 2 * np.sqrt(3) * noise + 1e-6


@every_host()
def test_pairs_are_unchanged_under_every_symmetry(host):
    cell = Supercell(host, 3, 3)
    _, defects = example(cell, seed=5)
    expected = pair_table(DefectiveCell(cell, defects))
    for image in cell.permutations:
        moved = defects_on(cell, {int(image[d.site]): d.placed for d in defects})
        assert pair_table(DefectiveCell(cell, moved)) == expected


def test_a_cell_of_another_height_and_lattice_constant_is_mos2():
    """20 Å of vacuum, and a = 3.16 Å as measured."""
    structure, defects = example(Supercell(MOS2, 4, 4))
    scale = 3.16 / MOS2.a
    coords = structure.cart_coords * [scale, scale, 1] + np.array([0, 0, 4.0])
    cell = Lattice.hexagonal(4 * 3.16, 23.13)
    found = sparse_defects(Structure(cell, structure.species, coords, coords_are_cartesian=True))
    assert found.supercell == Supercell(MOS2, 4, 4)
    assert found.defects == defects
    assert found.strain == pytest.approx(1 - scale)


def test_the_strain_can_be_limited_and_allowed():
    structure, _ = example(Supercell(MOS2, 4, 4))
    wide = deformed(structure, np.diag([1.05, 1.05, 1]))
    with pytest.raises(UserError, match="a strain up to 3 %"):
        sparse_defects(wide)
    assert sparse_defects(wide, max_strain=0.06).strain == pytest.approx(0.05)
    with pytest.raises(UserError, match=r"a strain up to 0\.1 %"):
        sparse_defects(deformed(structure, np.diag([1.01, 1, 1])), max_strain=0.001)


def test_2h_and_1t_are_told_apart():
    for name in ("MoS2", "1T-MoS2"):
        structure, _ = example(Supercell(HOSTS[name], 4, 4))
        assert sparse_defects(rebuilt(structure, shift=(0.2, 0.3, 0.1))).supercell.host.name == name


def test_a_host_of_ones_own_comes_first():
    own = Host.from_structure(Supercell(MOS2, 1, 1).structure(), name="own")
    structure, defects = example(Supercell(MOS2, 4, 4))
    found = sparse_defects(structure, [own])
    assert found.supercell.host is own
    assert sorted(d.kind for d in found.defects) == sorted(d.kind for d in defects)


def test_relaxed_neighbours_of_a_vacancy_are_assigned():
    """Neighbours far from their sites, one of which is nearer to an empty site than to its own."""
    cell = Supercell(HOSTS["P"], 4, 4)
    structure = defective_structure(cell, defects_on(cell, {0: None}))
    near = np.argsort(structure.lattice.get_all_distances(cell.coords[0], structure.frac_coords)[0])
    for atom in near[:3]:
        vector = cell.coords[0] - structure[atom].frac_coords
        vector -= np.round(vector)
        length = np.linalg.norm(vector @ structure.lattice.matrix)
        structure.translate_sites([int(atom)], 0.9 / length * vector)
    found = sparse_defects(structure)
    assert [d.site for d in found.defects] == [0]
    assert found.displacement == pytest.approx(0.9, abs=0.05)


def test_labels_and_oxidation_states_are_ignored():
    structure, defects = example(Supercell(MOS2, 4, 4))
    structure.add_oxidation_state_by_element({"Mo": 4, "S": -2, "Te": -2})
    structure.add_site_property("magmom", [1.0] * len(structure))
    assert sparse_defects(structure).defects == defects


def test_an_adatom_is_refused_with_the_nearest_site():
    structure = Supercell(MOS2, 4, 4).structure()
    top = structure.cart_coords[-1] + np.array([0, 0, 1.9])
    structure.append("Na", top, coords_are_cartesian=True)
    message = r"atom 48 \(Na\) is on no site of 4 x 4 MoS2: the nearest is site 47 \(S\), 1\.90 Å"
    with pytest.raises(UserError, match=message + r".* which atom 47 \(S\) is on; interstitials"):
        sparse_defects(structure)


def test_an_adatom_beside_a_vacancy_does_not_fill_it():
    cell = Supercell(MOS2, 4, 4)
    structure = defective_structure(cell, defects_on(cell, {20: None}))
    structure.append(
        "S", structure.cart_coords[-1] + np.array([0, 0, 1.9]), coords_are_cartesian=True
    )
    with pytest.raises(UserError, match=r"atom 47 \(S\) is on no site.*interstitials and adatoms"):
        sparse_defects(structure)


def test_two_atoms_on_a_site_are_refused():
    structure, _ = example(Supercell(MOS2, 4, 4))
    place = structure[20].frac_coords + np.array([0, 0, 0.005])
    structure.append("S", place, validate_proximity=False)
    with pytest.raises(UserError, match=r"0\.0\d Å away, which atom (20|46) \(\w+\) is on"):
        sparse_defects(structure)


def test_a_structure_of_no_host_names_its_cell_and_the_hosts():
    coords = [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.53]]
    silicene = Structure(Lattice.hexagonal(3.87, 15), ["Si", "Si"], coords)
    with pytest.raises(UserError, match=r"Si .*3\.8700.*no supercell of MoS2 .*WSe2") as caught:
        sparse_defects(silicene)
    assert "\n" not in str(caught.value)


def test_another_material_in_the_lattice_of_a_host_is_refused():
    structure = Supercell(MOS2, 2, 2).structure()
    structure.replace_species({"Mo": "Nb", "S": "Te"})
    with pytest.raises(UserError, match=r"12 atoms .* no supercell of MoS2 .*half of its sites"):
        sparse_defects(structure)


def test_bulk_and_partly_occupied_sites_are_refused():
    structure = Supercell(MOS2, 2, 2).structure()
    structure[0] = {"Mo": 0.5, "W": 0.5}
    with pytest.raises(UserError, match="partly occupied"):
        sparse_defects(structure)
    with pytest.raises(UserError, match="is no layer"):
        sparse_defects(Structure(Lattice.cubic(3.5), ["Cu"], [[0, 0, 0]]))


def test_real_supercells_are_read(dft_data):
    import pandas as pd
    from pymatgen.io.cif import CifParser

    from matbench_segvae.benchmark.datasets import fetch

    table = pd.read_csv(fetch("pilot-structures"))
    structure = CifParser.from_str(table["structures"][0]).parse_structures(primitive=False)[0]
    found = sparse_defects(structure)
    assert found.supercell == Supercell(MOS2, 8, 8)
    assert len(found.defects) == 3


@pytest.mark.parametrize("turned", [1, -1])
def test_a_host_that_is_nearly_symmetric_is_not_taken_for_its_turned_self(turned):
    # Turned by 180 degrees, each atom of this crystal is 0.4 Å from a site of its own element.
    lattice = Lattice.from_parameters(3.1, 4.3, 18, 90, 90, 103)
    host = Host.from_structure(
        Structure(lattice, ["Ga", "S"], [[0, 0, 0.5], [0.4, 0.55, 0.55]]), name="GaS"
    )
    cell = Supercell.of_matrix(host, [[3, -1], [-2, 5]])
    metal = cell.elements.index("Ga")
    for chalcogen in (i for i, element in enumerate(cell.elements) if element == "S"):
        defects = defects_on(cell, {metal: None, chalcogen: None})
        structure = rebuilt(defective_structure(cell, defects), noise=0.03)
        coords = structure.frac_coords * [turned, turned, 1]
        found = sparse_defects(Structure(structure.lattice, structure.species, coords), [host])
        assert found.displacement < 0.2
        assert pair_table(found) == pair_table(DefectiveCell(cell, defects))


@pytest.mark.parametrize("strain", [-0.1, float("nan"), float("inf"), 1])
def test_a_largest_strain_that_is_none_is_refused(strain):
    structure = Supercell(MOS2, 3, 3).structure()
    with pytest.raises(UserError, match=r"max_strain .* give a fraction from 0 to 0\.5"):
        sparse_defects(structure, max_strain=strain)
