import numpy as np
import pytest

from matbench_segvae.defects import HOSTS, canonical_sites, vacancy_orbits
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_bond_lengths_and_stoichiometry(host):
    cell = host.supercell(3, 2)
    assert len(cell) == 18
    assert cell.composition.reduced_formula == host.name
    bonds = [site.nn_distance for site in cell.get_neighbors(cell[0], 2.8)]
    assert len(bonds) == 6
    assert np.ptp(bonds) < 1e-6


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
@pytest.mark.parametrize(("nx", "ny", "n_ops"), [(8, 8, 768), (4, 4, 192), (2, 2, 48), (3, 2, 12)])
def test_number_of_symmetry_operations(host, nx, ny, n_ops):
    assert host.site_permutations(nx, ny).shape == (n_ops, 3 * nx * ny)


@pytest.mark.parametrize(("nx", "ny"), [(4, 4), (3, 2)])
def test_permutations_are_symmetries(nx, ny):
    permutations = MOS2.site_permutations(nx, ny)
    assert len(np.unique(permutations, axis=0)) == len(permutations)
    elements = np.array(MOS2.site_elements(nx, ny))
    distances = MOS2.supercell(nx, ny).distance_matrix
    for image in permutations:
        assert sorted(image) == list(range(len(elements)))
        assert (elements[image] == elements).all()
        assert np.allclose(distances[np.ix_(image, image)], distances)
    # Closed under composition: it is a group.
    known = {tuple(image) for image in permutations}
    assert all(tuple(permutations[1][image]) in known for image in permutations)


def test_pristine_supercell_follows_the_site_numbers():
    cell = MOS2.supercell(4, 4)
    assert [site.specie.symbol for site in cell] == MOS2.site_elements(4, 4)
    assert np.allclose(cell.frac_coords, MOS2.site_coords(4, 4))
    assert np.allclose(cell.lattice.abc, (4 * MOS2.a, 4 * MOS2.a, MOS2.c))


@pytest.mark.parametrize(
    ("n", "counts", "expected"),
    [(8, (1, 2), 743), (8, (1, 1), 15), (8, (0, 2), 19), (8, (1, 0), 1), (8, (0, 1), 1),
     (4, (1, 2), 57), (4, (1, 1), 5), (4, (0, 2), 7)],
)  # fmt: skip
def test_number_of_inequivalent_vacancies(n, counts, expected):
    assert len(vacancy_orbits(MOS2, n, n, counts).representatives) == expected


def test_orbits_agree_with_counting_by_burnside():
    """The number of orbits is the mean number of configurations an operation keeps."""
    permutations = MOS2.site_permutations(3, 3)
    pairs = [(a, b) for a in range(9, 27) for b in range(a + 1, 27)]
    kept = sum(sorted((image[a], image[b])) == [a, b] for image in permutations for a, b in pairs)
    orbits = vacancy_orbits(MOS2, 3, 3, (0, 2))
    assert kept / len(permutations) == len(orbits.representatives)


def test_canonical_sites_tell_orbits_apart():
    orbits = vacancy_orbits(MOS2, 4, 4, (1, 2))
    canonical = [canonical_sites(MOS2, 4, 4, sites) for sites in orbits.representatives]
    assert len(set(canonical)) == 57
    rng = np.random.default_rng(0)
    permutations = MOS2.site_permutations(4, 4)
    for index in rng.integers(57, size=10):
        image = permutations[rng.integers(192)][list(orbits.representatives[index])]
        assert canonical_sites(MOS2, 4, 4, image) == canonical[index]


@pytest.mark.parametrize("counts", [(0, 0), (17, 0), (-1, 1)])
def test_impossible_numbers_of_vacancies(counts):
    with pytest.raises(UserError, match="cannot remove"):
        vacancy_orbits(MOS2, 4, 4, counts)


def test_no_supercell_of_nothing():
    with pytest.raises(UserError, match="1 or more"):
        MOS2.supercell(0, 4)
