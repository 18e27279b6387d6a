"""Fitting a law with a formula of its own for every group, under absolute error.

Iteratively reweighted least squares (Schlossmacher, J. Am. Stat. Assoc. 68, 857, 1973):
a squared loss with weights ``1 / |residual|`` has the absolute loss's minimum. Each round
is a nonlinear least-squares fit of everything together: the coefficients of the linear part, a
scale for every group, and the constants of its formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.robust import absolute_weights
from matbench_segvae.types import Floats, Tokens

_SETTLED = 1e-5  # relative gain in the absolute error at which to stop
_ROUNDS = 12  # of reweighting at most
_EVALUATIONS = 12  # of the law in each round at most
_FIRST_ROUNDS = 3  # these only bring the weights into line with the formulas
_UNDEFINED = 1e3  # residual, in sizes of the target, where a formula has no value


@dataclass(frozen=True, eq=False)
class LawFit:
    """A law fitted to data, with everything that predicts.

    Attributes:
        formulas: The formula of each group.
        constants: Values of its fitted constants, one array for each group.
        linear: Coefficients of the linear part, shape ``(P,)``.
        scales: Factor of each group's formula, shape ``(K,)``.
        mae: Mean absolute error on the data it was fitted to.
    """

    formulas: tuple[Tokens, ...]
    constants: tuple[Floats, ...]
    linear: Floats
    scales: Floats
    mae: float

    @property
    def expressions(self) -> list[Expression]:
        """The formulas with their constants."""
        each = zip(self.formulas, self.constants, strict=True)
        return [Expression(tokens).with_constants(constants) for tokens, constants in each]

    def predict(self, problem: AdditiveProblem, variables: Sequence[str]) -> Floats:
        """Predictions of a problem's observations, shape ``(N,)``.

        Args:
            problem: Gives points, incidence and linear part; its target is not looked at.
            variables: Names of the columns of the points.
        """
        model = _Model(problem, self.formulas, variables)
        return np.asarray(
            problem.linear @ self.linear + model.columns(self.constants) @ self.scales
        )


def fit_law(
    problem: AdditiveProblem,
    formulas: Sequence[Expression],
    variables: Sequence[str],
    decay: float = 0.0,
    admissible: Callable[[int, Floats], bool] = lambda group, constants: True,
) -> LawFit:
    """Fit a law under absolute error.

    Args:
        problem: The data, with weights to start from.
        formulas: A formula for each group, with the constants to start from.
        variables: Names of the columns of the points.
        decay: Weight of the constants' squares, in units of the loss of no law at all.
        admissible: Whether a group may have these constants, shape ``(C,)``.

    Returns:
        The fit with the smallest absolute error met on the way, the start included.

    Raises:
        ValueError: If no constants were met that are admissible and for which the formulas
            are defined at every point of the data.
    """
    tokens = tuple(formula.tokens for formula in formulas)
    model = _Model(problem, tokens, variables)
    constants = [np.array(formula.constants, dtype=np.float64) for formula in formulas]
    weights = problem.weights
    best: LawFit | None = None
    for number in range(_ROUNDS):
        parameters = model.with_linear_part(constants, weights)
        if not np.isfinite(parameters).all():
            break
        if number:
            descended = model.descend(parameters, weights, decay)
            # Once more, because the descent drifts along what the data leave open.
            parameters = model.with_linear_part(model.split(descended)[2], weights)
            if not np.isfinite(parameters).all():
                break
        linear, scales, constants = model.split(parameters)
        residuals = model.residuals(parameters)
        if not np.isfinite(residuals).all():
            break
        mae = float(np.abs(residuals).mean())
        settled = best is not None and mae > best.mae * (1 - _SETTLED)
        better = best is None or mae < best.mae
        if better and all(admissible(k, values) for k, values in enumerate(constants)):
            best = LawFit(tokens, tuple(constants), linear, scales, mae)
        if settled and number >= _FIRST_ROUNDS:
            break
        weights = absolute_weights(residuals)
    if best is None:
        texts = "; ".join(" ".join(formula) for formula in tokens)
        raise ValueError(f"'{texts}' has no admissible fit to the data")
    return best


class _Model:
    """A law on a problem's data: residuals and derivatives by all of its parameters."""

    def __init__(
        self, problem: AdditiveProblem, formulas: Sequence[Tokens], variables: Sequence[str]
    ) -> None:
        if problem.incidence is None:
            raise ValueError("a law is fitted to sums over points, not to a table")
        self._problem = problem
        self._programs = [Program.compile([tokens], variables) for tokens in formulas]
        self._points = [problem.points[rows] for rows in problem.members]
        self._incidence = [problem.incidence[:, rows] for rows in problem.members]
        self._n_linear = problem.linear.shape[1]
        n_constants = [program.width for program in self._programs]
        first = self._n_linear + len(self._programs)
        self._ends = [self._n_linear, *(first + np.cumsum([0, *n_constants[:-1]])).tolist()]

    def split(self, parameters: Floats) -> tuple[Floats, Floats, list[Floats]]:
        """Coefficients of the linear part, scales, and constants of each formula."""
        linear, scales, *constants = np.split(parameters, self._ends)
        return linear, scales, constants

    def columns(self, constants: Sequence[Floats]) -> Floats:
        """Sums of each group's formula, shape ``(N, K)``."""
        each = zip(self._programs, self._points, self._incidence, constants, strict=True)
        sums = [incidence @ p.values(points, c[None])[0] for p, points, incidence, c in each]
        return np.stack(sums, axis=1)

    def residuals(self, parameters: Floats) -> Floats:
        """Target less law, shape ``(N,)``; not finite where a formula is undefined."""
        linear, scales, constants = self.split(parameters)
        residuals = self._problem.target - self._problem.linear @ linear
        return np.asarray(residuals - self.columns(constants) @ scales)

    def with_linear_part(self, constants: Sequence[Floats], weights: Floats) -> Floats:
        """All parameters, linear part and scales by weighted least squares."""
        columns = self.columns(constants)
        if not np.isfinite(columns).all():
            return np.array([np.nan])
        linear = self._problem.reweighted(weights).linear_part(columns)
        return np.concatenate([linear, *constants])

    def descend(self, parameters: Floats, weights: Floats, decay: float) -> Floats:
        """Parameters after a least-squares fit of all of them together."""
        root = np.sqrt(weights)
        target = self._problem.target
        middle = float(np.average(target, weights=weights))
        size = float(np.sqrt(np.sum(weights * (target - middle) ** 2)))
        penalty = np.sqrt(decay) * size
        n_linear = self._n_linear + len(self._programs)
        n_constants = len(parameters) - n_linear
        to_zero = np.zeros((n_constants, len(parameters)))
        to_zero[:, n_linear:] = penalty * np.eye(n_constants)

        def residuals(x: Floats) -> Floats:
            weighted = root * self.residuals(x)
            if not np.isfinite(weighted).all():
                weighted = np.full(len(weighted), _UNDEFINED * size)
            return np.concatenate([weighted, penalty * x[n_linear:]])

        def slopes(x: Floats) -> Floats:
            return np.concatenate([-root[:, None] * self._slopes(x), to_zero])

        with np.errstate(all="ignore"):
            found = least_squares(
                residuals, parameters, jac=slopes, x_scale="jac", max_nfev=_EVALUATIONS
            )
        return np.asarray(found.x)

    def _slopes(self, parameters: Floats) -> Floats:
        """Derivatives of the law by all parameters, shape ``(N, P + K + C)``."""
        _, scales, constants = self.split(parameters)
        parts = [self._problem.linear, self.columns(constants)]
        each = zip(self._programs, self._points, self._incidence, scales, constants, strict=True)
        for program, points, incidence, scale, c in each:
            parts.append(scale * (incidence @ program.derivatives(points, c[None])[0].T))
        return np.nan_to_num(np.concatenate(parts, axis=1), posinf=0.0, neginf=0.0)
