"""One normal form of formulas, for people.

``-232.5/((4.86 - r**2/cos((-0.5635 - r)/(-0.9101)))**2)`` becomes
``-232.5/(r**2/cos(2*pi*r/5.718 + 0.6192) - 4.86)**2``: signs stand in front, constants are
merged, cosines have a wavelength and a phase, decays a length. The values stay the same up to
rounding, and every constant is a function of the original ones: refits of a formula, with the
same tokens and other constants, are put through the same functions and give it an interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from matbench_segvae.expressions.figures import figures, interval
from matbench_segvae.expressions.notation import Latex, Text, symbolic
from matbench_segvae.expressions.scaled_formula import ScaledFormula, plain, rewritten
from matbench_segvae.expressions.traced import NoNormalFormError, Number, Origin
from matbench_segvae.expressions.tree import Constant, Node, constants_in, evaluated, nodes_in
from matbench_segvae.expressions.written import Units, Writer
from matbench_segvae.types import Floats

_LENGTHS = frozenset({"wavelength", "decay length", "width", "shift"})
_NAMES = {
    "amplitude": "A",
    "factor": "A",
    "coefficient": "a",
    "constant": "c",
    "offset": "b",
    "shift": "d",
    "wavelength": "lambda",
    "phase": "phi",
    "decay length": "l",
    "width": "w",
}


@dataclass(frozen=True)
class NormalConstant:
    """A constant of a normal form.

    Attributes:
        name: Its name in :attr:`NormalForm.symbols`.
        value: Its value.
        meaning: Such as ``"wavelength"`` or ``"amplitude"``.
        unit: Such as ``"eV Å²"``, empty without dimension; ``None`` if it is no simple one.
        interval: From the 5th to the 95th percentile of the refits; ``None`` if there are none,
            or if some leave it unbounded.
        fixed: Whether it is not fitted, such as a wavelength of the lattice.
    """

    name: str
    value: float
    meaning: str
    unit: str | None
    interval: tuple[float, float] | None
    fixed: bool

    @property
    def figures(self) -> str:
        """The value to the digits that its interval justifies."""
        return figures(self.value, (self.value, self.value) if self.fixed else self.interval)

    def as_json(self) -> dict[str, Any]:
        """The constant in JSON's own types."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "meaning": self.meaning,
            "interval_90_percent": None if self.interval is None else list(self.interval),
            "fixed": self.fixed,
        }


@dataclass(frozen=True, eq=False)
class NormalForm:
    """A formula as it is written for people.

    Attributes:
        root: The formula.
        variables: Its variables.
        is_plain: Whether it stayed as it was, since the normal form would be longer or has no
            finite constants.
    """

    root: Node
    variables: tuple[str, ...]
    is_plain: bool

    @property
    def nodes(self) -> int:
        """Its length, see :func:`~matbench_segvae.expressions.tree.nodes_in`."""
        return nodes_in(self.root)

    @cached_property
    def constants(self) -> tuple[NormalConstant, ...]:
        """Its constants, in the order in which they are written."""
        return tuple(self._by_place.values())

    @cached_property
    def _by_place(self) -> dict[Constant, NormalConstant]:
        found = list(constants_in(self.root))
        totals = Counter(_NAMES[one.meaning] for one in found)
        used: Counter[str] = Counter()
        named = {}
        for one in found:
            name = _NAMES[one.meaning]
            used[name] += 1
            numbered = f"{name}{used[name]}" if totals[name] > 1 else name
            numbered += "_" * (numbered in self.variables)
            fixed = one.number.origin < Origin.FITTED
            span = None if fixed else _interval(one.number)
            named[one] = NormalConstant(
                numbered, one.number.value, one.meaning, one.unit, span, fixed
            )
        return named

    @property
    def text(self) -> str:
        """The formula in one line, with the figures and the units of lengths."""

        def figure(place: Constant) -> str:
            one = self._by_place[place]
            unit = f" {one.unit}" if one.unit and one.meaning in _LENGTHS else ""
            return f"{one.figures}{unit}"

        return Text(figure).formula(self.root)

    @property
    def symbols(self) -> str:
        """The formula with the names of its constants."""
        return Text(lambda place: self._by_place[place].name).formula(self.root)

    @property
    def latex(self) -> str:
        """The formula in LaTeX."""

        def figure(place: Constant) -> str:
            one = self._by_place[place]
            unit = rf"\,\text{{{one.unit}}}" if one.unit and one.meaning in _LENGTHS else ""
            return f"{one.figures}{unit}"

        return Latex(figure).formula(self.root)

    def sympy(self, with_values: bool = True) -> sp.Expr:
        """The formula for sympy, as it is written.

        Args:
            with_values: Whether constants are numbers, in full precision; else symbols.
        """

        def value(place: Constant) -> sp.Expr:
            one = self._by_place[place]
            return sp.Float(one.value, 17) if with_values else sp.Symbol(one.name, real=True)

        return symbolic(self.root, value)

    def as_json(self) -> dict[str, Any]:
        """The formula in JSON's own types: with names, as text, and the constants."""
        return {
            "formula": self.symbols,
            "text": self.text,
            "latex": self.latex,
            "constants": [one.as_json() for one in self.constants],
        }

    def __call__(self, values: Mapping[str, Any]) -> Floats:
        """Evaluate the formula.

        Args:
            values: Array or number for each variable; they broadcast.

        Returns:
            The values, NaN where it has none.
        """
        with np.errstate(all="ignore"):
            result = evaluated(self.root, values)
        shape = np.broadcast_shapes(*(np.shape(value) for value in values.values()))
        finite = np.where(np.isfinite(result), result, np.nan)
        return np.broadcast_to(finite, shape).copy()


def normal_form(what: ScaledFormula, units: Units | None = None) -> NormalForm:
    """Write a formula in its normal form, or as it is if that is shorter.

    Args:
        what: The formula.
        units: Units of its variables and values.
    """
    shortest, is_plain = plain(what), True
    for spread in (True, False):
        try:
            total = rewritten(what, spread)
            root = Writer(units or Units()).formula(total, what.scale is not None)
        except NoNormalFormError:
            continue
        if nodes_in(root) < nodes_in(shortest) + is_plain:
            shortest, is_plain = root, False
    variables = tuple(name for name in what.formula.variables if name not in what.known)
    return NormalForm(shortest, variables, is_plain)


def _interval(number: Number) -> tuple[float, float] | None:
    """The 90 % interval of a constant over its refits, if it is bounded."""
    refits = number.refits
    if not refits.size:
        return None
    with np.errstate(all="ignore"):
        low, high = interval(np.where(np.isfinite(refits), refits, np.inf).tolist())
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
