"""Pair energies: a coefficient for every kind and distance of pairs, no formula.

Energies of sets of defects are sums over defects and over pairs of them,
``E = c0 + sum_i eps(t_i) + sum_{i<j} v(t_i t_j, r_ij)``. On a lattice pair distances and
directions are discrete, so ``v`` is a table, as in a cluster expansion up to pairs. A formula of
the distance cannot describe the training data better than this table does; what it leaves
unexplained is beyond any pair law. The constant ``c0``, an error common to all cells, may be there
where structures differ in their number of defects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.defects import PairCounts, PairKind
from matbench_segvae.fitting.robust import least_absolute, nearly_least_absolute
from matbench_segvae.types import Booleans, Floats, Ints

_SAME_CLASS = 2e-3  # sum of differences of distance, Å, and direction
_PULL = 1e-5  # of pair energies towards 0, in units of one structure's error; breaks ties only


@dataclass(frozen=True, eq=False)
class PairEnergies:
    """Fitted energies of defects and pairs.

    Attributes:
        pairs: The training data's kinds, and the distance of every pair energy.
        defect_energies: Of every kind of defect, eV, shape ``(P,)``.
        pair_energies: Of every class of pairs, eV, shape ``(R,)``.
        training_mae: Mean absolute error on the training data, eV per defect site.
        columns: Numbers of the descriptors that have a factor, as columns of
            ``pairs.descriptors``.
        factors: Their factors, in the units of the many-body terms, shape
            ``(len(columns),)``.
        constant: Energy of every structure, eV.
    """

    pairs: PairCounts
    defect_energies: Floats
    pair_energies: Floats
    training_mae: float
    columns: tuple[int, ...] = ()
    factors: Floats = field(default_factory=lambda: np.zeros(0))
    constant: float = 0.0

    def predict(self, pairs: PairCounts) -> Floats:
        """Energy per defect site, eV, shape ``(N,)``.

        Args:
            pairs: Pairs of ``N`` structures, of the same kinds as the training data. In a
                direction that was not in training the energy is the mean over the directions
                at that distance; at a distance that was not, it is interpolated linearly
                between the neighbouring distances of the same kind of pair, and beyond the
                shortest and the longest one it stays constant.
        """
        values = np.zeros(len(pairs.distance))
        for kind in range(len(pairs.pair_kinds)):
            new, known = pairs.kind == kind, self.pairs.kind == kind
            values[new] = self._values(known, pairs.distance[new], pairs.direction[new])
        total = pairs.composition @ self.defect_energies + pairs.counts @ values
        total = total + pairs.descriptors[:, list(self.columns)] @ self.factors + self.constant
        return np.asarray(total / pairs.n_sites, dtype=np.float64)

    def _values(self, known: Booleans, distance: Floats, direction: Floats) -> Floats:
        """Energies of pairs of one kind, eV, from those of its classes in the training data."""
        distances, energies = self.pairs.distance[known], self.pair_energies[known]
        if not len(distances):
            # A kind that no training structure has: what the fit pulls pair energies to.
            return np.zeros(len(distance))
        shells, place = np.unique(distances, return_inverse=True)
        means = np.bincount(place, energies) / np.bincount(place)
        values = np.interp(distance, shells, means)
        apart = np.abs(distance[:, None] - distances) + np.abs(
            direction[:, None] - self.pairs.direction[known]
        )
        nearest = apart.argmin(axis=1)
        same = apart[np.arange(len(apart)), nearest] < _SAME_CLASS
        return np.asarray(np.where(same, energies[nearest], values))


def fit_pair_energies(
    pairs: PairCounts,
    energies: Floats,
    columns: Sequence[int] = (),
    *,
    constant: bool = True,
    exact: bool = True,
) -> PairEnergies:
    """Fit pair energies under absolute error per defect site.

    Some may be left undetermined by the data: which part of an energy that is common to
    all structures belongs to the defects and which to the pairs, or a value between two
    structures that contradict each other. Of equally good solutions the one with the
    smallest ``sum r |v|`` is taken: undetermined pair energies go to 0, those of distant
    pairs first, as an interaction should. Where the data determine only a sum of the defect
    energies, all structures being of one composition, they are as equal as possible.

    Args:
        pairs: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
        columns: Numbers of the descriptors to which a factor is fitted too, as columns of
            ``pairs.descriptors``.
        constant: Whether there is a constant where structures differ in their number of defects.
        exact: Whether the absolute error is minimised as a linear program; else by reweighted
            least squares, in a fraction of the time and to about a thousandth of the error.

    Returns:
        The fitted energies.
    """
    n_kinds = len(pairs.defect_kinds)
    per_site = 1 / pairs.n_sites[:, None]
    n_energies = n_kinds + len(pairs.distance)
    sizes_differ = constant and len(set(pairs.n_sites.tolist())) > 1
    ones = np.ones((len(energies), int(sizes_differ)))
    blocks = [pairs.composition, pairs.counts, pairs.descriptors[:, list(columns)], ones]
    design = np.concatenate(blocks, axis=1) * per_site
    pull = np.zeros(design.shape[1])
    if len(pairs.distance):
        pull[n_kinds:n_energies] = _PULL * pairs.distance / pairs.distance.mean()
    # Every defect counts from one common energy, so that undetermined shares are equal.
    level = float(np.median(energies))
    solve = least_absolute if exact else nearly_least_absolute
    values = solve(design, energies - level, pull)
    mae = float(np.abs(design @ values + level - energies).mean())
    # The solver splits an energy among defects arbitrarily; the shortest solution is unique.
    composition = pairs.composition.astype(np.float64)
    offsets = np.linalg.lstsq(composition, composition @ values[:n_kinds], rcond=None)[0]
    of_pairs, factors, rest = np.split(
        values[n_kinds:], [len(pairs.distance), len(pairs.distance) + len(columns)]
    )
    common = float(rest[0]) if sizes_differ else 0.0
    energies_of_defects = np.asarray(level + offsets)
    return PairEnergies(pairs, energies_of_defects, of_pairs, mae, tuple(columns), factors, common)


@dataclass(frozen=True, eq=False)
class ObservedPairEnergies:
    """Energies of pairs of one kind as fitted to data, to be compared with a law.

    Attributes:
        kind: Kind of the pairs.
        distances: Å, shape ``(R,)``, ascending.
        energies: eV, shape ``(R,)``.
        n_structures: Structures that hold a pair at that distance, shape ``(R,)``.
    """

    kind: PairKind
    distances: Floats
    energies: Floats
    n_structures: Ints


def observed_pair_energies(
    law: PairLaw, pairs: PairCounts, energies: Floats
) -> list[ObservedPairEnergies]:
    """Find the pair energies of data that are closest to a law, for each kind of pair.

    Data leave some pair energies undetermined, such as an energy that all structures have in
    common and that may belong to defects or to pairs. So pair energies are fitted to the
    law's residuals, exactly, and added to the law's own: the smallest corrections are taken
    among equally good ones, and an undetermined pair energy lies on the law.

    Args:
        law: The law.
        pairs: Pairs of ``N`` structures, with the kinds of the law in its order.
        energies: Energy per defect site, eV, shape ``(N,)``.
    """
    corrections = fit_pair_energies(
        pairs, energies - law.predict(pairs), constant=law.constant is not None
    ).pair_energies
    n_structures = (pairs.counts > 0).sum(axis=0)
    observed = []
    for number, kind in enumerate(pairs.pair_kinds):
        rows = pairs.kind == number
        distances = pairs.distance[rows]
        values = law.values(kind, distances) + corrections[rows]
        observed.append(ObservedPairEnergies(kind, distances, values, n_structures[rows]))
    return observed
