"""SEGVAE as a scikit-learn estimator, for any table of numbers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from matbench_segvae.errors import UserError
from matbench_segvae.expressions.grammar import Predicate
from matbench_segvae.regressor.export import FormulaModule, latex_table, latex_text
from matbench_segvae.regressor.front import Equation, as_frame, choose, scores, values_of
from matbench_segvae.regressor.model_file import Model, dataclass_from, read_model, write_model
from matbench_segvae.regressor.table import Table, distinct_rows
from matbench_segvae.regressor.table_search import TableResult, TableTask, WarmStart, fit_table
from matbench_segvae.regressor.uncertainty import fit_uncertainty, members_of
from matbench_segvae.regressor.validation import Language, check_choices, formula_names, settings_or
from matbench_segvae.segvae.settings import FitSettings, PresetName, SearchSettings, preset

if TYPE_CHECKING:
    import sympy as sp
    from numpy.typing import ArrayLike
from matbench_segvae.types import Floats


class SEGVAERegressor(RegressorMixin, BaseEstimator):
    """Finds formulas for a column of a table, from the simplest to the most exact.

    A variational autoencoder writes formulas ``f(x)``; their constants are fitted, the best
    formulas retrain the network, and what remains is a Pareto front of complexity against
    loss. Offset and factor come free, as fitted or whole numbers: formulas read
    ``b + a*f(x)``, in the units of the table.

    Args:
        operators: Names of the operators, see :data:`~matbench_segvae.expressions.OPERATORS`;
            the preset's by default, as in what follows.
        constants: Named constants that formulas may hold as they are, such as ``"2"`` and
            ``"pi"``.
        max_fitted: Most fitted constants in ``f``.
        max_length: Most tokens in ``f``.
        predicates: A priori knowledge: names from
            :data:`~matbench_segvae.expressions.grammar.PREDICATES`, or functions of a formula's
            tokens (in prefix order) that say whether to keep it. By default all that rule
            out senseless formulas.
        loss: ``"squared"``, ``"absolute"`` or ``"huber"`` (squared up to 1.35 standard
            deviations of the noise, absolute beyond).
        model_selection: Which formula predicts. ``"best"``: the highest score among those
            within 1.5 times the least loss; ``"accuracy"``: the least loss; ``"score"``:
            the highest score.
        preset: ``"default"``, or ``"paper"`` for the published method: its language, sizes
            and lengths, and formulas taken as they stand, with neither offset nor factor.
        epochs: Rounds of the search; the preset's by default.
        time_limit: Seconds after which no round is begun, none by default; at least one
            round takes place. The pretraining of a network for a new language, about a
            minute, does not count.
        search_settings: All about the network and the search, instead of the preset.
        fit_settings: How hard constants are fitted.
        warm_start: Go on from the formulas and the network of the previous ``fit``.
        random_state: Source of the search's randomness; the same number gives the same
            formulas. ``None`` draws anew each time.
        verbose: Print a line after each round, on stderr.

    Attributes:
        front_: The formulas, simplest first.
        constant_free_front_: Formulas without any fitted number, simplest first. One may be beaten
            by a formula of :attr:`front_` that is no longer, but owes it to its numbers.
        best_index_: Position of the one that predicts.
        variables_: Column names by the names that stand for them in formulas.
        uncertainty_: Gives predictions their standard deviation.
        loss_: What was minimised, with its width if it has one.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if the table had some.
    """

    def __init__(
        self,
        operators: Sequence[str] | None = None,
        constants: Sequence[str] | None = None,
        *,
        max_fitted: int | None = None,
        max_length: int | None = None,
        predicates: Sequence[str | Predicate] | None = None,
        loss: str = "squared",
        model_selection: str = "best",
        preset: str = "default",
        epochs: int | None = None,
        time_limit: float | None = None,
        search_settings: SearchSettings | None = None,
        fit_settings: FitSettings | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.operators = operators
        self.constants = constants
        self.max_fitted = max_fitted
        self.max_length = max_length
        self.predicates = predicates
        self.loss = loss
        self.model_selection = model_selection
        self.preset = preset
        self.epochs = epochs
        self.time_limit = time_limit
        self.search_settings = search_settings
        self.fit_settings = fit_settings
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> SEGVAERegressor:
        """Search formulas.

        Args:
            X: Features, shape ``(N, V)``; a DataFrame's column names appear in formulas.
            y: Target, shape ``(N,)``.
            sample_weight: Weight of each row in the loss, shape ``(N,)``, none negative.

        Raises:
            UserError: If a parameter has a value that is not allowed.
            ValueError: If the data are not finite numbers of matching shapes.
        """
        check_choices(self.get_params(deep=False))
        points, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weights = _row_weights(sample_weight, points)
        table = distinct_rows(points, np.asarray(target, dtype=np.float64), weights)
        self.variables_ = formula_names(self._columns())
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        task = self._task(seed)
        result = fit_table(task, table, self._memory_for(task.grammar.tokens))
        self._settle(table, result)
        return self

    def predict(
        self, X: ArrayLike, index: int | None = None, return_std: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Values of a formula.

        Args:
            X: Features, shape ``(N, V)``.
            index: Position of the formula in :attr:`equations_`; the best one by default.
            return_std: Whether to give standard deviations too: the training error and
                the spread of the front's better formulas, scaled on training residuals.

        Returns:
            Shape ``(N,)``, NaN (with a warning) where the formula is not defined; with
            ``return_std`` a pair of such arrays.
        """
        equation = self._equation(index)
        points = np.asarray(validate_data(self, X, dtype=np.float64, reset=False))
        values = self._values(equation, points)
        undefined = int(np.count_nonzero(~np.isfinite(values)))
        if undefined:
            warnings.warn(
                f"{equation.expression} is not defined on {undefined} of {len(values)} rows: "
                "their predictions are NaN",
                stacklevel=2,
            )
        if not return_std:
            return values
        members = [self._values(self.front_[i], points) for i in self.uncertainty_.members]
        return values, self.uncertainty_.std(values, members)

    @property
    def equations_(self) -> pd.DataFrame:
        """The front: complexity, loss, score, formula, sympy, constants; simplest first.

        The formulas hold all digits; :func:`matbench_segvae.expressions.parse` reads them.
        """
        check_is_fitted(self)
        return as_frame(self.front_, self._floor)

    def get_best(self) -> pd.Series:
        """The row of :attr:`equations_` that predicts."""
        return self.equations_.iloc[self.best_index_]

    def sympy(self, index: int | None = None) -> sp.Expr:
        """A formula as sympy sees it; the best one by default."""
        return self._equation(index).expression.sympy()

    def latex(self, index: int | None = None) -> str:
        """A formula in LaTeX; the best one by default."""
        return self._equation(index).expression.latex()

    def latex_table(self) -> str:
        """The front as a LaTeX table, with what renamed variables stand for below it."""
        check_is_fitted(self)
        note = ", ".join(
            f"${latex_text(name)}$: {latex_text(column)}"
            for name, column in self.variables_.items()
            if name != column
        )
        return latex_table(self.front_, scores(self.front_, self._floor), note)

    def torch(self, index: int | None = None) -> FormulaModule:
        """A formula as a torch module on inputs of shape ``(N, V)``, constants trainable."""
        return FormulaModule(self._equation(index).expression, tuple(self.variables_))

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator as JSON; predicates that are functions are left out.

        Raises:
            UserError: If the file cannot be written.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        model = Model(
            parameters=self.get_params(deep=False),
            columns=None if names is None else tuple(names),
            variables=self.variables_,
            front=self.front_,
            constant_free_front=self.constant_free_front_,
            chosen=self.best_index_,
            loss=self.loss_,
            floor=self._floor,
            uncertainty=self.uncertainty_,
        )
        write_model(model, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> SEGVAERegressor:
        """Read an estimator that :meth:`save` wrote.

        Raises:
            UserError: If the file cannot be read, is damaged or is something else.
        """
        model = read_model(Path(path))
        try:
            estimator = cls(**_parameters(model.parameters))
        except TypeError as error:
            raise UserError(f"the model '{path}' is damaged: {error}") from error
        if model.columns is not None:
            estimator.feature_names_in_ = np.array(model.columns, dtype=object)
        estimator.n_features_in_ = len(model.variables)
        estimator.variables_ = dict(model.variables)
        estimator.front_, estimator.constant_free_front_ = model.front, model.constant_free_front
        estimator.best_index_ = model.chosen
        estimator.loss_, estimator._floor = model.loss, model.floor
        estimator.uncertainty_ = model.uncertainty
        return estimator

    def _columns(self) -> list[str]:
        """Names of the columns: the table's own or ``x0``, ``x1`` and so on."""
        names = getattr(self, "feature_names_in_", None)
        return [f"x{i}" for i in range(self.n_features_in_)] if names is None else list(names)

    def _equation(self, index: int | None) -> Equation:
        check_is_fitted(self)
        position = self.best_index_ if index is None else index
        if not -len(self.front_) <= position < len(self.front_):
            raise UserError(f"there is no formula {index}: 0 to {len(self.front_) - 1}")
        return self.front_[position]

    def _values(self, equation: Equation, points: Floats) -> Floats:
        return values_of(equation.expression, points, tuple(self.variables_))

    def _task(self, seed: int) -> TableTask:
        """The parameters as the search takes them."""
        # Names by position, so that tables of as many columns share a pretrained network.
        names = {f"x{i}": name for i, name in enumerate(self.variables_)}
        named = cast(PresetName, self.preset)
        search = settings_or(
            self.search_settings, SearchSettings, lambda: preset(named), "search_settings"
        )
        language = Language(
            self.preset,
            self.operators,
            self.constants,
            self.max_length,
            self.max_fitted,
            self.predicates,
            search.linear_scaling,
        )
        return TableTask(
            grammar=language.grammar(names),
            names=names,
            search=search,
            fitting=settings_or(self.fit_settings, FitSettings, FitSettings, "fit_settings"),
            loss=self.loss,
            epochs=self.epochs or search.epochs,
            time_limit=self.time_limit,
            seed=seed,
            report=_to_stderr if self.verbose else _to_nowhere,
            keep_network=self.warm_start,
        )

    def _settle(self, table: Table, result: TableResult) -> None:
        """Choose a formula and scale the spread of the others."""
        self.front_, self.constant_free_front_ = result.front, result.plain
        self.loss_, self._memory = result.loss, result.memory
        # Losses below the floor are rounding; it is positive so that it has a logarithm.
        self._floor = max(result.loss.comparable(table.spread), 1e-300)
        self.best_index_ = choose(self.front_, self._floor, self.model_selection)
        best = self.front_[self.best_index_]
        self.uncertainty_ = fit_uncertainty(
            table.target,
            table.weights,
            self._values(best, table.points),
            members_of(self.front_, self._floor),
            lambda position: self._values(self.front_[position], table.points),
            best.expression.n_constants,
        )

    def _memory_for(self, tokens: tuple[str, ...]) -> WarmStart | None:
        """What a warm start goes on from, if it can."""
        memory: WarmStart | None = getattr(self, "_memory", None)
        return memory if self.warm_start and memory and memory.language == tokens else None


def _parameters(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as the constructor takes them, from what JSON made of them."""
    parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
    for name, kind in (("search_settings", SearchSettings), ("fit_settings", FitSettings)):
        if parameters.get(name) is not None:
            parameters[name] = dataclass_from(kind, parameters[name])
    return parameters


def _row_weights(given: ArrayLike | None, points: Floats) -> Floats:
    """Weights of the rows as given, or all 1.

    Raises:
        ValueError: If there are not as many as rows, or one is negative, or all are 0.
    """
    if given is not None and not np.any(np.asarray(given)):
        raise UserError("sample_weight is zero for every row: at least one has to count")
    weights = np.asarray(_check_sample_weight(given, points, dtype=np.float64))
    if (weights < 0).any():
        raise UserError(f"sample_weight has a negative value, {weights.min():g}: 0 or more")
    return weights


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _to_nowhere(line: str) -> None:
    """Not verbose."""
