"""The reference for pair laws: a free value for every kind and distance of pairs.

Energies of sets of defects are sums over defects and over pairs of them,
``E = sum_i eps(t_i) + sum_{i<j} v(t_i t_j, r_ij)``. On a lattice pair distances are
discrete, so ``v`` is a table. A formula of the distance cannot describe the training data
better than this table does; what is left over no pair law explains.

The table is fitted by least absolute deviations, exactly, as a linear program (Wagner,
J. Am. Stat. Assoc. 54, 206, 1959).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack

from matbench_segvae.algorithms.base import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.pairs.law import pairs_of
from matbench_segvae.defects import PairTable
from matbench_segvae.errors import UserError

Floats = NDArray[np.float64]

_PULL = 1e-5  # of pair values towards 0, in units of one structure's error; breaks ties only
_TOLERANCE = 1e-9  # of the solver; has to be far below the pull


@dataclass(frozen=True, eq=False)
class PairValues:
    """Fitted energies of defects and pairs.

    Attributes:
        table: The training data's kinds, and the distance of every pair value.
        defect_energies: Of every kind of defect, eV, shape ``(P,)``.
        pair_values: Of every class of pairs, eV, shape ``(R,)``.
        training_mae: Mean absolute error on the training data, eV per defect site.
    """

    table: PairTable
    defect_energies: Floats
    pair_values: Floats
    training_mae: float

    def predict(self, table: PairTable) -> Floats:
        """Energy per defect site, eV, shape ``(N,)``.

        Args:
            table: Pairs of ``N`` structures, of the same kinds as the training data. At a
                distance that was not in training the value is interpolated linearly
                between the neighbouring distances of the same kind of pair; beyond the
                shortest and the longest one it stays constant.
        """
        values = np.zeros(len(table.distance))
        for kind in range(len(table.pair_kinds)):
            new, known = table.kind == kind, self.table.kind == kind
            distances = self.table.distance[known]
            values[new] = np.interp(table.distance[new], distances, self.pair_values[known])
        total = table.composition @ self.defect_energies + table.counts @ values
        return np.asarray(total / table.n_sites, dtype=np.float64)


def fit_pair_values(table: PairTable, energies: Floats) -> PairValues:
    """Fit a table under absolute error per defect site.

    Some values may be left open by the data: which part of an energy that is common to
    all structures belongs to the defects and which to the pairs, or a value between two
    structures that contradict each other. Of equally good tables the one with the
    smallest ``sum r |v|`` is taken: open values go to 0, those of distant pairs first, as
    an interaction should. Where the defect energies cannot be told apart, all structures
    being of one composition, they are as equal as possible.

    Args:
        table: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.

    Returns:
        The fitted values.
    """
    n_kinds = len(table.defect_kinds)
    per_site = 1 / table.n_sites[:, None]
    design = np.concatenate([table.composition, table.counts], axis=1) * per_site
    pull = np.zeros(design.shape[1])
    if len(table.distance):
        pull[n_kinds:] = _PULL * table.distance / table.distance.mean()
    # Every defect counts from one common energy, so that what cannot be told apart is equal.
    level = float(np.median(energies))
    values = least_absolute(design, energies - level, pull)
    mae = float(np.abs(design @ values + level - energies).mean())
    # The solver shares an energy among defects as it likes; the shortest solution is unique.
    composition = table.composition.astype(np.float64)
    offsets = np.linalg.lstsq(composition, composition @ values[:n_kinds], rcond=None)[0]
    return PairValues(table, np.asarray(level + offsets), values[n_kinds:], mae)


def least_absolute(design: Floats, target: Floats, pull: Floats) -> Floats:
    """Minimise ``sum |target - design @ x| + pull @ |x|`` exactly.

    Args:
        design: Shape ``(N, M)``.
        target: Shape ``(N,)``.
        pull: Cost of each unknown's size, not negative, shape ``(M,)``.

    Returns:
        The unknowns ``x``, shape ``(M,)``.

    Raises:
        RuntimeError: If the solver fails, which it has no reason to: the problem always
            has a solution.
    """
    # Unknowns and residuals are differences of two numbers that are not negative; at the
    # minimum one of the two is 0, so that their sum is the absolute value.
    columns, ones = csr_array(design), eye_array(len(target))
    found = linprog(
        np.concatenate([pull, pull, np.ones(2 * len(target))]),
        A_eq=hstack([columns, -columns, ones, -ones], format="csr"),
        b_eq=target,
        method="highs",
        options={
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        },
    )
    if not found.success:
        raise RuntimeError(f"least absolute deviations: {found.message}")
    positive, negative = found.x[: len(pull)], found.x[len(pull) : 2 * len(pull)]
    return np.asarray(positive - negative, dtype=np.float64)


class PairValueTable:
    """Fits a free value for every kind and distance of pairs.

    No law that is a sum over defects and pairs has a smaller mean absolute error on the
    training data.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="pair_table",
        algorithm_long=(
            "Every kind of defect has an energy, every kind of pair at every lattice distance "
            "a free value; the energy of a structure is the sum over its defects and their "
            "pairs. Fitted by least absolute deviations, solved exactly as a linear program. "
            "Distances that were not in training are interpolated."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(
            "@article{Wagner1959, title={Linear programming techniques for regression "
            "analysis}, author={Wagner, Harvey M.}, journal={Journal of the American "
            "Statistical Association}, volume={54}, pages={206--212}, year={1959}, "
            "doi={10.1080/01621459.1959.10501506}}",
            "@article{Huangfu2018, title={Parallelizing the dual revised simplex method}, "
            "author={Huangfu, Qi and Hall, J. A. Julian}, journal={Mathematical Programming "
            "Computation}, volume={10}, pages={119--142}, year={2018}, "
            "doi={10.1007/s12532-017-0130-5}}",
        ),
        notes=(
            "A reference, not a readable law: on the training data no formula of the pair "
            "distances has a smaller mean absolute error. On unseen structures a formula can "
            "do better where distances are missing from training or data are few."
        ),
        packages=("numpy", "scipy", "pymatgen"),
    )

    def __init__(self) -> None:
        self._values: PairValues | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Fit the table to the training part of a fold.

        Args:
            inputs: Structures with point defects in a known host, indexed by sample id.
            targets: Energy per defect site, eV.
            context: What else is known about the fold.

        Raises:
            UserError: If the inputs are not such structures.
        """
        if context.input_type != "structure" or context.task_type != "regression":
            raise UserError(
                f"pair_table cannot run on {context.task}: it needs structures with point "
                f"defects and a regression target, this task has a {context.input_type} and is "
                f"a {context.task_type}"
            )
        self._values = fit_pair_values(pairs_of(inputs), targets.to_numpy(dtype=np.float64))

    def predict(self, inputs: pd.Series) -> Floats:
        """Energies per defect site, eV; see :meth:`PairValues.predict`.

        Args:
            inputs: Structures, indexed by sample id.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
            RuntimeError: If called before `fit`.
        """
        fitted = self._fitted()
        return fitted.predict(pairs_of(inputs, like=fitted.table))

    def describe(self) -> Mapping[str, Any]:
        """The table: kind, distance (Å) and value (eV) of every pair, and the rest."""
        fitted = self._fitted()
        table = fitted.table
        n_numbers = len(fitted.defect_energies) + len(fitted.pair_values)
        return {
            "defect_energies_eV": dict(
                zip(table.defect_kinds, fitted.defect_energies.tolist(), strict=True)
            ),
            "pair_values": [
                {"kind": table.pair_kinds[kind], "distance_A": distance, "value_eV": value}
                for kind, distance, value in zip(
                    table.kind.tolist(),
                    table.distance.round(3).tolist(),
                    fitted.pair_values.tolist(),
                    strict=True,
                )
            ],
            "complexity": n_numbers,
            "parameters": n_numbers,
            "training_mae": fitted.training_mae,
        }

    def _fitted(self) -> PairValues:
        if self._values is None:
            raise RuntimeError("fit has to be called before predict or describe")
        return self._values
