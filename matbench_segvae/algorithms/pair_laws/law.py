"""Pair laws: energies of sets of defects as sums over defects and over pairs of them.

``E = sum_i eps(t_i) + sum_{i<j} K_{t_i t_j}(r_ij)``: every kind of defect has an energy,
every kind of pair a formula of the distance, its own or one that kinds have in common. Where
cross-validation supports it, many-body terms around some kinds of defects are added (see
:mod:`~matbench_segvae.defects.many_body`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matbench_segvae.algorithms.pair_laws.shared_shapes import NO_ENERGY, SharedShapes
from matbench_segvae.algorithms.pair_laws.shared_table import SharedTable
from matbench_segvae.defects import (
    ManyBodyTerm,
    PairCounts,
    PairKind,
    TermColumn,
    meaning,
)
from matbench_segvae.expressions import Expression
from matbench_segvae.expressions.figures import figures, interval
from matbench_segvae.expressions.normal_form import NormalForm, normal_form
from matbench_segvae.expressions.scaled_formula import ScaledFormula
from matbench_segvae.expressions.tree import Whole
from matbench_segvae.expressions.written import Units
from matbench_segvae.fitting.joint_fit import LawFit
from matbench_segvae.types import Floats, Tokens

VARIABLES = ("r",)
"""The formulas' variable: the distance of two defects, in Å."""

UNITS = Units(variable="Å", value="eV")
"""Units of formulas with their factors."""


_FACTOR_NODES = 2  # a number and a product: what a factor adds to the complexity of a law


