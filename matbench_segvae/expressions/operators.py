"""The operators of the formula language: one frozen row each.

A row defines an operator for arrays once, in terms of an array namespace ``xp`` that is
``numpy`` or ``torch``; the two therefore cannot disagree. One domain rule holds for
both: outside an operator's domain, and wherever the value is not finite, the result is
NaN. Beside it stands the kernel that the compiled engine runs, and what grammar, rewriting
and units need to know. A new operator is a new row here; tests hold its parts against
each other.
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
class Kernel:
    """An operator on single numbers, in Python that numba can compile.

    Division by zero, overflow and arguments outside the domain have to give a value that is
    not finite, as they do under numba's ``error_model="numpy"``.

    Attributes:
        value: ``value(a)`` or ``value(a, b)``.
        slope: Of one argument ``slope(value, a)``, the derivative; of two arguments
            ``slope(a, b, da, db)``, the derivative by something that changes the arguments
            by ``da`` and ``db``.
    """

    value: Callable[..., float]
    slope: Callable[..., float]


@dataclass(frozen=True)
class Operator:
    """One operator of the formula language, with all that grammar, rewriting and engine need.

    Attributes:
        name: Token of the operator in a prefix sequence.
        arity: Number of arguments, 1 or 2.
        function: ``function(xp, *arguments)``: its value in an array namespace.
        kernel: The same on numbers, and its derivative, for the compiled engine.
        symbolic: Its meaning in sympy.
        template: How it is printed, with ``{0}`` and ``{1}`` for its arguments.
        precedence: How tightly it binds when printed: 1 for sums, 2 for products, 3 for
            powers, 4 for functions, whose arguments need no brackets.
        domain: ``domain(*arguments)``: where it is defined, as a boolean array.
        commutative: Whether the order of its two arguments is irrelevant.
        complexity: What it adds to the complexity of a formula.
        even: Whether the sign of its argument is irrelevant.
        nesting: Group of operators that senseless formulas nest inside each other, such as
            ``"trigonometric"``; empty for none.
        pointless_around: Operators whose result it should not be applied to directly, because
            it undoes them, as ``exp`` does ``log``, or repeats them, as ``neg`` does ``neg``.
        cancels: Whether it is a constant if its two arguments are the same.
        factor_out: ``g`` with ``f(k*x) == g(k)*f(x)``; ``None``, or a value of ``None``, if
            a factor ``k`` cannot be taken out of the argument.

    Raises:
        TypeError: If it has no kernel.
        ValueError: If the arity is neither 1 nor 2.
    """

    name: str
    arity: int
    function: Callable[..., Array]
    kernel: Kernel
    symbolic: Callable[..., sp.Expr]
    template: str
    precedence: int = 4
    domain: Callable[..., Array] = _everywhere
    commutative: bool = False
    complexity: int = 1
    even: bool = False
    nesting: str = ""
    pointless_around: tuple[str, ...] = ()
    cancels: bool = False
    factor_out: Callable[[float], float | None] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise TypeError(f"operator '{self.name}' needs a Kernel, not {self.kernel!r}")
        if self.arity not in (1, 2):
            raise ValueError(f"operator '{self.name}' has arity {self.arity}: 1 or 2 are possible")


_ROWS = (
    Operator(
        "add",
        2,
        lambda xp, a, b: a + b,
        Kernel(lambda a, b: a + b, lambda a, b, da, db: da + db),
        lambda a, b: a + b,
        "{0} + {1}",
        precedence=1,
        commutative=True,
    ),
    Operator(
        "sub",
        2,
        lambda xp, a, b: a - b,
        Kernel(lambda a, b: a - b, lambda a, b, da, db: da - db),
        lambda a, b: a - b,
        "{0} - {1}",
        precedence=1,
        cancels=True,
    ),
    Operator(
        "mul",
        2,
        lambda xp, a, b: a * b,
        Kernel(lambda a, b: a * b, lambda a, b, da, db: da * b + a * db),
        lambda a, b: a * b,
        "{0}*{1}",
        precedence=2,
        commutative=True,
    ),
    Operator(
        "div",
        2,
        lambda xp, a, b: a / b,
        Kernel(lambda a, b: a / b, lambda a, b, da, db: (da - a / b * db) / b),
        lambda a, b: a / b,
        "{0}/{1}",
        precedence=2,
        domain=lambda a, b: b != 0,
        cancels=True,
    ),
    Operator(
        "neg",
        1,
        lambda xp, a: -a,
        Kernel(lambda a: -a, lambda value, a: -1.0),
        lambda a: -a,
        "neg({0})",
        pointless_around=("neg", "sub"),
        factor_out=lambda k: k,
    ),
    Operator(
        "inv",
        1,
        lambda xp, a: 1 / a,
        Kernel(lambda a: 1 / a, lambda value, a: -1 / (a * a)),
        lambda a: 1 / a,
        "inv({0})",
        domain=lambda a: a != 0,
        pointless_around=("inv", "div"),
        factor_out=lambda k: 1 / k,
    ),
    Operator(
        "exp",
        1,
        lambda xp, a: xp.exp(a),
        Kernel(lambda a: np.exp(a), lambda value, a: value),
        sp.exp,
        "exp({0})",
        nesting="exponential",
        pointless_around=("log",),
    ),
    Operator(
        "log",
        1,
        lambda xp, a: xp.log(a),
        Kernel(lambda a: np.log(a), lambda value, a: 1 / a),
        sp.log,
        "log({0})",
        domain=lambda a: a > 0,
        # A logarithm inside an exponential is a power, so the two may meet.
        nesting="logarithm",
        pointless_around=("exp",),
    ),
    Operator(
        "sqrt",
        1,
        lambda xp, a: xp.sqrt(a),
        Kernel(lambda a: np.sqrt(a), lambda value, a: 0.5 / value),
        sp.sqrt,
        "sqrt({0})",
        domain=lambda a: a >= 0,
        pointless_around=("square",),
        factor_out=lambda k: k**0.5 if k > 0 else None,
    ),
    Operator(
        "sin",
        1,
        lambda xp, a: xp.sin(a),
        Kernel(lambda a: np.sin(a), lambda value, a: np.cos(a)),
        sp.sin,
        "sin({0})",
        nesting="trigonometric",
    ),
    Operator(
        "cos",
        1,
        lambda xp, a: xp.cos(a),
        Kernel(lambda a: np.cos(a), lambda value, a: -np.sin(a)),
        sp.cos,
        "cos({0})",
        even=True,
        nesting="trigonometric",
    ),
    Operator(
        "tanh",
        1,
        lambda xp, a: xp.tanh(a),
        Kernel(lambda a: np.tanh(a), lambda value, a: 1 - value * value),
        sp.tanh,
        "tanh({0})",
        nesting="exponential",
    ),
    Operator(
        "square",
        1,
        lambda xp, a: a * a,
        Kernel(lambda a: a * a, lambda value, a: 2 * a),
        lambda a: a**2,
        "{0}**2",
        precedence=3,
        even=True,
        pointless_around=("sqrt",),
        factor_out=lambda k: k**2,
    ),
    Operator(
        "cube",
        1,
        lambda xp, a: a * a * a,
        Kernel(lambda a: a * a * a, lambda value, a: 3 * a * a),
        lambda a: a**3,
        "{0}**3",
        precedence=3,
        factor_out=lambda k: k**3,
    ),
)

OPERATORS: Mapping[str, Operator] = MappingProxyType({row.name: row for row in _ROWS})
"""All operators by name."""


INTEGERS: Mapping[str, float] = MappingProxyType({str(n): float(n) for n in range(1, 11)})
"""Whole numbers that a formula may hold as they are."""

LARGEST_INTEGER = max(map(int, INTEGERS))
"""The largest of them."""


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
