"""A formula as it is written: a tree of sums, quotients, powers and functions.

The tree keeps what an expression's tokens do not: which numbers are constants with a meaning
and a unit, where a fraction has its bar, that ``2*pi`` is one turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matbench_segvae.expressions.operators import OPERATORS
from matbench_segvae.expressions.traced import Number
from matbench_segvae.types import Floats

PHASE = "phase"
"""The meaning of the phase of a wave."""


@dataclass(frozen=True)
class Symbol:
    """A variable."""

    name: str


@dataclass(frozen=True)
class Whole:
    """A number that is part of the formula's form."""

    value: float


@dataclass(frozen=True)
class Turn:
    """``2*pi``: what a wavelength is divided into."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A number with a meaning; each stands in a tree once.

    Attributes:
        number: Its value, and that in refits.
        meaning: Such as ``"wavelength"``.
        unit: Such as ``"eV Å²"``, empty without dimension; ``None`` if it is no simple one.
    """

    number: Number
    meaning: str
    unit: str | None = None


def phase_constant(number: Number) -> Constant:
    """The phase of a wave."""
    return Constant(number, PHASE, "rad")


@dataclass(frozen=True)
class Addition:
    """A sum of terms with their signs, 1 or -1."""

    terms: tuple[tuple[int, Node], ...]


@dataclass(frozen=True)
class Quotient:
    """A product above a bar, and one below it; either may be empty."""

    above: tuple[Node, ...]
    below: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Power:
    """A power of a whole exponent above 1."""

    base: Node
    exponent: int


@dataclass(frozen=True)
class Call:
    """A function, by its name among the operators."""

    name: str
    argument: Node


Node = Symbol | Whole | Turn | Constant | Addition | Quotient | Power | Call


def children(node: Node) -> tuple[Node, ...]:
    """What stands directly below a node, in the order in which it is written."""
    match node:
        case Addition(terms):
            return tuple(term for _, term in terms)
        case Quotient(above, below):
            return (*above, *below)
        case Power(base, _):
            return (base,)
        case Call(_, argument):
            return (argument,)
    return ()


def constants_in(node: Node) -> Iterator[Constant]:
    """All constants, in the order in which they are written."""
    if isinstance(node, Constant):
        yield node
    for child in children(node):
        yield from constants_in(child)


def nodes_in(node: Node) -> int:
    """Nodes of a written formula.

    Variables, constants, functions, powers and the signs of sums, products and quotients count
    one each, as they do in an expression. A minus in front and the ``2*pi`` of a wavelength
    count nothing: they are a way to write the constant next to them.
    """
    below = children(node)
    if isinstance(node, Turn):
        return 0
    inside = sum(map(nodes_in, below))
    match node:
        case Addition():
            return inside + len(below) - 1
        case Quotient(above, below):
            n_above = max(sum(not isinstance(one, Turn) for one in above), 0)
            return inside + n_above + len(below) - (n_above > 0)
    return inside + 1


def evaluated(node: Node, values: Mapping[str, Any]) -> Floats:
    """The values of a written formula; not finite where it has none.

    Args:
        node: The formula.
        values: Array or number for each variable; they broadcast.
    """
    match node:
        case Symbol(name):
            return np.asarray(values[name], dtype=np.float64)
        case Whole(value):
            return np.asarray(value)
        case Turn():
            return np.asarray(2 * np.pi)
        case Constant(number=number):
            return np.asarray(number.value)
        case Addition(terms):
            return np.asarray(sum(sign * evaluated(term, values) for sign, term in terms))
        case Quotient(above, below):
            product: Any = 1.0
            for factor in above:
                product = product * evaluated(factor, values)
            for divisor in below:
                product = product / evaluated(divisor, values)
            return np.asarray(product)
        case Power(base, exponent):
            return np.asarray(evaluated(base, values) ** exponent)
        case Call(name, argument):
            return np.asarray(OPERATORS[name].function(np, evaluated(argument, values)))
