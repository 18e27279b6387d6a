"""One formula: an immutable prefix sequence of tokens with the values of its constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import sympy as sp

from matbench_segvae.expressions.operators import (
    FITTED,
    NAMED_CONSTANTS,
    OPERATORS,
    SYMBOLIC_CONSTANTS,
    Operator,
    apply,
)
from matbench_segvae.types import Floats

T = TypeVar("T")
_ATOM = 4  # binds as tightly as a name or a function
_SIGNED = 0  # a negative number: binds less tightly than anything but on the left


def arity(token: str) -> int:
    """Number of arguments a token takes; 0 for variables and constants."""
    return OPERATORS[token].arity if token in OPERATORS else 0


def complexity_of(tokens: Sequence[str]) -> int:
    """Complexity of a formula: the sum over its nodes.

    A leaf counts 1, a fitted constant 2: it takes more to write than a variable or a whole
    number, and it can be had to suit noise, which they cannot.
    """
    return sum(OPERATORS[t].complexity if t in OPERATORS else 1 + (t == FITTED) for t in tokens)


def subtree_starts(tokens: Sequence[str]) -> list[list[int]]:
    """Positions of each token's arguments in a complete prefix sequence.

    Raises:
        ValueError: If the sequence is not exactly one formula.
    """
    arguments: list[list[int]] = [[] for _ in tokens]
    stack: list[int] = []
    for position in range(len(tokens) - 1, -1, -1):
        n_arguments = arity(tokens[position])
        if len(stack) < n_arguments:
            raise ValueError(
                f"'{' '.join(tokens)}' is not a formula: '{tokens[position]}' lacks arguments"
            )
        arguments[position] = [stack.pop() for _ in range(n_arguments)]
        stack.append(position)
    if len(stack) != 1:
        raise ValueError(f"'{' '.join(tokens)}' is not a formula: it holds {len(stack)} of them")
    return arguments


def subtree_end(tokens: Sequence[str], start: int) -> int:
    """Position behind the subtree that starts at a position of a formula."""
    missing, end = 1, start
    while missing:
        missing += arity(tokens[end]) - 1
        end += 1
    return end


def canonical(tokens: Sequence[str]) -> tuple[str, ...]:
    """The same formula with the arguments of commutative operators in a fixed order."""
    return tuple(tokens[position] for position in canonical_order(tokens))


def canonical_order(tokens: Sequence[str]) -> list[int]:
    """Positions of a formula's tokens in the order that :func:`canonical` puts them in.

    The shorter argument of a commutative operator comes first, of equally long ones the
    first in the order of their tokens.
    """
    ordered, order = list(tokens), list(range(len(tokens)))
    ends = [position + 1 for position in order]  # behind the subtree of each position
    for position in range(len(tokens) - 1, -1, -1):
        operator = OPERATORS.get(ordered[position])
        if operator is None:
            continue
        first, middle = position + 1, ends[position + 1]
        if operator.arity == 1:
            ends[position] = middle
            continue
        end = ends[position] = ends[middle]
        if operator.commutative:
            left, right = ordered[first:middle], ordered[middle:end]
            if (len(left), left) > (len(right), right):
                ordered[first:end] = right + left
                order[first:end] = order[middle:end] + order[first:middle]
    return order


@dataclass(frozen=True)
class Expression:
    """A formula in prefix order.

    Attributes:
        tokens: Operators, variables, named constants and ``"c"`` for each fitted one.
        constants: Values of the fitted constants, in the order of their tokens.

    Raises:
        ValueError: If the tokens are not one complete formula or the number of
            constants does not fit.
    """

    tokens: tuple[str, ...]
    constants: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        subtree_starts(self.tokens)
        if self.constants and len(self.constants) != self.n_constants:
            raise ValueError(
                f"'{' '.join(self.tokens)}' has {self.n_constants} fitted constants, "
                f"{len(self.constants)} values were given"
            )

    @property
    def n_constants(self) -> int:
        """Number of fitted constants."""
        return self.tokens.count(FITTED)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables that occur, in order of appearance."""
        known = OPERATORS.keys() | NAMED_CONSTANTS.keys() | {FITTED}
        return tuple(dict.fromkeys(token for token in self.tokens if token not in known))

    @property
    def complexity(self) -> int:
        """Sum over all nodes, see :func:`complexity_of`."""
        return complexity_of(self.tokens)

    def with_constants(self, constants: Iterable[float]) -> Expression:
        """The same formula with other values of its fitted constants."""
        return Expression(self.tokens, tuple(float(value) for value in constants))

    def fold(self, leaf: Callable[[str, int], T], node: Callable[[str, list[T]], T]) -> T:
        """Build something from the leaves up.

        Args:
            leaf: Called with a leaf's token and, for fitted constants, its number.
            node: Called with an operator's token and what its arguments became.
        """
        stack: list[T] = []
        n_fitted = self.n_constants
        for token in reversed(self.tokens):
            if token in OPERATORS:
                stack.append(node(token, [stack.pop() for _ in range(arity(token))]))
            else:
                n_fitted -= token == FITTED
                stack.append(leaf(token, n_fitted))
        return stack[0]

    def _constant_text(self, index: int, digits: int | None) -> str:
        if not self.constants:
            return f"c{index}"
        value = self.constants[index]
        text = repr(value) if digits is None else f"{value:.{digits}g}"
        # A fitted 2 must not read as the whole number 2: keep the decimal point.
        return text + ".0" if text.lstrip("-").isdigit() else text

    def to_string(self, digits: int | None = None) -> str:
        """The formula in infix notation.

        Args:
            digits: Significant digits of the constants; all of them by default, so
                that parsing gives the same formula back. Constants without values
                are printed as ``c0``, ``c1``, …
        """

        def leaf(token: str, index: int) -> tuple[str, int]:
            text = self._constant_text(index, digits) if token == FITTED else token
            return text, _SIGNED if text.startswith("-") else _ATOM

        def node(token: str, arguments: list[tuple[str, int]]) -> tuple[str, int]:
            operator = OPERATORS[token]
            return operator.template.format(*_bracketed(operator, arguments)), operator.precedence

        return self.fold(leaf, node)[0]

    def __str__(self) -> str:
        return self.to_string(digits=5)

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def sympy(self, digits: int | None = None) -> sp.Expr:
        """The formula as sympy sees it, unsimplified.

        Args:
            digits: Significant digits of the constants; all of them by default.
        """

        def leaf(token: str, index: int) -> sp.Expr:
            if token == FITTED:
                if not self.constants:
                    return sp.Symbol(f"c{index}")
                return sp.Float(self.constants[index], digits or 17)
            return SYMBOLIC_CONSTANTS.get(token, sp.Symbol(token, real=True))

        return self.fold(leaf, lambda token, args: OPERATORS[token].symbolic(*args))

    def latex(self, digits: int | None = 5) -> str:
        """The formula in LaTeX."""
        text: str = sp.latex(self.sympy(digits))
        return text

    def __call__(self, values: Mapping[str, Any]) -> Floats:
        """Evaluate the formula with numpy.

        Args:
            values: Array or number for each variable; they broadcast.

        Returns:
            The values, NaN where an operator is outside its domain.

        Raises:
            ValueError: If the constants have no values or a variable is missing.
        """
        missing = [name for name in self.variables if name not in values]
        if missing:
            raise ValueError(f"no values for {', '.join(missing)}: got {', '.join(values)}")
        if self.n_constants and not self.constants:
            raise ValueError(f"the constants of '{self}' have no values yet")

        def leaf(token: str, index: int) -> Floats:
            if token == FITTED:
                return np.asarray(self.constants[index])
            return np.asarray(NAMED_CONSTANTS.get(token, values.get(token)), dtype=np.float64)

        with np.errstate(all="ignore"):
            result = self.fold(leaf, lambda token, args: apply(OPERATORS[token], np, *args))
            shape = np.broadcast_shapes(*(np.shape(value) for value in values.values()))
            return np.broadcast_to(np.asarray(result, dtype=np.float64), shape).copy()


def _bracketed(operator: Operator, arguments: list[tuple[str, int]]) -> list[str]:
    """Put brackets around the arguments that bind less tightly than the operator.

    Args:
        operator: The operator around them.
        arguments: Text and precedence of each argument.
    """
    if operator.precedence == _ATOM:
        return [text for text, _ in arguments]
    # Sums and products read from the left, so an equal on their left needs no brackets;
    # neither does a sign, which cannot be taken for a difference there.
    is_chain = operator.arity == 2
    least = operator.precedence if is_chain else _ATOM
    texts = []
    for position, (text, precedence) in enumerate(arguments):
        enough = precedence >= least or (is_chain and position == 0 and precedence == _SIGNED)
        texts.append(text if enough else f"({text})")
        least = operator.precedence + 1
    return texts
