"""Pair laws as they are stored with a result: read again and used on new structures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from matbench_segvae.algorithms.pair_laws.law import PairLaw, pairs_of
from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.defects import HOSTS, DefectiveCell, PairCounts, count_pairs, sparse_defects
from matbench_segvae.errors import UserError
from matbench_segvae.fitting.robust import STD_PER_MAE
from matbench_segvae.types import Floats

_RANGE_TOLERANCE = 1e-3  # Å; pair distances that agree so far are the same on a lattice


_SAME_DIRECTION = 1e-6  # relative; refits of energies that data tell apart differ by far more


@dataclass(frozen=True)
class Prediction:
    """What a law says of one structure.

    Attributes:
        defects: Such as ``"V_Mo + 2 V_S"``.
        energy_per_site: Energy per defect site, eV.
        total_energy: The same times the number of defects, eV.
        std_per_site: Standard deviation of `energy_per_site`, eV: that of the predictions of
            the refits to resampled data, and `STD_PER_MAE` times the law's mean absolute
            error in validation, which stands for what no law of pairs explains, added in
            quadrature. The second part is that of structures like the training data's.
        extrapolates: Whether a pair is closer or farther apart than all pairs of its kind
            in the training data.
    """

    defects: str
    energy_per_site: float
    total_energy: float
    std_per_site: float
    extrapolates: bool


@dataclass(frozen=True, eq=False)
class SavedLaw:
    """A law with what was recorded about it.

    Attributes:
        law: The law; defects on metal sites come first.
        resampled: The same law fitted to resampled training data.
        intervals: Middle 90 % of its numbers over these refits, in the form of
            :func:`~matbench_segvae.algorithms.pair_laws.selection.intervals`; empty without any.
        ranges: Shortest and longest distance in the training data by kind of pair, Å.
        hosts: Names of the hosts of the training data.
        validation_mae: Cross-validated inside the training part, eV per defect site.
    """

    law: PairLaw
    resampled: tuple[PairLaw, ...]
    intervals: Mapping[str, Any]
    ranges: Mapping[str, tuple[float, float]]
    hosts: tuple[str, ...]
    validation_mae: float

    @classmethod
    def from_description(cls, told: Mapping[str, Any]) -> SavedLaw:
        """Take back what :meth:`SEGVAEPairLaw.describe` told, after a way through JSON.

        Raises:
            ValueError: If something is missing or not what it should be.
        """
        try:
            hosts = tuple(str(host) for host in told["hosts"])
            law = _in_order(PairLaw.from_plain(told["constants"]), hosts)
            stored = cls(
                law=law,
                resampled=tuple(PairLaw.from_plain(plain) for plain in told["resampled"]),
                intervals=dict(told["constants_90_percent"]),
                ranges={k: (float(d[0]), float(d[1])) for k, d in told["distances_A"].items()},
                hosts=hosts,
                validation_mae=float(told["validation_mae"]),
            )
        except (KeyError, IndexError) as error:
            raise ValueError(f"it lacks {error}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"it does not describe a pair law: {error}") from error
        if any(_kinds(other) != _kinds(law) for other in stored.resampled):
            raise ValueError("its refits are of other kinds of defects or pairs")
        if set(stored.ranges) != set(law.pair_formulas):
            raise ValueError("its fitted ranges are of other kinds of pairs than its formulas")
        return stored

    @property
    def kinds(self) -> PairCounts:
        """A table without structures, with the kinds of defects and pairs the law knows."""
        defects, pairs = tuple(self.law.defect_energies), tuple(self.law.pair_formulas)
        none = np.zeros(0)
        no_counts = np.zeros((0, len(defects)), dtype=np.int64)
        return PairCounts(
            defect_kinds=defects,
            composition=no_counts,
            pair_kinds=pairs,
            kind=none.astype(np.int64),
            distance=none,
            dz=none,
            counts=no_counts[:, :0],
            crowding=no_counts.astype(np.float64),
        )

    @property
    def tells_defects_apart(self) -> bool:
        """Whether the energy of each kind of defect is known by itself.

        In training data of one composition only one sum of them is: refits then change all
        of them by the same factor. With too few refits to see that, it is taken for granted.
        """
        kinds = list(self.law.defect_energies)
        laws = (self.law, *self.resampled)
        energies = np.array([[law.defect_energies[kind] for kind in kinds] for law in laws])
        if len(laws) <= len(kinds):
            return True
        sizes = np.linalg.svd(energies, compute_uv=False)
        return bool(sizes[-1] > _SAME_DIRECTION * sizes[0])

    def predict(self, structure: Structure) -> Prediction:
        """Predict the energy of a supercell with any number of known defects.

        Raises:
            UserError: If it has another host, no defects, an unknown kind of defect or pair,
                or a distance at which the law has no value.
        """
        cell = sparse_defects(structure)
        self._check(cell)
        table = count_pairs([cell], like=self.kinds)
        energy = float(self.law.predict(table)[0])
        if not np.isfinite(energy):
            raise UserError("the law has no value at one of its pair distances")
        others = [float(law.predict(table)[0]) for law in self.resampled]
        spread = float(np.std(others, ddof=1)) if len(others) > 1 else 0.0
        return Prediction(
            defects=_composition(table),
            energy_per_site=energy,
            total_energy=energy * len(cell.defects),
            std_per_site=float(np.hypot(spread, STD_PER_MAE * self.validation_mae)),
            extrapolates=self._extrapolates(table),
        )

    def _check(self, cell: DefectiveCell) -> None:
        if cell.host not in self.hosts:
            raise UserError(
                f"its host is {cell.host}, the law is one of defects in {', '.join(self.hosts)}: "
                "give structures of that host"
            )
        if not cell.defects:
            raise UserError(
                f"it is {cell.host} without defects: give structures with at least one of "
                f"{', '.join(self.law.defect_energies)}"
            )

    def _extrapolates(self, table: PairCounts) -> bool:
        low, high = np.array([self.ranges[kind] for kind in table.pair_kinds]).reshape(-1, 2).T
        below = table.distance < low[table.kind] - _RANGE_TOLERANCE
        above = table.distance > high[table.kind] + _RANGE_TOLERANCE
        return bool((below | above).any())


def _in_order(law: PairLaw, hosts: tuple[str, ...]) -> PairLaw:
    """The law with its kinds in the order of pair tables, which JSON files need not keep.

    That order is in the names of pairs: the defect on the metal site is the first.
    """
    metals = {HOSTS[host].elements[0] for host in hosts if host in HOSTS}
    defects = sorted(law.defect_energies, key=lambda k: (k.partition("_")[2] not in metals, k))
    ranks = {kind: rank for rank, kind in enumerate(defects)}

    def rank(pair: str) -> tuple[int, int, bool]:
        names, _, relation = pair.partition(" ")
        first, second = names.split("-")
        return ranks[first], ranks[second], relation == "across"

    pairs = sorted(law.pair_formulas, key=rank)
    return PairLaw(
        {kind: float(law.defect_energies[kind]) for kind in defects},
        {kind: float(law.pair_scales[kind]) for kind in pairs},
        {kind: law.pair_formulas[kind] for kind in pairs},
        {k: float(law.three_body[k]) for k in sorted(law.three_body, key=ranks.__getitem__)},
    )


def _kinds(law: PairLaw) -> tuple[frozenset[str], ...]:
    parts = (law.defect_energies, law.pair_scales, law.pair_formulas, law.three_body)
    return tuple(frozenset(part) for part in parts)


def _composition(table: PairCounts) -> str:
    """The defects of the first structure of a table, such as ``"V_Mo + 2 V_S"``."""
    numbers = zip(table.composition[0].tolist(), table.defect_kinds, strict=True)
    return " + ".join(f"{n} {kind}" if n > 1 else kind for n, kind in numbers if n)


@dataclass(frozen=True, eq=False)
class ObservedPairEnergies:
    """Energies of pairs of one kind as the data have them, without any formula.

    Attributes:
        distances: Å, shape ``(R,)``, ascending.
        energies: eV, shape ``(R,)``.
        n_structures: Structures that hold a pair at that distance, shape ``(R,)``.
    """

    distances: Floats
    energies: Floats
    n_structures: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LawEvidence:
    """Data beside a law.

    Attributes:
        pairs: The data's own pair energies by kind of pair.
        tightest: Shortest pair distance of every structure, Å, by sample id; NaN for a
            single defect.
    """

    pairs: Mapping[str, ObservedPairEnergies]
    tightest: pd.Series


def law_evidence(stored: SavedLaw, structures: pd.Series, energies: pd.Series) -> LawEvidence:
    """Find the pair energies of data, so that they can be compared with a law's.

    A free value for every kind and distance of pairs is fitted to the data under absolute
    error, exactly (see :mod:`~matbench_segvae.algorithms.pair_laws.pair_energies`): no law of
    pairs is closer to them. Data leave some of these values open, such as an energy that all
    structures have in common and that may belong to defects or to pairs. So the free values
    are fitted to what the law leaves over and added to the law's: the smallest corrections
    are taken among equally good ones, and a value that is open lies on the law.

    Args:
        stored: The law.
        structures: Structures with point defects, by sample id.
        energies: Energy per defect site, eV, by sample id in the same order.

    Raises:
        UserError: If a structure has no known host or a kind of defect or pair that the law
            does not know.
    """
    table = pairs_of(structures, like=stored.kinds)
    rest = energies.to_numpy(dtype=np.float64) - stored.law.predict(table)
    corrections = fit_pair_energies(table, rest).pair_energies
    n_structures = (table.counts > 0).sum(axis=0)
    pairs = {}
    for number, kind in enumerate(table.pair_kinds):
        rows = table.kind == number
        distances = table.distance[rows]
        values = stored.law.values(kind, distances) + corrections[rows]
        pairs[kind] = ObservedPairEnergies(distances, values, n_structures[rows])
    reach = np.where(table.counts > 0, table.distance, np.inf).min(axis=1, initial=np.inf)
    tightest = pd.Series(reach, index=structures.index.map(str)).replace(np.inf, np.nan)
    return LawEvidence(pairs, tightest)
