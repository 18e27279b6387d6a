"""From a formula of scaled features to one in the user's units.

Constants are looked for around one, where formulas of data of that size have theirs. A
feature in the thousands is therefore divided by a power of ten for the search, and the
formula is rewritten for the original feature afterwards, exactly and with as few
additional constants as possible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.operators import NAMED_CONSTANTS, OPERATORS

_LARGEST = 1e100  # a factor's; its third power is a number still


@dataclass(frozen=True)
class _Scaled:
    """``factor`` times a formula: a subtree whose factor has been pulled out.

    Attributes:
        tokens: Prefix tokens.
        constants: Values of the fitted ones.
        factor: What the formula is multiplied by.
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


def in_original_units(
    expression: Expression, scales: Mapping[str, float]
) -> tuple[Expression, float]:
    """Rewrite a formula of scaled variables for the original ones.

    Args:
        expression: Formula of variables that were divided by their scales.
        scales: Scale of each variable.

    Returns:
        A formula of the original variables and the factor to multiply it by.
    """

    def leaf(token: str, index: int) -> _Scaled:
        if token == FITTED:
            return _Scaled((token,), (expression.constants[index],))
        factor = 1.0 / scales.get(token, 1.0)
        scaled = _Scaled((token,), (), factor)
        return scaled if _is_usable(factor) else _whole(scaled)

    whole = expression.fold(leaf, _join)
    return Expression(whole.tokens, whole.constants), whole.factor


def _join(token: str, arguments: list[_Scaled]) -> _Scaled:
    """Pull the factors out of an operator's arguments as far as it lets them."""
    match token:
        case "mul" | "div":
            return _product(token, arguments)
        case "add" | "sub":
            return _sum(token, arguments)
    factor = _pulled_out(token, arguments[0].factor)
    if factor is None:
        return _node(token, [_whole(argument) for argument in arguments], 1.0)
    return _node(token, arguments, factor)


def _pulled_out(token: str, factor: float) -> float | None:
    """What a factor of a function's argument is in front of the function, if it can be there."""
    factor_out = OPERATORS[token].factor_out
    outside = factor_out(factor) if factor_out else None
    return outside if outside is not None and _is_usable(outside) else None


def _is_usable(factor: float) -> bool:
    """Whether a factor is of a size at which products and quotients of two are numbers still.

    Others stay where they are, inside the formula.
    """
    return 1 / _LARGEST <= abs(factor) <= _LARGEST


def _node(token: str, arguments: Sequence[_Scaled], factor: float) -> _Scaled:
    return _Scaled(
        (token, *(t for argument in arguments for t in argument.tokens)),
        tuple(c for argument in arguments for c in argument.constants),
        factor,
    )


def _whole(scaled: _Scaled) -> _Scaled:
    """The same with its factor inside the formula, as a constant of its own if need be."""
    if scaled.factor == 1.0:
        return scaled
    number = scaled.number
    if number is not None:
        return _Scaled((FITTED,), (number,))
    if scaled.tokens[0] == "mul" and scaled.tokens[1] == FITTED:
        return _Scaled(scaled.tokens, (scaled.constants[0] * scaled.factor, *scaled.constants[1:]))
    return _Scaled(("mul", FITTED, *scaled.tokens), (scaled.factor, *scaled.constants))


def _product(token: str, arguments: Sequence[_Scaled]) -> _Scaled:
    """A product or quotient; a fitted constant in it takes the factor."""
    left, right = arguments
    factor = left.factor * right.factor if token == "mul" else left.factor / right.factor
    if not _is_usable(factor):
        return _node(token, [_whole(argument) for argument in arguments], 1.0)
    bare = [_Scaled(argument.tokens, argument.constants) for argument in arguments]
    if left.tokens == (FITTED,):
        bare[0] = _Scaled((FITTED,), (left.constants[0] * factor,))
        factor = 1.0
    elif right.tokens == (FITTED,):
        change = factor if token == "mul" else 1 / factor
        bare[1] = _Scaled((FITTED,), (right.constants[0] * change,))
        factor = 1.0
    return _node(token, bare, factor)


def _sum(token: str, arguments: Sequence[_Scaled]) -> _Scaled:
    """A sum or difference; the factor of the argument that is no number is pulled out."""
    left, right = arguments
    common = right.factor if left.number is not None else left.factor
    inner = [_whole(_Scaled(p.tokens, p.constants, p.factor / common)) for p in arguments]
    if not all(math.isfinite(c) for argument in inner for c in argument.constants):
        return _node(token, [_whole(argument) for argument in arguments], 1.0)
    return _node(token, inner, common)
