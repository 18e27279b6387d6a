"""Free values of pairs: a number for every kind and distance, no formula.

Energies of sets of defects are sums over defects and over pairs of them,
``E = sum_i eps(t_i) + sum_{i<j} v(t_i t_j, r_ij)``. On a lattice pair distances are
discrete, so ``v`` is a table. A formula of the distance cannot describe the training data
better than this table does; what is left over no pair law explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from matbench_segvae.defects import PairCounts
from matbench_segvae.fitting.robust import least_absolute
from matbench_segvae.types import Floats

_PULL = 1e-5  # of pair values towards 0, in units of one structure's error; breaks ties only


@dataclass(frozen=True, eq=False)
class PairEnergies:
    """Fitted energies of defects and pairs.

    Attributes:
        table: The training data's kinds, and the distance of every pair value.
        defect_energies: Of every kind of defect, eV, shape ``(P,)``.
        pair_energies: Of every class of pairs, eV, shape ``(R,)``.
        training_mae: Mean absolute error on the training data, eV per defect site.
        around: Numbers of the kinds of defects around which three-body terms are.
        three_body: Their factors, eV Å², shape ``(len(around),)``.
    """

    table: PairCounts
    defect_energies: Floats
    pair_energies: Floats
    training_mae: float
    around: tuple[int, ...] = ()
    three_body: Floats = field(default_factory=lambda: np.zeros(0))

    def predict(self, table: PairCounts) -> Floats:
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
            values[new] = np.interp(table.distance[new], distances, self.pair_energies[known])
        total = table.composition @ self.defect_energies + table.counts @ values
        total = total + table.crowding[:, list(self.around)] @ self.three_body
        return np.asarray(total / table.n_sites, dtype=np.float64)


def fit_pair_energies(
    table: PairCounts, energies: Floats, around: Sequence[int] = ()
) -> PairEnergies:
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
        around: Numbers of the kinds of defects around which a three-body term
            ``T / (r1 r2)`` is fitted too, for any two others at those distances.

    Returns:
        The fitted values.
    """
    n_kinds = len(table.defect_kinds)
    per_site = 1 / table.n_sites[:, None]
    n_values = n_kinds + len(table.distance)
    columns = [table.composition, table.counts, table.crowding[:, list(around)]]
    design = np.concatenate(columns, axis=1) * per_site
    pull = np.zeros(design.shape[1])
    if len(table.distance):
        pull[n_kinds:n_values] = _PULL * table.distance / table.distance.mean()
    # Every defect counts from one common energy, so that what cannot be told apart is equal.
    level = float(np.median(energies))
    values = least_absolute(design, energies - level, pull)
    mae = float(np.abs(design @ values + level - energies).mean())
    # The solver shares an energy among defects as it likes; the shortest solution is unique.
    composition = table.composition.astype(np.float64)
    offsets = np.linalg.lstsq(composition, composition @ values[:n_kinds], rcond=None)[0]
    free, three_body = values[n_kinds:n_values], values[n_values:]
    return PairEnergies(table, np.asarray(level + offsets), free, mae, tuple(around), three_body)
