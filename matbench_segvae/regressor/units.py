"""Features of any size: searched at size one, written in the user's units.

Constants are looked for around one, where formulas of data of that size have theirs. A
feature in the thousands is therefore divided by a power of ten for the search, and the
formula is rewritten for the original feature afterwards, exactly and with as few
additional constants as possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.operators import NAMED_CONSTANTS, OPERATORS


@dataclass(frozen=True)
class _Part:
    """``factor`` times a formula: what became of a subtree.

    Attributes:
        tokens: Prefix tokens.
        constants: Values of the fitted ones.
        factor: What the whole is to be multiplied by.
    """

    tokens: tuple[str, ...]
    constants: tuple[float, ...]
    factor: float = 1.0

    @property
    def number(self) -> float | None:
        """The value of a single constant, none for anything else."""
        if self.tokens == (FITTED,):
            return self.factor * self.constants[0]
        if len(self.tokens) == 1 and self.tokens[0] in NAMED_CONSTANTS:
            return self.factor * NAMED_CONSTANTS[self.tokens[0]]
        return None


def in_original_units(expression: Expression, scales: Mapping[str, float]) -> _Part:
    """Rewrite a formula of scaled variables for the original ones.

    Args:
        expression: Formula of variables that were divided by their scales.
        scales: Scale of each variable.

    Returns:
        Tokens and constants of a formula, and the factor to multiply it by.
    """

    def leaf(token: str, index: int) -> _Part:
        if token == FITTED:
            return _Part((token,), (expression.constants[index],))
        return _Part((token,), (), 1.0 / scales.get(token, 1.0))

    return expression.fold(leaf, _join)


def _join(token: str, parts: list[_Part]) -> _Part:
    """Pull the factors out of an operator's arguments as far as it lets them."""
    match token:
        case "mul" | "div":
            return _product(token, parts)
        case "add" | "sub":
            return _sum(token, parts)
    factor_out = OPERATORS[token].factor_out
    factor = factor_out(parts[0].factor) if factor_out else None
    if factor is None:
        return _node(token, [_whole(part) for part in parts], 1.0)
    return _node(token, parts, factor)


def _node(token: str, parts: Sequence[_Part], factor: float) -> _Part:
    return _Part(
        (token, *(t for part in parts for t in part.tokens)),
        tuple(c for part in parts for c in part.constants),
        factor,
    )


def _whole(part: _Part) -> _Part:
    """Write the factor of a part into it, as a constant of its own if need be."""
    if part.factor == 1.0:
        return part
    number = part.number
    if number is not None:
        return _Part((FITTED,), (number,))
    if part.tokens[0] == "mul" and part.tokens[1] == FITTED:
        return _Part(part.tokens, (part.constants[0] * part.factor, *part.constants[1:]))
    return _Part(("mul", FITTED, *part.tokens), (part.factor, *part.constants))


def _product(token: str, parts: Sequence[_Part]) -> _Part:
    """A product or quotient; a fitted constant in it takes the factor."""
    left, right = parts
    factor = left.factor * right.factor if token == "mul" else left.factor / right.factor
    bare = [_Part(part.tokens, part.constants) for part in parts]
    if left.tokens == (FITTED,):
        bare[0] = _Part((FITTED,), (left.constants[0] * factor,))
        factor = 1.0
    elif right.tokens == (FITTED,):
        change = factor if token == "mul" else 1 / factor
        bare[1] = _Part((FITTED,), (right.constants[0] * change,))
        factor = 1.0
    return _node(token, bare, factor)


def _sum(token: str, parts: Sequence[_Part]) -> _Part:
    """A sum or difference; the factor of the part that is no number is pulled out."""
    left, right = parts
    common = right.factor if left.number is not None else left.factor
    rest = [_whole(_Part(p.tokens, p.constants, p.factor / common)) for p in parts]
    return _node(token, rest, common)
