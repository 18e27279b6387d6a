"""The last fit: all constants of one formula together, under the loss that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import Expression
from matbench_segvae.expressions.compiled import Program
from matbench_segvae.expressions.fitting import AdditiveProblem, fit_constants
from matbench_segvae.segvae.losses import Loss
from matbench_segvae.segvae.table_search import Candidate, Table

Array = NDArray[np.float64]

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
    residuals: Array


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

    def _values(self, constants: Array) -> Array:
        formula = self._formula.with_constants(constants.tolist())
        return np.broadcast_to(formula(self._columns), self.table.target.shape)

    def _solve(self, values: Array) -> tuple[float, float]:
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

    def descend(self, start: Array) -> Array:
        """Constants after a local search under the table's weighted squares."""
        if start.size == 0:
            return start
        table = self.table
        problem = AdditiveProblem.table(table.points, table.target, table.weights)
        fit = fit_constants(problem, self._program, start[None, None], _STEPS)
        return np.asarray(fit.constants[0, 0]) if np.isfinite(fit.loss[0]) else start

    def fit_at(self, constants: Array, loss: Loss) -> LinearFit | None:
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
