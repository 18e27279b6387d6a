"""Choosing a law: a formula for each kind of pair, or one in common with a table of coefficients.

With three kinds of pairs or more, both are searched where structures are many. With hardly
more structures than distances, formulas for each kind follow the scatter of a few points and
nothing inside the training part shows it: there the kinds have one formula in common, each
with coefficients of its own. With one or two kinds there is no such table: two sulfur vacancies
in one plane and on both sides of a layer then have the same formula. More formulas are chosen
only where cross-validation inside the training part supports them by more than a standard error,
and so is a longer law, as in the rule of Breiman et al., Classification and Regression Trees
(1984), section 3.4.3. Errors of laws are compared structure by structure as ratios: a few
structures whose closest pairs are held out have errors a hundred times as large as all others, and
their mean would say by chance which law is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from matbench_segvae.algorithms.pair_laws.candidate import CandidateLaw
from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.search import PairSearch
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.shared_search import SharedSearch
from matbench_segvae.algorithms.pair_laws.supported_terms import supported_terms
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import PairKind, numbers_by_defects
from matbench_segvae.types import Floats, Report

_BEYOND = 3.0  # times the longest distance in the data: as far as a formula is looked at
_N_POINTS = 1000
_NEGLIGIBLE = 1e-4  # eV per site; smaller errors count as equal
_HELD_OUT_SHARE = 0.632  # of held-out errors beside those of the fit, where those count too
_SAME = 1e-3  # relative; errors of laws that fit equally differ by no more


def search_laws(
    data: TrainingPairs, settings: PairLawSettings, seed: int, report: Report
) -> list[CandidateLaw]:
    """Search pair laws for a training part; simplest first, none if no law is admissible.

    Args:
        data: Training structures and their energies.
        settings: How to search.
        seed: Source of all randomness.
        report: Takes lines of progress.
    """
    columns = supported_terms(data, settings, seed) if settings.many_body else ()
    found: list[CandidateLaw] = []
    n_kinds = len(data.pairs.pair_kinds)
    few = data.are_few(settings.min_rows_per_distance)
    if n_kinds >= settings.min_kinds_shared and len(data.hosts) == 1:
        found += SharedSearch(data, settings, seed, columns).run(report)
    if not found or (n_kinds <= settings.max_kinds_own and not few):
        every = tuple(range(n_kinds))
        formula_of = numbers_by_defects(data.pairs.pair_kinds) if few else every
        found += PairSearch(data, settings, seed, formula_of, columns).run(report)
    return sorted(found, key=lambda candidate: candidate.complexity)


def best_law(found: Sequence[CandidateLaw], min_gain: float) -> CandidateLaw:
    """The law to predict with.

    Args:
        found: Laws to choose from, at least one.
        min_gain: Relative gain in validation error that justifies a longer law.
    """
    assignments = list(dict.fromkeys(candidate.formula_of for candidate in found))
    # The fewest formulas come first, and are replaced only if they are clearly worse.
    assignments.sort(key=lambda formula_of: len(set(formula_of)))
    best, *others = [
        _best_of([one for one in found if one.formula_of == formula_of], min_gain)
        for formula_of in assignments
    ]
    for other in others:
        if _clearly_better(other, best):
            best = other
    alike = [one for one in found if one.formula_of == best.formula_of]
    return _simplest(alike, best)


def _best_of(found: Sequence[CandidateLaw], min_gain: float) -> CandidateLaw:
    """The simplest law that no longer one improves on by more than the gain."""
    best = min(map(_typical_error, found))
    limit = best * (1 + min_gain) if math.isfinite(best) else math.inf
    return next(candidate for candidate in found if _typical_error(candidate) <= limit)


def _simplest(found: Sequence[CandidateLaw], best: CandidateLaw) -> CandidateLaw:
    """The law with the fewest nodes among those that the best one is not clearly better than.

    Of laws with as many nodes the one whose formulas change sign least beyond the data, then the
    one with the smallest typical error.
    """
    near = [
        candidate
        for candidate in found
        if math.isfinite(_typical_error(candidate)) and not _clearly_better(best, candidate)
    ]
    return min(
        near,
        key=lambda candidate: (
            candidate.complexity,
            _sign_changes_beyond(candidate),
            _typical_error(candidate),
        ),
        default=best,
    )


def _sign_changes_beyond(candidate: CandidateLaw) -> int:
    """How often the formulas change sign from the longest distance in the data on."""
    pairs, law = candidate.pairs, candidate.law
    longest = {
        kind: float(pairs.distance[pairs.kind == number].max())
        for number, kind in enumerate(pairs.pair_kinds)
    }
    return sum(
        sign_changes(law, kinds[0], max(longest[kind] for kind in kinds)) for kinds in law.sharing()
    )


def sign_changes(law: PairLaw, kind: PairKind, start: float) -> int:
    """How often the formula of a kind of pair changes sign between a distance and three times it.

    Args:
        law: The law.
        kind: The kind of pair.
        start: The distance, Å.
    """
    values = law.values(kind, np.linspace(start, _BEYOND * start, _N_POINTS))
    signs = np.sign(values[np.isfinite(values)])
    signs = signs[signs != 0]
    return int((signs[1:] != signs[:-1]).sum())


def _clearly_better(one: CandidateLaw, other: CandidateLaw) -> bool:
    """Whether validation errors are smaller by more than a standard error of the ratio."""
    gain = _logarithms(other) - _logarithms(one)
    return bool(gain.mean() > max(gain.std(ddof=1) / np.sqrt(len(gain)), _SAME))


def _typical_error(candidate: CandidateLaw) -> float:
    """Geometric mean of the validation errors, eV per site."""
    return float(np.exp(_logarithms(candidate).mean()))


def _logarithms(candidate: CandidateLaw) -> Floats:
    """Logarithms of the errors, shape ``(N,)``; errors of rounding are all the same.

    Where errors of the fit count, weighted means of the logarithms of both: errors are ratios here.
    """
    held_out = np.log(candidate.validation_errors + _NEGLIGIBLE)
    if candidate.fitted_errors is None:
        return np.asarray(held_out)
    fitted = np.log(candidate.fitted_errors + _NEGLIGIBLE)
    return np.asarray(_HELD_OUT_SHARE * held_out + (1 - _HELD_OUT_SHARE) * fitted)


def bootstrap(candidate: CandidateLaw, n_samples: int, seed: int, n_rows: int) -> list[PairLaw]:
    """Refit a law to resampled structures.

    Args:
        candidate: The law.
        n_samples: Number of refits; those without admissible constants are left out.
        seed: Seed of the resampling.
        n_rows: Number of training structures.
    """
    rng = np.random.default_rng(seed)
    laws = []
    for _ in range(n_samples):
        rows = np.sort(rng.integers(n_rows, size=n_rows))
        with suppress(ValueError):
            laws.append(candidate.refit(rows))
    return laws
