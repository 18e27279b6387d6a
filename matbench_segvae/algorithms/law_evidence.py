"""What a set of structures says about a pair law, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.pairs.free_values import fit_pair_values
from matbench_segvae.algorithms.pairs.law import pairs_of
from matbench_segvae.algorithms.pairs.stored import StoredLaw

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairEnergies:
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

    pairs: Mapping[str, PairEnergies]
    tightest: pd.Series


def law_evidence(stored: StoredLaw, structures: pd.Series, energies: pd.Series) -> LawEvidence:
    """Find the pair energies of data, so that they can be compared with a law's.

    A free value for every kind and distance of pairs is fitted to the data under absolute
    error, exactly (see :mod:`~matbench_segvae.algorithms.pairs.free_values`): no law of pairs is
    closer to them. Data leave some of these values open, such as an energy that all
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
    corrections = fit_pair_values(table, rest).pair_values
    n_structures = (table.counts > 0).sum(axis=0)
    pairs = {}
    for number, kind in enumerate(table.pair_kinds):
        rows = table.kind == number
        distances = table.distance[rows]
        values = stored.law.values(kind, distances) + corrections[rows]
        pairs[kind] = PairEnergies(distances, values, n_structures[rows])
    reach = np.where(table.counts > 0, table.distance, np.inf).min(axis=1, initial=np.inf)
    tightest = pd.Series(reach, index=structures.index.map(str)).replace(np.inf, np.nan)
    return LawEvidence(pairs, tightest)
