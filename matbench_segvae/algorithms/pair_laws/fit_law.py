"""Finding a pair law for structures and energies, with or without a benchmark around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pymatgen.core.structure import Structure

from matbench_segvae.algorithms.pair_laws.candidate import CandidateLaw
from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.algorithms.pair_laws.selection import best_law, bootstrap, search_laws
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import MAX_STRAIN, Host, PairCounts, PairKind
from matbench_segvae.errors import UserError
from matbench_segvae.lightning_tools import isolated
from matbench_segvae.types import Report


@dataclass(frozen=True, eq=False)
class FoundLaw:
    """A law and what it was chosen from.

    Attributes:
        candidates: The laws that were compared by cross-validation.
        chosen: The one that was chosen.
        saved: The same with refits, ranges and hosts.
    """

    candidates: list[CandidateLaw]
    chosen: CandidateLaw
    saved: SavedLaw


def _silent(_: str) -> None:
    """Drop a progress line."""


def fit_law(
    structures: Sequence[Structure] | pd.Series,
    energies: Sequence[float] | pd.Series,
    host: Host | Structure | None = None,
    seed: int = 0,
    *,
    max_strain: float = MAX_STRAIN,
    report: Report = _silent,
) -> SavedLaw:
    """Find a pair law for structures with point defects.

    >>> law = fit_law(structures, energies)  # doctest: +SKIP
    >>> law.predict(another).energy_per_site  # doctest: +SKIP

    Args:
        structures: Whole supercells with defects, two of them or more.
        energies: Formation energy per defect site of each, eV, in the same order. If both are
            pandas Series, they have to have the same index.
        host: What they are supercells of, or its pristine cell; by default it is found among
            the known hosts.
        seed: The only source of randomness.
        max_strain: Largest relative change of a length up to which a host is recognised.
        report: Takes one line of progress.

    Returns:
        The law, with intervals of its numbers.

    Raises:
        UserError: If there are not as many energies as structures, a value is not finite, a
            structure is a supercell of no host, or none holds two defects.
    """
    inputs, targets = _series(structures, energies)
    chosen = Host.from_structure(host) if isinstance(host, Structure) else host
    hosts = None if chosen is None else (chosen,)
    data = TrainingPairs.of(inputs, targets, hosts, max_strain)
    return find_law(data, PairLawSettings(), seed, report).saved


def find_law(data: TrainingPairs, settings: PairLawSettings, seed: int, report: Report) -> FoundLaw:
    """Search laws, choose one, and refit it to resampled data.

    Args:
        data: Structures as counts of pairs, and energies.
        settings: How to search and choose.
        seed: The only source of randomness.
        report: Takes one line of progress.

    Raises:
        UserError: If no structure holds two defects, or no formula fulfils the constraints.
    """
    if not data.pairs.pair_kinds:
        raise UserError("no training structure holds two defects: there is no pair law to find")
    with isolated(seed):
        found = search_laws(data, settings, seed, report)
    if not found:
        raise UserError("segvae found no formula that satisfies the constraints on pair laws")
    chosen = best_law(found, settings.min_gain)
    saved = SavedLaw(
        law=chosen.law,
        resampled=tuple(bootstrap(chosen, settings.bootstrap_samples, seed, len(data.energies))),
        ranges=_ranges(data.pairs),
        hosts=data.hosts,
        validation_mae=chosen.validation_mae,
    )
    return FoundLaw(list(found), chosen, saved)


def _series(
    structures: Sequence[Structure] | pd.Series, energies: Sequence[float] | pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Both in pandas' form, checked against each other."""
    inputs = structures if isinstance(structures, pd.Series) else pd.Series(list(structures))
    if isinstance(structures, pd.Series) and isinstance(energies, pd.Series):
        if list(structures.index) != list(energies.index):
            raise UserError("structures and energies have different indices")
        index = energies.index
    else:
        index = inputs.index
    if len(inputs) != len(energies):
        raise UserError(f"there are {len(inputs)} structures but {len(energies)} energies")
    if len(inputs) < 2:
        raise UserError(f"a law needs at least 2 structures, got {len(inputs)}")
    try:
        values = np.asarray(energies, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"energies are no numbers: {error}") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise UserError(f"the energy of structure '{index[bad[0]]}' is {values[bad[0]]}")
    return inputs, pd.Series(values, index)


def _ranges(pairs: PairCounts) -> dict[PairKind, tuple[float, float]]:
    """Shortest and longest distance of every kind of pair, Å."""
    distances = [pairs.distance[pairs.kind == n] for n in range(len(pairs.pair_kinds))]
    return {
        kind: (float(d.min()), float(d.max()))
        for kind, d in zip(pairs.pair_kinds, distances, strict=True)
    }
