"""What a law has beside pairs: energies of more than two defects.

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

from matbench_segvae.algorithms.pair_laws.held_out import Validation
from matbench_segvae.algorithms.pair_laws.pair_energies import PairEnergies, fit_pair_energies
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import PairCounts
from matbench_segvae.fitting.robust import COARSE_FLOOR, absolute_weights
from matbench_segvae.seeding import derived_short_seed
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
    compared = _Compared(data, settings, seed)
    # A descriptor that is hardly ever different from 0 cannot be validated.
    n_nonzero = (compared.pairs.descriptors != 0).sum(axis=0).tolist()
    left = [c for c, n in enumerate(n_nonzero) if n >= 2 * settings.validation_folds]
    chosen: tuple[int, ...] = ()
    if not left:
        return chosen
    best = compared.errors(chosen)
    while left:
        promising = _most_promising(compared, chosen, left)
        tried = {column: compared.errors((*chosen, column)) for column in promising}
        column = min(tried, key=lambda c: float(tried[c].mean()))
        if not _significantly_smaller(tried[column], best):
            break
        chosen, best = (*chosen, column), tried[column]
        left.remove(column)
    return tuple(sorted(chosen))


class _Compared:
    """Fitted pair energies in the cross-validation that decides on terms.

    Args:
        data: Structures and their energies.
        settings: Number of structures, folds and repeats.
        seed: Source of all randomness.
    """

    def __init__(self, data: TrainingPairs, settings: PairLawSettings, seed: int) -> None:
        self._validation = validation = Validation(data.pairs, settings, seed)
        self.pairs = data.pairs.subset(validation.rows)
        self.energies = data.energies[validation.rows]
        self.has_constant = data.has_constant
        repeats = range(settings.many_body_repeats)
        self._seeds = [derived_short_seed(seed, "three-body", repeat) for repeat in repeats]

    def fitted(self, columns: tuple[int, ...], rows: Ints) -> PairEnergies:
        """Pair energies of some of the structures.

        Args:
            columns: Numbers of the descriptors that have a factor.
            rows: Numbers of the structures.
        """
        return fit_pair_energies(
            _without_absent_classes(self.pairs.subset(rows)),
            self.energies[rows],
            columns,
            constant=self.has_constant,
            exact=len(rows) <= _MANY,
        )

    def errors(self, columns: tuple[int, ...]) -> Floats:
        """Absolute errors of fitted pair energies, each structure left out of its fit.

        Args:
            columns: Numbers of the descriptors that have a factor.

        Returns:
            Means over the repeats, eV per site, of the structures that are held out.
        """

        def left_out(training: Ints, held_out: Ints) -> Floats:
            fitted = self.fitted(columns, training)
            return fitted.predict(self.pairs.subset(held_out)) - self.energies[held_out]

        return self._validation.mean_errors(left_out, self._seeds)


def _most_promising(compared: _Compared, chosen: tuple[int, ...], left: list[int]) -> list[int]:
    """The descriptors worth a cross-validation: those that would lower squared errors most.

    Errors are those of fitted pair energies, weighted so that squares count as absolute errors;
    a descriptor lowers them by the square of its correlation with what is left.
    """
    pairs, energies = compared.pairs, compared.energies
    residuals = energies - compared.fitted(chosen, np.arange(len(energies))).predict(pairs)
    root = np.sqrt(absolute_weights(residuals, COARSE_FLOOR) / pairs.n_sites**2)[:, None]
    blocks = [pairs.composition, pairs.counts, pairs.descriptors[:, list(chosen)]]
    ones = np.ones((len(energies), int(compared.has_constant)))
    design = root * np.concatenate([*blocks, ones], axis=1)
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
