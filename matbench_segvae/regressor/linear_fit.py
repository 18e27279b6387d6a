"""The final fit of candidate formulas: ``offset + factor*f(x)`` under the user's loss.

Offset and factor are solved for wherever a formula is evaluated: linear scaling (Keijzer,
EuroGP 2003, 10.1007/3-540-36599-0_7). The constants inside ``f`` are optimised by the method
of Levenberg and Marquardt; other losses than the squared one by iteratively reweighted
least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.additive_problem import AdditiveProblem, fit_constants
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.regressor.losses import Loss, huber
from matbench_segvae.regressor.table import Table
from matbench_segvae.types import Floats

_ROUNDS = 15  # of reweighting
_CONVERGED = 1e-5  # relative gain in loss at which reweighting ends
_STEPS = 200  # of Levenberg and Marquardt's method in one round, at most


@dataclass(frozen=True, eq=False)
class LinearFit:
    """``offset + factor*f(x)``, fitted to a table.

    Attributes:
        formula: ``f`` with the values of its constants.
        offset: What is added.
        factor: What the formula is multiplied by.
        loss: Mean loss on the table.
        residuals: Target less prediction, shape ``(N,)``.
    """

    formula: Expression
    offset: float
    factor: float
    loss: float
    residuals: Floats


def fit_candidates(
    table: Table, candidates: Sequence[Expression], loss: str, linear_scaling: bool
) -> tuple[list[LinearFit], Loss]:
    """Fit every candidate under a loss, with a robust fit before to find Huber's width.

    Args:
        table: The rows.
        candidates: The formulas, with constants to start from.
        loss: Name of the loss.
        linear_scaling: Whether formulas get an offset and a factor.

    Returns:
        The fits, without formulas that are not defined on the rows, and the loss.
    """
    if loss != "huber":
        named = Loss(loss)
        return fit_all(table, candidates, named, linear_scaling), named
    absolute = Loss("absolute")
    robust = fit_all(table, candidates, absolute, linear_scaling)
    if not robust:
        return [], absolute
    least = min(robust, key=lambda fit: fit.loss)
    wide = huber(least.residuals, table.spread)
    return fit_all(table, [fit.formula for fit in robust], wide, linear_scaling), wide


def fit_all(
    table: Table, formulas: Sequence[Expression], loss: Loss, linear_scaling: bool
) -> list[LinearFit]:
    """Fit formulas from given constants; those not defined on the rows are left out.

    Args:
        table: The rows.
        formulas: The formulas, with constants to start from.
        loss: What to minimise.
        linear_scaling: Whether formulas get an offset and a factor. Without, they have no
            constants to fit either.
    """
    fit_one = _optimised if linear_scaling else _unscaled
    fits = [fit_one(table, formula, loss) for formula in formulas]
    return [fit for fit in fits if fit is not None]


def _unscaled(table: Table, formula: Expression, loss: Loss) -> LinearFit | None:
    """A formula with neither offset nor factor, none if it is not defined on the rows."""
    residuals = table.target - table.values(formula)
    if not np.isfinite(residuals).all():
        return None
    return LinearFit(formula, 0.0, 1.0, loss.mean(residuals, table.weights), residuals)


def _optimised(table: Table, start: Expression, loss: Loss) -> LinearFit | None:
    """Fit a formula's constants, offset and factor.

    Args:
        table: The rows.
        start: The formula with constants to start from.
        loss: What to minimise.

    Returns:
        The best fit met on the way, none if the formula is not defined on the rows.
    """
    best = _scaled(table, table, start, loss)
    if best is None:
        return None
    program = Program.compile([start.tokens], table.variables)
    current = best
    for number in range(1 if loss.name == "squared" else _ROUNDS):
        weighted = table.reweighted(loss.factors(current.residuals))
        following = _scaled(table, weighted, _descended(weighted, program, current.formula), loss)
        if following is None:
            break
        # The first rounds only bring the weights into line with the formula.
        converged = number > 2 and following.loss > best.loss * (1 - _CONVERGED)
        best = min(best, following, key=lambda fit: fit.loss)
        if converged:
            break
        current = following
    return best


def _descended(table: Table, program: Program, start: Expression) -> Expression:
    """The formula with constants after a local search under the table's weighted squares."""
    if not start.constants:
        return start
    problem = AdditiveProblem.table(table.points, table.target, table.weights)
    fit = fit_constants(problem, program, np.array(start.constants)[None, None], _STEPS)
    return start.with_constants(fit.constants[0, 0].tolist()) if np.isfinite(fit.loss[0]) else start


def _scaled(table: Table, weighted: Table, formula: Expression, loss: Loss) -> LinearFit | None:
    """The fit with a formula's constants as they are, none if it is not defined on the rows.

    Args:
        table: The rows with the weights under which the fit is judged.
        weighted: The same rows with the weights under which offset and factor are solved for.
        formula: The formula and its constants.
        loss: What judges the fit.
    """
    values = table.values(formula)
    if not np.isfinite(values).all():
        return None
    offset, factor = _offset_and_factor(weighted, values)
    residuals = table.target - offset - factor * values
    if not np.isfinite(residuals).all():
        return None
    return LinearFit(formula, offset, factor, loss.mean(residuals, table.weights), residuals)


def _offset_and_factor(table: Table, values: Floats) -> tuple[float, float]:
    """Linear scaling of a formula's values, shape ``(N,)``, by weighted least squares."""
    weights, mean = table.weights, table.mean
    middle = float(np.average(values, weights=weights))
    around = values - middle
    size = float(np.max(np.abs(around)))
    if size <= 1e-14 * abs(middle) or size == 0.0:
        return mean, 0.0
    unit = around / size
    factor = float(weights @ (unit * (table.target - mean)) / (weights @ unit**2)) / size
    return mean - factor * middle, factor
