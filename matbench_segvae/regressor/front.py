"""Making the front: candidates fitted, put in the user's units and ordered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from matbench_segvae.expressions import FITTED, Expression, pareto_front
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.expressions.rewriting import linear_forms
from matbench_segvae.fitting.additive_problem import AdditiveProblem, fit_constants
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.regressor.losses import Loss, huber
from matbench_segvae.regressor.table import Candidate, Table
from matbench_segvae.regressor.units import in_original_units
from matbench_segvae.types import Floats

SELECTIONS = ("best", "accuracy", "score")


_CLOSE = 1.5  # times the least loss: what "best" chooses among


@dataclass(frozen=True)
class Equation:
    """A formula of the front.

    Attributes:
        expression: The formula in the user's units.
        loss: Mean loss on the training rows.
    """

    expression: Expression
    loss: float

    @property
    def complexity(self) -> int:
        """Complexity of the formula, offset and factor included."""
        return self.expression.complexity


def values_of(expression: Expression, points: Floats, variables: Sequence[str]) -> Floats:
    """Values of a formula on rows of features, NaN outside its domain.

    Args:
        expression: The formula.
        points: Shape ``(N, V)``.
        variables: Names of the columns.

    Returns:
        Shape ``(N,)``.
    """
    columns = {name: points[:, i] for i, name in enumerate(variables)}
    return np.array(np.broadcast_to(expression(columns), len(points)), dtype=np.float64)


def scores(front: Sequence[Equation], floor: float) -> list[float]:
    """What each step in complexity gains: ``-Δlog(loss)/Δcomplexity``, 0 for the first.

    After PySR (Cranmer, arXiv:2305.01582). Losses below the floor are all alike.
    """
    gains = [0.0]
    for before, after in pairwise(front):
        ratio = max(before.loss, floor) / max(after.loss, floor)
        gains.append(math.log(ratio) / (after.complexity - before.complexity))
    return gains


def choose(front: Sequence[Equation], floor: float, selection: str) -> int:
    """Position of the formula to trust.

    Args:
        front: The front, simplest first.
        floor: Loss below which differences are rounding; positive.
        selection: ``"accuracy"``: the least loss. ``"score"``: the highest score.
            ``"best"``: the highest score among those within 1.5 times the least loss.
    """
    losses = [max(equation.loss, floor) for equation in front]
    if selection == "accuracy":
        return losses.index(min(losses))
    limit = min(losses) * _CLOSE if selection == "best" else math.inf
    gains = scores(front, floor)
    return max((i for i, loss in enumerate(losses) if loss <= limit), key=lambda i: gains[i])


def as_frame(front: Sequence[Equation], floor: float) -> pd.DataFrame:
    """The front as a table: complexity, loss, score, formula, sympy, constants."""
    return pd.DataFrame(
        {
            "complexity": [equation.complexity for equation in front],
            "loss": [equation.loss for equation in front],
            "score": scores(front, floor),
            "formula": [equation.expression.to_string() for equation in front],
            "sympy": [equation.expression.sympy() for equation in front],
            "constants": [equation.expression.constants for equation in front],
        }
    )


_ROUNDS = 15  # of reweighting


_SETTLED = 1e-5  # relative gain in loss at which reweighting ends


_STEPS = 200  # of Levenberg and Marquardt's method in one round, at most


@dataclass(frozen=True)
class LinearFit:
    """``offset + factor*f(x)`` with the constants of ``f``.

    Attributes:
        constants: Of the formula.
        offset: What is added.
        factor: What the formula is multiplied by.
        loss: Mean loss on the table.
        residuals: Target less prediction, shape ``(N,)``.
    """

    constants: tuple[float, ...]
    offset: float
    factor: float
    loss: float
    residuals: Floats


def polish(
    table: Table, candidate: Candidate, variables: tuple[str, ...], loss: Loss
) -> LinearFit | None:
    """Fit a formula's constants, offset and factor.

    Args:
        table: The rows.
        candidate: The formula and where to start.
        variables: Names of the columns of the points.
        loss: What to minimise.

    Returns:
        The best fit met on the way, none if the formula is not defined on the rows.
    """
    model = _Model(table, candidate, variables)
    best = model.fit_at(np.array(candidate.constants), loss)
    if best is None:
        return None
    rounds = 1 if loss.name == "squared" else _ROUNDS
    current = best
    for number in range(rounds):
        model.table = table.reweighted(loss.factors(current.residuals))
        following = model.fit_at(model.descend(np.array(current.constants)), loss)
        if following is None:
            break
        # The first rounds only bring the weights into line with the formula.
        settled = number > 2 and following.loss > best.loss * (1 - _SETTLED)
        best = min(best, following, key=lambda fit: fit.loss)
        if settled:
            break
        current = following
    return best


def as_it_stands(
    table: Table, candidate: Candidate, variables: tuple[str, ...], loss: Loss
) -> LinearFit | None:
    """A formula with neither offset nor factor, none if it is not defined on the rows."""
    formula = Expression(candidate.tokens, candidate.constants)
    values = formula({name: table.points[:, i] for i, name in enumerate(variables)})
    residuals = table.target - values
    if not np.isfinite(residuals).all():
        return None
    return LinearFit(candidate.constants, 0.0, 1.0, loss.mean(residuals, table.weights), residuals)


class _Model:
    """One formula on one table; its linear part is solved for wherever it is evaluated."""

    def __init__(self, table: Table, candidate: Candidate, variables: tuple[str, ...]) -> None:
        self.table = table
        self._judge = table
        self._formula = Expression(candidate.tokens)
        self._program = Program.compile([candidate.tokens], variables)
        self._columns = {name: table.points[:, i] for i, name in enumerate(variables)}

    def _values(self, constants: Floats) -> Floats:
        formula = self._formula.with_constants(constants.tolist())
        return np.broadcast_to(formula(self._columns), self.table.target.shape)

    def _solve(self, values: Floats) -> tuple[float, float]:
        """Offset and factor by weighted least squares."""
        weights, target = self.table.weights, self.table.target
        middle = float(np.average(values, weights=weights))
        mean = float(np.average(target, weights=weights))
        around = values - middle
        size = float(np.max(np.abs(around)))
        if size <= 1e-14 * abs(middle) or size == 0.0:
            return mean, 0.0
        unit = around / size
        factor = float(weights @ (unit * (target - mean)) / (weights @ unit**2)) / size
        return mean - factor * middle, factor

    def descend(self, start: Floats) -> Floats:
        """Constants after a local search under the table's weighted squares."""
        if start.size == 0:
            return start
        table = self.table
        problem = AdditiveProblem.table(table.points, table.target, table.weights)
        fit = fit_constants(problem, self._program, start[None, None], _STEPS)
        return np.asarray(fit.constants[0, 0]) if np.isfinite(fit.loss[0]) else start

    def fit_at(self, constants: Floats, loss: Loss) -> LinearFit | None:
        """The fit with these constants, judged by the loss under the table's own weights."""
        values = self._values(constants)
        if not np.isfinite(values).all():
            return None
        offset, factor = self._solve(values)
        residuals = self.table.target - offset - factor * values
        if not np.isfinite(residuals).all():
            return None
        judged = loss.mean(residuals, self._judge.weights)
        return LinearFit(tuple(constants.tolist()), offset, factor, judged, residuals)


