"""Rewriting formulas: ``b + a*f(x)`` as one formula, and signs where a reader expects them.

The values of a formula never change, only how it is written and how many constants that takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.expression import subtree_starts
from matbench_segvae.expressions.operators import LARGEST_INTEGER, NAMED_CONSTANTS, OPERATORS
from matbench_segvae.types import Tokens

# A subtree: prefix tokens, and the values of the fitted constants among them.
_Subtree = tuple[Tokens, tuple[float, ...]]

_OPPOSITE = {"add": "sub", "sub": "add"}


def linear_forms(
    tokens: Tokens, constants: tuple[float, ...], offset: float, factor: float, mean: float
) -> Iterator[Expression]:
    """Ways to write ``offset + factor*f``: as fitted, as whole numbers, or left out.

    The last one is exact; whether its constants are worth it is decided on the front.

    Args:
        tokens: The formula ``f``.
        constants: Values of its fitted constants.
        offset: Value of ``b``.
        factor: Value of ``a``.
        mean: Mean of ``b + a*f`` over the data. It stays where it is when the factor
            changes: the offset is then the best one for least squares.
    """
    formula, offset, factor = _strip((tokens, constants), offset, factor)
    for a in dict.fromkeys([_Number(math.copysign(1, factor), True), *_spellings(factor)]):
        shift = (factor - a.value) / factor * (mean - offset) if factor else 0.0
        for b in dict.fromkeys([_Number(0.0, True), *_spellings(offset + shift)]):
            yield signs_moved_out(Expression(*_shifted(b, a, formula)))


@dataclass(frozen=True)
class _Number:
    """A number, to be written as a whole one or with all its digits."""

    value: float
    whole: bool = False

    def written(self, sign: float = 1.0) -> _Subtree:
        """The number, or its negative, as a formula."""
        value = sign * self.value
        return ((str(round(value)),), ()) if self.whole else ((FITTED,), (value,))


def _spellings(value: float) -> list[_Number]:
    """A number as the next whole one, if there is a token for that, and as it is."""
    exact = _Number(value)
    if not 0.5 <= abs(value) < LARGEST_INTEGER + 0.5:
        return [exact]
    return [_Number(float(round(value)) or math.copysign(1.0, value), True), exact]


def _split(formula: _Subtree) -> list[_Subtree]:
    """The arguments of a formula's outermost operator."""
    tokens, constants = formula
    starts = [*subtree_starts(tokens)[0], len(tokens)]
    subtrees, used = [], 0
    for first, last in pairwise(starts):
        subtree = tokens[first:last]
        n_constants = subtree.count(FITTED)
        subtrees.append((subtree, constants[used : used + n_constants]))
        used += n_constants
    return subtrees


def _number(formula: _Subtree) -> float | None:
    """The value of a formula that is a constant and nothing else."""
    tokens, constants = formula
    if tokens == (FITTED,):
        return constants[0]
    return NAMED_CONSTANTS.get(tokens[0]) if len(tokens) == 1 else None


def _strip(formula: _Subtree, offset: float, factor: float) -> tuple[_Subtree, float, float]:
    """Move outermost constants of a formula into the offset and the factor."""
    while formula[0][0] in ("add", "sub", "mul", "div", "neg", "log"):
        subtrees = _split(formula)
        root = formula[0][0]
        if root == "neg":
            formula, factor = subtrees[0], -factor
            continue
        if root == "log":
            inner, multiple = _without_multiple(subtrees[0])
            if multiple == 1.0:
                break
            formula = ("log", *inner[0]), inner[1]
            offset += factor * math.log(multiple)
            continue
        left, right = (_number(subtree) for subtree in subtrees)
        match root:
            case "mul" if left is not None:
                formula, factor = subtrees[1], factor * left
            case "mul" if right is not None:
                formula, factor = subtrees[0], factor * right
            case "div" if right:
                formula, factor = subtrees[0], factor / right
            case "div" if left is not None and subtrees[0][0] != ("1",):
                formula = ("div", "1", *subtrees[1][0]), subtrees[1][1]
                factor = factor * left
            case "add" if left is not None:
                formula, offset = subtrees[1], offset + factor * left
            case "add" if right is not None:
                formula, offset = subtrees[0], offset + factor * right
            case "sub" if left is not None:
                formula, offset, factor = subtrees[1], offset + factor * left, -factor
            case "sub" if right is not None:
                formula, offset = subtrees[0], offset - factor * right
            case _:
                break
    return formula, offset, factor


