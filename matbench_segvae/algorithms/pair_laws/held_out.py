"""Cross-validation inside the training part, for everything about a pair law that is chosen.

Laws are compared by how they interpolate. Structures that no other can stand in for are therefore
in every fit: single defects, which say nothing about pairs but fix the energies of defects, and
the only structure with the closest pair of a kind, without which a law is extrapolated to where
energies are largest. Where data are few, errors of an electronvolt there, by chance of the law,
would hide which one describes pairs best.

A handful of structures are left out one by one. Without a fifth of them, whole stretches of
distances would be missing, and laws would be compared by how they bridge gaps that the data do not
have. Even so, the structure that is left out often has a distance that no other has, while the law
that is chosen will know them all. As in the .632 rule of Efron, "Estimating the error rate of a
prediction rule: improvement on cross-validation", J. Am. Stat. Assoc. 78, 316 (1983), errors of the
fit to all structures then count beside those of the structures that are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import PairCounts
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.seeding import drawn_rows
from matbench_segvae.types import Booleans, Floats, Ints

Predictor = Callable[[AdditiveProblem], Floats]
"""Energies per defect site of a problem's structures, eV, shape ``(N,)``."""


def replaceable(pairs: PairCounts) -> Booleans:
    """Which structures may be held out, shape ``(N,)``.

    Those with pairs, unless it is the only one with the closest pair of a kind. If that leaves
    fewer than two, all of them.
    """
    there = pairs.counts > 0
    found = np.asarray(there.any(axis=1), dtype=np.bool_)
    for number in range(len(pairs.pair_kinds)):
        # A kind that none of the structures has has no closest pair.
        present = np.flatnonzero((pairs.kind == number) & there.any(axis=0))
        if len(present):
            closest = present[np.isclose(pairs.distance[present], pairs.distance[present].min())]
            holders = np.flatnonzero(there[:, closest].any(axis=1))
            if len(holders) == 1:
                found[holders] = False
    return found if found.sum() > 1 else np.ones(len(found), dtype=np.bool_)


class Validation:
    """The structures of a training part that laws are compared on, and how they are split.

    Of many structures some are drawn, beside those that no other can stand in for.

    Args:
        pairs: Pairs of all structures of the training part.
        settings: Number of structures and folds.
        seed: Source of all randomness.

    Attributes:
        rows: Numbers of the structures that are compared on, ``N`` of them.
        tested: Which of those are held out in one of the folds, shape ``(N,)``.
    """

    def __init__(self, pairs: PairCounts, settings: PairLawSettings, seed: int) -> None:
        self._settings, self._seed = settings, seed
        may_be_held_out = replaceable(pairs)
        among = np.flatnonzero(may_be_held_out)
        drawn = among[drawn_rows(len(among), settings.max_rows_compared, seed)]
        self.rows = np.union1d(drawn, np.flatnonzero(~may_be_held_out))
        # Among fewer structures one may be the only one with a closest pair, too.
        tested = may_be_held_out[self.rows]
        still = tested & replaceable(pairs.subset(self.rows))
        self.tested = still if still.sum() > 1 else tested

    def splits(self, seed: int) -> list[tuple[Ints, Ints]]:
        """Of the compared structures those to fit and to hold out, by number, for each fold.

        Args:
            seed: Seed of the shuffling.
        """
        every, tested = np.arange(len(self.rows)), np.flatnonzero(self.tested)
        if len(tested) < 2:
            return []
        n_folds = len(tested) if self.one_by_one else self._settings.validation_folds
        places = [p for _, p in KFold(n_folds, shuffle=True, random_state=seed).split(tested)]
        return [(np.setdiff1d(every, tested[p]), tested[p]) for p in places]

    @property
    def one_by_one(self) -> bool:
        """Whether each structure is left out by itself."""
        few = max(self._settings.max_rows_one_by_one, self._settings.validation_folds)
        return int(self.tested.sum()) <= few

    def errors(
        self, compared: AdditiveProblem, fitted: Callable[[AdditiveProblem], Predictor]
    ) -> Floats:
        """Absolute errors of structures left out of the fit, eV per site.

        Cross-validation is repeated with other splits until enough structures were held out, unless
        they are left out one by one.

        Args:
            compared: The structures that are compared on.
            fitted: Fits a law to some of them; may raise ``ValueError``.

        Returns:
            Means over the repeats, shape ``(T,)`` with ``T`` structures that are held out.

        Raises:
            ValueError: If a law has no fit to some of the training folds, or there is only one
                structure.
        """
        n_tested = int(self.tested.sum())
        if n_tested < 2:
            raise ValueError("a law of one structure cannot be cross-validated")
        n_repeats = -(-self._settings.min_validation_rows // n_tested)

        def left_out(training: Ints, held_out: Ints) -> Floats:
            predict = fitted(compared.subset(training))
            test = compared.subset(held_out)
            return np.asarray(predict(test) - test.target)

        return self.mean_errors(left_out, range(self._seed, self._seed + n_repeats))

    def errors_of_fit(self, law: PairLaw, data: TrainingPairs) -> Floats | None:
        """Absolute errors of a law fitted to all structures, eV per site.

        Args:
            law: The law.
            data: The training part.

        Returns:
            Of those that are held out elsewhere, shape ``(T,)``; none where they do not count.
        """
        if not self.one_by_one:
            return None
        errors = np.abs(law.predict(data.pairs) - data.energies)
        return np.asarray(errors[self.rows][self.tested])

    def mean_errors(self, left_out: Callable[[Ints, Ints], Floats], seeds: Sequence[int]) -> Floats:
        """Absolute errors of the structures that are held out, means over repeats, shape ``(T,)``.

        Args:
            left_out: Errors of structures that are held out, given the numbers of those to fit
                and of those.
            seeds: Seeds of the splits, one for each repeat; one is enough where structures are left
                out one by one.
        """
        if self.one_by_one:
            seeds = seeds[:1]
        errors = np.zeros((len(seeds), len(self.rows)))
        for repeat, seed in enumerate(seeds):
            for training, held_out in self.splits(seed):
                errors[repeat, held_out] = np.abs(left_out(training, held_out))
        return np.asarray(errors[:, self.tested].mean(axis=0))
