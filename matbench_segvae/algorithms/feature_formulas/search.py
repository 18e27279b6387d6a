"""From a table of features to the terms of a formula, inside the training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.feature_formulas.cross_validation import CrossValidation
from matbench_segvae.algorithms.feature_formulas.feature_selection import (
    FeatureRows,
    SelectedFeatures,
    select_features,
)
from matbench_segvae.algorithms.feature_formulas.forward_selection import forward_selection
from matbench_segvae.algorithms.feature_formulas.metrics import Metric, fit_linear
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.term_search import generated_terms
from matbench_segvae.algorithms.feature_formulas.terms import (
    Term,
    centred_design,
    distinct_terms,
    matrix,
    nodes_of,
)
from matbench_segvae.seeding import derived_short_seed
from matbench_segvae.types import Floats, Report

_FIT_ROUNDS = 25


@dataclass(frozen=True)
class CandidateFormula:
    """A formula that competes.

    Attributes:
        terms: Its terms.
        loss: Cross-validated inside the training rows.
        nodes: Number of its nodes, link included.
        generated: Whether generated terms were available, or only terms of one feature.
    """

    terms: tuple[Term, ...]
    loss: float
    nodes: int
    generated: bool


@dataclass(frozen=True)
class FormulaChoice:
    """What a search ends with.

    Attributes:
        metric: The metric, with the link.
        selected_features: Features that terms were generated from.
        candidates: The formulas that competed.
        chosen: The candidate that won.
    """

    metric: Metric
    selected_features: tuple[str, ...]
    candidates: tuple[CandidateFormula, ...]
    chosen: CandidateFormula


def choose_formula(
    data: FeatureRows, settings: FeatureFormulaSettings, seed: int, report: Report
) -> FormulaChoice:
    """Search several times, and choose by cross-validation splits that no search has used.

    Args:
        data: The rows to search on.
        settings: How.
        seed: Source of all randomness.
        report: Takes lines of progress.

    Returns:
        The choice of the search whose best formula won; ``candidates`` and ``chosen`` have
        the losses of the final comparison.
    """
    choices = []
    for number in range(settings.searches):
        own_seed = derived_short_seed(seed, "search", number) if number else seed
        choices.append(search_formula(data, settings, own_seed, report))
        found = choices[-1].chosen
        report(f"search {number + 1}: validated loss {found.loss:.5g}, {found.nodes} nodes")
    return final_choice(choices, data, settings, seed)


def search_formula(
    data: FeatureRows, settings: FeatureFormulaSettings, seed: int, report: Report
) -> FormulaChoice:
    """Search once, and choose by cross-validation.

    Args:
        data: The rows to search on.
        settings: How.
        seed: Source of all randomness.
        report: Takes lines of progress.
    """
    selected = select_features(data, settings, seed)
    metric, features = selected.metric, selected.features
    report(f"{metric.name} link; terms of {', '.join(features) or 'nothing'}")
    folds, repeats = settings.validation_folds, settings.validation_repeats
    validation = CrossValidation.repeated(data.target, metric, folds, repeats, seed)
    # Terms of one feature compete too: generated terms have to be worth their nodes.
    simple = _beam_search(data.table, selected.simple_terms, validation, settings)
    library = _term_library(data, selected, settings, seed)
    generated = _beam_search(data.table, library, validation, settings)
    candidates = (*simple, *(replace(formula, generated=True) for formula in generated))
    chosen = min(candidates, key=lambda c: (c.loss, c.nodes))
    return FormulaChoice(metric, features, candidates, chosen)


def final_choice(
    choices: Sequence[FormulaChoice],
    data: FeatureRows,
    settings: FeatureFormulaSettings,
    seed: int,
) -> FormulaChoice:
    """The best formulas of some searches, compared by the same cross-validation splits."""
    own_seed = derived_short_seed(seed, "final", 0)
    folds, repeats = settings.validation_folds, settings.final_repeats
    compared = []
    for choice in choices:
        validation = CrossValidation.repeated(data.target, choice.metric, folds, repeats, own_seed)
        finalists = sorted(choice.candidates, key=lambda c: (c.loss, c.nodes))
        for finalist in finalists[: settings.finalists_per_search]:
            design = centred_design(matrix(finalist.terms, data.table))
            loss = validation.loss(design.columns)
            compared.append((choice, replace(finalist, loss=loss)))
    winner, chosen = min(compared, key=lambda pair: (pair[1].loss, pair[1].nodes))
    return replace(winner, candidates=tuple(finalist for _, finalist in compared), chosen=chosen)


def _term_library(
    data: FeatureRows, selected: SelectedFeatures, settings: FeatureFormulaSettings, seed: int
) -> list[Term]:
    """Simple terms, and those that SEGVAE generates from the selected features."""
    metric, terms = selected.metric, list(selected.simple_terms)
    if not selected.features:
        return terms
    table = data.table[sorted(selected.features)]
    eta = np.full(len(data.target), metric.constant(data.target))
    for number in range(settings.generation_rounds):
        if number:
            eta = _fitted_values(data, terms, metric, replace(settings, max_terms=2 * number), seed)
        residual, weights = metric.working(eta, data.target)
        new = generated_terms(table, residual, weights, settings, seed + number)
        terms, _ = distinct_terms([*terms, *new], data.table)
    return terms


def _fitted_values(
    data: FeatureRows,
    terms: Sequence[Term],
    metric: Metric,
    settings: FeatureFormulaSettings,
    seed: int,
) -> Floats:
    """Values of the formula that forward selection ends with, fitted to all rows."""
    values = matrix(terms, data.table)
    validation = CrossValidation.repeated(data.target, metric, settings.validation_folds, 1, seed)
    last = forward_selection(terms, values, validation, replace(settings, beam_width=1))[-1]
    design = centred_design(matrix([terms[j] for j in last.positions], data.table))
    coefficients, _ = fit_linear(design.columns, data.target, metric, _FIT_ROUNDS)
    return np.asarray(design.columns @ coefficients)


def _beam_search(
    table: pd.DataFrame,
    terms: Sequence[Term],
    validation: CrossValidation,
    settings: FeatureFormulaSettings,
) -> list[CandidateFormula]:
    """The best formula of every number of terms."""
    return [
        CandidateFormula(
            chosen := tuple(terms[j] for j in selected.positions),
            selected.loss,
            nodes_of(chosen, validation.metric),
            generated=False,
        )
        for selected in forward_selection(terms, matrix(terms, table), validation, settings)
    ]
