"""Formulas as sums of products, in which constants meet: the algebra of the normal form.

A formula is a sum of terms; a term is a number times whole powers of variables, functions and
other sums, which stand in brackets. Nothing is multiplied out unless that saves a number: a
sum in brackets has a first term without a factor, which is in front of the brackets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matbench_segvae.expressions.traced import ONE, ZERO, NoNormalFormError, Number


@dataclass(frozen=True)
class Variable:
    """A variable."""

    name: str


@dataclass(frozen=True)
class Wave:
    """``cos(slope*variable + phase)``.

    Attributes:
        variable: Its name.
        slope: Above 0, in radians per unit of the variable.
        phase: From -pi to pi; a whole 0 for none.
    """

    variable: str
    slope: Number
    phase: Number


@dataclass(frozen=True)
class Function:
    """Any other function of one argument, such as ``exp``."""

    name: str
    argument: Sum


@dataclass(frozen=True)
class Term:
    """A number times powers; without powers it is a constant."""

    coefficient: Number
    factors: tuple[tuple[Base, int], ...] = ()

    def times(self, number: Number) -> Term:
        """The term with another number in front of it."""
        return Term(self.coefficient * number, self.factors)


@dataclass(frozen=True)
class Sum:
    """A sum of terms that differ in their factors; of none for 0."""

    terms: tuple[Term, ...]

    @property
    def number(self) -> Number | None:
        """The number that the sum is, if it is nothing else."""
        if len(self.terms) == 1 and not self.terms[0].factors:
            return self.terms[0].coefficient
        return None if self.terms else ZERO

    @property
    def constant(self) -> Number | None:
        """The constant term, if there is one."""
        return next((term.coefficient for term in self.terms if not term.factors), None)

    @property
    def varying(self) -> tuple[Term, ...]:
        """All terms but the constant one."""
        return tuple(term for term in self.terms if term.factors)


Base = Variable | Wave | Function | Sum


def added(sums: Iterable[Sum]) -> Sum:
    """The sum of sums, each kind of term once."""
    found: dict[frozenset[tuple[Base, int]], Term] = {}
    for term in (term for one in sums for term in one.terms):
        key = frozenset(term.factors)
        known = found.get(key)
        found[key] = (
            term if known is None else Term(known.coefficient + term.coefficient, known.factors)
        )
    terms = tuple(term for term in found.values() if not term.coefficient.is_whole(0.0))
    return _with_one_constant(Sum(terms))


def _with_one_constant(total: Sum) -> Sum:
    """``c + k*(x + 2)`` as ``k*x + (c + 2*k)``: one number less."""
    if total.constant is None or total.constant.whole:
        return total
    for term in total.terms:
        inner = _bracket(term)
        if inner is not None and inner.constant is not None and len(inner.terms) == 2:
            others = Sum(tuple(other for other in total.terms if other is not term))
            return added([others, Sum(tuple(t.times(term.coefficient) for t in inner.terms))])
    return total


def _bracket(term: Term) -> Sum | None:
    """The sum that a term is a multiple of, if it is one."""
    if len(term.factors) == 1:
        base, exponent = term.factors[0]
        if isinstance(base, Sum) and exponent == 1:
            return base
    return None


def scaled(total: Sum, factor: Number) -> Sum:
    """A number times a sum: without brackets if that takes no more numbers."""
    if len(total.terms) < 2 or factor.is_whole(1.0) or factor.is_whole(-1.0):
        return Sum(tuple(term.times(factor) for term in total.terms))
    if sum(term.coefficient.whole for term in total.terms) <= 1:
        return Sum(tuple(term.times(factor) for term in total.terms))
    term = as_term(total)
    return Sum((term.times(factor),))


def multiplied(left: Sum, right: Sum) -> Sum:
    """The product of two sums, as one term if neither is a number."""
    if left.number is not None:
        return scaled(right, left.number)
    if right.number is not None:
        return scaled(left, right.number)
    one, other = as_term(left), as_term(right)
    return _product(one.coefficient * other.coefficient, (*one.factors, *other.factors))


def powered(total: Sum, exponent: int, spread: bool) -> Sum:
    """A whole power of a sum.

    Args:
        total: The sum.
        exponent: Not 0.
        spread: Whether the power of a product is the product of powers. Otherwise only its
            number is taken out of the brackets.
    """
    term = as_term(total)
    coefficient = term.coefficient.power(exponent)
    if spread or len(term.factors) < 2:
        return _product(coefficient, tuple((base, n * exponent) for base, n in term.factors))
    return Sum((Term(coefficient, ((Sum((Term(ONE, term.factors),)), exponent),)),))


def as_term(total: Sum) -> Term:
    """A sum as one term: what has several terms stands in brackets, its first without factor.

    Raises:
        NoNormalFormError: If it is 0.
    """
    if not total.terms:
        raise NoNormalFormError("a sum vanishes")
    if len(total.terms) == 1:
        term = total.terms[0]
        inner = _bracket(term)
        return term if inner is None or len(inner.terms) > 1 else inner.terms[0]
    first = _first_coefficient(total)
    divisor = first.power(-1)
    terms = tuple(
        Term(ONE, term.factors) if term.coefficient is first else term.times(divisor)
        for term in total.terms
    )
    return Term(first, ((Sum(terms), 1),))


def _first_coefficient(total: Sum) -> Number:
    """The factor that a sum loses in brackets: one without a number of its own, if there is."""
    varying = total.varying
    whole = [term.coefficient for term in varying if term.coefficient.whole]
    # A positive one, if possible: then no sign has to go in front of the brackets.
    whole.sort(key=lambda number: (abs(number.value), number.value < 0))
    return whole[0] if whole else varying[0].coefficient


def _product(coefficient: Number, factors: Iterable[tuple[Base, int]]) -> Sum:
    """A term of factors, equal ones as one power."""
    powers: dict[Base, int] = {}
    for base, exponent in factors:
        powers[base] = powers.get(base, 0) + exponent
    kept: list[tuple[Base, int]] = []
    for base, exponent in powers.items():
        if isinstance(base, Function) and base.name == "exp" and exponent not in (0, 1):
            # exp(r)**2 stays: a factor in the argument would be one number more.
            whole = all(term.coefficient.whole for term in base.argument.terms)
            power = abs(exponent) if whole else 1
            argument = scaled(base.argument, Number((float(exponent // power),)))
            kept.append((Function("exp", argument), power))
        elif exponent:
            kept.append((base, exponent))
    return Sum((Term(coefficient, tuple(kept)),))


def factor(base: Base) -> Sum:
    """A variable or function as a sum."""
    return Sum((Term(ONE, ((base, 1),)),))


def constant(number: Number) -> Sum:
    """A number as a sum."""
    return Sum(() if number.is_whole(0.0) else (Term(number),))
