"""Small changes to good formulas, beside what the network writes.

The network finds the shape of a formula; that one term of it can be left out or should
have been another is seen faster by trying. What stays of a formula keeps its constants, so
that their fit goes on from where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from matbench_segvae.expressions import FITTED, Grammar
from matbench_segvae.expressions.expression import (
    arity,
    canonical_order,
    subtree_end,
    subtree_starts,
)
from matbench_segvae.expressions.operators import OPERATORS
from matbench_segvae.segvae.scoring import Scored
from matbench_segvae.types import Floats, Tokens

# A token and, for a fitted constant with a value, that value in each group, shape (K,).
_Node = tuple[str, Floats | None]


_Nodes = tuple[_Node, ...]


_TRIES = 3  # draws per formula wanted; near the best formulas most were met before


class Mutations:
    """Draws changed formulas.

    Args:
        grammar: The language of the formulas.
        seen: Formulas not to give again; it may grow between draws.
    """

    def __init__(self, grammar: Grammar, seen: Collection[Tokens]) -> None:
        self._grammar = grammar
        self._seen = seen
        self._refused: set[Tokens] = set()  # by the grammar; the same are drawn often
        self._unary = [name for name in grammar.operators if arity(name) == 1]
        self._binary = [name for name in grammar.operators if arity(name) == 2]
        fitted = (FITTED,) if grammar.fitted_constants else ()
        self._leaves = [*grammar.variables, *grammar.constants, *fitted]

    def shorter(self, parents: Sequence[Scored]) -> dict[Tokens, Floats]:
        """Formulas with an operator replaced by one of its arguments or a constant.

        Args:
            parents: The formulas to change.

        Returns:
            New formulas, with constants to start from, shape ``(K, C)``, NaN for none.
        """
        found: dict[Tokens, Floats] = {}
        for parent in parents:
            for nodes in _shortened(_nodes(parent)):
                self._admit(nodes, len(parent.constants), found)
        return found

    def drawn(
        self, pools: Sequence[Sequence[Scored]], n_formulas: int, rng: np.random.Generator
    ) -> dict[Tokens, Floats]:
        """Formulas with one subtree replaced, wrapped or its operator exchanged.

        Args:
            pools: The formulas to change, in groups that are drawn from equally often.
            n_formulas: How many to draw.
            rng: Source of randomness.

        Returns:
            As :meth:`shorter` does; fewer than asked for where little is new.
        """
        drawing = _Drawing(self._grammar, self._unary, self._binary, self._leaves, rng)
        parents = [[_nodes(scored) for scored in pool] for pool in pools if pool]
        n_groups = len(pools[0][0].constants)
        found: dict[Tokens, Floats] = {}
        for _ in range(_TRIES * n_formulas):
            if len(found) >= n_formulas:
                break
            self._admit(drawing.changed(parents), n_groups, found)
        return found

    def _admit(self, nodes: _Nodes, n_groups: int, found: dict[Tokens, Floats]) -> None:
        """Add a formula if the grammar allows it and it is new."""
        grammar = self._grammar
        if len(nodes) > grammar.max_length:
            return
        tokens = tuple(token for token, _ in nodes)
        n_allowed = grammar.max_fitted if grammar.fitted_constants else 0
        if tokens.count(FITTED) > n_allowed:
            return
        order = canonical_order(tokens)
        tokens = tuple(tokens[i] for i in order)
        if tokens in self._seen or tokens in found or tokens in self._refused:
            return
        if not grammar.keeps(tokens):
            self._refused.add(tokens)
            return
        unknown = np.full(n_groups, np.nan)
        columns = []
        for token, column in (nodes[i] for i in order):
            if token == FITTED:
                columns.append(unknown if column is None else column)
        found[tokens] = np.stack(columns, axis=1) if columns else np.empty((n_groups, 0))


class _Drawing:
    """Mutations at random."""

    def __init__(
        self,
        grammar: Grammar,
        unary: Sequence[str],
        binary: Sequence[str],
        leaves: Sequence[str],
        rng: np.random.Generator,
    ) -> None:
        self._grammar = grammar
        self._unary, self._binary, self._leaves = unary, binary, leaves
        self._rng = rng

    def changed(self, pools: Sequence[Sequence[_Nodes]]) -> _Nodes:
        """One of the formulas with one change."""
        nodes = self._pick(pools)
        first = self._below(len(nodes))
        last = _end(nodes, first)
        part = nodes[first:last]
        match self._below(4):
            case 0:
                part = self._small()
            case 1:
                other = self._pick(pools)
                start = self._below(len(other))
                part = other[start : _end(other, start)]
            case 2:
                part = self._wrapped(part)
            case _ if part[0][0] in OPERATORS:
                n_arguments = arity(part[0][0])
                alike = self._unary if n_arguments == 1 else self._binary
                part = (self._one(alike), *part[1:])
            case _:
                part = (self._one(self._leaves),)
        return (*nodes[:first], *part, *nodes[last:])

    def _small(self) -> _Nodes:
        """A formula of one to four tokens."""
        inner: _Nodes = (self._one(self._leaves),)
        if self._binary and self._rng.random() < 0.5:
            inner = (self._one(self._binary), *inner, self._one(self._leaves))
        if self._unary and self._rng.random() < 0.5:
            return (self._one(self._unary), *inner)
        return inner

    def _wrapped(self, part: _Nodes) -> _Nodes:
        """An operator around a subtree, with a small formula as its other argument."""
        if self._unary and (not self._binary or self._rng.random() < 0.4):
            return (self._one(self._unary), *part)
        sides = [part, self._small()]
        if self._rng.random() < 0.5:
            sides.reverse()
        return (self._one(self._binary), *sides[0], *sides[1])

    def _below(self, n: int) -> int:
        return int(self._rng.random() * n)

    def _one(self, names: Sequence[str]) -> _Node:
        return names[self._below(len(names))], None

    def _pick(self, pools: Sequence[Sequence[_Nodes]]) -> _Nodes:
        pool = pools[self._below(len(pools))]
        return pool[self._below(len(pool))]


def _nodes(scored: Scored) -> _Nodes:
    """A formula's tokens, with the values of its constants beside them."""
    columns = iter(scored.constants.T)
    return tuple((t, next(columns) if t == FITTED else None) for t in scored.tokens)


def _end(nodes: _Nodes, first: int) -> int:
    """Position after the subtree that begins at a token."""
    return subtree_end([token for token, _ in nodes], first)


def _shortened(nodes: _Nodes) -> list[_Nodes]:
    """The formula with any operator replaced by one of its arguments or a constant."""
    formulas: list[_Nodes] = []
    starts = subtree_starts([token for token, _ in nodes])
    for position, (token, _) in enumerate(nodes):
        if token in OPERATORS:
            head, tail = nodes[:position], nodes[_end(nodes, position) :]
            formulas += [(*head, *nodes[i : _end(nodes, i)], *tail) for i in starts[position]]
            formulas.append((*head, (FITTED, None), *tail))
    return formulas
