"""The grammar: tokens and their ids, which token may come next, a priori knowledge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from matbench_segvae.errors import UserError
from matbench_segvae.expressions.expression import arity, subtree_end, subtree_starts
from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, OPERATORS
from matbench_segvae.types import Booleans, Ints

END = "<end>"
"""Fills a sequence after its formula is complete; its id is 0."""


Predicate = Callable[[Sequence[str]], bool]
"""A priori knowledge: whether a formula, given by its tokens, may be kept."""


# f(g(x)) = x, or an operator that undoes or repeats its own argument's work.
_POINTLESS = frozenset(
    (row.name, inner)
    for row in OPERATORS.values()
    for inner in (*row.pointless_around, *(("neg",) if row.even else ()))
)
_CANCELLING = frozenset(row.name for row in OPERATORS.values() if row.cancels)
# A factor of either sign inside of these comes out as a power of itself.
_POWERS = frozenset(
    row.name
    for row in OPERATORS.values()
    if row.factor_out is not None and row.factor_out(-1.0) is not None
)


def no_nesting_of(operators: Iterable[str]) -> Predicate:
    """Predicate: none of these operators inside the argument of another of them."""
    group = frozenset(operators)

    def keeps(tokens: Sequence[str]) -> bool:
        inside: list[int] = []  # open arguments of each enclosing group operator
        for token in tokens:
            if token in group and inside:
                return False
            if inside:
                inside[-1] += arity(token) - 1
                if inside[-1] == 0:
                    inside.pop()
            elif token in group:
                inside.append(arity(token))
        return True

    return keeps


def no_constant_subtree(tokens: Sequence[str]) -> bool:
    """Predicate: no operator whose arguments are all constants: it is a constant itself."""
    constant: list[bool] = []
    for token in reversed(tokens):
        n_arguments = arity(token)
        if n_arguments == 0:
            constant.append(_is_constant(token))
        elif all(constant.pop() for _ in range(n_arguments)):
            return False
        else:
            constant.append(False)
    return True


def no_pointless_pair(tokens: Sequence[str]) -> bool:
    """Predicate: no operator directly around one that it undoes, such as ``exp(log(x))``."""
    return not any(pair in _POINTLESS for pair in pairwise(tokens))


def no_self_cancelling(tokens: Sequence[str]) -> bool:
    """Predicate: neither ``x - x`` nor ``x / x``, whatever ``x`` is."""
    if not _CANCELLING & set(tokens):
        return True
    starts = subtree_starts(tokens)
    for position, token in enumerate(tokens):
        if token in _CANCELLING:
            left, right = starts[position]
            first = tuple(tokens[left:right])
            if FITTED not in first and first == tuple(tokens[right : right + len(first)]):
                return False
    return True


def no_free_factor(tokens: Sequence[str]) -> bool:
    """Predicate: no sign and no fitted factor of the whole, for where its scale is free.

    A constant added inside of an exponential is a factor, too: ``exp(c + x) = exp(c)*exp(x)``.
    """
    factors = 1  # still to be read
    inner = 0  # open arguments inside a factor
    for position, token in enumerate(tokens):
        if inner:
            inner += arity(token) - 1
        elif factors == 0:
            break
        elif token in ("mul", "div"):
            factors += 1
        elif token in (FITTED, "neg"):
            return False
        elif token in _POWERS:
            continue
        elif token == "exp" and _adds_a_constant(tokens[position + 1 :]):
            return False
        else:
            factors -= 1
            inner = arity(token)
    return True


def _adds_a_constant(tokens: Sequence[str]) -> bool:
    """Whether the formula that begins here is a sum with a constant, or a multiple of one."""
    root = tokens[0]
    if root == "neg":
        return _adds_a_constant(tokens[1:])
    if root not in ("add", "sub", "mul", "div"):
        return False
    left, right = tokens[1:], tokens[subtree_end(tokens, 1) :]
    inside_left = not _is_constant(left[0]) and _adds_a_constant(left)
    inside_right = not _is_constant(right[0]) and _adds_a_constant(right)
    if root in ("add", "sub"):
        either = _is_constant(left[0]) or _is_constant(right[0])
        return either or inside_left or inside_right
    if _is_constant(right[0]):
        return inside_left
    return root == "mul" and _is_constant(left[0]) and inside_right


def no_free_term(tokens: Sequence[str]) -> bool:
    """Predicate: no constant added to the whole, for where its offset is free."""
    if tokens[0] not in ("add", "sub"):
        return True
    end = subtree_end(tokens, 1)
    return not any(
        len(side) == 1 and _is_constant(side[0]) for side in (tokens[1:end], tokens[end:])
    )


def no_free_multiple(tokens: Sequence[str]) -> bool:
    """Predicate: no whole number as a factor of the whole, for where its scale is free."""
    # Arguments stand in canonical order, the shorter one first.
    return tokens[0] != "mul" or not _is_constant(tokens[1])


def _is_constant(token: str) -> bool:
    return token == FITTED or token in NAMED_CONSTANTS


_NO_NESTING: Mapping[str, Predicate] = {
    f"no_nested_{group}": no_nesting_of(
        row.name for row in OPERATORS.values() if row.nesting == group
    )
    for group in dict.fromkeys(row.nesting for row in OPERATORS.values() if row.nesting)
}

PREDICATES: Mapping[str, Predicate] = {
    "no_constant_subtree": no_constant_subtree,
    "no_pointless_pair": no_pointless_pair,
    **_NO_NESTING,
    "no_self_cancelling": no_self_cancelling,
    "no_free_factor": no_free_factor,
}
"""A priori knowledge by name."""

DEFAULT_PREDICATES: tuple[Predicate, ...] = (
    no_constant_subtree,
    no_pointless_pair,
    *_NO_NESTING.values(),
    no_self_cancelling,
)
"""What rules out senseless formulas."""

LINEAR_SCALING_PREDICATES: tuple[Predicate, ...] = (
    no_free_factor,
    no_free_multiple,
    no_free_term,
)
"""What rules out a factor and an offset of the whole, which linear scaling fits anyway."""


@dataclass(frozen=True)
class Grammar:
    """The tokens a formula may be made of.

    Attributes:
        variables: Names of the variables.
        operators: Names of the operators.
        constants: Named constants that are tokens of their own.
        fitted_constants: Whether formulas may hold constants fitted to data.
        max_length: Most tokens in a formula.
        max_fitted: Most fitted constants in a formula.
        predicates: What a formula has to satisfy beside being well formed.

    Raises:
        UserError: If an operator or constant is unknown or a name is used twice.
    """

    variables: tuple[str, ...]
    operators: tuple[str, ...] = ("add", "sub", "mul", "div", "square", "exp", "log", "sin", "cos")
    constants: tuple[str, ...] = ("1", "2")
    fitted_constants: bool = True
    max_length: int = 30
    max_fitted: int = 6
    predicates: tuple[Predicate, ...] = DEFAULT_PREDICATES

    def __post_init__(self) -> None:
        for name in self.operators:
            if name not in OPERATORS:
                raise UserError(f"unknown operator '{name}': choose from {', '.join(OPERATORS)}")
        for name in self.constants:
            if name not in NAMED_CONSTANTS:
                raise UserError(
                    f"unknown constant '{name}': choose from {', '.join(NAMED_CONSTANTS)}"
                )
        if not self.variables:
            raise UserError("a grammar needs at least one variable")
        if len(set(self.tokens)) < len(self.tokens):
            raise UserError(f"a name stands for two things among {', '.join(self.tokens[1:])}")

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """All tokens; the position of a token is its id."""
        fitted = (FITTED,) if self.fitted_constants else ()
        return (END, *self.operators, *self.constants, *fitted, *self.variables)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each token."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def arities(self) -> Ints:
        """Arity of each token, shape ``(n_tokens,)``; -1 for the end token."""
        return np.array([-1, *(arity(token) for token in self.tokens[1:])])

    def encode(self, tokens: Sequence[str]) -> Ints:
        """Ids of a formula's tokens, filled with the end token to ``max_length``."""
        ids = np.zeros(self.max_length, dtype=np.int64)
        ids[: len(tokens)] = [self.ids[token] for token in tokens]
        return ids

    def decode(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Tokens of a sequence of ids, up to its first end token."""
        tokens: list[str] = []
        for number in ids:
            if number == 0:
                break
            tokens.append(self.tokens[number])
        return tuple(tokens)

    def allowed(self, missing: Ints, step: int, n_fitted: Ints) -> Booleans:
        """Which tokens may come next so that a formula can still be completed in time.

        Args:
            missing: Arguments each unfinished formula still lacks, shape ``(B,)``; 0 for
                a complete one.
            step: Number of tokens already there.
            n_fitted: Fitted constants already there, shape ``(B,)``.

        Returns:
            A mask of shape ``(B, n_tokens)``.
        """
        room = self.max_length - step
        after = missing[:, None] + self.arities[None, :] - 1
        open_ = missing[:, None] > 0
        mask = np.where(open_, (after >= 0) & (after <= room - 1), False)
        mask[:, 0] = missing == 0
        if self.fitted_constants:
            mask[:, self.ids[FITTED]] &= n_fitted < self.max_fitted
        return np.asarray(mask, dtype=np.bool_)

    def keeps(self, tokens: Sequence[str]) -> bool:
        """Whether a complete formula holds a variable and satisfies every predicate."""
        if not any(variable in tokens for variable in self.variables):
            return False
        return all(predicate(tokens) for predicate in self.predicates)

    def holds(self, tokens: Sequence[str]) -> bool:
        """Whether a complete formula from elsewhere belongs to this language."""
        return (
            len(tokens) <= self.max_length
            and list(tokens).count(FITTED) <= self.max_fitted
            and self.ids.keys() >= set(tokens)
            and self.keeps(tokens)
        )