def _without_multiple(formula: _Subtree) -> tuple[_Subtree, float]:
    """A formula without a positive number that it is multiplied with or divided by, and that."""
    if formula[0][0] not in ("mul", "div"):
        return formula, 1.0
    left, right = _split(formula)
    first, last = _number(left), _number(right)
    if formula[0][0] == "mul" and first is not None and 0 < first < math.inf:
        return right, first
    if last is not None and 0 < last < math.inf:
        return left, last if formula[0][0] == "mul" else 1 / last
    return formula, 1.0


def _scaled(factor: _Number, formula: _Subtree) -> _Subtree:
    """``factor*f`` with the constant as far left as it reads best: ``2.5*x/y``."""
    tokens, constants = formula
    number = _number(formula)
    if factor.value == 1.0:
        return formula
    if number is not None:
        product = factor.value * number
        whole = factor.whole and not constants and str(round(product)) in NAMED_CONSTANTS
        return _Number(product, whole and product == round(product)).written()
    if tokens[0] in ("mul", "div"):
        left, right = _split(formula)
        first = _scaled(factor, left)
        return (tokens[0], *first[0], *right[0]), (*first[1], *right[1])
    written = factor.written()
    if tokens[0] == "inv":
        inner = _split(formula)[0]
        return ("div", *written[0], *inner[0]), (*written[1], *inner[1])
    return ("mul", *written[0], *tokens), (*written[1], *constants)


def _shifted(offset: _Number, factor: _Number, formula: _Subtree) -> _Subtree:
    """``offset + factor*f`` without what adds nothing."""
    number = _number(formula)
    if number is not None:
        return (FITTED,), (offset.value + factor.value * number,)
    negative = factor.value < 0
    size = _Number(abs(factor.value), factor.whole)
    if offset.value == 0.0:
        if negative and factor.whole:
            tokens, constants = _scaled(size, formula)
            return ("neg", *tokens), constants
        return _scaled(factor, formula)
    tokens, constants = _scaled(size, formula)
    if negative and offset.whole and offset.value < 0:
        last = offset.written(-1.0)
        return ("sub", "neg", *tokens, *last[0]), constants
    if negative:
        first = offset.written()
        return ("sub", *first[0], *tokens), (*first[1], *constants)
    if tokens[0] in ("add", "sub") or (offset.whole and offset.value < 0):
        # a + b + 1.5, not 1.5 + (a + b)
        sign = "add" if offset.value > 0 else "sub"
        last = offset.written(math.copysign(1.0, offset.value))
        return (sign, *tokens, *last[0]), (*constants, *last[1])
    first = offset.written()
    return ("add", *first[0], *tokens), (*first[1], *constants)


def signs_moved_out(expression: Expression) -> Expression:
    """Write ``a - 2*b`` instead of ``a + -2*b``; values and complexity stay the same.

    Args:
        expression: A formula with the values of its constants.
    """
    constants = expression.constants

    def leaf(token: str, index: int) -> _Subtree:
        return (token,), (constants[index],) if token == FITTED else ()

    return Expression(*expression.fold(leaf, _join))


def _join(token: str, subtrees: list[_Subtree]) -> _Subtree:
    if token in _OPPOSITE:
        token, subtrees = _signed_sum(token, subtrees)
    elif token in ("mul", "div") and _is_negative(subtrees[1]) and subtrees[0][0][0] == FITTED:
        subtrees = [_negated(subtree) for subtree in subtrees]
    elif OPERATORS[token].even and _is_negative(subtrees[0]):
        subtrees = [_negated(subtrees[0])]
    return (
        (token, *(t for subtree in subtrees for t in subtree[0])),
        tuple(c for subtree in subtrees for c in subtree[1]),
    )


def _signed_sum(token: str, subtrees: list[_Subtree]) -> tuple[str, list[_Subtree]]:
    """``a + -b`` as ``a - b``, ``a - -b`` as ``a + b``, ``-a + b`` as ``b - a``."""
    left, right = subtrees
    if _is_negative(right):
        token, right = _OPPOSITE[token], _negated(right)
    if token == "add" and _is_negative(left):
        return "sub", [right, _negated(left)]
    return token, [left, right]


def _sign_at(subtree: _Subtree) -> int | None:
    """Which constant carries the sign of a subtree: the first factor or divisor of its own."""
    tokens = subtree[0]
    position = 0
    while tokens[position] in ("mul", "div"):
        position += 1
    if tokens[position] == FITTED:
        return 0
    if position == 1 and tokens[-1] == FITTED and len(tokens) == 3:
        return len(subtree[1]) - 1  # x*c or x/c
    return None


def _is_negative(subtree: _Subtree) -> bool:
    place = _sign_at(subtree)
    return place is not None and subtree[1][place] < 0


def _negated(subtree: _Subtree) -> _Subtree:
    place = _sign_at(subtree)
    assert place is not None
    constants = list(subtree[1])
    constants[place] = -constants[place]
    return subtree[0], tuple(constants)
