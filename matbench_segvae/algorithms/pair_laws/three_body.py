"""Whether three defects have an energy that their pairs do not explain.

Around one defect, two others at distances ``r1`` and ``r2`` may add ``T / (r1 r2)`` to the
energy: the square of what the neighbours' ``1 / r`` sum up to at a defect, less what pairs
explain of it, as in the embedding energy of Daw and Baskes, Phys. Rev. B 29, 6443 (1984). A
second sulfur vacancy beside a molybdenum vacancy gains less than the first one did.

The term is linear in ``T``. Free pair values say whether it is there, without any formula of
the distance; they are fitted in a moment, so that it is decided before the search. A few tight
clusters have errors that no such term explains, larger than all it is worth; what it does for
most structures is therefore tested by signed ranks (Wilcoxon, Biometrics Bull. 1, 80, 1945).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.defects import PairCounts
from matbench_segvae.seeding import derived_short_seed, drawn_rows
from matbench_segvae.types import Floats

_CHANCE = 0.01  # of a term that does nothing to pass


def three_body_terms(
    table: PairCounts,
    energies: Floats,
    most_rows: int,
    n_folds: int,
    n_divisions: int,
    seed: int,
) -> tuple[int, ...]:
    """Choose the kinds of defects around which there is a term, on training structures.

    The best kind is added as long as the cross-validated errors of free pair values become
    smaller by it, in the mean and for more structures than chance allows.

    Args:
        table: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
        most_rows: Of more structures so many are drawn at random.
        n_folds: Parts that the structures are cut into, one of which is held back.
        n_divisions: Divisions into such parts.
        seed: Source of all randomness.

    Returns:
        Numbers of the kinds of defects, ascending.
    """
    rows = drawn_rows(len(energies), most_rows, seed)
    some, target = _subset(table, rows), energies[rows]
    # Around a kind that hardly ever has two others there is nothing to validate.
    left = [kind for kind, n in enumerate((some.crowding > 0).sum(axis=0)) if n >= 2 * n_folds]
    chosen: tuple[int, ...] = ()
    if not left:
        return chosen

    def errors(around: tuple[int, ...]) -> Floats:
        seeds = [derived_short_seed(seed, "three-body", n) for n in range(n_divisions)]
        each = [_held_out(some, target, around, n_folds, n) for n in seeds]
        return np.asarray(np.mean(each, axis=0))

    best = errors(chosen)
    while left:
        tried = {kind: errors((*chosen, kind)) for kind in left}
        kind = min(tried, key=lambda k: float(tried[k].mean()))
        if not _smaller(tried[kind], best):
            break
        chosen, best = (*chosen, kind), tried[kind]
        left.remove(kind)
    return tuple(sorted(chosen))


def _smaller(errors: Floats, others: Floats) -> bool:
    """Whether errors of the same structures are smaller, in the mean and by their ranks."""
    lost = errors - others
    return bool(lost.mean() < 0 and wilcoxon(lost, alternative="less").pvalue < _CHANCE)


def _held_out(
    table: PairCounts, energies: Floats, around: tuple[int, ...], n_folds: int, seed: int
) -> Floats:
    """Absolute errors of all structures, each left out of the fit of free pair values."""
    errors = np.empty(len(energies))
    splitter = KFold(min(n_folds, len(energies)), shuffle=True, random_state=seed)
    for rest, held in splitter.split(errors):
        values = fit_pair_energies(_present(_subset(table, rest)), energies[rest], around)
        errors[held] = np.abs(values.predict(_subset(table, held)) - energies[held])
    return errors


def _subset(table: PairCounts, rows: NDArray[np.int64]) -> PairCounts:
    """The same classes, some of the structures."""
    return replace(
        table,
        composition=table.composition[rows],
        counts=table.counts[rows],
        crowding=table.crowding[rows],
    )


def _present(table: PairCounts) -> PairCounts:
    """Without the classes that no structure has: values there are interpolated."""
    there = (table.counts > 0).any(axis=0)
    return replace(
        table,
        kind=table.kind[there],
        distance=table.distance[there],
        dz=table.dz[there],
        counts=table.counts[:, there],
    )
