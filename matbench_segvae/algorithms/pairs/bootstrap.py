"""How well the data determine a pair law: refits to resampled structures.

The bootstrap of Efron, Ann. Stat. 7, 1 (1979). The formulas stay, their constants are
fitted anew to as many structures drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from matbench_segvae.algorithms.pairs.law import PairLaw
from matbench_segvae.algorithms.pairs.search import PairSearch
from matbench_segvae.expressions.law_fit import LawFit

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