@dataclass(frozen=True)
class PairLaw:
    """A fitted pair law.

    Attributes:
        defect_energies: Energy of each kind of defect, eV.
        pair_scales: Factor of the formula for each kind of pair, eV.
        pair_formulas: The formula, with its constants, for each kind of pair.
        many_body: Factor of each many-body term that the law has, by the term and the kind
            of defect it is around, in the unit of the term.
        constant: Energy that every structure has whatever its defects, eV: an error common to all
            cells, such as one of the energy of the pristine cell. Without it a law that vanishes
            at large distances cannot fit structures with different numbers of defects.
        shared: Where all kinds of pairs have one formula with different coefficients, that
            formula and its table, which the formulas follow from.
    """

    defect_energies: Mapping[str, float]
    pair_scales: Mapping[PairKind, float]
    pair_formulas: Mapping[PairKind, Expression]
    many_body: Mapping[TermColumn, float] = field(default_factory=dict)
    constant: float | None = None
    shared: SharedShapes | None = None

    @classmethod
    def from_shared(
        cls,
        shared: SharedShapes,
        defect_energies: Mapping[str, float],
        many_body: Mapping[TermColumn, float],
        constant: float | None,
    ) -> PairLaw:
        """A law of one formula with a table of coefficients."""
        return cls(
            defect_energies,
            dict.fromkeys(shared.table, 1.0),
            {kind: shared.pair_formula(kind) for kind in shared.table},
            many_body,
            constant,
            shared,
        )

    @classmethod
    def from_fit(
        cls,
        fit: LawFit,
        pairs: PairCounts,
        formula_of: Sequence[int] | None = None,
        columns: Sequence[int] = (),
        *,
        constant: bool = False,
    ) -> PairLaw:
        """Name the numbers of a fit after the kinds of defects and pairs of its data.

        Args:
            fit: The fit.
            pairs: The data's kinds and terms.
            formula_of: Number of the formula of each kind of pair; by default every kind has
                its own.
            columns: Numbers of the descriptors that have a factor.
            constant: Whether the last coefficient of the linear part is the energy of every
                structure.
        """
        numbers = range(len(pairs.pair_kinds)) if formula_of is None else formula_of
        formulas = fit.expressions
        scales = fit.scales.tolist()
        numbered = list(zip(pairs.pair_kinds, numbers, strict=True))
        return cls(
            pair_scales={kind: scales[number] for kind, number in numbered},
            pair_formulas={kind: formulas[number] for kind, number in numbered},
            **linear_numbers(fit.linear, pairs, columns, constant=constant),
        )

    def values(self, kind: PairKind, distances: Floats) -> Floats:
        """Energy of pairs of a kind, eV.

        Args:
            kind: Kind of pair.
            distances: Å, any shape.
        """
        return self.pair_scales[kind] * self.pair_formulas[kind]({"r": distances})

    def predict(self, pairs: PairCounts) -> Floats:
        """Energy per defect site, eV, shape ``(N,)``.

        Args:
            pairs: Pairs of ``N`` structures, with the kinds of this law in its order.
        """
        values = np.zeros(len(pairs.distance))
        for number, kind in enumerate(pairs.pair_kinds):
            rows = pairs.kind == number
            values[rows] = self.values(kind, pairs.distance[rows])
        energies = np.array([self.defect_energies[kind] for kind in pairs.defect_kinds])
        factors = np.array([self.many_body.get(column, 0.0) for column in pairs.term_columns])
        total = pairs.composition @ energies + pairs.counts @ values + pairs.descriptors @ factors
        total = total + (self.constant or 0.0)
        return np.asarray(total / pairs.n_sites, dtype=np.float64)

    @property
    def complexity(self) -> int:
        """Nodes of the whole law: formulas with factors, defect energies, many-body terms."""
        terms = [term for term, _ in self.many_body]
        beside = len(self.defect_energies) + (self.constant is not None)
        if self.shared is not None:
            return self.shared.nodes + nodes_of([], beside, terms)
        formulas = [self.pair_formulas[kinds[0]].tokens for kinds in self.sharing()]
        return nodes_of(formulas, beside, terms)

    def sharing(self) -> list[list[PairKind]]:
        """Kinds of pairs, those that have one formula with all its numbers in common together."""
        together: dict[tuple[float, str], list[PairKind]] = {}
        for kind, formula in self.pair_formulas.items():
            key = (self.pair_scales[kind], formula.to_string())
            together.setdefault(key, []).append(kind)
        return list(together.values())

    def normal_forms(self, refits: Sequence[PairLaw] = ()) -> list[NormalForm]:
        """Each formula with its factor as people write it, in the order of :meth:`sharing`.

        Args:
            refits: The same law fitted to resampled data, for the intervals of constants.
        """
        return [self._normal_form(kinds[0], refits) for kinds in self.sharing()]

    def _normal_form(self, kind: PairKind, refits: Sequence[PairLaw]) -> NormalForm:
        """The formula of a kind of pair as people write it; 0 of a kind without energy."""
        formula = self.pair_formulas[kind]
        others = [(one.pair_scales[kind], one.pair_formulas[kind]) for one in refits]
        scales = (self.pair_scales[kind], *(scale for scale, _ in others))
        if formula == NO_ENERGY or not any(scales):
            return NormalForm(Whole(0.0), (), True)
        return normal_form(ScaledFormula(formula, self.pair_scales[kind], others), UNITS)

    def lines(self, refits: Sequence[PairLaw] = ()) -> list[str]:
        """The law in lines to read: formulas, many-body terms, and the defects' energies.

        Args:
            refits: The same law fitted to resampled data: numbers are written with as many
                digits as those leave certain.
        """
        return [
            *self.pair_lines(refits),
            *self.many_body_lines(refits),
            *self.energy_lines(refits),
        ]

    def energy_lines(self, refits: Sequence[PairLaw] = ()) -> list[str]:
        """A line for the energies of defects, and one for the constant if there is one."""
        energies = ", ".join(
            f"{kind} {_figures(value, [one.defect_energies[kind] for one in refits])}"
            for kind, value in self.defect_energies.items()
        )
        if self.constant is None:
            return [f"eps = {energies}"]
        of_refits = [one.constant for one in refits if one.constant is not None]
        return [f"eps = {energies}", f"c0 = {_figures(self.constant, of_refits)}"]

    def shared_table(self, refits: Sequence[PairLaw] = ()) -> SharedTable | None:
        """The formula and table of a law with common shapes; ``None`` for any other law.

        Args:
            refits: The same law fitted to resampled data.
        """
        if self.shared is None:
            return None
        others = [one.shared for one in refits if one.shared is not None]
        return SharedTable(self.shared, others, UNITS)

    def pair_lines(self, refits: Sequence[PairLaw] = ()) -> list[str]:
        """A line for each formula; of a law with common shapes that formula and its table."""
        table = self.shared_table(refits)
        if table is not None:
            return table.lines()
        forms = zip(self.sharing(), self.normal_forms(refits), strict=True)
        return [f"K[{joined(kinds)}] = {form.text}" for kinds, form in forms]

    def many_body_lines(self, refits: Sequence[PairLaw] = ()) -> list[str]:
        """A line for each many-body term."""
        return [
            f"{term.name}[{kind}] = {term.text.format(self._factor((term, kind), refits))}"
            for term, kind in self.many_body
        ]

    @property
    def many_body_meanings(self) -> list[str]:
        """Which defects each many-body term is for, in words."""
        return [meaning(column) for _, column in self.many_body]

    def latex(self, refits: Sequence[PairLaw] = ()) -> str:
        """The law in LaTeX, one line for each formula."""
        table = self.shared_table(refits)
        pairs = (
            [rf"K_{{ab}}(r) = {table.latex}"]
            if table
            else [
                rf"K_{{\mathrm{{{_latex_text(joined(kinds))}}}}}(r) = {form.latex}"
                for kinds, form in zip(self.sharing(), self.normal_forms(refits), strict=True)
            ]
        )
        terms = [
            rf"{term.name}_{{\mathrm{{{_latex_text(kind)}}}}}({term.latex_variables}) = "
            + term.latex.format(self._factor((term, kind), refits))
            for term, kind in self.many_body
        ]
        return r" \\ ".join([*pairs, *terms])

    def _factor(self, column: TermColumn, refits: Sequence[PairLaw]) -> str:
        """The figures of a many-body term's factor."""
        return _figures(self.many_body[column], [one.many_body[column] for one in refits])


