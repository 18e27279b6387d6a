"""``b + a*f(x)`` as one formula, with no more constants than the data ask for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.expression import subtree_starts
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.segvae.tidy import tidy

Tokens = tuple[str, ...]
_Formula = tuple[Tokens, tuple[float, ...]]


def linear_forms(
    tokens: Tokens, constants: tuple[float, ...], offset: float, factor: float
) -> Iterator[Expression]:
    """Ways to write ``offset + factor*f``: with the offset or not, with the factor or not.

    The last one is exact; which of them is worth its constants is for the data to say.

    Args:
        tokens: The formula ``f``.
        constants: Values of its fitted constants.
        offset: Value of ``b``.
        factor: Value of ``a``.
    """
    formula, offset, factor = _strip((tokens, constants), offset, factor)
    sign = -1.0 if factor < 0 else 1.0
    for b, a in ((0.0, sign), (0.0, factor), (offset, sign), (offset, factor)):
        yield tidy(Expression(*_shifted(b, a, formula)))


def _split(formula: _Formula) -> list[_Formula]:
    """The arguments of a formula's outermost operator."""
    tokens, constants = formula
    starts = [*subtree_starts(tokens)[0], len(tokens)]
    parts, used = [], 0
    for first, last in pairwise(starts):
        part = tokens[first:last]
        n_constants = part.count(FITTED)
        parts.append((part, constants[used : used + n_constants]))
        used += n_constants
    return parts


def _number(formula: _Formula) -> float | None:
    """The value of a formula that is a constant and nothing else."""
    tokens, constants = formula
    if tokens == (FITTED,):
        return constants[0]
    return NAMED_CONSTANTS.get(tokens[0]) if len(tokens) == 1 else None


def _strip(formula: _Formula, offset: float, factor: float) -> tuple[_Formula, float, float]:
    """Move outermost constants of a formula into the offset and the factor."""
    while formula[0][0] in ("add", "sub", "mul", "neg"):
        parts = _split(formula)
        root = formula[0][0]
        if root == "neg":
            formula, factor = parts[0], -factor
            continue
        left, right = (_number(part) for part in parts)
        match root:
            case "mul" if left is not None:
                formula, factor = parts[1], factor * left
            case "mul" if right is not None:
                formula, factor = parts[0], factor * right
            case "add" if left is not None:
                formula, offset = parts[1], offset + factor * left
            case "add" if right is not None:
                formula, offset = parts[0], offset + factor * right
            case "sub" if left is not None:
                formula, offset, factor = parts[1], offset + factor * left, -factor
            case "sub" if right is not None:
                formula, offset = parts[0], offset - factor * right
            case _:
                break
    return formula, offset, factor


def _scaled(factor: float, formula: _Formula) -> _Formula:
    """``factor*f`` with the constant as far left as it reads best: ``2.5*x/y``."""
    tokens, constants = formula
    number = _number(formula)
    if factor == 1.0:
        return formula
    if number is not None:
        return (FITTED,), (factor * number,)
    if tokens[0] in ("mul", "div"):
        left, right = _split(formula)
        first = _scaled(factor, left)
        return (tokens[0], *first[0], *right[0]), (*first[1], *right[1])
    if tokens[0] == "inv":
        inner = _split(formula)[0]
        return ("div", FITTED, *inner[0]), (factor, *inner[1])
    return ("mul", FITTED, *tokens), (factor, *constants)


def _shifted(offset: float, factor: float, formula: _Formula) -> _Formula:
    """``offset + factor*f`` without what adds nothing."""
    number = _number(formula)
    if number is not None:
        return (FITTED,), (offset + factor * number,)
    if offset == 0.0:
        if factor == -1.0:
            return ("neg", *formula[0]), formula[1]
        return _scaled(factor, formula)
    if factor < 0:
        tokens, constants = _scaled(-factor, formula)
        return ("sub", FITTED, *tokens), (offset, *constants)
    tokens, constants = _scaled(factor, formula)
    if tokens[0] in ("add", "sub"):  # a + b + 1.5, not 1.5 + (a + b)
        sign = "add" if offset > 0 else "sub"
        return (sign, *tokens, FITTED), (*constants, abs(offset))
    return ("add", FITTED, *tokens), (offset, *constants)
