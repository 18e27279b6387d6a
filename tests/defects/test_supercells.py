import itertools

import numpy as np
import pytest

from matbench_segvae.defects import HOSTS, Supercell
from matbench_segvae.defects.supercells import site_distances
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]
CELLS = [(4, 4, 0), (3, 2, 0), (1, 3, 1), (2, 6, 3), (1, 7, 2)]


def every_host():
    return pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)


@pytest.mark.parametrize(("n", "n_ops"), [((8, 8), 768), ((4, 4), 192), ((2, 2), 48), ((3, 2), 12)])
def test_number_of_symmetry_operations_of_mos2(n, n_ops):
    assert Supercell(MOS2, *n).permutations.shape == (n_ops, 3 * n[0] * n[1])


@every_host()
@pytest.mark.parametrize("n", CELLS, ids=str)
def test_permutations_are_symmetries(host, n):
    cell = Supercell(host, *n)
    permutations = cell.permutations
    kinds = np.array(cell.site_kinds)
    distances, heights = site_distances(cell)
    assert (np.sort(permutations, axis=1) == np.arange(cell.n_sites)).all()
    assert (kinds[permutations] == kinds).all()
    for image in permutations:
        assert np.allclose(distances[np.ix_(image, image)], distances, atol=1e-5)
        assert np.allclose(heights[np.ix_(image, image)], heights, atol=1e-5)
    # Closed under composition: it is a group.
    known = set(map(tuple, permutations.tolist()))
    assert all(tuple(permutations[-1][image]) in known for image in permutations)


@every_host()
@pytest.mark.parametrize("n", [*CELLS, (1, 8, 0)], ids=str)
def test_distances_are_those_of_pymatgen(host, n):
    cell = Supercell(host, *n)
    distances, _ = site_distances(cell)
    assert np.allclose(distances, cell.structure().distance_matrix, atol=1e-6)


def test_every_matrix_has_one_normal_form():
    """Rows may be combined without changing the supercell, which has det cells."""
    rng = np.random.default_rng(0)
    for matrix in rng.integers(-6, 7, size=(200, 2, 2)):
        determinant = abs(round(np.linalg.det(matrix)))
        if not determinant:
            continue
        cell = Supercell.of_matrix(MOS2, matrix)
        assert cell.nx * cell.ny == determinant
        combined = np.array([[1, int(rng.integers(-3, 4))], [0, 1]]) @ matrix[::-1]
        assert Supercell.of_matrix(MOS2, combined) == cell
        # Its own vectors are lattice vectors of the matrix, and the other way round.
        for one, other in itertools.permutations((matrix, cell.matrix)):
            ratio = one @ np.linalg.inv(other)
            assert np.allclose(ratio, np.round(ratio))


def test_the_structure_follows_the_site_numbers():
    cell = Supercell(MOS2, 2, 6, 3)
    structure = cell.structure()
    assert [site.specie.symbol for site in structure] == cell.elements
    assert len(structure) == cell.n_sites == 36
    atoms = np.repeat(np.arange(3), 12)
    cells = np.array([(i, j) for _ in range(3) for i in range(2) for j in range(6)])
    assert (cell.sites(atoms, cells) == np.arange(36)).all()
    # A lattice vector further on is the same site.
    assert (cell.sites(atoms, cells + cell.matrix[0]) == np.arange(36)).all()


@pytest.mark.parametrize("n", [(0, 4, 0), (4, -1, 0), (4, 4, 4), (4, 4, -1)])
def test_no_supercell_of_nothing(n):
    with pytest.raises(UserError, match="does not exist: give repeats of 1 or more"):
        Supercell(MOS2, *n)
