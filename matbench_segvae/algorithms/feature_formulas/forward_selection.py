"""Which terms make a formula: forward selection by cross-validated loss.

Terms are added one by one, to the best few formulas so far: the best single term need not be
part of the best pair. The few that would help most to first order are fitted in earnest
on parts of the rows and judged by the rest, and the best of them joins. That is dearer than
taking the smallest training error. Terms depend on each other, so that what is best with two
terms seldom leads to what is best with five; therefore many are gone on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from matbench_segvae.algorithms.feature_formulas.metrics import LogLoss, Metric, fit_linear
from matbench_segvae.algorithms.feature_formulas.terms import Term, nodes_of
from matbench_segvae.types import Floats, Ints

Split = tuple[Ints, Ints]


_QUICK, _FULL = 6, 25  # rounds of a fit, in cross-validation and after it


_NEW = 1e-4  # share of a term's variance that those before it must leave


@dataclass(frozen=True)
class PathSettings:
    """How terms are selected.

    Attributes:
        steps: Terms at most.
        shortlist: Terms that are cross-validated in each step.
        beam: Formulas of each number of terms that are gone on from.
        parsimony: Relative gain in loss that a node has to bring, to choose among terms.
        most_nodes: Nodes at most, link included.
        most_features: Features in a formula at most.
    """

    steps: int
    shortlist: int
    beam: int
    parsimony: float
    most_nodes: int
    most_features: int


@dataclass(frozen=True)
class Step:
    """A formula on the path.

    Attributes:
        chosen: Positions of its terms.
        loss: Cross-validated.
    """

    chosen: tuple[int, ...]
    loss: float


def splits(target: Floats, metric: Metric, folds: int, repeats: int, seed: int) -> list[Split]:
    """Parts of the rows to fit on, and the rest to judge by."""
    kind = StratifiedKFold if isinstance(metric, LogLoss) else KFold
    rarest = int(np.unique(target, return_counts=True)[1].min()) if kind is StratifiedKFold else 0
    n_folds = max(2, min(folds, len(target), rarest or folds))
    found = []
    for repeat in range(repeats):
        splitter = kind(n_folds, shuffle=True, random_state=seed + repeat)
        found += list(splitter.split(np.zeros(len(target)), target))
    return found


def path(
    values: Floats,
    terms: Sequence[Term],
    target: Floats,
    metric: Metric,
    parts: Sequence[Split],
    settings: PathSettings,
) -> list[Step]:
    """Formulas with no term, one term and so on.

    Args:
        values: Of the terms, shape ``(N, T)``, finite.
        terms: The terms.
        target: Shape ``(N,)``.
        metric: What formulas are fitted under and judged by.
        parts: See :func:`splits`.
        settings: How.
    """
    units = _standardised(values)
    found = [Step((), cross_validated(np.ones((len(target), 1)), target, metric, parts))]
    beam = found[:]
    for _ in range(settings.steps):
        longer: dict[frozenset[int], tuple[float, Step]] = {}
        for step in beam:
            for score, following in _longer(step, units, terms, target, metric, parts, settings):
                longer.setdefault(frozenset(following.chosen), (score, following))
        if not longer:
            break
        ranked = sorted(longer.values(), key=lambda entry: (entry[0], entry[1].chosen))
        beam = [step for _, step in ranked[: settings.beam]]
        found.append(beam[0])
    return found


def cross_validated(
    design: Floats, target: Floats, metric: Metric, parts: Sequence[Split]
) -> float:
    """Mean loss of the rows when they were held back."""
    total, count = np.zeros(len(target)), np.zeros(len(target))
    for rest, held in parts:
        eta = held_out(design, target, metric, rest, held)
        total[held] += metric.losses(eta, target[held])
        count[held] += 1
    return float((total / np.maximum(count, 1)).mean())


def held_out(design: Floats, target: Floats, metric: Metric, rest: Ints, held: Ints) -> Floats:
    """Values on rows that were held back, within the range of those on the others."""
    coefficients, _ = fit_linear(design[rest], target[rest], metric, _QUICK)
    inside = design[rest] @ coefficients
    if not isinstance(metric, LogLoss):
        low, high = target[rest].min(), target[rest].max()
        if metric.name == "exponential":
            low, high = np.log(low), np.log(high)
        return np.clip(design[held] @ coefficients, low, high)
    return np.clip(design[held] @ coefficients, inside.min(), inside.max())


def _longer(
    step: Step,
    units: Floats,
    terms: Sequence[Term],
    target: Floats,
    metric: Metric,
    parts: Sequence[Split],
    settings: PathSettings,
) -> list[tuple[float, Step]]:
    """Formulas with one more term, each with the number it is ranked by."""
    nodes = nodes_of((terms[j] for j in step.chosen), metric)
    features = frozenset().union(*(terms[j].features for j in step.chosen))
    open_ = [
        j
        for j, term in enumerate(terms)
        if j not in step.chosen
        and nodes + term.nodes <= settings.most_nodes
        and len(features | term.features) <= settings.most_features
    ]
    if not open_:
        return []
    design = np.column_stack([np.ones(len(target)), units[:, step.chosen]])
    costs = np.array([terms[j].nodes for j in open_])
    gains = _gains(units[:, open_], design, target, metric)
    gains = gains * np.exp(-10 * settings.parsimony * costs)
    judged = []
    for number in np.argsort(-gains, kind="stable")[: settings.shortlist]:
        if gains[number] <= 0:
            continue
        position = open_[number]
        wider = np.column_stack([design, units[:, position]])
        loss = cross_validated(wider, target, metric, parts)
        score = loss * (1 + settings.parsimony * float(nodes + costs[number]))
        judged.append((score, Step((*step.chosen, position), loss)))
    return judged


def _gains(units: Floats, design: Floats, target: Floats, metric: Metric) -> Floats:
    """What each column would take off the weighted squares at the present fit."""
    coefficients, _ = fit_linear(design, target, metric, _FULL)
    rest, weights = metric.working(design @ coefficients, target)
    root = np.sqrt(weights)[:, None]
    basis, _ = np.linalg.qr(design * root)
    columns = units * root
    size = np.square(columns).sum(axis=0)
    columns = columns - basis @ (basis.T @ columns)
    left = np.square(columns).sum(axis=0)
    missing = rest * root[:, 0]
    missing = missing - basis @ (basis.T @ missing)
    gains = np.square(columns.T @ missing) / np.maximum(left, 1e-300)
    return np.asarray(np.where(left > _NEW * size, gains, 0.0))


def _standardised(values: Floats) -> Floats:
    """Columns with median 0 and mean absolute deviation 1."""
    around = values - np.median(values, axis=0)
    size = np.abs(around).mean(axis=0)
    return around / np.where(size > 0, size, 1.0)
