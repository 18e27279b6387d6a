"""Pair laws: energies of sets of defects as sums over defects and over pairs of them.

``E = sum_i eps(t_i) + sum_{i<j} K_{t_i t_j}(r_ij)``: every kind of defect has an energy,
every kind of pair a formula of the distance. This is where formulas, which know nothing
of matter, meet defects, which know nothing of formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.defects import PairTable, pair_table, sparse_defects
from matbench_segvae.expressions import Expression
from matbench_segvae.expressions.compiled import Floats, Program
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.expressions.robust import LawFit

VARIABLES = ("r",)
"""The formulas' variable: the distance of two defects, in Å."""


def pairs_of(structures: pd.Series, like: PairTable | None = None) -> PairTable:
    """Find the defects of structures and count their pairs.

    Args:
        structures: Defective supercells, pymatgen structures indexed by sample id.
        like: Table whose kinds of defects and pairs are known; nothing else may occur.

    Raises:
        UserError: If a structure has no known host or an unknown kind of defect or pair.
    """
    return pair_table([sparse_defects(structure) for structure in structures], like=like)


def pair_problem(table: PairTable, energies: NDArray[np.float64]) -> AdditiveProblem:
    """Pose the fit of a pair law to energies per defect site.

    Args:
        table: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
    """
    per_site = 1 / table.n_sites[:, None]
    return AdditiveProblem(
        points=table.distance[:, None],
        group=table.kind,
        n_groups=len(table.pair_kinds),
        mixing=table.counts * per_site,
        base=table.composition * per_site,
        target=np.asarray(energies, dtype=np.float64),
        weights=np.ones(len(energies)),
    )


class SmoothLaw:
    """A priori knowledge: a pair law has no poles and does not wiggle between lattice sites.

    Distances on a lattice are few, and a formula may pass through all of them with a pole
    or a fast oscillation in between; it would be read wrongly and predict anything at a
    distance that was not in training. A law is smooth when its total variation over the
    range of the data, and a little beyond, is no more than a few times its spread there.
    """

    n_points = 150  # of the grid over the range of each kind of pair
    margins = (1.0, 1.25)  # how far beyond the shortest and longest distance it reaches
    largest_variation = 4.0  # in units of the spread at the data

    def __init__(self, problem: AdditiveProblem) -> None:
        """Lay a grid over the distances of each kind of pair."""
        self._at_data = [problem.points[rows] for rows in problem.members]
        self._grids = [
            np.linspace(
                self.margins[0] * points.min(), self.margins[1] * points.max(), self.n_points
            )[:, None]
            for points in self._at_data
        ]

    def __call__(self, program: Program, constants: Floats, group: int) -> NDArray[np.bool_]:
        """Tell which of ``B`` formulas are smooth for a kind of pair.

        Args:
            program: The formulas.
            constants: Shape ``(B, C)``.
            group: Number of the kind of pair.

        Returns:
            Booleans, shape ``(B,)``; false where a formula is undefined on the grid.
        """
        # A law that hardly changes may do so as it likes: its spread is seen from 0.
        at_data = np.pad(program.values(self._at_data[group], constants), ((0, 0), (0, 1)))
        variation = np.abs(np.diff(program.values(self._grids[group], constants), axis=1))
        # NaN compares false: an undefined stretch is refused too.
        smooth: NDArray[np.bool_] = variation.sum(axis=1) <= (
            self.largest_variation * np.ptp(at_data, axis=1)
        )
        return smooth


@dataclass(frozen=True)
class PairLaw:
    """A fitted pair law.

    Attributes:
        skeleton: The formula that all kinds of pairs share, without values.
        defect_energies: Energy of each kind of defect, eV.
        pair_scales: Factor of the formula for each kind of pair, eV.
        pair_formulas: The formula with its constants for each kind of pair.
    """

    skeleton: Expression
    defect_energies: dict[str, float]
    pair_scales: dict[str, float]
    pair_formulas: dict[str, Expression]

    @classmethod
    def from_fit(cls, tokens: tuple[str, ...], fit: LawFit, table: PairTable) -> PairLaw:
        """Name the numbers of a fit after the kinds of defects and pairs of its data."""
        n_kinds = len(table.defect_kinds)
        energies, scales = fit.coefficients[:n_kinds], fit.coefficients[n_kinds:]
        skeleton = Expression(tokens)
        return cls(
            skeleton,
            dict(zip(table.defect_kinds, energies.tolist(), strict=True)),
            dict(zip(table.pair_kinds, scales.tolist(), strict=True)),
            {
                kind: skeleton.with_constants(row.tolist())
                for kind, row in zip(table.pair_kinds, fit.constants, strict=True)
            },
        )

    def predict(self, table: PairTable) -> NDArray[np.float64]:
        """Energy per defect site, eV, shape ``(N,)``.

        Args:
            table: Pairs of ``N`` structures, with the kinds of this law in its order.
        """
        values = np.zeros(len(table.distance))
        for number, kind in enumerate(table.pair_kinds):
            rows = table.kind == number
            distances = {"r": table.distance[rows]}
            values[rows] = self.pair_scales[kind] * self.pair_formulas[kind](distances)
        energies = np.array([self.defect_energies[kind] for kind in table.defect_kinds])
        total = table.composition @ energies + table.counts @ values
        return np.asarray(total / table.n_sites, dtype=np.float64)

    @property
    def complexity(self) -> int:
        """Nodes of the whole law: every formula with its factor, every defect energy."""
        formulas = sum(len(formula) + 2 for formula in self.pair_formulas.values())
        return formulas + len(self.defect_energies)

    def lines(self, digits: int = 4) -> list[str]:
        """The law in lines to read: one for each kind of pair, one for the energies."""
        pairs = [
            f"K[{kind}] = {self.pair_scales[kind]:.{digits}g}*{_factor(formula, digits)}"
            for kind, formula in self.pair_formulas.items()
        ]
        energies = ", ".join(f"{k} {v:.{digits}g}" for k, v in self.defect_energies.items())
        return [*pairs, f"eps = {energies}"]

    def latex(self, digits: int = 4) -> str:
        """The law in LaTeX, one line for each kind of pair."""
        lines = [
            rf"K_{{\mathrm{{{_latex_text(kind)}}}}}(r) = "
            rf"{self.pair_scales[kind]:.{digits}g} \left({formula.latex(digits)}\right)"
            for kind, formula in self.pair_formulas.items()
        ]
        return r" \\ ".join(lines)

    def constants(self) -> dict[str, object]:
        """All numbers of the law, in full precision, in JSON's own types."""
        return {
            "defect_energies_eV": self.defect_energies,
            "pair_scales_eV": self.pair_scales,
            "pair_constants": {k: list(f.constants) for k, f in self.pair_formulas.items()},
        }


def _factor(formula: Expression, digits: int) -> str:
    """A formula as the right factor of a product."""
    text = formula.to_string(digits)
    return text if text.isidentifier() else f"({text})"


def _latex_text(label: str) -> str:
    """A label with what LaTeX would take for commands made harmless."""
    return label.replace("_", r"\_").replace(" ", r"\ ")
