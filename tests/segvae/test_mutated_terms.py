"""Mutations that add, drop or exchange a whole term of a sum."""

import numpy as np
import pytest

from matbench_segvae.expressions import Grammar
from matbench_segvae.segvae.mutations import Mutations
from matbench_segvae.segvae.scoring import Scored

GRAMMAR = Grammar(("x",), ("add", "mul", "exp", "square"), (), predicates=())
EXP = ("exp", "mul", "c", "x")
PARENTS = [
    Scored(("add", "x", *EXP), 1.0, np.array([[-2.0]])),
    Scored(("add", "square", "x", "exp", "x"), 1.0, np.empty((1, 0))),
]


def drawn(share):
    mutations = Mutations(GRAMMAR, set(), share)
    return mutations.draw([PARENTS], 40, np.random.default_rng(0))


def test_terms_are_added_dropped_and_exchanged():
    found = drawn(1.0)
    n_terms = {1 + tokens.count("add") for tokens in found}
    assert n_terms == {1, 2, 3}
    assert ("add", "x", "exp", "x") in found or ("add", *EXP, "exp", "x") in found
    assert all(tokens.count("exp") + tokens.count("square") <= 3 for tokens in found)


def test_a_term_keeps_the_constants_it_had():
    found = drawn(1.0)
    alone = found.get(EXP)
    assert alone is not None
    assert alone.tolist() == [[-2.0]]


def test_without_a_share_mutations_are_those_of_before():
    before = Mutations(GRAMMAR, set()).draw([PARENTS], 40, np.random.default_rng(0))
    assert list(before) == list(drawn(0.0))


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_of_its_range_is_refused(share):
    from matbench_segvae.errors import UserError
    from matbench_segvae.segvae import SearchSettings

    with pytest.raises(UserError, match="term_share"):
        SearchSettings(term_share=share)
