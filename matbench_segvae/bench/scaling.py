"""What more structures of the same lattice cost a search for a pair law."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from matbench_segvae.algorithms.pair_laws.selection import best_law, search_laws
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    PairCounts,
    Supercell,
    count_pairs,
    vacancies,
)
from matbench_segvae.lightning_tools import isolated
from matbench_segvae.types import Floats

_CELL = Supercell(HOSTS["MoS2"], 8, 8)
_REMOVED = {"Mo": 1, "S": 2}
_NOISE = 0.005  # eV per site
_DEFECT = 3.0  # eV


@dataclass(frozen=True)
class Scaling:
    """One search.

    Attributes:
        structures: Number of training structures.
        distances: Distinct kinds and distances of pairs in them.
        seconds: Time of the search, the choice and the final fits, without pretraining.
        training_mae: Of the law chosen, eV per defect site.
    """

    structures: int
    distances: int
    seconds: float
    training_mae: float


def measure_scaling(
    structures: int,
    factor: int,
    seed: int = 0,
    settings: PairLawSettings | None = None,
) -> list[Scaling]:
    """Search pair laws of few and of many made-up structures on one lattice.

    The structures are random sets of one Mo and two S vacancies in 8 x 8 cells of MoS2;
    their energies follow a damped oscillation of the pair distances, with noise.

    Args:
        structures: Number of structures of the small search.
        factor: How many times as many the large one has.
        seed: Seed of structures and searches.
        settings: How to search; as the algorithm ``segvae`` does by default.

    Returns:
        The small search and the large one. A still smaller one comes first, to compile and
        to pretrain the network, and is not counted.
    """
    settings = settings or PairLawSettings()
    _measured(structures // 2, seed, settings)
    return [_measured(n, seed, settings) for n in (structures, structures * factor)]


def _measured(n_structures: int, seed: int, settings: PairLawSettings) -> Scaling:
    rng = np.random.default_rng(seed)
    pairs = count_pairs([_random_cell(rng) for _ in range(n_structures)])
    data = TrainingPairs(pairs, _energies(pairs, rng), (_CELL.host,))
    start = time.perf_counter()
    with isolated(seed):
        found = search_laws(data, settings, seed, lambda _: None)
    chosen = best_law(found, settings.min_gain)
    seconds = time.perf_counter() - start
    return Scaling(n_structures, len(pairs.distance), seconds, chosen.training_mae)


def _random_cell(rng: np.random.Generator) -> DefectiveCell:
    """A supercell with vacancies at random."""
    elements = np.array(_CELL.elements)
    removed = [
        int(site)
        for element, n_sites in _REMOVED.items()
        for site in rng.choice(np.flatnonzero(elements == element), n_sites, replace=False)
    ]
    return DefectiveCell(_CELL, vacancies(_CELL, removed))


def _energies(pairs: PairCounts, rng: np.random.Generator) -> Floats:
    """Energies per defect site, eV, of a law that the search does not know."""
    values = np.exp(-pairs.distance / 2) * np.cos(2 * pairs.distance + pairs.kind)
    total = _DEFECT * pairs.n_sites + pairs.counts @ values
    return np.asarray(total / pairs.n_sites + _NOISE * rng.standard_normal(len(total)))
