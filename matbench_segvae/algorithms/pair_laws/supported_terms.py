"""What a law has beside pairs: energies of more than two defects, and one of every structure.

Many-body terms such as the three-body ``T / (r1 r2)`` (see
:mod:`~matbench_segvae.defects.many_body`) are linear in their factors. Fitted pair energies
therefore show whether a term is there, without any formula of the distance and in a moment,
so that it is decided before the search. A few compact clusters have errors that no such term
explains and that dominate the mean error; whether a term improves most structures is
therefore tested by signed ranks (Wilcoxon, Biometrics Bull. 1, 80, 1945).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import wilcoxon
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import PairCounts
from matbench_segvae.fitting.robust import COARSE_FLOOR, absolute_weights
from matbench_segvae.seeding import derived_short_seed, drawn_rows
from matbench_segvae.types import Floats, Ints

_MANY = 1000  # structures; with more of them fits need not be exact
_TRIED = 4  # descriptors that are cross-validated before one of them is added
_RANK = 1e-9
_SIGNIFICANCE = 0.01  # probability that a term without effect passes


def supported_terms(data: TrainingPairs, settings: PairLawSettings, seed: int) -> tuple[int, ...]:
    """Choose many-body terms and the kinds of defects they are around.

    The best one is added as long as the cross-validated errors of fitted pair energies
    become smaller by it, in the mean and for more structures than chance allows.

    Args:
        data: Training structures.
        settings: Number of structures, folds and repeats of the cross-validation.
        seed: Source of all randomness.

    Returns:
        Numbers of the descriptors, as columns of ``data.pairs.descriptors``, ascending.
    """
    pairs, energies, splits = _compared(data, settings, seed)
    n_folds = settings.validation_folds
    # A descriptor that is hardly ever different from 0 cannot be validated.
    n_nonzero = (pairs.descriptors != 0).sum(axis=0).tolist()
    left = [column for column, n in enumerate(n_nonzero) if n >= 2 * n_folds]
    chosen: tuple[int, ...] = ()
    if not left:
        return chosen

    def errors(columns: tuple[int, ...]) -> Floats:
        each = [_cross_validated(pairs, energies, columns, split) for split in splits]
        return np.asarray(np.mean(each, axis=0))

    best = errors(chosen)
    while left:
        promising = _most_promising(pairs, energies, chosen, left)
        tried = {column: errors((*chosen, column)) for column in promising}
        column = min(tried, key=lambda c: float(tried[c].mean()))
        if not _significantly_smaller(tried[column], best):
            break
        chosen, best = (*chosen, column), tried[column]
        left.remove(column)
    return tuple(sorted(chosen))


def supports_constant(data: TrainingPairs, settings: PairLawSettings, seed: int) -> bool:
    """Whether there may be an energy that all structures have in common.

    Data of one number of defects cannot tell it from the energies of defects. Else it stays
    unless fitted pair energies are significantly worse with it in cross-validation: without it a
    law that vanishes at large distances has no way to be right for single defects, pairs and
    triples at once, and no single defect of a kind is left once it is held out.

    Args:
        data: Training structures.
        settings: Number of structures, folds and repeats of the cross-validation.
        seed: Source of all randomness.
    """
    if not data.sizes_differ:
        return False
    pairs, energies, splits = _compared(data, settings, seed)
    with_it, without = (
        np.mean([_cross_validated(pairs, energies, (), s, constant=c) for s in splits], axis=0)
        for c in (True, False)
    )
    return not _significantly_smaller(np.asarray(without), np.asarray(with_it))


def _compared(
    data: TrainingPairs, settings: PairLawSettings, seed: int
) -> tuple[PairCounts, Floats, list[KFold]]:
    """Structures to compare fits on, their energies, and the splits of the repeats."""
    rows = drawn_rows(len(data.energies), settings.max_rows_compared, seed)
    n_folds = min(settings.validation_folds, len(rows))
    seeds = [derived_short_seed(seed, "three-body", n) for n in range(settings.many_body_repeats)]
    splits = [KFold(n_folds, shuffle=True, random_state=one) for one in seeds if n_folds > 1]
    return _subset(data.pairs, rows), data.energies[rows], splits


def _most_promising(
    pairs: PairCounts, energies: Floats, chosen: tuple[int, ...], left: list[int]
) -> list[int]:
    """The descriptors worth a cross-validation: those that would lower squared errors most.

    Errors are those of fitted pair energies, weighted so that squares count as absolute errors;
    a descriptor lowers them by the square of its correlation with what is left.
    """
    fitted = fit_pair_energies(pairs, energies, chosen, exact=len(energies) <= _MANY)
    residuals = energies - fitted.predict(pairs)
    root = np.sqrt(absolute_weights(residuals, COARSE_FLOOR) / pairs.n_sites**2)[:, None]
    blocks = [pairs.composition, pairs.counts, pairs.descriptors[:, list(chosen)]]
    design = root * np.concatenate([*blocks, np.ones((len(energies), 1))], axis=1)
    vectors, sizes, _ = np.linalg.svd(design, full_matrices=False)
    basis = vectors[:, sizes > _RANK * sizes.max()]
    rest = root[:, 0] * residuals * pairs.n_sites
    rest = rest - basis @ (basis.T @ rest)
    columns = root * pairs.descriptors[:, left]
    columns = columns - basis @ (basis.T @ columns)
    norms = np.square(columns).sum(axis=0)
    there = norms > _RANK * np.square(root * pairs.descriptors[:, left]).sum(axis=0)
    gains = np.where(there, (columns.T @ rest) ** 2 / np.where(there, norms, 1.0), 0.0)
    order = np.argsort(-gains, kind="stable")[:_TRIED]
    return [left[place] for place in order]


def _significantly_smaller(errors: Floats, others: Floats) -> bool:
    """Whether errors of the same structures are smaller, in the mean and by their ranks."""
    difference = errors - others
    return bool(
        difference.mean() < 0 and wilcoxon(difference, alternative="less").pvalue < _SIGNIFICANCE
    )


def _cross_validated(
    pairs: PairCounts,
    energies: Floats,
    columns: tuple[int, ...],
    split: KFold,
    *,
    constant: bool = True,
) -> Floats:
    """Absolute errors of fitted pair energies, each structure left out of its fit."""
    errors = np.empty(len(energies))
    for training, test in split.split(errors):
        known = _without_absent_classes(_subset(pairs, training))
        exact = len(training) <= _MANY
        fitted = fit_pair_energies(
            known, energies[training], columns, constant=constant, exact=exact
        )
        errors[test] = np.abs(fitted.predict(_subset(pairs, test)) - energies[test])
    return errors


def _subset(pairs: PairCounts, rows: Ints) -> PairCounts:
    """The same classes, some of the structures."""
    return replace(
        pairs,
        composition=pairs.composition[rows],
        counts=pairs.counts[rows],
        descriptors=pairs.descriptors[rows],
    )


def _without_absent_classes(pairs: PairCounts) -> PairCounts:
    """Without the classes that no structure has: pair energies there are interpolated."""
    there = (pairs.counts > 0).any(axis=0)
    return replace(
        pairs,
        kind=pairs.kind[there],
        distance=pairs.distance[there],
        direction=pairs.direction[there],
        counts=pairs.counts[:, there],
    )
