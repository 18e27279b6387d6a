"""Cross-validation holds out what laws can be compared on, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from matbench_segvae.algorithms.pair_laws.held_out import Validation, replaceable
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.defects import PairCounts, PairKind

KINDS = (PairKind("V_Mo", "V_S"), PairKind("V_S", "V_S", "across"))


def pairs(counts):
    """Two classes of the first kind of pair and two of the second."""
    counts = np.array(counts)
    none = PairCounts.none(("V_Mo", "V_S"), KINDS)
    return replace(
        none,
        composition=np.ones((len(counts), 2), dtype=int),
        kind=np.array([0, 0, 1, 1]),
        distance=np.array([2.4, 5.1, 3.2, 4.5]),
        direction=np.zeros(4),
        counts=counts,
        descriptors=np.zeros((len(counts), none.descriptors.shape[1])),
    )


SIX = pairs([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]])
"""A single defect, the only structure with the closest pair of the first kind, and four others;
two of those have the closest pair of the second kind."""


def test_single_defects_and_the_only_closest_pairs_are_in_every_fit():
    assert replaceable(SIX).tolist() == [False, False, True, True, True, True]
    for training, held_out in Validation(SIX, PairLawSettings(), 0).splits(0):
        assert {0, 1} <= set(training)
        assert sorted([*training, *held_out]) == list(range(6))


def test_every_other_structure_is_held_out_once():
    folds = Validation(SIX, PairLawSettings(validation_folds=10), 0).splits(1)
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == [2, 3, 4, 5]


def test_a_handful_of_structures_are_left_out_one_by_one():
    few = pairs([[0, 0, 0, 0], *[[0, 1, 1, 0], [1, 0, 0, 1]] * 10])
    folds = Validation(few, PairLawSettings(validation_folds=5), 0).splits(0)
    assert sorted(held_out.tolist() for _, held_out in folds) == [[i] for i in range(1, 21)]
    in_fifths = Validation(few, PairLawSettings(max_rows_one_by_one=19), 0).splits(0)
    assert [len(held_out) for _, held_out in in_fifths] == [4] * 5


def test_leaving_out_one_by_one_is_not_repeated():
    few = pairs([[0, 0, 0, 0], *[[0, 1, 1, 0], [1, 0, 0, 1]] * 10])
    left_out = []

    def error(training, held_out):
        left_out.append(held_out.item())
        return held_out.astype(float)

    errors = Validation(few, PairLawSettings(), 0).mean_errors(error, range(5))
    assert sorted(left_out) == errors.tolist() == list(range(1, 21))


def test_a_kind_that_is_absent_does_not_matter():
    assert replaceable(pairs([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])).all()


def test_where_nothing_could_be_held_out_everything_is():
    assert replaceable(pairs([[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]])).all()


@pytest.mark.parametrize("n", [0, 1])
def test_one_structure_is_not_split(n):
    assert Validation(pairs(np.ones((n, 4), dtype=int)), PairLawSettings(), 0).splits(0) == []


def test_one_structure_has_no_validation_error():
    one = pairs([[1, 0, 0, 0]])
    with pytest.raises(ValueError, match="cannot be cross-validated"):
        Validation(one, PairLawSettings(), 0).errors(None, None)


def test_of_many_structures_those_that_are_never_held_out_are_always_there():
    many = pairs([[0, 0, 0, 0], [1, 0, 0, 0], *[[0, 1, 1, 0], [0, 1, 0, 1]] * 50])
    few = PairLawSettings(max_rows_compared=10)
    for seed in range(5):
        validation = Validation(many, few, seed)
        assert {0, 1} <= set(validation.rows)
        assert len(validation.rows) == 12
        assert validation.tested.tolist()[:2] == [False, False]


def test_of_the_drawn_structures_the_only_one_with_a_closest_pair_is_in_every_fit():
    # Three of them have the closest pair of the first kind; often only one of those is drawn.
    many = pairs([*[[1, 0, 1, 0]] * 3, *[[0, 1, 1, 0], [0, 1, 0, 1]] * 50])
    few = PairLawSettings(max_rows_compared=10)
    alone = 0
    for seed in range(40):
        validation = Validation(many, few, seed)
        assert len(validation.rows) == 10
        closest = validation.rows < 3
        if closest.sum() == 1:
            alone += 1
            assert not validation.tested[closest].any()
    assert alone > 0
