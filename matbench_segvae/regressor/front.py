"""The Pareto front of fitted formulas in the user's units, and the choice from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from matbench_segvae.expressions import FITTED, Expression, pareto_front
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.expressions.rewriting import linear_forms
from matbench_segvae.regressor.linear_fit import LinearFit, fit_all
from matbench_segvae.regressor.losses import Loss
from matbench_segvae.regressor.table import Table, names_by_position
from matbench_segvae.regressor.units import in_original_units
from matbench_segvae.types import Floats

SELECTIONS = ("best", "accuracy", "score")
_CLOSE = 1.5  # times the least loss: what "best" chooses among
_DIGITS = 17  # of a number in full
_ROUNDINGS = 4  # rounds; in each, one constant of a formula may become an integer


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


# An equation, and the formula of scaled features that it was made from, if any.
_Origin = tuple[Equation, Expression | None]


def make_fronts(
    table: Table, scales: Floats, fits: Sequence[LinearFit], loss: Loss, linear_scaling: bool
) -> tuple[tuple[Equation, ...], tuple[Equation, ...]]:
    """The Pareto front of the fits and of a constant, simplest first.

    Fitted numbers close to an integer are also tried as that integer, which reads better
    and is simpler; the data decide.

    Args:
        table: The rows, features in the user's units.
        scales: What features were divided by for the fits, shape ``(V,)``.
        fits: The fits to the scaled table.
        loss: What was minimised.
        linear_scaling: Whether formulas have an offset and a factor.

    Returns:
        The front, and another one of the formulas without any fitted number.
    """
    scaled = table.scaled(scales)
    made: list[_Origin] = []
    if linear_scaling or not fits:
        made.append((_constant(table, loss), None))
    constant_free: list[_Origin] = []
    new = list(fits)
    for _ in range(_ROUNDINGS):
        for fit in new:
            forms = _in_users_units(table, scales, fit, linear_scaling)
            made += [(_judged(table, form, loss), fit.formula) for form in forms]
        constant_free += [(e, f) for e, f in made if FITTED not in e.expression.tokens]
        made = _pareto(made, loss.floor(table.spread))
        known = {fit.formula.tokens for fit in new}
        formulas = dict.fromkeys(formula for _, formula in made if formula is not None)
        rounded = [r for formula in formulas for r in _rounded(formula) if r.tokens not in known]
        new = fit_all(scaled, rounded, loss, linear_scaling)
        if not new:
            break
    floor = loss.floor(table.spread)
    constant_free = _pareto(constant_free, floor)
    front = tuple(_with_fewest_digits(table, equation, loss, floor) for equation, _ in made)
    return front, tuple(e for e, _ in constant_free)


def _with_fewest_digits(table: Table, equation: Equation, loss: Loss, floor: float) -> Equation:
    """An equation that is exact, up to rounding, with constants as short as they can be.

    Digits of constants that data with an error leave are all kept.
    """
    if equation.loss > floor:
        return equation
    expression = equation.expression
    for digits in range(1, _DIGITS):
        constants = [float(f"{value:.{digits}g}") for value in expression.constants]
        shorter = _judged(table, expression.with_constants(constants), loss)
        if shorter.loss <= floor:
            return shorter
    return equation


def _pareto(made: Sequence[_Origin], floor: float) -> list[_Origin]:
    """The front of some equations; losses below the floor count as equal."""
    return pareto_front(made, lambda m: m[0].complexity, lambda m: max(m[0].loss, floor))


def _constant(table: Table, loss: Loss) -> Equation:
    """The best constant: the simplest formula there is."""
    value = table.mean
    if loss.name != "squared":
        order = np.argsort(table.target)
        share = np.cumsum(table.weights[order])
        value = float(table.target[order][np.searchsorted(share, 0.5 * share[-1])])
    return _judged(table, Expression((FITTED,), (value,)), loss)


def _in_users_units(
    table: Table, scales: Floats, fit: LinearFit, linear_scaling: bool
) -> list[Expression]:
    """Ways to write ``offset + factor*f`` as a formula of the original features."""
    names = names_by_position(len(table.variables))
    sizes = dict(zip(names, scales.tolist(), strict=True))
    inner, inner_factor = in_original_units(fit.formula, sizes)
    named = dict(zip(names, table.variables, strict=True))
    tokens = tuple(named.get(token, token) for token in inner.tokens)
    if not linear_scaling:
        return [Expression(tokens, inner.constants)]
    factor = fit.factor * inner_factor
    mean = float(np.average(table.target - fit.residuals, weights=table.weights))
    return list(linear_forms(tokens, inner.constants, fit.offset, factor, mean))


def _judged(table: Table, expression: Expression, loss: Loss) -> Equation:
    """The equation with its loss, infinite where it is not defined on all rows."""
    residuals = table.target - table.values(expression)
    finite = bool(np.isfinite(residuals).all())
    return Equation(expression, loss.mean(residuals, table.weights) if finite else math.inf)


def _rounded(formula: Expression) -> list[Expression]:
    """The formula with one of its constants replaced by the next integer."""
    found = []
    places = [i for i, token in enumerate(formula.tokens) if token == FITTED]
    for number, (place, value) in enumerate(zip(places, formula.constants, strict=True)):
        token = str(round(value)) if math.isfinite(value) else ""
        if token in NAMED_CONSTANTS:
            tokens = (*formula.tokens[:place], token, *formula.tokens[place + 1 :])
            others = formula.constants[:number] + formula.constants[number + 1 :]
            found.append(Expression(tokens, others))
    return found


def scores(front: Sequence[Equation], floor: float) -> list[float]:
    """Gain of each step in complexity: ``-Δlog(loss)/Δcomplexity``, 0 for the first.

    After PySR (Cranmer, arXiv:2305.01582). Losses below the floor count as equal.
    """
    gains = [0.0]
    for before, after in pairwise(front):
        ratio = max(before.loss, floor) / max(after.loss, floor)
        gains.append(math.log(ratio) / (after.complexity - before.complexity))
    return gains


def choose(front: Sequence[Equation], floor: float, selection: str) -> int:
    """Position of the formula that predicts.

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
