"""A law of one formula and a small table, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from matbench_segvae.algorithms.pair_laws.shared_shapes import (
    Coefficient,
    SharedShapes,
    phase_index,
    written,
)
from matbench_segvae.defects import PairKind
from matbench_segvae.expressions.figures import interval
from matbench_segvae.expressions.normal_form import NormalConstant, NormalForm, normal_form
from matbench_segvae.expressions.notation import Figure, Latex, Text
from matbench_segvae.expressions.scaled_formula import ScaledFormula
from matbench_segvae.expressions.tree import PHASE, Constant, Quotient, constants_in
from matbench_segvae.expressions.written import Units
from matbench_segvae.types import Floats


@dataclass(frozen=True)
class Entry:
    """An entry of the table.

    Attributes:
        name: Of its column, such as ``"A1"`` or ``"phi1"``.
        constant: Value, unit and interval.
    """

    name: str
    constant: NormalConstant


class _Symbols(NamedTuple):
    """How the parts of a term are written: its amplitude, its phase, and a number with a unit."""

    amplitude: str
    phase: str
    quantity: str


@dataclass(frozen=True)
class _Term:
    """A term of one kind of pair, its amplitude taken as 1.

    Attributes:
        form: The term as it is written; the same for all kinds up to the phase.
        amplitudes: The coefficient, eV, of the law and of each refit.
        has_phase: Whether its phase was fitted.
    """

    form: NormalForm
    amplitudes: Floats
    has_phase: bool

    @property
    def head(self) -> Constant | None:
        """The number in front of the whole term, which the amplitude stands for."""
        root = self.form.root
        if isinstance(root, Quotient) and root.above and isinstance(root.above[0], Constant):
            return root.above[0]
        return None

    @property
    def phase(self) -> Constant | None:
        """The phase of its wave."""
        found = [one for one in constants_in(self.form.root) if one.meaning == PHASE]
        return max(found, key=lambda one: one.number.origin, default=None)

    def constant(self, place: Constant) -> NormalConstant:
        """The constant at a place of the term."""
        places = list(constants_in(self.form.root))
        return self.form.constants[places.index(place)]

    def amplitude(self) -> NormalConstant:
        """What stands in front of the term, with its sign."""
        head = self.head
        values, unit = self.amplitudes, None
        if head is not None:
            number = head.number
            refits = number.refits if number.refits.size else np.ones(len(values) - 1)
            values, unit = values * np.concatenate([[number.value], refits]), head.unit
        value, others = float(values[0]), values[1:].tolist()
        ends = interval(others) if others else None
        return NormalConstant(
            "A", value, "amplitude", unit, None if ends is None else (ends[0], ends[1]), False
        )


class SharedTable:
    """The formula that kinds of pairs have in common, with names for what differs.

    Args:
        shared: The law's formula and table.
        refits: The same fitted to resampled data, for intervals.
        units: Of the distance and of the law's values.
    """

    def __init__(self, shared: SharedShapes, refits: Sequence[SharedShapes], units: Units) -> None:
        self._shared, self._refits, self._units = shared, refits, units

    @property
    def text(self) -> str:
        """The formula in one line; 0 if no kind of pair has an entry."""
        parts = []
        for number, term in self._shown:
            symbols = _Symbols(f"A{number}", f"phi{number}", "{} {}")
            notation = Text(_figure(term, symbols))
            parts.append(_written(term, notation, f"{symbols.amplitude}*"))
        return " + ".join(parts) or "0"

    @property
    def latex(self) -> str:
        """The formula in LaTeX."""
        parts = []
        for number, term in self._shown:
            symbols = _Symbols(
                rf"A^{{({number})}}_{{ab}}",
                rf"\varphi^{{({number})}}_{{ab}}",
                r"{}\,\text{{{}}}",
            )
            notation = Latex(_figure(term, symbols))
            parts.append(_written(term, notation, rf"{symbols.amplitude} \, "))
        return " + ".join(parts) or "0"

    @property
    def common(self) -> list[tuple[str, NormalConstant]]:
        """The constants that all kinds of pairs have in common, with names."""
        return [
            (f"{term.constant(place).name}{number}", term.constant(place))
            for number, term in self._shown
            for place in constants_in(term.form.root)
            if place is not term.head and place is not term.phase
        ]

    def entries(self, kind: PairKind) -> list[Entry]:
        """What a kind of pair has in the table; nothing if it has no energy."""
        found = []
        for number, term in enumerate(self._terms[kind], start=1):
            if term is None:
                continue
            found.append(Entry(f"A{number}", term.amplitude()))
            if term.phase is not None:
                phase = term.constant(term.phase)
                fixed = replace(phase, interval=None, fixed=True)
                found.append(Entry(f"phi{number}", phase if term.has_phase else fixed))
        return found

    def lines(self) -> list[str]:
        """The formula, and a line of the table for each kind of pair."""
        rows = []
        for kind in self._shared.table:
            entries = self.entries(kind)
            listed = ", ".join(f"{one.name} {one.constant.figures}" for one in entries)
            rows.append(f"K[{kind}]: {listed or '0'}")
        return [f"K = {self.text}", *rows]

    @cached_property
    def _shown(self) -> list[tuple[int, _Term]]:
        """Each term that any kind of pair has, with its number, as the first of them has it."""
        chosen = []
        for number in range(len(self._shared.terms)):
            there = [row[number] for row in self._terms.values()]
            forms = [term for term in there if term is not None]
            chosen += [(number + 1, term) for term in forms[:1]]
        return chosen

    @cached_property
    def _terms(self) -> dict[PairKind, list[_Term | None]]:
        """The terms of each kind of pair."""
        return {kind: self._terms_of(kind) for kind in self._shared.table}

    def _terms_of(self, kind: PairKind) -> list[_Term | None]:
        laws = [self._shared, *self._refits]
        coefficients = [law.coefficients(kind) for law in laws]
        terms: list[_Term | None] = []
        for number, own in enumerate(coefficients[0]):
            each = [row[number] for row in coefficients]
            there = [one for one in each if one is not None]
            if own is None or len(there) < len(laws):
                terms.append(None)
                continue
            scaled = self._formula(number, there)
            amplitudes = np.array([one.amplitude for one in there])
            fitted = own.phase is not None and abs(own.phase) != np.pi / 2
            terms.append(_Term(normal_form(scaled, self._units), amplitudes, fitted))
        return terms

    def _formula(self, number: int, each: Sequence[Coefficient]) -> ScaledFormula:
        """A term with the phase of a kind of pair, in the law and in each refit.

        Where any kind has a phase, all have: the term is written in the same way for each of them.
        """
        terms = [law.terms[number] for law in (self._shared, *self._refits)]
        place = None
        if number in self._with_phases:
            place = phase_index(terms[0])
            phases = [one.phase or 0.0 for one in each]
            terms = [written(term, phase) for term, phase in zip(terms, phases, strict=True)]
        return ScaledFormula(terms[0], 1.0, [(1.0, one) for one in terms[1:]], phase=place)

    @cached_property
    def _with_phases(self) -> frozenset[int]:
        """Positions of the terms that any kind of pair has a phase in."""
        laws = (self._shared, *self._refits)
        rows = [law.coefficients(kind) for law in laws for kind in law.table]
        return frozenset(
            number
            for row in rows
            for number, one in enumerate(row)
            if one is not None and one.phase is not None
        )


def column_names(entries: Iterable[Sequence[Entry]]) -> list[str]:
    """Names of the columns that any of some rows has, in order."""
    names = {one.name for row in entries for one in row}
    return sorted(names, key=lambda name: (name[-1], name))


def _written(term: _Term, notation: Text, factor: str) -> str:
    """A term with the name of its amplitude in front."""
    text = notation.formula(term.form.root)
    return text if term.head is not None else f"{factor}({text})"


def _figure(term: _Term, symbols: _Symbols) -> Figure:
    """Names for what differs from kind to kind, figures and units for the rest."""

    def figure(place: Constant) -> str:
        if place is term.head:
            return symbols.amplitude
        if place is term.phase:
            return symbols.phase
        one = term.constant(place)
        return symbols.quantity.format(one.figures, one.unit) if one.unit else one.figures

    return figure
