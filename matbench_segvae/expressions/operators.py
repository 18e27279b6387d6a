"""The operators of the formula language: one frozen row each.

A row says what an operator means once, in terms of an array namespace ``xp`` that is
``numpy`` or ``torch``; the two therefore cannot disagree. One domain rule holds for
both: outside an operator's domain, and wherever the value is not finite, the result is
NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import sympy as sp

# An array of numpy or torch; the two share the operations used here.
Array = Any


def _everywhere(*_: Array) -> bool:
    """Domain of an operator that is defined for all real arguments."""
    return True


@dataclass(frozen=True)
class Operator:
    """One operator of the formula language.

    Attributes:
        name: Token of the operator in a prefix sequence.
        arity: Number of arguments, 1 or 2.
        function: ``function(xp, *arguments)``: its value in an array namespace.
        partials: ``partials(xp, value, *arguments)``: its derivative with respect to
            each argument, in terms of the value already computed.
        symbolic: Its meaning in sympy.
        template: How it is printed, with ``{0}`` and ``{1}`` for its arguments.
        precedence: How tightly it binds when printed: 1 for sums, 2 for products, 3 for
            powers, 4 for functions, whose arguments need no brackets.
        domain: ``domain(*arguments)``: where it is defined, as a boolean array.
        commutative: Whether the order of its two arguments is irrelevant.
        complexity: What it adds to the complexity of a formula.
    """

    name: str
    arity: int
    function: Callable[..., Array]
    partials: Callable[..., tuple[Array, ...]]
    symbolic: Callable[..., sp.Expr]
    template: str
    precedence: int = 4
    domain: Callable[..., Array] = _everywhere
    commutative: bool = False
    complexity: int = 1


def _row(
    name: str,
    function: Callable[..., Array],
    partials: Callable[..., tuple[Array, ...]],
    symbolic: Callable[..., sp.Expr],
    domain: Callable[..., Array] = _everywhere,
) -> Operator:
    """A function of one argument, printed as ``name(argument)``."""
    return Operator(name, 1, function, partials, symbolic, name + "({0})", domain=domain)


_ROWS = (
    Operator(
        "add",
        2,
        lambda xp, a, b: a + b,
        lambda xp, out, a, b: (xp.ones_like(a), xp.ones_like(b)),
        lambda a, b: a + b,
        "{0} + {1}",
        precedence=1,
        commutative=True,
    ),
    Operator(
        "sub",
        2,
        lambda xp, a, b: a - b,
        lambda xp, out, a, b: (xp.ones_like(a), -xp.ones_like(b)),
        lambda a, b: a - b,
        "{0} - {1}",
        precedence=1,
    ),
    Operator(
        "mul",
        2,
        lambda xp, a, b: a * b,
        lambda xp, out, a, b: (b, a),
        lambda a, b: a * b,
        "{0}*{1}",
        precedence=2,
        commutative=True,
    ),
    Operator(
        "div",
        2,
        lambda xp, a, b: a / b,
        lambda xp, out, a, b: (1 / b, -out / b),
        lambda a, b: a / b,
        "{0}/{1}",
        precedence=2,
        domain=lambda a, b: b != 0,
    ),
    _row("neg", lambda xp, a: -a, lambda xp, out, a: (-xp.ones_like(a),), lambda a: -a),
    _row(
        "inv",
        lambda xp, a: 1 / a,
        lambda xp, out, a: (-out * out,),
        lambda a: 1 / a,
        domain=lambda a: a != 0,
    ),
    _row("exp", lambda xp, a: xp.exp(a), lambda xp, out, a: (out,), sp.exp),
    _row(
        "log",
        lambda xp, a: xp.log(a),
        lambda xp, out, a: (1 / a,),
        sp.log,
        domain=lambda a: a > 0,
    ),
    _row(
        "sqrt",
        lambda xp, a: xp.sqrt(a),
        lambda xp, out, a: (0.5 / out,),
        sp.sqrt,
        domain=lambda a: a >= 0,
    ),
    _row("sin", lambda xp, a: xp.sin(a), lambda xp, out, a: (xp.cos(a),), sp.sin),
    _row("cos", lambda xp, a: xp.cos(a), lambda xp, out, a: (-xp.sin(a),), sp.cos),
    _row("tanh", lambda xp, a: xp.tanh(a), lambda xp, out, a: (1 - out * out,), sp.tanh),
    Operator(
        "square",
        1,
        lambda xp, a: a * a,
        lambda xp, out, a: (2 * a,),
        lambda a: a**2,
        "{0}**2",
        precedence=3,
    ),
    Operator(
        "cube",
        1,
        lambda xp, a: a * a * a,
        lambda xp, out, a: (3 * a * a,),
        lambda a: a**3,
        "{0}**3",
        precedence=3,
    ),
)


OPERATORS: Mapping[str, Operator] = MappingProxyType({row.name: row for row in _ROWS})
"""All operators by name."""


INTEGERS: Mapping[str, float] = MappingProxyType({str(n): float(n) for n in range(1, 11)})
"""Whole numbers that a formula may hold as they are."""


NAMED_CONSTANTS: Mapping[str, float] = MappingProxyType(
    {"-1": -1.0, **INTEGERS, "pi": float(np.pi), "e": float(np.e)}
)
"""Constants that are tokens of their own and are never fitted."""


SYMBOLIC_CONSTANTS: Mapping[str, sp.Expr] = MappingProxyType(
    {**{name: sp.Integer(name) for name in ("-1", *INTEGERS)}, "pi": sp.pi, "e": sp.E}
)
"""The same constants as sympy knows them."""


FITTED = "c"
"""Token of a constant whose value is fitted to data."""


def apply(operator: Operator, xp: ModuleType, *arguments: Array) -> Array:
    """Evaluate an operator under its domain rule.

    Args:
        operator: The operator.
        xp: The array namespace of the arguments, ``numpy`` or ``torch``.
        *arguments: Arrays that broadcast against each other.

    Returns:
        The values; NaN outside the domain and wherever the value is not finite.
    """
    value = operator.function(xp, *arguments)
    defined = xp.isfinite(value) & operator.domain(*arguments)
    return xp.where(defined, value, xp.nan)
