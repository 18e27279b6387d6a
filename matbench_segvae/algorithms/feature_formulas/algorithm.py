"""SEGVAE on any Matbench task: one readable formula of named features."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.feature_formulas.forward_selection import Split, held_out, splits
from matbench_segvae.algorithms.feature_formulas.metrics import Metric, fit_linear
from matbench_segvae.algorithms.feature_formulas.search import Choice, choose_formula
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.terms import Term, linked, matrix, sum_of
from matbench_segvae.algorithms.protocol import STD_PER_MAE, AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import POPOV, WARD
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression
from matbench_segvae.features import feature_table, unit_of
from matbench_segvae.lightning_tools import isolated
from matbench_segvae.types import Floats

_MOST_MISSING = 0.2  # share of rows that may lack a feature's value


class FeatureFormula:
    """Searches a formula of physical features with SEGVAE, under the task's own metric."""

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="segvae",
        algorithm_long=(
            "Symbolic expression generation via variational autoencoder. Structures and "
            "compositions become named features (matminer's Magpie statistics, stoichiometry "
            "and valence orbitals, and the geometry of layers). Inside the training part of a "
            "fold features are screened, a recurrent variational autoencoder writes short "
            "formulas of them, a sum of a few is selected by cross-validation under absolute "
            "error (log loss for a classification), and its constants are fitted together."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(
            POPOV,
            WARD,
        ),
        notes="One formula per fold, of at most 40 nodes and 8 features.",
        packages=(
            "torch",
            "lightning",
            "numpy",
            "scipy",
            "scikit-learn",
            "sympy",
            "pymatgen",
            "matminer",
        ),
    )

    def __init__(self, settings: FeatureFormulaSettings | None = None) -> None:
        self.settings = settings or FeatureFormulaSettings()
        self._input_type = ""
        self._formula: Expression | None = None  # without its link
        self._choice: Choice | None = None
        self._constant = 0.0  # the best formula without features
        self._medians: dict[str, float] = {}
        self._range = (-np.inf, np.inf)
        self._errors: ErrorModel | None = None
        self._seconds: dict[str, float] = {}

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Search a formula on the training part of a fold.

        Raises:
            UserError: If the inputs are not what the task says or targets are not numbers.
        """
        classification = context.task_type == "classification"
        target = _target(targets, classification, context)
        self._input_type = context.input_type
        rows = sampled_rows(target, self.settings.search_rows, classification, context.seed)
        begin = time.perf_counter()
        table = self._searchable(inputs.iloc[rows], context)
        described = time.perf_counter()
        with isolated(context.seed):
            choice = choose_formula(
                table, target[rows], classification, self.settings, context.seed, context.report
            )
        searched = time.perf_counter()
        terms = choice.chosen.terms
        everything = len(rows) == len(target)
        used = table if everything else self._features(inputs, _features_of(terms))
        self._formula = _refitted(terms, used, target, choice.metric)
        self._choice = choice
        self._range = (0.0, 1.0) if classification else (float(target.min()), float(target.max()))
        self._constant = choice.metric.constant(target)
        if not classification:
            self._errors = self._held_out_errors(table, target[rows], choice, context.seed)
        self._seconds = {
            "features": described - begin,
            "search": searched - described,
            "refit": time.perf_counter() - searched,
        }

    def predict(self, inputs: pd.Series) -> Floats:
        """Predictions, for a classification probabilities of the positive class.

        A regression's stay within the range of the training targets; where the formula is
        not defined, they are those of the best constant.
        """
        formula, choice = self._fitted()
        table = self._features(inputs, formula.variables)
        columns = {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}
        eta = formula(columns or {"none": np.zeros(len(inputs))})
        values = choice.metric.predict(np.where(np.isfinite(eta), eta, self._constant))
        return np.asarray(np.clip(values, *self._range), dtype=np.float64)

    def predict_std(self, inputs: pd.Series) -> Floats:
        """Standard deviations of a regression's predictions, in the unit of the target.

        They follow the cross-validated errors of training rows with similar predictions, see
        :class:`~matbench_segvae.algorithms.feature_formulas.algorithm.ErrorModel`.

        Raises:
            RuntimeError: If it was a classification.
        """
        if self._errors is None:
            raise RuntimeError("only a fitted regression has standard deviations")
        return self._errors.std(self.predict(inputs))

    def describe(self) -> Mapping[str, Any]:
        """The formula, what it is made of, and what it was chosen from."""
        formula, choice = self._fitted()
        whole = linked(formula, choice.metric)
        return {
            "formula": whole.to_string(),
            "latex": whole.latex(),
            "complexity": whole.complexity,
            "nodes": len(whole.tokens),
            "parameters": whole.n_constants,
            "link": choice.metric.name,
            "features": {name: unit_of(name) for name in formula.variables},
            "screened": list(choice.screened),
            "predictions_between": [float(value) for value in self._range],
            "validation_loss": choice.chosen.loss,
            "candidates": [
                {
                    "terms": [str(Expression(t.tokens)) for t in candidate.terms],
                    "nodes": candidate.nodes,
                    "validation_loss": candidate.loss,
                    "written": candidate.written,
                }
                for candidate in choice.candidates
            ],
            "settings": asdict(self.settings),
            "seconds": self._seconds,
        }

    def _searchable(self, inputs: pd.Series, context: FoldContext) -> pd.DataFrame:
        """Features with few gaps, which are filled with the training medians."""
        table = feature_table(inputs, self._input_type, context.report)
        table = table.loc[:, table.isna().mean() <= _MOST_MISSING]
        self._medians = {str(name): float(value) for name, value in table.median().items()}
        return table.fillna(self._medians)

    def _features(self, inputs: pd.Series, names: tuple[str, ...]) -> pd.DataFrame:
        """Some features of any inputs, gaps filled as in training."""
        table = feature_table(inputs, self._input_type, columns=names)
        return table.fillna({name: self._medians[name] for name in names})

    def _held_out_errors(
        self, table: pd.DataFrame, target: Floats, choice: Choice, seed: int
    ) -> ErrorModel:
        settings = self.settings
        parts = splits(target, choice.metric, settings.validation_folds, 1, seed)
        values = matrix(choice.chosen.terms, table) if choice.chosen.terms else None
        return ErrorModel.cross_validated(values, target, choice.metric, parts)

    def _fitted(self) -> tuple[Expression, Choice]:
        if self._formula is None or self._choice is None:
            raise RuntimeError("fit() has to come first")
        return self._formula, self._choice


def sampled_rows(target: Floats, most: int, classification: bool, seed: int) -> NDArray[np.int64]:
    """Rows to search on, in order: all of them, or a sample of as many as are allowed.

    Args:
        target: Shape ``(N,)``.
        most: Rows at most.
        classification: Whether both classes keep their shares, but for one row at least.
        seed: Source of the choice.
    """
    rows = np.arange(len(target))
    if len(rows) <= most:
        return rows
    rng = np.random.default_rng(seed)
    if not classification:
        return np.sort(rng.choice(rows, most, replace=False))
    positive, negative = rows[target > 0.5], rows[target <= 0.5]
    n_positive = int(np.clip(round(most * len(positive) / len(rows)), 1, len(positive)))
    picked = [
        rng.choice(group, min(number, len(group)), replace=False)
        for group, number in ((positive, n_positive), (negative, most - n_positive))
        if len(group)
    ]
    return np.sort(np.concatenate(picked))


def _target(targets: pd.Series, classification: bool, context: FoldContext) -> Floats:
    """The targets as numbers, classes as 0 and 1."""
    try:
        target = targets.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"segvae on {context.task}: targets are not numbers: {error}") from error
    if len(target) < 4 or not np.isfinite(target).all():
        raise UserError(
            f"segvae on {context.task}: it needs at least 4 training samples with finite "
            f"targets, there are {int(np.isfinite(target).sum())} of {len(target)}"
        )
    if classification and not np.isin(target, (0.0, 1.0)).all():
        raise UserError(
            f"segvae on {context.task}: a classification has targets True and False, not "
            f"{float(target[~np.isin(target, (0.0, 1.0))][0])}"
        )
    return target


def _features_of(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Names of the features in some terms, sorted."""
    return tuple(sorted(frozenset[str]().union(*(term.features for term in terms))))


