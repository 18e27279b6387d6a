"""Arguments of cosines and exponentials in a form that shows what they mean.

``cos(a + b*x)`` has a wave number above 0 and a phase between -pi and pi; what is constant
inside of an exponential is a factor of it; a parabola inside has its vertex as a shift.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from matbench_segvae.expressions.sums import (
    Function,
    Sum,
    Term,
    Variable,
    Wave,
    added,
    constant,
    factor,
    powered,
    scaled,
)
from matbench_segvae.expressions.traced import HALF, ONE, ZERO, Number, Origin
from matbench_segvae.types import Floats

_DEGREE = 2  # of the highest polynomial that is told apart
_LARGEST_FACTOR = 100.0  # exp of this still multiplies what has underflowed by next to nothing


def cosine(argument: Sum) -> Sum:
    """``cos`` of a sum: a wave if the argument is linear in a variable."""
    if argument.number is not None:
        return constant(argument.number.mapped(np.cos))
    found = _polynomial(argument)
    if found is not None and max(found[1]) == 1:
        name, powers = found
        return factor(wave(name, powers[1], powers.get(0, ZERO)))
    if _starts_negative(argument):
        argument = Sum(tuple(term.times(-ONE) for term in argument.terms))
    return factor(Function("cos", _with_phase_within_a_turn(argument)))


def wave(variable: str, slope: Number, phase: Number) -> Wave:
    """``cos(slope*variable + phase)`` with the signs and turns of its normal form."""
    signs = np.where(np.array(slope.values) < 0, -1.0, 1.0)
    rising = slope.mapped(np.abs, slope.origin)
    if phase.is_whole(0.0):
        return Wave(variable, rising, phase)
    signed = phase.mapped(lambda values: signs * values, phase.origin)
    return Wave(variable, rising, _within_a_turn(signed))


def shifted_by_half_a_turn(one: Wave, where: Floats) -> Wave:
    """The negative of a wave, in the refits that are marked by 1; the others are marked by 0."""
    moved = np.array(one.phase.values) + np.pi * where
    number = Number(tuple(moved.tolist()), max(one.phase.origin, Origin.KNOWN))
    return Wave(one.variable, one.slope, _within_a_turn(number))


def _with_phase_within_a_turn(argument: Sum) -> Sum:
    """The argument of a cosine whose constant, if it is a phase, is that of its normal form."""
    phase = argument.constant
    if phase is None or phase.origin is not Origin.PHASE:
        return argument
    return Sum((*argument.varying, Term(_within_a_turn(phase))))


def _within_a_turn(phase: Number) -> Number:
    """A phase above -pi and up to pi; in refits the one next to it."""
    turn = 2 * np.pi
    values = np.array(phase.values)
    first = values[0] - turn * np.ceil((values[0] - np.pi) / turn)
    # Only whole turns are taken off, so that a phase in range keeps all of its digits.
    nearest = values - turn * np.round((values - first) / turn)
    nearest[0] = first
    changed = first != values[0]
    origin = max(phase.origin, Origin.KNOWN) if changed else phase.origin
    return Number(tuple(nearest.tolist()), origin)


def exponential(argument: Sum) -> Sum:
    """``exp`` of a sum, with what is constant in the argument as a factor."""
    if argument.number is not None:
        return constant(argument.number.exp())
    varying, inside = _without_constant(argument)
    if not varying.terms:
        return constant(inside.exp())
    if len(varying.terms) > 1 or not _is_power(varying.terms[0]):
        varying, top = _parabola(varying)
        inside = inside + top
    if inside.is_whole(0.0) or abs(inside.value) > _LARGEST_FACTOR:
        return factor(Function("exp", argument))
    return scaled(factor(Function("exp", varying)), inside.exp())


def _is_power(term: Term) -> bool:
    """Whether a term is a multiple of one power of a variable, function or sum."""
    return len(term.factors) == 1 and term.factors[0][1] != 1


def _without_constant(argument: Sum) -> tuple[Sum, Number]:
    """A sum and its constant, that of a multiple of a sum in brackets too."""
    total = argument.constant or ZERO
    parts = []
    for term in argument.varying:
        part = Sum((term,))
        base, exponent = term.factors[0]
        if len(term.factors) == 1 and isinstance(base, Sum) and exponent == 1:
            total = total + (base.constant or ZERO) * term.coefficient
            part = scaled(Sum(base.varying), term.coefficient)
        parts.append(part)
    return added(parts), total


def _parabola(argument: Sum) -> tuple[Sum, Number]:
    """``a*x**2 + b*x`` with ``a < 0`` as ``a*(x - x0)**2`` and the value at ``x0``.

    Anything else stays as it is.
    """
    found = _polynomial(argument)
    if found is None or found[1].keys() != {1, 2} or found[1][2].value > 0:
        return argument, ZERO
    name, powers = found
    shift = powers[1] * powers[2].power(-1) * HALF
    square = powered(added([factor(Variable(name)), constant(shift)]), 2, spread=True)
    return scaled(square, powers[2]), -(powers[1] * shift * HALF)


# The coefficients of a polynomial by degree.
_Polynomial = dict[int, Number]


def _polynomial(total: Sum) -> tuple[str, _Polynomial] | None:
    """The variable and the coefficients of a polynomial of one variable, if it is one."""
    names = {base.name for base in _bases(total) if isinstance(base, Variable)}
    powers = _powers_of(total)
    if len(names) != 1 or powers is None or max(powers) > _DEGREE:
        return None
    if any(number.is_whole(0.0) for number in powers.values()):
        return None
    return names.pop(), powers


def _powers_of(total: Sum) -> _Polynomial | None:
    """The same of whatever variables, if it is no more than a product of a few factors."""
    powers: _Polynomial = {}
    for term in total.terms:
        product: _Polynomial = {0: term.coefficient}
        for base, exponent in term.factors:
            inner: _Polynomial | None = {1: ONE} if isinstance(base, Variable) else None
            if isinstance(base, Sum):
                inner = _powers_of(base)
            if inner is None or not 0 < exponent <= _DEGREE:
                return None
            for _ in range(exponent):
                product = _merged(
                    (m + n, a * b) for m, a in product.items() for n, b in inner.items()
                )
        powers = _merged([*powers.items(), *product.items()])
    return powers


def _merged(parts: Iterable[tuple[int, Number]]) -> _Polynomial:
    """Coefficients of the same degree together."""
    powers: _Polynomial = {}
    for degree, number in parts:
        powers[degree] = powers[degree] + number if degree in powers else number
    return powers


def _bases(total: Sum) -> list[object]:
    """Everything that a sum is made of, in brackets too."""
    found: list[object] = []
    for term in total.terms:
        for base, _ in term.factors:
            found += _bases(base) if isinstance(base, Sum) else [base]
    return found


def _starts_negative(argument: Sum) -> bool:
    """Whether the negative of an argument reads better: fewer signs, or none in front."""
    negative = [term.coefficient.value < 0 for term in argument.varying]
    return 2 * sum(negative) > len(negative) or (2 * sum(negative) == len(negative) and negative[0])
