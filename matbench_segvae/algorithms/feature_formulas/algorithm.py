"""SEGVAE on any Matbench task: one readable formula of named features."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.feature_formulas.cross_validation import CrossValidation
from matbench_segvae.algorithms.feature_formulas.error_model import ErrorModel
from matbench_segvae.algorithms.feature_formulas.feature_selection import FeatureRows
from matbench_segvae.algorithms.feature_formulas.final_refit import final_refit
from matbench_segvae.algorithms.feature_formulas.search import FormulaChoice, choose_formula
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.terms import (
    centred_design,
    features_of,
    linked,
    matrix,
)
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import POPOV, WARD
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression
from matbench_segvae.features import feature_table, unit_of
from matbench_segvae.lightning_tools import isolated
from matbench_segvae.seeding import drawn_rows
from matbench_segvae.types import Floats, Ints

_MAX_MISSING = 0.2  # share of rows that may lack a feature's value


class FeatureFormula:
    """Searches a formula of physical features with SEGVAE, under the task's own metric."""

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        takes_minutes=True,
        algorithm="segvae",
        algorithm_long=(
            "Symbolic expression generation via variational autoencoder. Structures and "
            "compositions become named features (matminer's Magpie statistics, stoichiometry "
            "and valence orbitals, and the geometry of layers). Inside the training part of a "
            "fold features are selected, a recurrent variational autoencoder generates short "
            "terms of them, a sum of a few is chosen by cross-validation under absolute error "
            "(log loss for a classification), and its constants are fitted together."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(POPOV, WARD),
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
        self._choice: FormulaChoice | None = None
        self._constant = 0.0  # the best formula without features
        self._medians: dict[str, float] = {}
        self._range = (-np.inf, np.inf)
        self._errors: ErrorModel | None = None
        self._seconds: dict[str, float] = {}

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Search a formula on the training part of a fold.

        Args:
            inputs: Structures or compositions, indexed by sample id.
            targets: Target values with the same index; ``False``/``True`` for a
                classification.
            context: Seed, kind of task and of its inputs, and where to report progress.

        Raises:
            UserError: If the inputs are not of the task's input type, or targets are not numbers.
        """
        classification = context.task_type == "classification"
        target = _target(targets, classification, context)
        self._input_type = context.input_type
        rows = search_rows(target, self.settings.max_search_rows, classification, context.seed)
        begin = time.perf_counter()
        table = self._searchable(inputs.iloc[rows], context)
        featurized = time.perf_counter()
        data = FeatureRows(table, target[rows], classification)
        with isolated(context.seed):
            choice = choose_formula(data, self.settings, context.seed, context.report)
        searched = time.perf_counter()
        terms = choice.chosen.terms
        all_rows = len(rows) == len(target)
        features = table if all_rows else self._features(inputs, features_of(terms))
        self._formula = final_refit(terms, features, target, choice.metric)
        self._choice = choice
        self._range = (0.0, 1.0) if classification else (float(target.min()), float(target.max()))
        self._constant = choice.metric.constant(target)
        if not classification:
            self._errors = self._error_model(data, choice, context.seed)
        self._seconds = {
            "features": featurized - begin,
            "search": searched - featurized,
            "refit": time.perf_counter() - searched,
        }

    def predict(self, inputs: pd.Series) -> Floats:
        """Predictions, for a classification probabilities of the positive class.

        Those of a regression stay within the range of the training targets; where the formula
        is not defined, they are those of the best constant.

        Args:
            inputs: Structures or compositions, indexed by sample id.

        Returns:
            Predictions, shape ``(len(inputs),)``, in the unit of the target.

        Raises:
            RuntimeError: If called before `fit`.
            UserError: If an input is not of the kind that was fitted.
        """
        formula, choice = self._fitted()
        table = self._features(inputs, formula.variables)
        columns = {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}
        eta = formula(columns or {"none": np.zeros(len(inputs))})
        values = choice.metric.predict(np.where(np.isfinite(eta), eta, self._constant))
        return np.asarray(np.clip(values, *self._range), dtype=np.float64)

    def predict_std(self, inputs: pd.Series) -> Floats:
        """Standard deviations of a regression's predictions.

        They follow the cross-validated errors of training rows with similar predictions, see
        :class:`~matbench_segvae.algorithms.feature_formulas.error_model.ErrorModel`.

        Args:
            inputs: Structures or compositions, indexed by sample id.

        Returns:
            Standard deviations, shape ``(len(inputs),)``, in the unit of the target.

        Raises:
            RuntimeError: If called before `fit`, or if it was a classification.
        """
        if self._errors is None:
            raise RuntimeError("only a fitted regression has standard deviations")
        return self._errors.std(self.predict(inputs))

    def describe(self) -> Mapping[str, Any]:
        """The formula, its features and units, and the candidates it was chosen from."""
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
            # These names are those of stored results, as is `written` for generated terms.
            "screened": list(choice.selected_features),
            "predictions_between": [float(value) for value in self._range],
            "validation_loss": choice.chosen.loss,
            "candidates": [
                {
                    "terms": [str(Expression(t.tokens)) for t in candidate.terms],
                    "nodes": candidate.nodes,
                    "validation_loss": candidate.loss,
                    "written": candidate.generated,
                }
                for candidate in choice.candidates
            ],
            "settings": asdict(self.settings),
            "seconds": self._seconds,
        }

    def _searchable(self, inputs: pd.Series, context: FoldContext) -> pd.DataFrame:
        """Features with few gaps, which are filled with the training medians."""
        table = feature_table(inputs, self._input_type, context.report)
        table = table.loc[:, table.isna().mean() <= _MAX_MISSING]
        self._medians = {str(name): float(value) for name, value in table.median().items()}
        return table.fillna(self._medians)

    def _features(self, inputs: pd.Series, names: tuple[str, ...]) -> pd.DataFrame:
        """Some features of any inputs, gaps filled as in training."""
        table = feature_table(inputs, self._input_type, columns=names)
        return table.fillna({name: self._medians[name] for name in names})

    def _error_model(self, data: FeatureRows, choice: FormulaChoice, seed: int) -> ErrorModel:
        """Errors of the rows that were searched on, when they were hold-out rows."""
        folds = self.settings.validation_folds
        validation = CrossValidation.repeated(data.target, choice.metric, folds, 1, seed)
        design = centred_design(matrix(choice.chosen.terms, data.table))
        return ErrorModel.cross_validated(design.columns, validation)

    def _fitted(self) -> tuple[Expression, FormulaChoice]:
        if self._formula is None or self._choice is None:
            raise RuntimeError("fit() has to come first")
        return self._formula, self._choice


def search_rows(target: Floats, most: int, classification: bool, seed: int) -> Ints:
    """Rows to search on, in order: all of them, or a random sample.

    Args:
        target: Shape ``(N,)``.
        most: Largest number of rows.
        classification: Whether both classes keep their shares, each with one row at least.
        seed: Seed of the sample.
    """
    if len(target) <= most or not classification:
        return drawn_rows(len(target), most, seed)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(target))
    positive, negative = rows[target > 0.5], rows[target <= 0.5]
    n_positive = int(np.clip(round(most * len(positive) / len(rows)), 1, len(positive)))
    drawn = [
        rng.choice(group, min(number, len(group)), replace=False)
        for group, number in ((positive, n_positive), (negative, most - n_positive))
        if len(group)
    ]
    return np.sort(np.concatenate(drawn))


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
