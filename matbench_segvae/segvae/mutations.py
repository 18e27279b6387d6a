"""Mutations of good formulas, beside the samples of the network.

The network finds the shape of a formula; that one term of it is superfluous or should be
replaced is found faster by trying. What remains of a formula keeps its constants, so that
their fit continues from where it was. A mutation that takes a subtree from another formula
is a crossover.
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

_TRIES = 3  # draws per formula wanted; near the best formulas most are known


class Mutations:
    """Makes new formulas out of good ones.

    Args:
        grammar: The language of the formulas.
        known: Formulas not to make again; it may grow between calls.
        term_share: Share of the random mutations that add, drop or exchange a whole term.
    """

    def __init__(
        self, grammar: Grammar, known: Collection[Tokens], term_share: float = 0.0
    ) -> None:
        self._grammar = grammar
        self._term_share = term_share
        self._known = known
        self._refused: set[Tokens] = set()  # by the grammar; the same are drawn often

    def simplify(self, parents: Sequence[Scored]) -> dict[Tokens, Floats]:
        """All formulas with an operator replaced by one of its arguments or a constant.

        Args:
            parents: The formulas to mutate.

        Returns:
            New formulas, with constants to start from, shape ``(K, C)``, NaN for none.
        """
        found: dict[Tokens, Floats] = {}
        for parent in parents:
            for nodes in _simplified(_nodes(parent)):
                self._admit(nodes, len(parent.constants), found)
        return found

    def draw(
        self, pools: Sequence[Sequence[Scored]], n_formulas: int, rng: np.random.Generator
    ) -> dict[Tokens, Floats]:
        """Random formulas with one subtree replaced, wrapped or its operator exchanged.

        Args:
            pools: The formulas to mutate, in groups that are drawn from equally often.
            n_formulas: How many to draw.
            rng: Source of randomness.

        Returns:
            As :meth:`simplify` does; fewer than ``n_formulas`` where little is new.
        """
        random = _RandomMutations(self._grammar, rng, self._term_share)
        parents = [[_nodes(scored) for scored in pool] for pool in pools if pool]
        n_groups = len(pools[0][0].constants)
        found: dict[Tokens, Floats] = {}
        for _ in range(_TRIES * n_formulas):
            if len(found) >= n_formulas:
                break
            self._admit(random.mutation(parents), n_groups, found)
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
        if tokens in self._known or tokens in found or tokens in self._refused:
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


class _RandomMutations:
    """Draws mutations, whether the grammar allows them or not."""

    def __init__(self, grammar: Grammar, rng: np.random.Generator, term_share: float) -> None:
        self._rng = rng
        self._term_share = term_share
        self._unary = [name for name in grammar.operators if arity(name) == 1]
        self._binary = [name for name in grammar.operators if arity(name) == 2]
        fitted = (FITTED,) if grammar.fitted_constants else ()
        self._leaves = [*grammar.variables, *grammar.constants, *fitted]

    def mutation(self, pools: Sequence[Sequence[_Nodes]]) -> _Nodes:
        """One of the formulas with one mutation."""
        if self._term_share and self._rng.random() < self._term_share:
            return self._with_other_terms(pools)
        nodes = self._pick(pools)
        start = self._below(len(nodes))
        end = _end(nodes, start)
        subtree = nodes[start:end]
        match self._below(4):
            case 0:  # a new subtree
                subtree = self._small()
            case 1:  # crossover: a subtree of another formula
                other = self._pick(pools)
                start_of_other = self._below(len(other))
                subtree = other[start_of_other : _end(other, start_of_other)]
            case 2:  # an operator around the subtree
                subtree = self._wrapped(subtree)
            case _ if subtree[0][0] in OPERATORS:  # another operator with as many arguments
                n_arguments = arity(subtree[0][0])
                alike = self._unary if n_arguments == 1 else self._binary
                subtree = (self._one(alike), *subtree[1:])
            case _:  # another variable or constant
                subtree = (self._one(self._leaves),)
        return (*nodes[:start], *subtree, *nodes[end:])

    def _with_other_terms(self, pools: Sequence[Sequence[_Nodes]]) -> _Nodes:
        """A sum with a term of another formula in it, instead of one of its own or beside them."""
        terms, others = _terms(self._pick(pools)), _terms(self._pick(pools))
        new = others[self._below(len(others))]
        match self._below(3):
            case 0 if len(terms) > 1:  # one term less
                terms.pop(self._below(len(terms)))
            case 1:  # another one in its place
                terms[self._below(len(terms))] = new
            case _:  # one term more
                terms.append(new)
        total = terms[0]
        for term in terms[1:]:
            total = (("add", None), *total, *term)
        return total

    def _small(self) -> _Nodes:
        """A formula of one to four tokens."""
        inner: _Nodes = (self._one(self._leaves),)
        if self._binary and self._rng.random() < 0.5:
            inner = (self._one(self._binary), *inner, self._one(self._leaves))
        if self._unary and self._rng.random() < 0.5:
            return (self._one(self._unary), *inner)
        return inner

    def _wrapped(self, subtree: _Nodes) -> _Nodes:
        """An operator around a subtree, with a small formula as its other argument."""
        if self._unary and (not self._binary or self._rng.random() < 0.4):
            return (self._one(self._unary), *subtree)
        arguments = [subtree, self._small()]
        if self._rng.random() < 0.5:
            arguments.reverse()
        return (self._one(self._binary), *arguments[0], *arguments[1])

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


def _terms(nodes: _Nodes) -> list[_Nodes]:
    """The terms of a sum; a formula that is none is one term."""
    if nodes[0][0] != "add":
        return [nodes]
    middle = _end(nodes, 1)
    return [*_terms(nodes[1:middle]), *_terms(nodes[middle:])]


def _end(nodes: _Nodes, start: int) -> int:
    """Position after the subtree that begins at a token."""
    return subtree_end([token for token, _ in nodes], start)


def _simplified(nodes: _Nodes) -> list[_Nodes]:
    """The formula with any operator replaced by one of its arguments or a constant."""
    formulas: list[_Nodes] = []
    starts = subtree_starts([token for token, _ in nodes])
    for position, (token, _) in enumerate(nodes):
        if token in OPERATORS:
            head, tail = nodes[:position], nodes[_end(nodes, position) :]
            formulas += [(*head, *nodes[i : _end(nodes, i)], *tail) for i in starts[position]]
            formulas.append((*head, (FITTED, None), *tail))
    return formulas
