"""Numbers that know how they come out of refits: the same arithmetic on all values at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from matbench_segvae.types import Floats


class NoNormalFormError(ValueError):
    """Rewriting would divide by zero or overflow: the formula stays as it is."""


class Origin(IntEnum):
    """Where a number comes from; what two numbers make is of the larger origin."""

    WHOLE = 0  # whole numbers of the formula and their quotients: part of its form
    KNOWN = 1  # others whose value is given, such as pi or a wave number of the lattice
    FITTED = 2
    PHASE = 3  # the phase of a wave: whatever is added to it is one constant with it


@dataclass(frozen=True)
class Number:
    """A number with its value in a formula and in refits of it.

    Decisions, such as where a sign goes, are made on the formula's own value and hold for
    all: the same identity is then applied to every refit.

    Attributes:
        values: The value, then that in each refit; the value alone if they have the same.
        origin: Where it comes from.
    """

    values: tuple[float, ...]
    origin: Origin = Origin.WHOLE

    @property
    def value(self) -> float:
        """The value in the formula itself."""
        return self.values[0]

    @property
    def refits(self) -> Floats:
        """The value in each refit, or none if all have the same."""
        return np.array(self.values[1:])

    @property
    def whole(self) -> bool:
        """Whether it is part of the formula's form, not one of its constants."""
        return self.origin is Origin.WHOLE

    def is_whole(self, value: float) -> bool:
        """Whether it is this number, and part of the formula's form."""
        return self.whole and self.value == value

    def __add__(self, other: Number) -> Number:
        return self._with(other, np.add)

    def __mul__(self, other: Number) -> Number:
        return self._with(other, np.multiply)

    def __neg__(self) -> Number:
        return self.mapped(np.negative, self.origin)

    def power(self, exponent: int) -> Number:
        """A power, of an exponent that is not 0.

        Raises:
            NoNormalFormError: If it is not finite.
        """
        return self.mapped(lambda values: values**exponent, self.origin)

    def exp(self) -> Number:
        """The exponential.

        Raises:
            NoNormalFormError: If it is not finite.
        """
        return self.mapped(np.exp, max(self.origin, Origin.KNOWN))

    def mapped(self, function: Callable[[Floats], Floats], origin: Origin | None = None) -> Number:
        """A function of the number; of one of the formula's form it is a known number.

        Args:
            function: Of the values, all at once.
            origin: Origin of what comes out.

        Raises:
            NoNormalFormError: If it is not finite, or vanishes where the number does not.
        """
        with np.errstate(all="ignore"):
            values = function(np.array(self.values))
        return _checked(values, max(self.origin, Origin.KNOWN) if origin is None else origin)

    def _with(self, other: Number, operation: Callable[[Floats, Floats], Floats]) -> Number:
        with np.errstate(all="ignore"):
            values = operation(np.array(self.values), np.array(other.values))
        return _checked(values, max(self.origin, other.origin))


def _checked(values: Floats, origin: Origin) -> Number:
    """A number of the values, as Python has them.

    Raises:
        NoNormalFormError: If the formula's own value is not finite, or is a fitted 0, which
            would be left out or divided by without being one in the refits. A phase is neither.
    """
    first = float(values[0])
    vanishes = first == 0.0 and origin in (Origin.KNOWN, Origin.FITTED)
    if not math.isfinite(first) or vanishes:
        raise NoNormalFormError(f"a constant comes out as {first}")
    return Number(tuple(values.tolist()), origin)


ONE = Number((1.0,))
HALF = Number((0.5,))
ZERO = Number((0.0,))