def _refitted(
    terms: tuple[Term, ...], table: pd.DataFrame, target: Floats, metric: Metric
) -> Expression:
    """The formula with its constants fitted to all rows on which it is defined."""
    if not terms:
        return polished(terms, table, target, metric)
    defined = np.flatnonzero(np.isfinite(matrix(terms, table)).all(axis=1))
    return polished(terms, table.iloc[defined], target[defined], metric)


_ROUNDS = 40


_DIGITS = 5  # of the constants: what is reported is what predicts


def polished(
    terms: Sequence[Term], table: pd.DataFrame, target: Floats, metric: Metric
) -> Expression:
    """Fit a sum of terms to all rows.

    Args:
        terms: The terms, defined on all rows.
        table: Holds their features.
        target: Shape ``(N,)``.
        metric: What to minimise.

    Returns:
        The formula without its link, constants rounded to five digits.
    """
    if not terms:
        return Expression(("c",), (_rounded(metric.constant(target)),))
    values = matrix(terms, table)
    # Of any size: columns of like size are what can be solved for.
    middle, size = values.mean(axis=0), values.std(axis=0)
    units = np.column_stack([np.ones(len(target)), (values - middle) / size])
    found, _ = fit_linear(units, target, metric, _ROUNDS)
    factors = found[1:] / size
    formula = sum_of(terms, np.concatenate([[found[0] - factors @ middle], factors]))
    return formula.with_constants([_rounded(value) for value in formula.constants])


