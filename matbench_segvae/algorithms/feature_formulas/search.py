"""From a table of features to the terms of a formula, all on training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.feature_formulas.forward_selection import (
    PathSettings,
    Step,
    cross_validated,
    path,
    splits,
)
from matbench_segvae.algorithms.feature_formulas.metrics import (
    AbsoluteError,
    LogLoss,
    Metric,
    fit_linear,
)
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.term_search import written_terms
from matbench_segvae.algorithms.feature_formulas.terms import (
    Term,
    design,
    distinct,
    matrix,
    nodes_of,
    simple_terms,
)
from matbench_segvae.seeding import derived_short_seed
from matbench_segvae.types import Floats, Report

_ALL, _SHARES = "all features", "shares of elements"


_FIT_ROUNDS = 25


_FEWER = 0.1  # relative loss that shares of elements may have more than all features


_BRIEF_STEPS = 4  # terms by which links and kinds of features are compared


_SPAN = 10.0  # largest over smallest target from which on an exponential link competes


_FEW = 16  # features up to which terms are written of all


@dataclass(frozen=True)
class Candidate:
    """A formula that competes.

    Attributes:
        terms: Its terms.
        loss: Cross-validated inside the training rows.
        nodes: Their number, link included.
        written: Whether the network had a part in it, or features only compete by themselves.
    """

    terms: tuple[Term, ...]
    loss: float
    nodes: int
    written: bool


@dataclass(frozen=True)
class Choice:
    """What a search ends with.

    Attributes:
        metric: With the link.
        screened: Features that terms were written of.
        candidates: The formulas that competed.
        chosen: The one that won.
    """

    metric: Metric
    screened: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    chosen: Candidate


class FormulaSearch:
    """The search for the terms of a formula on some rows.

    Args:
        table: Features without gaps, shape ``(N, F)``.
        target: Shape ``(N,)``; 0 and 1 for a classification.
        classification: Whether it is one.
        settings: How.
        seed: Source of all randomness.
        report: Takes lines of progress.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        target: Floats,
        classification: bool,
        settings: FeatureFormulaSettings,
        seed: int,
        report: Report,
    ) -> None:
        self._table = table
        self._target = target
        self._classification = classification
        self._settings = settings
        self._seed = seed
        self._report = report

    def run(self) -> Choice:
        """Search, and choose by cross-validation."""
        metric, simple, screened = self._screened()
        self._report(f"{metric.name} link; terms of {', '.join(screened) or 'nothing'}")
        # Terms of one feature compete too: what the search adds has to be worth it.
        candidates = self._candidates(metric, simple, written=False)
        terms = self._library(metric, simple, screened)
        candidates += self._candidates(metric, terms, written=True)
        chosen = min(candidates, key=lambda c: (c.loss, c.nodes))
        return Choice(metric, tuple(screened), tuple(candidates), chosen)

    def _screened(self) -> tuple[Metric, list[Term], list[str]]:
        """The link, simple terms, and the features that terms are to be written of."""
        usable = usable_columns(self._table, self._settings.common)
        shares = [name for name in usable if name.startswith("x_")]
        plans = {_ALL: usable, _SHARES: shares}
        judged: list[tuple[float, int, Metric, list[Term]]] = []
        for number, names in enumerate(plans.values()):
            if not names or (number and len(shares) == len(usable)):
                continue
            terms, values = self._distinct(
                [t for name in names for t in simple_terms(name, self._column(name))]
            )
            for metric in self._metrics():
                steps = self._path(metric, terms, values, _BRIEF_STEPS, limited=False)
                least = min(s.loss for s in steps)
                # Who has more to choose from looks better than it is.
                judged.append((least * (1 - _FEWER * number), len(judged), metric, terms))
        if not judged:
            return self._metrics()[0], [], []
        _, _, metric, terms = min(judged, key=lambda entry: entry[:2])
        values = matrix(terms, self._table)
        features = sorted(frozenset[str]().union(*(term.features for term in terms)))
        if len(features) <= _FEW:
            return metric, terms, features
        steps = self._path(metric, terms, values, self._settings.screened + 2, limited=False)
        order = [name for j in steps[-1].chosen for name in terms[j].features]
        return metric, terms, list(dict.fromkeys(order))[: self._settings.screened]

    def _library(
        self, metric: Metric, simple: Sequence[Term], screened: Sequence[str]
    ) -> list[Term]:
        """Simple terms, and those that searches write of the screened features."""
        settings = self._settings
        terms = list(simple)
        if not screened:
            return terms
        table = self._table[sorted(screened)]
        eta = np.full(len(self._target), metric.constant(self._target))
        for turn in range(settings.rounds):
            if turn:
                eta = self._present(metric, terms, 2 * turn)
            rest, weights = metric.working(eta, self._target)
            seed = self._seed + turn
            new = written_terms(table, rest, weights, settings.search, settings.per_size, seed)
            terms, _ = self._distinct([*terms, *new])
        return terms

    def _present(self, metric: Metric, terms: Sequence[Term], n_terms: int) -> Floats:
        """Values of the best formula with some terms so far."""
        values = matrix(terms, self._table)
        step = self._path(metric, terms, values, n_terms)[-1]
        columns = design([terms[j] for j in step.chosen], self._table)
        coefficients, _ = fit_linear(columns, self._target, metric, _FIT_ROUNDS)
        return np.asarray(columns @ coefficients)

    def _candidates(self, metric: Metric, terms: Sequence[Term], written: bool) -> list[Candidate]:
        """The formulas of every number of terms."""
        values = matrix(terms, self._table) if terms else np.empty((len(self._target), 0))
        settings = self._settings
        steps = self._path(
            metric,
            terms,
            values,
            settings.most_terms,
            beam=settings.beam,
            repeats=settings.validation_repeats,
        )
        return [
            Candidate(
                tuple(terms[j] for j in step.chosen),
                step.loss,
                nodes_of((terms[j] for j in step.chosen), metric),
                written,
            )
            for step in steps
        ]

    def _path(
        self,
        metric: Metric,
        terms: Sequence[Term],
        values: Floats,
        n_terms: int,
        beam: int = 1,
        repeats: int = 1,
        limited: bool = True,
    ) -> list[Step]:
        settings = self._settings
        how = PathSettings(
            n_terms,
            settings.shortlist,
            beam,
            settings.parsimony,
            settings.most_nodes if limited else 10**6,
            settings.most_features if limited else 10**6,
        )
        folds = settings.validation_folds
        parts = splits(self._target, metric, folds, repeats, self._seed)
        return path(values, terms, self._target, metric, parts, how)

    def _metrics(self) -> list[Metric]:
        """Links to choose from."""
        if self._classification:
            return [LogLoss()]
        low, high = float(self._target.min()), float(self._target.max())
        # Over less than that the two links differ little, and chance would choose.
        wide = 0 < low * _SPAN < high
        return [AbsoluteError(), *([AbsoluteError(exponential=True)] if wide else [])]

    def _column(self, name: str) -> Floats:
        return self._table[name].to_numpy(dtype=np.float64)

    def _distinct(self, terms: Sequence[Term]) -> tuple[list[Term], Floats]:
        """Terms that are defined, vary and differ, the simplest first, and their values."""
        ordered = sorted(dict.fromkeys(terms), key=lambda term: term.nodes)
        values = matrix(ordered, self._table)
        kept = distinct(ordered, values)
        return [ordered[j] for j in kept], values[:, kept]


def usable_columns(table: pd.DataFrame, common: float) -> list[str]:
    """Columns in which no value stands in nearly all rows.

    Args:
        table: The features.
        common: The largest share of rows that one value may have.
    """
    shares = {
        str(name): float(np.unique(column.to_numpy(), return_counts=True)[1].max()) / len(table)
        for name, column in table.items()
    }
    return [name for name, share in shares.items() if share < common]


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
