"""Whether kinds of pairs have a formula each, or one in common where the data are few.

Two sulfur vacancies in one plane and on both sides of a layer are two kinds of pairs. With
many structures each has its own formula. With hardly more structures than distances a
formula for each follows the scatter of a few points, and one that both have in common sees
twice as many: both ways are then searched. Validation inside the training part has to speak
clearly for a formula of each kind's own, by more than a standard error, as in the rule of
Breiman et al., Classification and Regression Trees (1984), section 3.4.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.algorithms.pair_laws.law import PairLaw, pair_problem
from matbench_segvae.algorithms.pair_laws.search import Candidate, PairSearch
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.three_body import three_body_terms
from matbench_segvae.defects import PairCounts, same_defects
from matbench_segvae.fitting.joint_fit import LawFit


@dataclass(frozen=True, eq=False)
class FoundLaw:
    """A law out of a search.

    Attributes:
        candidate: The law with its errors inside the training part.
        search: The search that found it.
        formula_of: Number of the formula of each kind of pair.
        table: Pairs of the training structures.
        around: Numbers of the kinds of defects with a three-body term around them.
    """

    candidate: Candidate
    search: PairSearch
    formula_of: tuple[int, ...]
    table: PairCounts
    around: tuple[int, ...]

    def named(self, fit: LawFit | None = None) -> PairLaw:
        """The law, or a refit of it, with numbers named after kinds of defects and pairs."""
        fit = fit or self.candidate.fit
        return PairLaw.from_fit(fit, self.table, self.formula_of, self.around)


def search_laws(
    table: PairCounts,
    energies: NDArray[np.float64],
    shortest: Sequence[float],
    settings: PairLawSettings,
    seed: int,
    report: Callable[[str], None],
) -> list[FoundLaw]:
    """Search pair laws for a training part; simplest first, none if no law is admissible.

    Args:
        table: Pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
        shortest: Shortest distance on the lattice for each kind of pair, Å.
        settings: How to search.
        seed: Source of all randomness.
        report: Takes lines of progress.
    """
    around = _three_body(table, energies, settings, seed)
    found = []
    for formula_of in _ways(table, len(energies), settings.rows_per_distance):
        problem = pair_problem(table, energies, formula_of, around)
        lows = [
            min(low for low, number in zip(shortest, formula_of, strict=True) if number == formula)
            for formula in range(problem.n_groups)
        ]
        search = PairSearch(problem, settings, seed, lows, len(around))
        found += [FoundLaw(law, search, formula_of, table, around) for law in search.run(report)]
    return sorted(found, key=lambda law: law.candidate.nodes)


def _three_body(
    table: PairCounts, energies: NDArray[np.float64], settings: PairLawSettings, seed: int
) -> tuple[int, ...]:
    if not settings.three_body:
        return ()
    folds, divisions = settings.validation_folds, settings.three_body_divisions
    return three_body_terms(table, energies, settings.rows_compared, folds, divisions, seed)


def best_law(found: Sequence[FoundLaw], patience: float) -> FoundLaw:
    """The law to predict with.

    Args:
        found: Laws to choose from, at least one.
        patience: Relative gain in validation error that justifies a longer law.
    """
    ways = list(dict.fromkeys(law.formula_of for law in found))
    # The way with the fewest formulas comes first, and goes unless it is clearly worse.
    ways.sort(key=lambda formula_of: len(set(formula_of)))
    best = _best_of(found, ways[0], patience)
    for way in ways[1:]:
        other = _best_of(found, way, patience)
        if _clearly_better(other.candidate, best.candidate):
            best = other
    return best


def _best_of(found: Sequence[FoundLaw], way: tuple[int, ...], patience: float) -> FoundLaw:
    """The simplest law of a way that no longer one beats by more than the patience."""
    laws = [law for law in found if law.formula_of == way]
    best = min(law.candidate.validation_mae for law in laws)
    limit = best * (1 + patience) if math.isfinite(best) else math.inf
    return next(law for law in laws if law.candidate.validation_mae <= limit)


def _clearly_better(one: Candidate, other: Candidate) -> bool:
    """Whether validation errors are smaller by more than a standard error of the difference."""
    gain = other.validation_errors - one.validation_errors
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def _ways(table: PairCounts, n_rows: int, rows_per_distance: float) -> list[tuple[int, ...]]:
    """Numbers of the formulas of the kinds of pairs, in every way worth a search."""
    own = tuple(range(len(table.pair_kinds)))
    shared = same_defects(table.pair_kinds)
    few = n_rows < rows_per_distance * len(table.distance)
    return [own, shared] if few and shared != own else [own]


_PERCENTILES = (5, 95)


def resampled(
    search: PairSearch, fit: LawFit, n_rows: int, n_resamples: int, seed: int
) -> list[LawFit]:
    """Refit a law to resampled structures.

    Args:
        search: The search that found it.
        fit: The law.
        n_rows: Number of structures.
        n_resamples: Number of refits; those without admissible constants are left out.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    fits = []
    for _ in range(n_resamples):
        rows = np.sort(rng.integers(n_rows, size=n_rows))
        with suppress(ValueError):
            fits.append(search.refit(fit, rows))
    return fits


def intervals(law: PairLaw, others: Sequence[PairLaw]) -> dict[str, Any]:
    """The middle 90 % of every number of a law over its refits; empty without refits.

    Energies and scales in eV, factors of three-body terms in eV Å², as in the law. The
    constants of a formula stand in the order in which they appear in it, for distances in Å.
    """
    if not others:
        return {}
    return {
        "defect_energies_eV": {
            kind: _middle([other.defect_energies[kind] for other in others])
            for kind in law.defect_energies
        },
        "pair_scales_eV": {
            kind: _middle([other.pair_scales[kind] for other in others]) for kind in law.pair_scales
        },
        "three_body_eVA2": {
            kind: _middle([other.three_body[kind] for other in others]) for kind in law.three_body
        },
        "pair_constants": {
            kind: [
                _middle([other.pair_formulas[kind].constants[i] for other in others])
                for i in range(len(formula.constants))
            ]
            for kind, formula in law.pair_formulas.items()
        },
    }


def _middle(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, _PERCENTILES)]