def _rounded(value: float) -> float:
    """A number with as many digits as are reported."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else value


_NEIGHBOURS = 50  # rows with the most similar predictions whose errors are averaged


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """Errors of held-out rows by what was predicted for them.

    Attributes:
        predicted: Ascending, shape ``(N,)``.
        size: Mean absolute error among similar predictions, shape ``(N,)``.
    """

    predicted: Floats
    size: Floats

    @classmethod
    def cross_validated(
        cls, values: Floats | None, target: Floats, metric: Metric, parts: Sequence[Split]
    ) -> ErrorModel:
        """Fit on parts of the rows and look at the rest.

        Args:
            values: Of the terms, shape ``(N, T)``; none for a formula without terms.
            target: Shape ``(N,)``.
            metric: What formulas are fitted under.
            parts: Which rows are fitted on and which are held back.
        """
        design = np.ones((len(target), 1))
        if values is not None:
            size = values.std(axis=0)
            units = (values - values.mean(axis=0)) / np.where(size > 0, size, 1.0)
            design = np.column_stack([design, units])
        predicted = np.empty(len(target))
        for rest, held in parts:
            predicted[held] = metric.predict(held_out(design, target, metric, rest, held))
        order = np.argsort(predicted, kind="stable")
        return cls(predicted[order], _running_mean(np.abs(target - predicted)[order]))

    def std(self, predictions: Floats) -> Floats:
        """Standard deviations at predictions, both of shape ``(M,)``."""
        return np.asarray(STD_PER_MAE * np.interp(predictions, self.predicted, self.size))


def _running_mean(errors: Floats) -> Floats:
    """Means over the neighbours of each entry, fewer kinds of them at the ends."""
    width = min(_NEIGHBOURS, len(errors))
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    first = np.clip(np.arange(len(errors)) - width // 2, 0, len(errors) - width)
    return np.asarray((sums[first + width] - sums[first]) / width)