def linear_numbers(
    linear: Floats, pairs: PairCounts, columns: Sequence[int], *, constant: bool
) -> dict[str, Any]:
    """Name the coefficients of the linear part of a fit, as arguments of :class:`PairLaw`.

    Args:
        linear: Energies of the kinds of defects, factors of the descriptors, and the constant.
        pairs: The data's kinds and terms.
        columns: Numbers of the descriptors that have a factor.
        constant: Whether there is a constant.
    """
    n_kinds = len(pairs.defect_kinds)
    energies, factors, rest = np.split(linear, [n_kinds, n_kinds + len(columns)])
    terms = [pairs.term_columns[column] for column in columns]
    return {
        "defect_energies": dict(zip(pairs.defect_kinds, energies.tolist(), strict=True)),
        "many_body": dict(zip(terms, factors.tolist(), strict=True)),
        "constant": float(rest[0]) if constant else None,
    }


def joined(kinds: Iterable[PairKind]) -> str:
    """Labels of kinds of pairs in one line."""
    return ", ".join(map(str, kinds))


def nodes_of(
    formulas: Iterable[Tokens], n_defect_kinds: int, terms: Iterable[ManyBodyTerm] = ()
) -> int:
    """Complexity of a law: its formulas with their factors, defect energies, many-body terms.

    A factor is a number and a product, and costs one node only in front of an inverse:
    ``a*inv(x)`` is ``a/x``.

    Args:
        formulas: Tokens of each formula.
        n_defect_kinds: Number of energies of defects, and 1 for a constant.
        terms: The many-body terms, once for each kind of defect they are around.
    """
    pairs = sum(len(tokens) + _FACTOR_NODES - (tokens[0] == "inv") for tokens in formulas)
    return pairs + n_defect_kinds + sum(term.nodes for term in terms)


def _figures(value: float, refits: Sequence[float]) -> str:
    """A number to the digits that its refits leave certain."""
    return figures(value, interval(refits) if refits else None)


def _latex_text(label: str) -> str:
    """A label with what LaTeX would take for commands made harmless."""
    return label.replace("_", r"\_").replace(" ", r"\ ")
