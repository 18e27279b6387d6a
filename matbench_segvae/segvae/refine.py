"""Small changes to the formulas of a front, to end a search with.

The network finds the shape of a formula; that one term of it can be left out or should
have been another is seen faster by trying.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from matbench_segvae.expressions import FITTED, Expression, Grammar, canonical, pareto_front
from matbench_segvae.expressions.expression import arity, subtree_starts
from matbench_segvae.expressions.operators import OPERATORS
from matbench_segvae.segvae.objective import Objective, Scored

Tokens = tuple[str, ...]

_TRIES = 20  # draws per formula wanted, where most were met before


def refine(
    front: Sequence[Scored],
    grammar: Grammar,
    objective: Objective,
    n_rounds: int,
    n_formulas: int,
    seed: int,
    deadline: float | None = None,
    target_loss: float = 0.0,
) -> list[Scored]:
    """Try small changes to the formulas of a front, until nothing improves.

    Args:
        front: The formulas to start from.
        grammar: The language of the formulas.
        objective: Fits and scores them.
        n_rounds: Most rounds of changing and scoring.
        n_formulas: Most formulas in a round.
        seed: Seed of the changes.
        deadline: Moment of :func:`time.monotonic` to stop at, none for no limit.
        target_loss: Loss at which nothing is left to gain; the shorter formulas are still
            tried.

    Returns:
        The Pareto front of all of them, simplest first.
    """
    changes = _Changes(grammar, seed)
    front = list(front)
    seen = {scored.tokens for scored in front}
    for _ in range(n_rounds):
        late = deadline is not None and time.monotonic() >= deadline
        if late or not front:
            break
        pool = [scored.tokens for scored in front]
        done = min(scored.loss for scored in front) <= target_loss
        new = changes.of(pool, 0 if done else n_formulas, seen)
        if not new:
            break
        seen.update(new)
        better = pareto_front([*front, *objective.score(new)], _complexity, _loss)
        if [scored.tokens for scored in better] == pool:
            break
        front = better
    return front


def _complexity(scored: Scored) -> int:
    return Expression(scored.tokens).complexity


def _loss(scored: Scored) -> float:
    return scored.loss


class _Changes:
    """Draws changed formulas."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._grammar = grammar
        self._rng = np.random.default_rng(seed)
        self._unary = [name for name in grammar.operators if arity(name) == 1]
        self._binary = [name for name in grammar.operators if arity(name) == 2]
        fitted = (FITTED,) if grammar.fitted_constants else ()
        self._leaves = [*grammar.variables, *grammar.constants, *fitted]

    def of(self, pool: Sequence[Tokens], n_drawn: int, seen: set[Tokens]) -> list[Tokens]:
        """Formulas not seen before: everything shorter, and others at random.

        Args:
            pool: The formulas to change.
            n_drawn: How many to draw.
            seen: Formulas to leave out.
        """
        new: dict[Tokens, None] = {}
        for tokens in pool:
            self._admit(_shortened(tokens), seen, new)
        wanted = len(new) + n_drawn
        for _ in range(_TRIES * n_drawn):
            if len(new) >= wanted:
                break
            self._admit([self._changed(pool)], seen, new)
        return list(new)

    def _admit(
        self, formulas: Sequence[Tokens], seen: set[Tokens], new: dict[Tokens, None]
    ) -> None:
        """Add the formulas that the grammar allows and that are new."""
        grammar = self._grammar
        for formula in formulas:
            tokens = canonical(formula)
            fits = len(tokens) <= grammar.max_length
            fits = fits and tokens.count(FITTED) <= grammar.max_fitted
            if fits and tokens not in seen and tokens not in new and grammar.keeps(tokens):
                new[tokens] = None

    def _changed(self, pool: Sequence[Tokens]) -> Tokens:
        """A formula with one of its subtrees replaced, wrapped or its operator exchanged."""
        tokens = self._pick(pool)
        first = int(self._rng.integers(len(tokens)))
        last = _end(tokens, first)
        part = tokens[first:last]
        match int(self._rng.integers(4)):
            case 0:
                part = self._small()
            case 1:
                other = self._pick(pool)
                start = int(self._rng.integers(len(other)))
                part = other[start : _end(other, start)]
            case 2:
                part = self._wrapped(part)
            case _:
                same = [name for name in self._grammar.operators if arity(name) == arity(part[0])]
                if part[0] in OPERATORS:
                    part = (self._one(same), *part[1:])
                else:
                    part = (self._one(self._leaves),)
        return (*tokens[:first], *part, *tokens[last:])

    def _small(self) -> Tokens:
        """A formula of one to four tokens."""
        if self._binary and self._rng.random() < 0.5:
            inner: Tokens = (
                self._one(self._binary),
                self._one(self._leaves),
                self._one(self._leaves),
            )
        else:
            inner = (self._one(self._leaves),)
        if self._unary and self._rng.random() < 0.5:
            return (self._one(self._unary), *inner)
        return inner

    def _wrapped(self, part: Tokens) -> Tokens:
        """An operator around a subtree, with a small formula as its other argument."""
        if self._unary and (not self._binary or self._rng.random() < 0.4):
            return (self._one(self._unary), *part)
        sides = [part, self._small()]
        if self._rng.random() < 0.5:
            sides.reverse()
        return (self._one(self._binary), *sides[0], *sides[1])

    def _one(self, names: Sequence[str]) -> str:
        return names[int(self._rng.integers(len(names)))]

    def _pick(self, pool: Sequence[Tokens]) -> Tokens:
        return pool[int(self._rng.integers(len(pool)))]


def _end(tokens: Tokens, first: int) -> int:
    """Position after the subtree that begins at a token."""
    missing, position = 1, first
    while missing:
        missing += arity(tokens[position]) - 1
        position += 1
    return position


def _shortened(tokens: Tokens) -> list[Tokens]:
    """The formula with any operator replaced by one of its arguments or a constant."""
    formulas = []
    starts = subtree_starts(tokens)
    for position, token in enumerate(tokens):
        if token in OPERATORS:
            head, tail = tokens[:position], tokens[_end(tokens, position) :]
            formulas += [(*head, *tokens[i : _end(tokens, i)], *tail) for i in starts[position]]
            formulas.append((*head, FITTED, *tail))
    return formulas
