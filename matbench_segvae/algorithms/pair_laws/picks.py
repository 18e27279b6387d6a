"""One formula for each kind of pair: the choices with the least sums of squares within limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.types import Floats, Ints

_GRID = 10**6  # choices; more are not listed one by one

Pick = tuple[int, ...]
"""The number of a formula for each kind of pair."""


@dataclass(frozen=True, eq=False)
class Costs:
    """What formulas cost, for each kind of pair, and how much a law may.

    Attributes:
        squares: Sum of squares that each formula leaves.
        nodes: Nodes of each formula.
        parameters: Fitted constants of each formula.
        max_nodes: Most nodes of all formulas together.
        max_parameters: Most fitted constants of all formulas together.
    """

    squares: Sequence[Floats]
    nodes: Sequence[Ints]
    parameters: Sequence[Ints]
    max_nodes: float
    max_parameters: float


def cheapest_picks(costs: Costs, n: int) -> list[Pick]:
    """The choices with the least sums of squares among those within the limits.

    Up to a million choices are listed; of more, kinds of pairs are added one after the other,
    and of the choices so far the best ``n`` of every number of nodes are kept, which loses none
    of the best ones as long as only the nodes are limited.

    Args:
        costs: Of each formula.
        n: At most so many.

    Returns:
        Choices by ascending sum of squares; fewer than ``n`` if no more are within the limits.
    """
    if math.prod(len(choice) for choice in costs.squares) <= _GRID:
        return _listed(costs, n)
    return _built_up(costs, n)


def _listed(costs: Costs, n: int) -> list[Pick]:
    squares, nodes = _sums(costs.squares), _sums(costs.nodes)
    parameters = _sums(costs.parameters)
    allowed = (nodes <= costs.max_nodes) & (parameters <= costs.max_parameters)
    order = np.argsort(np.where(allowed, squares, np.inf), axis=None, kind="stable")
    chosen = order[: min(n, int(allowed.sum()))]
    return [tuple(map(int, np.unravel_index(place, squares.shape))) for place in chosen]


def _sums(each: Sequence[Floats] | Sequence[Ints]) -> Floats:
    """Sums over one entry of each list, for every choice of entries."""
    grids = np.meshgrid(*[np.asarray(values, dtype=np.float64) for values in each], indexing="ij")
    return np.asarray(np.sum(grids, axis=0))


def _built_up(costs: Costs, n: int) -> list[Pick]:
    sums, nodes, parameters = np.zeros(1), np.zeros(1, dtype=int), np.zeros(1, dtype=int)
    picks = np.zeros((1, 0), dtype=np.int64)
    for kind, squares in enumerate(costs.squares):
        sums = (sums[:, None] + squares).ravel()
        nodes = (nodes[:, None] + costs.nodes[kind]).ravel()
        parameters = (parameters[:, None] + costs.parameters[kind]).ravel()
        rows = np.repeat(np.arange(len(picks)), len(squares))
        added = np.tile(np.arange(len(squares)), len(picks))
        later = slice(kind + 1, None)
        allowed = nodes + sum(c.min() for c in costs.nodes[later]) <= costs.max_nodes
        least = sum(c.min() for c in costs.parameters[later])
        allowed &= parameters + least <= costs.max_parameters
        kept = _best_of_every_size(sums, nodes, np.flatnonzero(allowed), n)
        picks = np.column_stack([picks[rows[kept]], added[kept]])
        sums, nodes, parameters = sums[kept], nodes[kept], parameters[kept]
    return [tuple(map(int, pick)) for pick in picks[np.argsort(sums, kind="stable")[:n]]]


def _best_of_every_size(sums: Floats, nodes: Ints, rows: Ints, n: int) -> Ints:
    """Of some rows the ``n`` with the least sums for every number of nodes."""
    ordered = rows[np.lexsort((sums[rows], nodes[rows]))]
    sizes = nodes[ordered]
    starts = np.searchsorted(sizes, sizes)
    return np.asarray(ordered[np.arange(len(ordered)) - starts < n])
