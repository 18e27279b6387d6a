"""Which terms make a formula: forward selection by cross-validated loss, as a beam search.

Terms are added one by one. The few that would reduce the loss most to first order are fitted
and cross-validated, and the best of them is kept, which costs more than taking the smallest
training error but overfits less. Because terms depend on each other, the best formula of two
terms seldom leads to the best one of five; therefore the best few formulas of each number of
terms are extended, not only the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.algorithms.feature_formulas.cross_validation import CrossValidation
from matbench_segvae.algorithms.feature_formulas.metrics import Metric, fit_linear
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.terms import Term, nodes_of
from matbench_segvae.types import Floats

_FIT_ROUNDS = 25
_INDEPENDENT = 1e-4  # share of a term's variance that the other terms must leave unexplained


@dataclass(frozen=True)
class SelectedTerms:
    """The terms of one formula.

    Attributes:
        positions: Positions of the terms.
        loss: Cross-validated.
    """

    positions: tuple[int, ...]
    loss: float


def forward_selection(
    terms: Sequence[Term],
    values: Floats,
    validation: CrossValidation,
    settings: FeatureFormulaSettings,
) -> list[SelectedTerms]:
    """The best formula without terms, with one term and so on.

    Args:
        terms: The terms to select from, ``T`` of them.
        values: Their values, shape ``(N, T)``, finite.
        validation: How formulas are compared.
        settings: Beam, parsimony and limits.
    """
    units = _standardised(values)
    none = SelectedTerms((), validation.loss(np.ones((len(values), 1))))
    found, beam = [none], [none]
    for _ in range(settings.max_terms):
        longer: dict[frozenset[int], tuple[float, SelectedTerms]] = {}
        for selected in beam:
            for score, extended in _extended(selected, terms, units, validation, settings):
                longer.setdefault(frozenset(extended.positions), (score, extended))
        if not longer:
            break
        ranked = sorted(longer.values(), key=lambda entry: (entry[0], entry[1].positions))
        beam = [extended for _, extended in ranked[: settings.beam_width]]
        found.append(beam[0])
    return found


def _extended(
    selected: SelectedTerms,
    terms: Sequence[Term],
    units: Floats,
    validation: CrossValidation,
    settings: FeatureFormulaSettings,
) -> list[tuple[float, SelectedTerms]]:
    """Formulas with one more term, each with the score it is ranked by."""
    positions = selected.positions
    nodes = nodes_of((terms[j] for j in positions), validation.metric)
    features = frozenset().union(*(terms[j].features for j in positions))
    allowed = [
        j
        for j, term in enumerate(terms)
        if j not in positions
        and nodes + term.nodes <= settings.max_nodes
        and len(features | term.features) <= settings.max_features
    ]
    if not allowed:
        return []
    design = np.column_stack([np.ones(len(units)), units[:, positions]])
    costs = np.array([terms[j].nodes for j in allowed])
    gains = _gains(units[:, allowed], design, validation.target, validation.metric)
    gains = gains * np.exp(-10 * settings.parsimony * costs)
    extended = []
    for number in np.argsort(-gains, kind="stable")[: settings.shortlisted_terms]:
        if gains[number] <= 0:
            continue
        position = allowed[number]
        loss = validation.loss(np.column_stack([design, units[:, position]]))
        score = loss * (1 + settings.parsimony * float(nodes + costs[number]))
        extended.append((score, SelectedTerms((*positions, position), loss)))
    return extended


def _gains(units: Floats, design: Floats, target: Floats, metric: Metric) -> Floats:
    """By how much each column would reduce the weighted squares at the present fit."""
    coefficients, _ = fit_linear(design, target, metric, _FIT_ROUNDS)
    residual, weights = metric.working(design @ coefficients, target)
    root = np.sqrt(weights)[:, None]
    basis, _ = np.linalg.qr(design * root)
    columns = units * root
    size = np.square(columns).sum(axis=0)
    columns = columns - basis @ (basis.T @ columns)
    unexplained = np.square(columns).sum(axis=0)
    weighted = residual * root[:, 0]
    weighted = weighted - basis @ (basis.T @ weighted)
    gains = np.square(columns.T @ weighted) / np.maximum(unexplained, 1e-300)
    return np.asarray(np.where(unexplained > _INDEPENDENT * size, gains, 0.0))


def _standardised(values: Floats) -> Floats:
    """Columns with median 0 and mean absolute deviation 1."""
    around = values - np.median(values, axis=0)
    size = np.abs(around).mean(axis=0)
    return around / np.where(size > 0, size, 1.0)