_ROUNDINGS = 4  # times that constants are tried as whole numbers


class FrontMaker:
    """Turns candidates of the search into the front the user sees.

    Attributes:
        scaled: The rows as the search sees them, features divided by their scales.
        loss: What the formulas are fitted under; Huber's gets its width from residuals.
    """

    def __init__(
        self,
        table: Table,
        scales: Floats,
        names: Mapping[str, str],
        loss_name: str,
        linear: bool = True,
    ) -> None:
        """Set up.

        Args:
            table: The rows, features in the user's units.
            scales: What the search divided each feature by, shape ``(V,)``.
            names: What the search calls each feature, to its name for the user.
            loss_name: The loss asked for.
            linear: Whether formulas get an offset and a factor.
        """
        self._linear = linear
        self._table = table
        self.scaled = Table(table.points / scales, table.target, table.weights)
        self._scales = dict(zip(names, scales.tolist(), strict=True))
        self._names = dict(names)
        # Huber's width is known once residuals are: a robust fit comes first.
        self.loss = Loss("absolute" if loss_name == "huber" else loss_name)
        self._wants_huber = loss_name == "huber"

    def polished(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, LinearFit]]:
        """Fit every candidate under the loss; those undefined on the rows are left out."""
        fits = self._fits(candidates)
        if self._wants_huber and fits:
            least = min((fit for _, fit in fits), key=lambda fit: fit.loss)
            self.loss = huber(least.residuals, self._table.spread)
            fits = self._fits([candidate for candidate, _ in fits])
        return fits

    def fronts(
        self, fits: Sequence[tuple[Candidate, LinearFit]]
    ) -> tuple[tuple[Equation, ...], tuple[Equation, ...]]:
        """The Pareto front of the fits and of a constant, simplest first.

        Returns:
            The front, and another one of the formulas without any fitted number.
        """
        made: list[tuple[Equation, Candidate | None]] = []
        if self._linear or not fits:
            made.append((self._constant(), None))
        plain = []
        new = list(fits)
        for _ in range(_ROUNDINGS):
            for candidate, fit in new:
                made += [(equation, candidate) for equation in self._equations(candidate, fit)]
            plain += [(e, c) for e, c in made if FITTED not in e.expression.tokens]
            made = self._pareto(made)
            # Numbers next to whole ones read better as such, if the data do not object.
            known = {candidate.tokens for candidate, _ in new}
            survivors = dict.fromkeys(candidate for _, candidate in made if candidate)
            rounded = [r for candidate in survivors for r in _rounded(candidate)]
            new = self._fits([r for r in rounded if r.tokens not in known])
            if not new:
                break
        return tuple(e for e, _ in made), tuple(e for e, _ in self._pareto(plain))

    def _pareto(
        self, made: Sequence[tuple[Equation, Candidate | None]]
    ) -> list[tuple[Equation, Candidate | None]]:
        floor = self.loss.comparable(self._table.spread)
        return pareto_front(made, lambda m: m[0].complexity, lambda m: max(m[0].loss, floor))

    def _fits(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, LinearFit]]:
        fits = []
        for candidate in candidates:
            make = polish if self._linear else as_it_stands
            fit = make(self.scaled, candidate, tuple(self._names), self.loss)
            if fit is not None:
                fits.append((Candidate(candidate.tokens, fit.constants), fit))
        return fits

    def _constant(self) -> Equation:
        """The best constant: the simplest formula there is."""
        target, weights = self._table.target, self._table.weights
        value = float(np.average(target, weights=weights))
        if self.loss.name != "squared":
            order = np.argsort(target)
            share = np.cumsum(weights[order])
            value = float(target[order][np.searchsorted(share, 0.5 * share[-1])])
        return self._judged(Expression((FITTED,), (value,)))

    def _equations(self, candidate: Candidate, fit: LinearFit) -> list[Equation]:
        """Write ``offset + factor*f`` as formulas of the original features."""
        inner = in_original_units(Expression(candidate.tokens, fit.constants), self._scales)
        tokens = tuple(self._names.get(token, token) for token in inner.tokens)
        if not self._linear:
            return [self._judged(Expression(tokens, inner.constants))]
        factor = fit.factor * inner.factor
        mean = float(np.average(self._table.target - fit.residuals, weights=self._table.weights))
        forms = linear_forms(tokens, inner.constants, fit.offset, factor, mean)
        return [self._judged(form) for form in forms]

    def _judged(self, expression: Expression) -> Equation:
        values = values_of(expression, self._table.points, tuple(self._names.values()))
        residuals = self._table.target - values
        finite = bool(np.isfinite(residuals).all())
        loss = self.loss.mean(residuals, self._table.weights) if finite else math.inf
        return Equation(expression, loss)


def _rounded(candidate: Candidate) -> list[Candidate]:
    """The formula with one of its constants replaced by the next whole number."""
    found = []
    places = [i for i, token in enumerate(candidate.tokens) if token == FITTED]
    for number, (place, value) in enumerate(zip(places, candidate.constants, strict=True)):
        token = str(round(value)) if math.isfinite(value) else ""
        if token in NAMED_CONSTANTS:
            tokens = (*candidate.tokens[:place], token, *candidate.tokens[place + 1 :])
            rest = candidate.constants[:number] + candidate.constants[number + 1 :]
            found.append(Candidate(tokens, rest))
    return found
