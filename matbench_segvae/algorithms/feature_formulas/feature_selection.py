"""Which features terms are generated from, and through which link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.feature_formulas.cross_validation import CrossValidation
from matbench_segvae.algorithms.feature_formulas.forward_selection import forward_selection
from matbench_segvae.algorithms.feature_formulas.metrics import Metric, candidate_metrics
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.terms import (
    Term,
    distinct_terms,
    features_of,
    matrix,
    simple_terms,
)
from matbench_segvae.types import Floats

_SHARES_GAIN = 0.1  # relative loss that shares of elements may have more than all features
_COMPARED_TERMS = 4  # terms by which links and kinds of features are compared
_FEW = 16  # features up to which terms are generated from all
_UNLIMITED = 10**6


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """The rows that a search works on.

    Attributes:
        table: Features without gaps, shape ``(N, F)``.
        target: Shape ``(N,)``; 0 and 1 for a classification.
        classification: Whether it is one.
    """

    table: pd.DataFrame
    target: Floats
    classification: bool


@dataclass(frozen=True)
class SelectedFeatures:
    """What feature selection ends with.

    Attributes:
        metric: The metric, with the link chosen.
        simple_terms: Terms of one feature each, of those features that were compared.
        features: The selected features.
    """

    metric: Metric
    simple_terms: tuple[Term, ...]
    features: tuple[str, ...]


def select_features(
    data: FeatureRows, settings: FeatureFormulaSettings, seed: int
) -> SelectedFeatures:
    """Select a link and features by formulas of simple terms.

    The shares of the elements alone compete with all features, because a choice among fewer
    features overfits less.

    Args:
        data: The rows.
        settings: How many features, and how formulas are compared.
        seed: Seed of the cross-validation splits.
    """
    usable = usable_columns(data.table, settings.max_share_of_one_value)
    shares = [name for name in usable if name.startswith("x_")]
    metrics = candidate_metrics(data.target, data.classification)
    folds = settings.validation_folds
    brief = replace(
        settings,
        max_terms=_COMPARED_TERMS,
        max_nodes=_UNLIMITED,
        max_features=_UNLIMITED,
        beam_width=1,
    )
    compared: list[tuple[float, int, Metric, list[Term]]] = []
    for number, names in enumerate((usable, shares)):
        if not names or (number and len(shares) == len(usable)):
            continue
        terms, values = distinct_terms(_simple_terms(data.table, names), data.table)
        for metric in metrics:
            validation = CrossValidation.repeated(data.target, metric, folds, 1, seed)
            least = min(s.loss for s in forward_selection(terms, values, validation, brief))
            compared.append((least * (1 - _SHARES_GAIN * number), len(compared), metric, terms))
    if not compared:
        return SelectedFeatures(metrics[0], (), ())
    _, _, metric, terms = min(compared, key=lambda entry: entry[:2])
    features = features_of(terms)
    if len(features) > _FEW:
        validation = CrossValidation.repeated(data.target, metric, folds, 1, seed)
        longer = replace(brief, max_terms=settings.selected_features + 2)
        last = forward_selection(terms, matrix(terms, data.table), validation, longer)[-1]
        order = dict.fromkeys(name for j in last.positions for name in terms[j].features)
        features = tuple(order)[: settings.selected_features]
    return SelectedFeatures(metric, tuple(terms), features)


def usable_columns(table: pd.DataFrame, max_share: float) -> list[str]:
    """Columns in which no value stands in nearly all rows.

    Args:
        table: The features.
        max_share: The largest share of rows that one value may have.
    """
    shares = {
        str(name): float(np.unique(column.to_numpy(), return_counts=True)[1].max()) / len(table)
        for name, column in table.items()
    }
    return [name for name, share in shares.items() if share < max_share]


def _simple_terms(table: pd.DataFrame, names: Sequence[str]) -> list[Term]:
    """The simple terms of several features."""
    return [
        term
        for name in names
        for term in simple_terms(name, table[name].to_numpy(dtype=np.float64))
    ]
