import time

import numpy as np
import pytest

from matbench_segvae.defects import (
    HOSTS,
    Defect,
    PairKind,
    Planes,
    Supercell,
    count_pairs,
    defect_orbits,
    defective_structure,
    sparse_defects,
    vacancies,
)
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]


def cell(sites, n=4, placed=None):
    """A cell with vacancies, or with an element on every second of the sites."""
    defects = [
        Defect(d.site, d.removed, placed if i % 2 else None, d.coords)
        for i, d in enumerate(vacancies(Supercell(MOS2, n, n), sites))
    ]
    return sparse_defects(defective_structure(Supercell(MOS2, n, n), defects))


@pytest.fixture(scope="module")
def triples():
    orbits = defect_orbits(Supercell(MOS2, 4, 4), {"V_Mo": 1, "V_S": 2})
    return [cell(sites) for sites in orbits.representatives]


def test_kinds_and_counts(triples):
    table = count_pairs(triples)
    assert table.defect_kinds == ("V_Mo", "V_S")
    assert table.pair_kinds == (
        PairKind("V_Mo", "V_S"),
        PairKind("V_S", "V_S", Planes.SAME),
        PairKind("V_S", "V_S", Planes.ACROSS),
    )
    assert (table.composition == [1, 2]).all()
    assert (table.n_sites == 3).all()
    assert table.counts.shape == (57, len(table.kind))
    assert (table.counts.sum(axis=1) == 3).all()
    per_kind = np.stack([table.counts[:, table.kind == k].sum(axis=1) for k in range(3)])
    assert (per_kind[0] == 2).all()
    assert (per_kind[1] + per_kind[2] == 1).all()


def test_classes_are_sorted_and_distinct(triples):
    table = count_pairs(triples)
    order = list(zip(table.kind, table.distance, strict=True))
    assert order == sorted(order)
    assert all(np.diff(table.distance[table.kind == k]).min() > 1e-3 for k in range(3))
    assert (table.counts.sum(axis=0) > 0).all()


def test_distances_are_those_of_pymatgen(triples):
    table = count_pairs(triples)
    for row, triple in enumerate(triples[::10]):
        pristine = Supercell(MOS2, 4, 4).structure()
        sites = [defect.site for defect in triple.defects]
        expected = sorted(
            pristine.get_distance(a, b) for i, a in enumerate(sites) for b in sites[:i]
        )
        found = np.repeat(table.distance, table.counts[10 * row])
        assert np.allclose(sorted(found), expected)


def test_kinds_agree_with_the_heights_of_their_sites(triples):
    table = count_pairs(triples)
    height = 0.210348 * MOS2.c
    closest = [table.distance[table.kind == k].min() for k in range(3)]
    between = np.hypot(MOS2.a / np.sqrt(3), height / 2)
    assert np.allclose(closest, [between, MOS2.a, height])


def test_substitutions_and_metals_have_kinds_of_their_own():
    table = count_pairs([cell([0, 1, 16, 20], placed="W")])
    # Every second site is replaced: W on Mo 1 and on S 20.
    assert table.defect_kinds == ("V_Mo", "W_Mo", "V_S", "W_S")
    assert PairKind("V_Mo", "W_Mo") in table.pair_kinds
    assert PairKind("V_S", "W_S", Planes.SAME) in table.pair_kinds
    assert table.counts.sum() == 6


def test_like_keeps_the_vocabulary_and_the_cells_keep_their_distances(triples):
    training = count_pairs(triples)
    table = count_pairs([cell([0]), cell([16, 32])], like=training)
    assert table.defect_kinds == training.defect_kinds
    assert table.pair_kinds == training.pair_kinds
    assert table.composition.tolist() == [[1, 0], [0, 2]]
    assert table.kind.tolist() == [2]
    assert table.counts.tolist() == [[0], [1]]


def test_like_refuses_what_training_has_not_seen(triples):
    training = count_pairs(triples)
    with pytest.raises(UserError, match=r"defect kinds Se_S do not occur.*V_Mo, V_S"):
        count_pairs([cell([0, 17], placed="Se")], like=training)
    with pytest.raises(UserError, match="pair kinds V_Mo-V_Mo do not occur"):
        count_pairs([cell([0, 1])], like=training)


def test_structures_without_pairs():
    table = count_pairs([cell([0]), cell([])])
    assert table.counts.shape == (2, 0)
    assert table.composition.tolist() == [[1], [0]]
    assert count_pairs([]).counts.shape == (0, 0)


def test_the_published_triples_have_34_classes_and_are_read_fast(v3_table):
    start = time.perf_counter()
    table = count_pairs([sparse_defects(structure) for structure in v3_table["structure"]])
    assert time.perf_counter() - start < 15  # 1.2 s on an idle core
    assert np.bincount(table.kind).tolist() == [15, 9, 10]  # two of the first kind at one distance
    assert (table.counts.sum(axis=1) == 3).all()
