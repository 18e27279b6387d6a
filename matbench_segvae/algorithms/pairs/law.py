"""Pair laws: energies of sets of defects as sums over defects and over pairs of them.

``E = sum_i eps(t_i) + sum_{i<j} K_{t_i t_j}(r_ij)``: every kind of defect has an energy,
every kind of pair a formula of the distance, its own or one that kinds have in common.
This is where formulas, which know nothing of matter, meet defects, which know nothing of
formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.defects import PairTable, pair_table, sparse_defects
from matbench_segvae.expressions import Expression, parse
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.expressions.law_fit import LawFit

VARIABLES = ("r",)
"""The formulas' variable: the distance of two defects, in Å."""

_FACTOR_NODES = 2  # what the factor in front of a formula adds to the complexity of a law


def pairs_of(structures: pd.Series, like: PairTable | None = None) -> PairTable:
    """Find the defects of structures and count their pairs.

    Args:
        structures: Defective supercells, pymatgen structures indexed by sample id.
        like: Table whose kinds of defects and pairs are known; nothing else may occur.

    Raises:
        UserError: If a structure has no known host or an unknown kind of defect or pair.
    """
    return pair_table([sparse_defects(structure) for structure in structures], like=like)


def pair_problem(
    table: PairTable, energies: NDArray[np.float64], formula_of: Sequence[int] | None = None
) -> AdditiveProblem:
    """Pose the fit of a pair law to energies per defect site.

    Args:
        table: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
        formula_of: Number of the formula of each kind of pair; by default every kind has
            its own.
    """
    per_site = 1 / table.n_sites[:, None]
    numbers = np.arange(len(table.pair_kinds)) if formula_of is None else np.asarray(formula_of)
    return AdditiveProblem(
        points=table.distance[:, None],
        group=numbers[table.kind],
        n_groups=len(set(numbers.tolist())),
        mixing=table.counts * per_site,
        base=table.composition * per_site,
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
    """

    defect_energies: Mapping[str, float]
    pair_scales: Mapping[str, float]
    pair_formulas: Mapping[str, Expression]

    @classmethod
    def from_fit(
        cls, fit: LawFit, table: PairTable, formula_of: Sequence[int] | None = None
    ) -> PairLaw:
        """Name the numbers of a fit after the kinds of defects and pairs of its data.

        Args:
            fit: The fit.
            table: Says what kinds there are.
            formula_of: Number of the formula of each kind of pair; by default every kind has
                its own.
        """
        numbers = range(len(table.pair_kinds)) if formula_of is None else formula_of
        formulas = [
            Expression(tokens).with_constants(constants.tolist())
            for tokens, constants in zip(fit.formulas, fit.constants, strict=True)
        ]
        scales = fit.scales.tolist()
        numbered = list(zip(table.pair_kinds, numbers, strict=True))
        return cls(
            dict(zip(table.defect_kinds, fit.base.tolist(), strict=True)),
            {kind: scales[number] for kind, number in numbered},
            {kind: formulas[number] for kind, number in numbered},
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
        )

    def plain(self) -> dict[str, dict[str, Any]]:
        """The law in JSON's own types, numbers in full precision."""
        return {
            "defect_energies_eV": dict(self.defect_energies),
            "pair_scales_eV": dict(self.pair_scales),
            "pair_formulas": {k: f.to_string() for k, f in self.pair_formulas.items()},
        }

    def values(self, kind: str, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy of pairs of a kind, eV.

        Args:
            kind: Kind of pair.
            distances: Å, any shape.
        """
        return self.pair_scales[kind] * self.pair_formulas[kind]({"r": distances})

    def predict(self, table: PairTable) -> NDArray[np.float64]:
        """Energy per defect site, eV, shape ``(N,)``.

        Args:
            table: Pairs of ``N`` structures, with the kinds of this law in its order.
        """
        values = np.zeros(len(table.distance))
        for number, kind in enumerate(table.pair_kinds):
            rows = table.kind == number
            values[rows] = self.values(kind, table.distance[rows])
        energies = np.array([self.defect_energies[kind] for kind in table.defect_kinds])
        total = table.composition @ energies + table.counts @ values
        return np.asarray(total / table.n_sites, dtype=np.float64)

    @property
    def complexity(self) -> int:
        """Nodes of the whole law: every formula with its factor, every defect energy."""
        formulas = [self.pair_formulas[kinds[0]].tokens for kinds in self.sharing()]
        return nodes_of(formulas, len(self.defect_energies))

    def sharing(self) -> list[list[str]]:
        """Kinds of pairs, those that have one formula with all its numbers in common together."""
        together: dict[tuple[float, str], list[str]] = {}
        for kind, formula in self.pair_formulas.items():
            key = (self.pair_scales[kind], formula.to_string())
            together.setdefault(key, []).append(kind)
        return list(together.values())

    def lines(self, digits: int = 4) -> list[str]:
        """The law in lines to read: one for each formula, one for the energies."""
        pairs = [
            f"K[{', '.join(kinds)}] = {self.pair_scales[kinds[0]]:.{digits}g}"
            f"*{_factor(self.pair_formulas[kinds[0]], digits)}"
            for kinds in self.sharing()
        ]
        energies = ", ".join(f"{k} {v:.{digits}g}" for k, v in self.defect_energies.items())
        return [*pairs, f"eps = {energies}"]

    def latex(self, digits: int = 4) -> str:
        """The law in LaTeX, one line for each formula."""
        lines = [
            rf"K_{{\mathrm{{{_latex_text(', '.join(kinds))}}}}}(r) = "
            rf"{self.pair_scales[kinds[0]]:.{digits}g} "
            rf"\left({self.pair_formulas[kinds[0]].latex(digits)}\right)"
            for kinds in self.sharing()
        ]
        return r" \\ ".join(lines)


def nodes_of(formulas: Sequence[Sequence[str]], n_defect_kinds: int) -> int:
    """Complexity of a law: nodes of every formula, its factor, and every defect energy."""
    return sum(len(tokens) + _FACTOR_NODES for tokens in formulas) + n_defect_kinds


def _factor(formula: Expression, digits: int) -> str:
    """A formula as the right factor of a product."""
    text = formula.to_string(digits)
    return text if text.isidentifier() else f"({text})"


def _latex_text(label: str) -> str:
    """A label with what LaTeX would take for commands made harmless."""
    return label.replace("_", r"\_").replace(" ", r"\ ")
