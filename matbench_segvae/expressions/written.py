"""From a sum of products to the formula as it is written, with the meaning of its constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from matbench_segvae.expressions.signs import without_leading_sign, without_sign
from matbench_segvae.expressions.sums import Base, Function, Sum, Term, Variable, Wave
from matbench_segvae.expressions.traced import Number, Origin
from matbench_segvae.expressions.tree import (
    Addition,
    Call,
    Constant,
    Node,
    Power,
    Quotient,
    Symbol,
    Turn,
    Whole,
    phase_constant,
)

_LARGEST_DIVISOR = 10_000  # of a quotient of whole numbers that is written as one
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Units:
    """Units of a formula, each empty without dimension.

    Attributes:
        variable: Of its variables.
        value: Of its values.
    """

    variable: str = ""
    value: str = ""


@dataclass(frozen=True)
class _Dimension:
    """A unit as that of the values, or none, times a power of that of the variables.

    Attributes:
        values: Whether it has the unit of the values.
        power: Exponent of the unit of the variables; ``None`` if it is not known.
    """

    values: bool = False
    power: int | None = 0


_NONE = _Dimension()


@dataclass(frozen=True)
class Writer:
    """Writes formulas with these units."""

    units: Units

    def formula(self, total: Sum, scaled: bool) -> Node:
        """The whole formula.

        Args:
            total: The formula.
            scaled: Whether its values have their unit; else it is one of several factors.
        """
        dimension = _Dimension(True) if scaled else _Dimension(False, _power_of(total))
        return self._sum(total, dimension)

    def _unit(self, dimension: _Dimension, power: int | None = 0) -> str | None:
        """The unit of what has a dimension after a multiplication with powers of variables."""
        if dimension.power is None or power is None:
            return None
        exponent = dimension.power - power
        parts = [self.units.value] if dimension.values and self.units.value else []
        if exponent and self.units.variable:
            raised = "" if exponent == 1 else str(exponent).translate(_SUPERSCRIPTS)
            parts.append(f"{self.units.variable}{raised}")
        return " ".join(parts)

    def _sum(self, total: Sum, dimension: _Dimension) -> Node:
        """A sum: what is added first, then what is subtracted, then the constant."""
        powers = [_factors_power(t.factors) for t in total.varying if t.coefficient.whole]
        if any(power != dimension.power for power in powers):
            dimension = _Dimension(dimension.values, None)
        varying = [without_sign(term) for term in total.varying]
        varying.sort(key=lambda term: term.coefficient.value < 0)
        last = [term for term in total.terms if not term.factors]
        if varying and varying[0].coefficient.value < 0 and total.constant is not None:
            in_order = [*last, *varying] if total.constant.value > 0 else [*varying, *last]
        else:
            in_order = [*varying, *last]
        if not in_order:
            return Whole(0.0)
        in_order[0] = without_leading_sign(in_order[0])
        is_shift = len(in_order) == 2 and any(_is_variable(term) for term in varying)
        parts = [
            self._term(term, dimension, "shift" if is_shift else "offset", position == 0)
            for position, term in enumerate(in_order)
        ]
        return parts[0][1] if len(parts) == 1 and parts[0][0] > 0 else Addition(tuple(parts))

    def _term(
        self, term: Term, of: _Dimension, constant: str = "", is_first: bool = True
    ) -> tuple[int, Node]:
        """A term and the sign in front of it.

        Args:
            term: The term.
            of: Its dimension.
            constant: What it is if it is constant.
            is_first: Whether it is the first of its sum: its number then keeps its sign.
        """
        number, factors = term.coefficient, term.factors
        if number.origin is Origin.PHASE and not factors:
            return 1, phase_constant(number)
        sign = -1 if number.value < 0 and (number.whole or not is_first) else 1
        number = number if sign > 0 else -number
        above: list[Node] = []
        below: list[Node] = []
        if number.whole and abs(number.value).is_integer():
            above += [Whole(number.value)] if number.value != 1 or not factors else []
        elif number.whole and (fraction := _fraction(number)):
            above += [Whole(float(fraction.numerator))] if fraction.numerator != 1 else []
            below += [Whole(float(fraction.denominator))]
        else:
            unit = self._unit(of, _factors_power(factors))
            above += [Constant(number, _meaning(factors) or constant, unit)]
        for base, exponent in sorted(factors, key=_rank):
            node = self._base(base)
            (above if exponent > 0 else below).append(
                node if abs(exponent) == 1 else Power(node, abs(exponent))
            )
        if len(above) == 1 and not below:
            return sign, above[0]
        return sign, Quotient(tuple(above), tuple(below))

    def _base(self, base: Base) -> Node:
        match base:
            case Variable(name):
                return Symbol(name)
            case Wave():
                return Call("cos", self._wave(base))
            case Function("exp", argument) if len(argument.terms) == 1:
                return Call("exp", self._exponent(argument.terms[0]))
            case Function(name, argument):
                return Call(name, self._sum(argument, _NONE))
        return self._sum(base, _Dimension(False, _power_of(base)))

    def _wave(self, wave: Wave) -> Node:
        """The argument of a cosine: ``2*pi*r/wavelength + phase``."""
        if wave.slope.whole:
            turning = Term(wave.slope, ((Variable(wave.variable), 1),))
            running = self._term(turning, _NONE)
        else:
            length = wave.slope.mapped(lambda slope: 2 * np.pi / slope, wave.slope.origin)
            constant = Constant(length, "wavelength", self.units.variable)
            running = (1, Quotient((Turn(), Symbol(wave.variable)), (constant,)))
        if wave.phase.whole and wave.phase.value == 0.0:
            return running[1]
        if wave.phase.whole:
            sign = -1 if wave.phase.value < 0 else 1
            return Addition((running, (sign, Whole(abs(wave.phase.value)))))
        return Addition((running, (1, phase_constant(wave.phase))))

    def _exponent(self, term: Term) -> Node:
        """The argument of an exponential of one term: ``-r/length``, ``-((r - r0)/width)**2``."""
        number = term.coefficient
        base, exponent = term.factors[0]
        falls = number.value < 0 and not number.whole and len(term.factors) == 1 and exponent > 0
        if not falls or _factors_power([(base, 1)]) != 1:
            return self._sum(Sum((term,)), _NONE)
        meaning = "decay length" if exponent == 1 else "width"
        # Where a refit grows instead, it has no such length.
        size = number.mapped(
            lambda values: np.where(values < 0, -values, np.nan) ** (-1.0 / exponent), number.origin
        )
        constant = Constant(size, meaning, self.units.variable)
        ratio = Quotient((self._base(base),), (constant,))
        return Addition(((-1, ratio if exponent == 1 else Power(ratio, exponent)),))


def _meaning(factors: Iterable[tuple[Base, int]]) -> str:
    """What the number in front of some factors is; empty without factors."""
    bases = [base for base, _ in factors]
    if any(isinstance(base, Wave | Function) for base in bases):
        return "amplitude"
    return "coefficient" if bases else ""


def _rank(factor: tuple[Base, int]) -> int:
    """Where a factor stands in a product: powers, brackets, oscillations, decays."""
    base, _ = factor
    kinds: Sequence[type] = (Variable, Sum, Wave, Function)
    return 4 if isinstance(base, Function) and base.name == "exp" else kinds.index(type(base))


def _fraction(number: Number) -> Fraction | None:
    """A quotient of small whole numbers, if the number is one."""
    fraction = Fraction(number.value).limit_denominator(_LARGEST_DIVISOR)
    return fraction if float(fraction) == number.value else None


def _is_variable(term: Term) -> bool:
    """Whether a term is a variable and nothing else."""
    return (
        term.coefficient.whole
        and abs(term.coefficient.value) == 1.0
        and len(term.factors) == 1
        and isinstance(term.factors[0][0], Variable)
        and term.factors[0][1] == 1
    )


def _power_of(total: Sum) -> int | None:
    """Power of the variables' unit that a sum has, by its terms without a fitted number."""
    powers = {_factors_power(t.factors) for t in total.varying if t.coefficient.whole}
    return powers.pop() if len(powers) == 1 else None


def _factors_power(factors: Iterable[tuple[Base, int]]) -> int | None:
    """Power of the variables' unit that a product of factors has, if that is known."""
    power = 0
    for base, exponent in factors:
        inner = 1 if isinstance(base, Variable) else _power_of(base) if isinstance(base, Sum) else 0
        if inner is None:
            return None
        power += inner * exponent
    return power
