"""A law of one formula and a small table, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from matbench_segvae.algorithms.pair_laws.shared_shapes import SharedShapes, written
from matbench_segvae.defects import PairKind
from matbench_segvae.expressions.normal_form import NormalConstant, NormalForm, normal_form
from matbench_segvae.expressions.notation import Figure, Latex, Text
from matbench_segvae.expressions.scaled_formula import ScaledFormula
from matbench_segvae.expressions.tree import Constant, constants_in
from matbench_segvae.expressions.written import Units

_OWN = ("amplitude", "coefficient", "factor", "phase")
"""Meanings of the constants that differ from kind to kind."""

_PHASE = "phase"


@dataclass(frozen=True)
class Entry:
    """An entry of the table.

    Attributes:
        name: Of its column, such as ``"A1"`` or ``"phi1"``.
        constant: Value, unit and interval.
    """

    name: str
    constant: NormalConstant


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
        forms = self._numbered()
        return (
            " + ".join(Text(_text_figure(form, n)).formula(form.root) for n, form in forms) or "0"
        )

    @property
    def latex(self) -> str:
        """The formula in LaTeX."""
        forms = self._numbered()
        parts = [Latex(_latex_figure(form, n)).formula(form.root) for n, form in forms]
        return " + ".join(parts) or "0"

    @property
    def common(self) -> list[tuple[str, NormalConstant]]:
        """The constants that all kinds of pairs have in common, with names."""
        return [
            (f"{one.name}{number}", one)
            for number, form in self._numbered()
            for one in form.constants
            if one.meaning not in _OWN
        ]

    def entries(self, kind: PairKind) -> list[Entry]:
        """What a kind of pair has in the table; nothing if it has no energy."""
        found = []
        for number, form in enumerate(self._forms[kind], start=1):
            for one in form.constants if form else ():
                if one.meaning in _OWN:
                    found.append(Entry(_name(one.meaning, number), one))
        return found

    def lines(self) -> list[str]:
        """The formula, and a line of the table for each kind of pair."""
        rows = []
        for kind in self._shared.table:
            entries = self.entries(kind)
            listed = ", ".join(f"{one.name} {one.constant.figures}" for one in entries)
            rows.append(f"K[{kind}]: {listed or '0'}")
        return [f"K = {self.text}", *rows]

    def _numbered(self) -> list[tuple[int, NormalForm]]:
        """The terms that some kind of pair has, with their numbers from 1."""
        forms = enumerate(self._representatives, start=1)
        return [(number, form) for number, form in forms if form is not None]

    @cached_property
    def _forms(self) -> dict[PairKind, list[NormalForm | None]]:
        """The normal form of each term of each kind of pair."""
        return {kind: self._forms_of(kind) for kind in self._shared.table}

    def _forms_of(self, kind: PairKind) -> list[NormalForm | None]:
        refits = [(one.terms, one.coefficients(kind)) for one in self._refits]
        forms: list[NormalForm | None] = []
        for number, own in enumerate(self._shared.coefficients(kind)):
            if own is None:
                forms.append(None)
                continue
            others = []
            for terms, coefficients in refits:
                other = coefficients[number]
                assert other is not None  # refits have the same entries
                others.append((other.amplitude, written(terms[number], other.phase)))
            term = written(self._shared.terms[number], own.phase)
            forms.append(normal_form(ScaledFormula(term, own.amplitude, others), self._units))
        return forms

    @property
    def _representatives(self) -> list[NormalForm | None]:
        """For each term the form of a kind that has it, with a phase if one has a phase."""
        n_terms = len(self._shared.terms)
        chosen: list[NormalForm | None] = []
        for number in range(n_terms):
            forms = [row[number] for row in self._forms.values()]
            there = [form for form in forms if form is not None]
            there.sort(key=lambda form: not _has_phase(form))
            chosen.append(there[0] if there else None)
        return chosen


def column_names(entries: Iterable[Sequence[Entry]]) -> list[str]:
    """Names of the columns that any of some rows has, in order."""
    names = {one.name for row in entries for one in row}
    return sorted(names, key=lambda name: (name[-1], name))


def _has_phase(form: NormalForm) -> bool:
    return any(one.meaning == _PHASE for one in form.constants)


def _name(meaning: str, number: int) -> str:
    return f"phi{number}" if meaning == _PHASE else f"A{number}"


def _text_figure(form: NormalForm, number: int) -> Figure:
    """Names for what differs from kind to kind, figures and units for the rest."""
    of_place = dict(zip(constants_in(form.root), form.constants, strict=True))

    def figure(place: Constant) -> str:
        one = of_place[place]
        if one.meaning in _OWN:
            return _name(one.meaning, number)
        return f"{one.figures} {one.unit}" if one.unit else one.figures

    return figure


def _latex_figure(form: NormalForm, number: int) -> Figure:
    """The same in LaTeX."""
    of_place = dict(zip(constants_in(form.root), form.constants, strict=True))

    def figure(place: Constant) -> str:
        one = of_place[place]
        if one.meaning in _OWN:
            symbol = r"\varphi" if one.meaning == _PHASE else "A"
            return rf"{symbol}^{{({number})}}_{{ab}}"
        return rf"{one.figures}\,\text{{{one.unit}}}" if one.unit else one.figures

    return figure
