"""Several searches for the terms of a formula, and the choice among what they found.

Which terms a search selects hangs on how the rows happen to be divided. Each search has
divisions of its own, and their best formulas are judged once more, on divisions that selected
none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.formulas.choice import Choice, FormulaSearch
from matbench_segvae.algorithms.formulas.path import cross_validated, splits
from matbench_segvae.algorithms.formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.formulas.terms import design
from matbench_segvae.segvae.training import derived_short_seed

Floats = NDArray[np.float64]
Report = Callable[[str], None]


def choose_formula(
    table: pd.DataFrame,
    target: Floats,
    classification: bool,
    settings: FeatureFormulaSettings,
    seed: int,
    report: Report,
) -> Choice:
    """Search several times, and choose on divisions of the rows that no search has seen.

    Args:
        table: Features without gaps, shape ``(N, F)``.
        target: Shape ``(N,)``; 0 and 1 for a classification.
        classification: Whether it is one.
        settings: How.
        seed: Source of all randomness.
        report: Takes lines of progress.

    Returns:
        The choice of the search whose best formula won; ``candidates`` and ``chosen`` have
        the losses of the final comparison.
    """
    choices = []
    for number in range(settings.searches):
        own = derived_short_seed(seed, "search", number) if number else seed
        search = FormulaSearch(table, target, classification, settings, own, report)
        choices.append(search.run())
        found = choices[-1].chosen
        report(f"search {number + 1}: validated loss {found.loss:.5g}, {found.nodes} nodes")
    return final_choice(choices, table, target, settings, seed)


def final_choice(
    choices: Sequence[Choice],
    table: pd.DataFrame,
    target: Floats,
    settings: FeatureFormulaSettings,
    seed: int,
) -> Choice:
    """The best formulas of some searches, compared on the same divisions of the rows."""
    own = derived_short_seed(seed, "final", 0)
    judged = []
    for choice in choices:
        parts = splits(
            target, choice.metric, settings.validation_folds, settings.final_repeats, own
        )
        finalists = sorted(choice.candidates, key=lambda c: (c.loss, c.nodes))
        for finalist in finalists[: settings.finalists]:
            columns = design(finalist.terms, table)
            loss = cross_validated(columns, target, choice.metric, parts)
            judged.append((choice, replace(finalist, loss=loss)))
    winner, chosen = min(judged, key=lambda pair: (pair[1].loss, pair[1].nodes))
    return replace(winner, candidates=tuple(finalist for _, finalist in judged), chosen=chosen)
