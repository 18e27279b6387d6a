import numpy as np
import pytest

from matbench_segvae.algorithms.pair_laws import picks
from matbench_segvae.algorithms.pair_laws.picks import Costs, cheapest_picks


def costs(kinds, formulas=12, max_nodes=20.0, seed=0):
    rng = np.random.default_rng(seed)
    return Costs(
        squares=[rng.random(formulas) for _ in range(kinds)],
        nodes=[rng.integers(2, 12, formulas) for _ in range(kinds)],
        parameters=[rng.integers(0, 4, formulas) for _ in range(kinds)],
        max_nodes=max_nodes,
        max_parameters=np.inf,
    )


@pytest.mark.parametrize("kinds", [1, 2, 4])
def test_building_up_finds_the_same_as_listing(monkeypatch, kinds):
    given = costs(kinds)
    listed = cheapest_picks(given, 50)
    monkeypatch.setattr(picks, "_GRID", 0)
    assert cheapest_picks(given, 50) == listed


def test_twelve_kinds_of_pairs_are_no_problem():
    """The numbers of all choices would not fit into memory: 12 to the power of 12."""
    given = costs(12, max_nodes=60)
    found = cheapest_picks(given, 300)
    assert len(set(found)) == 300
    sums = [sum(s[i] for s, i in zip(given.squares, pick, strict=True)) for pick in found]
    assert sums == sorted(sums)
    sizes = [sum(n[i] for n, i in zip(given.nodes, pick, strict=True)) for pick in found]
    assert max(sizes) <= 60
    # No single exchange of a formula within the limit improves the best choice.
    for kind in range(12):
        for other in range(12):
            pick = (*found[0][:kind], other, *found[0][kind + 1 :])
            size = sum(n[i] for n, i in zip(given.nodes, pick, strict=True))
            better = sum(s[i] for s, i in zip(given.squares, pick, strict=True)) < sums[0] - 1e-12
            assert not (size <= 60 and better)


@pytest.mark.parametrize("kinds", [2, 12])
def test_nothing_within_the_limits(kinds):
    assert cheapest_picks(costs(kinds, max_nodes=1), 10) == []
