"""SEGVAE as a scikit-learn estimator, for any table of numbers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from matbench_segvae.errors import UserError
from matbench_segvae.expressions.grammar import Grammar, Predicate
from matbench_segvae.regressor.export import FormulaModule, latex_table, latex_text
from matbench_segvae.regressor.front import Equation, as_frame, choose, make_fronts, scores
from matbench_segvae.regressor.linear_fit import fit_candidates
from matbench_segvae.regressor.model_file import read_model, write_model
from matbench_segvae.regressor.table import Table, distinct_rows, feature_scales, values_of
from matbench_segvae.regressor.table_search import SearchOptions, WarmStart, search_table
from matbench_segvae.regressor.uncertainty import fit_uncertainty
from matbench_segvae.regressor.validation import (
    check_parameters,
    check_size,
    formula_grammar,
    formula_names,
    row_weights,
    search_settings,
)
from matbench_segvae.segvae.settings import FitSettings, SearchSettings
from matbench_segvae.types import Floats

if TYPE_CHECKING:
    import sympy as sp
    from numpy.typing import ArrayLike


class SEGVAERegressor(RegressorMixin, BaseEstimator):
    """Finds formulas for a column of a table, from the simplest to the most accurate.

    A variational autoencoder generates formulas ``f(x)``, their constants are fitted, and the
    best formulas retrain the network. The result is a Pareto front of complexity against
    loss. Formulas are linearly scaled: they read ``b + a*f(x)``, in the units of the table,
    with fitted numbers or integers for ``a`` and ``b``.

    Args:
        operators: Names of the operators, see :data:`~matbench_segvae.expressions.OPERATORS`;
            the preset's by default, as in what follows.
        constants: Named constants that formulas may hold as they are, such as ``"2"`` and
            ``"pi"``.
        max_fitted: Most fitted constants in ``f``.
        max_length: Most tokens in ``f``.
        predicates: A priori knowledge: names from
            :data:`~matbench_segvae.expressions.grammar.PREDICATES`, or functions of a formula's
            tokens (in prefix order) that return whether to keep it. By default all that rule
            out redundant formulas.
        loss: ``"squared"``, ``"absolute"`` or ``"huber"`` (squared up to 1.35 standard
            deviations of the noise, absolute beyond).
        model_selection: Which formula predicts. ``"best"``: the highest score among those
            within 1.5 times the least loss; ``"accuracy"``: the least loss; ``"score"``:
            the highest score.
        preset: ``"default"``, or ``"paper"`` for the published method: its language, sizes
            and lengths, and formulas taken as they stand, without linear scaling.
        epochs: Rounds of the search; the preset's by default.
        time_limit: Seconds after which no round is begun, none by default; at least one
            round takes place. The pretraining of a network for a new language, which takes
            half a minute, does not count.
        search_settings: Settings of the network and the search, instead of the preset's.
        fit_settings: How many starts and steps the fit of constants gets.
        warm_start: Start from the formulas and the network of the previous ``fit``.
        random_state: Seed of the search; the same number gives the same formulas. ``None``
            draws a new one for each fit.
        verbose: Print a line after each round, on stderr.

    Attributes:
        front_: The formulas, simplest first.
        constant_free_front_: The Pareto front of formulas without fitted numbers, simplest
            first. A formula of :attr:`front_` that is no more complex may have a smaller
            loss, thanks to its fitted numbers.
        best_index_: Position in :attr:`front_` of the formula that predicts.
        variables_: Column names by the names that stand for them in formulas.
        uncertainty_: Model of the predictions' standard deviation.
        loss_: The loss that was minimised, with its width if it has one.
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
        parameters = self.get_params(deep=False)
        check_parameters(parameters)
        points, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weights = row_weights(sample_weight, points)
        self.variables_ = formula_names(self._columns())
        target = np.asarray(target, dtype=np.float64)
        check_size(target)
        rows = distinct_rows(points, target, weights, tuple(self.variables_))
        options = self._search_options(parameters)
        grammar = formula_grammar(parameters, rows.variables, options.search.linear_scaling)
        self._fit_rows(rows, grammar, options)
        self._choose(rows)
        return self

    def _search_options(self, parameters: Mapping[str, Any]) -> SearchOptions:
        """The checked parameters as the search takes them, with a seed drawn for this fit."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fitting = self.fit_settings or FitSettings()
        report = _to_stderr if self.verbose else _to_nowhere
        return SearchOptions(search_settings(parameters), fitting, self.loss, seed, report)

    def _fit_rows(self, rows: Table, grammar: Grammar, options: SearchOptions) -> None:
        """From distinct rows to the fronts: scale, search, fit, put in the user's units."""
        linear_scaling = options.search.linear_scaling
        start = self._warm_start(grammar)
        if start is None:
            start = WarmStart(grammar.tokens, feature_scales(rows.points, linear_scaling))
        scaled = rows.scaled(start.scales)
        candidates, network = search_table(scaled, grammar, options, start)
        fits, self.loss_ = fit_candidates(scaled, candidates, self.loss, linear_scaling)
        self.front_, self.constant_free_front_ = make_fronts(
            rows, start.scales, fits, self.loss_, linear_scaling
        )
        formulas = tuple(fit.formula for fit in fits)
        kept = network if self.warm_start else None
        after = replace(start, formulas=formulas, network=kept, n_fits=start.n_fits + 1)
        # A constant table is not searched: there is nothing to start another fit from.
        self._previous = None if network is None else after

    def _warm_start(self, grammar: Grammar) -> WarmStart | None:
        """What the previous fit left to start from, as far as it belongs to the language now."""
        if not self.warm_start or not hasattr(self, "front_"):
            return None
        if not hasattr(self, "_previous"):
            warnings.warn(
                "the model was saved without its search, by an earlier version: starting anew",
                stacklevel=4,
            )
        previous: WarmStart | None = getattr(self, "_previous", None)
        if previous is None or len(previous.scales) != len(grammar.variables):
            return None
        same = previous.language == grammar.tokens
        return replace(
            previous,
            language=grammar.tokens,
            formulas=tuple(one for one in previous.formulas if grammar.holds(one.tokens)),
            network=previous.network if same else None,
        )

    def _choose(self, rows: Table) -> None:
        """Choose the formula that predicts, and find its standard deviation."""
        # Losses below the floor are rounding; it is positive so that it has a logarithm.
        self._floor = max(self.loss_.floor(rows.spread), 1e-300)
        self.best_index_ = choose(self.front_, self._floor, self.model_selection)
        self.uncertainty_ = fit_uncertainty(rows, self.front_, self.best_index_, self._floor)

    def predict(
        self, X: ArrayLike, index: int | None = None, return_std: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Predict with a formula.

        Args:
            X: Features, shape ``(N, V)``.
            index: Position of the formula in :attr:`equations_`; the best one by default.
            return_std: Whether to return standard deviations too: the training error and
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
        """A formula as a sympy expression; the best one by default."""
        return self._equation(index).expression.sympy()

    def latex(self, index: int | None = None) -> str:
        """A formula in LaTeX; the best one by default."""
        return self._equation(index).expression.latex()

    def latex_table(self) -> str:
        """The front as a LaTeX table; below it, the columns that renamed variables stand for."""
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
        write_model(self.get_params(deep=False), vars(self), Path(path))

    @classmethod
    def load(cls, path: str | Path) -> SEGVAERegressor:
        """Read an estimator that :meth:`save` wrote.

        Raises:
            UserError: If the file cannot be read, is damaged or is something else.
        """
        parameters, fitted = read_model(Path(path))
        try:
            estimator = cls(**parameters)
        except TypeError as error:
            raise UserError(f"the model '{path}' is damaged: {error}") from error
        for name, value in fitted.items():
            setattr(estimator, name, value)
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


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _to_nowhere(line: str) -> None:
    """Not verbose."""
