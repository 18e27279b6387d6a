"""Pair laws: energies of sets of defects as sums over defects and over pairs of them.

``E = sum_i eps(t_i) + sum_{i<j} K_{t_i t_j}(r_ij)``: every kind of defect has an energy,
every kind of pair a formula of the distance, its own or one that kinds have in common. Where
the data speak for it, ``T / (r1 r2)`` is added for any two defects around one of some kind
(see :mod:`~matbench_segvae.algorithms.pair_laws.three_body`).
This is where formulas, which know nothing of matter, meet defects, which know nothing of
formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.defects import PairCounts, count_pairs, sparse_defects
from matbench_segvae.expressions import Expression, parse
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.joint_fit import LawFit

VARIABLES = ("r",)
"""The formulas' variable: the distance of two defects, in Å."""


_FACTOR_NODES = 2  # a number and a product: what a factor adds to the complexity of a law


_THREE_BODY_NODES = 5  # of ``T / (r1 * r2)``


def pairs_of(structures: pd.Series, like: PairCounts | None = None) -> PairCounts:
    """Find the defects of structures and count their pairs.

    Args:
        structures: Defective supercells, pymatgen structures indexed by sample id.
        like: Table whose kinds of defects and pairs are known; nothing else may occur.

    Raises:
        UserError: If a structure has no known host or an unknown kind of defect or pair.
    """
    return count_pairs([sparse_defects(structure) for structure in structures], like=like)


def pair_problem(
    table: PairCounts,
    energies: NDArray[np.float64],
    formula_of: Sequence[int] | None = None,
    around: Sequence[int] = (),
) -> AdditiveProblem:
    """Pose the fit of a pair law to energies per defect site.

    Args:
        table: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
        formula_of: Number of the formula of each kind of pair; by default every kind has
            its own.
        around: Numbers of the kinds of defects that have a three-body term around them.
    """
    per_site = 1 / table.n_sites[:, None]
    linear = np.concatenate([table.composition, table.crowding[:, list(around)]], axis=1)
    numbers = np.arange(len(table.pair_kinds)) if formula_of is None else np.asarray(formula_of)
    return AdditiveProblem(
        points=table.distance[:, None],
        group=numbers[table.kind],
        n_groups=len(set(numbers.tolist())),
        incidence=table.counts * per_site,
        linear=linear * per_site,
        target=np.asarray(energies, dtype=np.float64),
        weights=np.ones(len(energies)),
    )


@dataclass(frozen=True)
class PairLaw:
    """A fitted pair law.

    Attributes:
        defect_energies: Energy of each kind of defect, eV.
        pair_scales: Factor of the formula for each kind of pair, eV.
        pair_formulas: The formula, with its constants, for each kind of pair.
        three_body: Factor of the three-body term around each kind of defect that has one,
            eV Å².
    """

    defect_energies: Mapping[str, float]
    pair_scales: Mapping[str, float]
    pair_formulas: Mapping[str, Expression]
    three_body: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_fit(
        cls,
        fit: LawFit,
        table: PairCounts,
        formula_of: Sequence[int] | None = None,
        around: Sequence[int] = (),
    ) -> PairLaw:
        """Name the numbers of a fit after the kinds of defects and pairs of its data.

        Args:
            fit: The fit.
            table: Says what kinds there are.
            formula_of: Number of the formula of each kind of pair; by default every kind has
                its own.
            around: Numbers of the kinds of defects that have a three-body term.
        """
        numbers = range(len(table.pair_kinds)) if formula_of is None else formula_of
        formulas = [
            Expression(tokens).with_constants(constants.tolist())
            for tokens, constants in zip(fit.formulas, fit.constants, strict=True)
        ]
        scales = fit.scales.tolist()
        numbered = list(zip(table.pair_kinds, numbers, strict=True))
        energies, three_body = np.split(fit.linear, [len(table.defect_kinds)])
        crowded = [table.defect_kinds[number] for number in around]
        return cls(
            dict(zip(table.defect_kinds, energies.tolist(), strict=True)),
            {kind: scales[number] for kind, number in numbered},
            {kind: formulas[number] for kind, number in numbered},
            dict(zip(crowded, three_body.tolist(), strict=True)),
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> PairLaw:
        """Rebuild a law from what :meth:`plain` gave.

        Raises:
            ValueError: If a formula cannot be read.
            KeyError: If a part is missing.
        """
        return cls(
            dict(plain["defect_energies_eV"]),
            dict(plain["pair_scales_eV"]),
            {kind: parse(text, VARIABLES) for kind, text in plain["pair_formulas"].items()},
            dict(plain.get("three_body_eVA2", {})),
        )

    def plain(self) -> dict[str, dict[str, Any]]:
        """The law in JSON's own types, numbers in full precision."""
        return {
            "defect_energies_eV": dict(self.defect_energies),
            "pair_scales_eV": dict(self.pair_scales),
            "pair_formulas": {k: f.to_string() for k, f in self.pair_formulas.items()},
            "three_body_eVA2": dict(self.three_body),
        }

    def values(self, kind: str, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy of pairs of a kind, eV.

        Args:
            kind: Kind of pair.
            distances: Å, any shape.
        """
        return self.pair_scales[kind] * self.pair_formulas[kind]({"r": distances})

    def predict(self, table: PairCounts) -> NDArray[np.float64]:
        """Energy per defect site, eV, shape ``(N,)``.

        Args:
            table: Pairs of ``N`` structures, with the kinds of this law in its order.
        """
        values = np.zeros(len(table.distance))
        for number, kind in enumerate(table.pair_kinds):
            rows = table.kind == number
            values[rows] = self.values(kind, table.distance[rows])
        energies = np.array([self.defect_energies[kind] for kind in table.defect_kinds])
        factors = np.array([self.three_body.get(kind, 0.0) for kind in table.defect_kinds])
        total = table.composition @ energies + table.counts @ values + table.crowding @ factors
        return np.asarray(total / table.n_sites, dtype=np.float64)

    @property
    def complexity(self) -> int:
        """Nodes of the whole law: formulas with factors, defect energies, three-body terms."""
        formulas = [self.pair_formulas[kinds[0]].tokens for kinds in self.sharing()]
        return nodes_of(formulas, len(self.defect_energies), len(self.three_body))

    def sharing(self) -> list[list[str]]:
        """Kinds of pairs, those that have one formula with all its numbers in common together."""
        together: dict[tuple[float, str], list[str]] = {}
        for kind, formula in self.pair_formulas.items():
            key = (self.pair_scales[kind], formula.to_string())
            together.setdefault(key, []).append(kind)
        return list(together.values())

    def lines(self, digits: int = 4) -> list[str]:
        """The law in lines to read: formulas, three-body terms, and the defects' energies."""
        energies = ", ".join(f"{k} {v:.{digits}g}" for k, v in self.defect_energies.items())
        return [*self.pair_lines(digits), *self.three_body_lines(digits), f"eps = {energies}"]

    def pair_lines(self, digits: int = 4) -> list[str]:
        """A line for each formula."""
        return [
            f"K[{', '.join(kinds)}] = {self.pair_scales[kinds[0]]:.{digits}g}"
            f"{_scaled(self.pair_formulas[kinds[0]], digits)}"
            for kinds in self.sharing()
        ]

    def three_body_lines(self, digits: int = 4) -> list[str]:
        """A line for each kind of defect with a three-body term around it."""
        return [f"T[{kind}] = {t:.{digits}g}/(r1*r2)" for kind, t in self.three_body.items()]

    def latex(self, digits: int = 4) -> str:
        """The law in LaTeX, one line for each formula."""
        pairs = [
            rf"K_{{\mathrm{{{_latex_text(', '.join(kinds))}}}}}(r) = "
            + _scaled_latex(self.pair_scales[kinds[0]], self.pair_formulas[kinds[0]], digits)
            for kinds in self.sharing()
        ]
        three_body = [
            rf"T_{{\mathrm{{{_latex_text(kind)}}}}}(r_1, r_2) = \frac{{{t:.{digits}g}}}{{r_1 r_2}}"
            for kind, t in self.three_body.items()
        ]
        return r" \\ ".join([*pairs, *three_body])


def nodes_of(formulas: Sequence[Sequence[str]], n_defect_kinds: int, n_three_body: int = 0) -> int:
    """Complexity of a law: its formulas with their factors, and what stands beside them.

    A factor is a number and a product, and costs one node only in front of an inverse:
    ``a*inv(x)`` is ``a/x``.

    Args:
        formulas: Tokens of each formula.
        n_defect_kinds: Number of energies of defects.
        n_three_body: Number of three-body terms.
    """
    pairs = sum(len(tokens) + _FACTOR_NODES - (tokens[0] == "inv") for tokens in formulas)
    return pairs + n_defect_kinds + _THREE_BODY_NODES * n_three_body


def _divisor(formula: Expression) -> Expression | None:
    """What a formula is the inverse of, if it is one."""
    if formula.tokens[0] != "inv":
        return None
    return Expression(formula.tokens[1:], formula.constants)


def _scaled(formula: Expression, digits: int) -> str:
    """A formula behind its factor, with the sign of the product or quotient."""
    divisor = _divisor(formula)
    sign, factor = ("*", formula) if divisor is None else ("/", divisor)
    text = factor.to_string(digits)
    return f"{sign}{text}" if text.isidentifier() else f"{sign}({text})"


def _scaled_latex(scale: float, formula: Expression, digits: int) -> str:
    """The same in LaTeX, with the factor."""
    divisor = _divisor(formula)
    if divisor is not None:
        return rf"\frac{{{scale:.{digits}g}}}{{{divisor.latex(digits)}}}"
    return rf"{scale:.{digits}g} \left({formula.latex(digits)}\right)"


def _latex_text(label: str) -> str:
    """A label with what LaTeX would take for commands made harmless."""
    return label.replace("_", r"\_").replace(" ", r"\ ")
