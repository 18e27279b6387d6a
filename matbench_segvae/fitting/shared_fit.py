"""Fitting a law of shapes common to all groups, with coefficients by group, under absolute error.

Iteratively reweighted least squares, as in :mod:`~matbench_segvae.fitting.joint_fit`. In each
round the observations are reduced to as many equations as there are unknowns without any
formula; on those the constants of the shapes are fitted with all coefficients eliminated
(variable projection, Golub and Pereyra, SIAM J. Numer. Anal. 10, 413, 1973).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.robust import COARSE_FLOOR, absolute_weights
from matbench_segvae.types import Booleans, Floats

ShapeValues = Callable[[Floats], Floats]
"""Values of the shapes at all points, shape ``(M, R)``, given their constants, ``(C,)``."""

_ROUNDS = 10  # of reweighting at most
_COARSE_ROUNDS = 2  # in which small residuals all count the same
_EVALUATIONS = 15  # of the shapes in each round at most
_SETTLED = 1e-4  # relative gain in the absolute error at which to stop
_UNDEFINED = 1e3  # residual, in sizes of the target, where a shape has no value


@dataclass(frozen=True, eq=False)
class SharedFit:
    """A fitted law of common shapes.

    Attributes:
        constants: Of the shapes, shape ``(C,)``.
        coefficients: Of each shape in each group, shape ``(K, M)``; 0 where left out.
        kept: Which of them were fitted, shape ``(K, M)``.
        linear: Coefficients of the linear part, shape ``(P,)``.
        mae: Mean absolute error on the data it was fitted to.
    """

    constants: Floats
    coefficients: Floats
    kept: Booleans
    linear: Floats
    mae: float

    def point_values(self, problem: AdditiveProblem, shapes: ShapeValues) -> Floats:
        """Values of the law at a problem's points, shape ``(R,)``."""
        values = shapes(self.constants)
        return np.asarray((self.coefficients[problem.group] * values.T).sum(axis=1))

    def predict(self, problem: AdditiveProblem, shapes: ShapeValues) -> Floats:
        """Predictions of a problem's observations, shape ``(N,)``."""
        assert problem.incidence is not None
        values = self.point_values(problem, shapes)
        return np.asarray(problem.linear @ self.linear + problem.incidence @ values)


def fit_shared_law(
    problem: AdditiveProblem,
    shapes: ShapeValues,
    constants: Floats,
    kept: Booleans,
    admissible: Callable[[Floats], bool] = lambda constants: True,
) -> SharedFit:
    """Fit a law of common shapes under absolute error.

    Args:
        problem: Observations as sums over points, with weights to start from.
        shapes: Values of the shapes.
        constants: Where to start, shape ``(C,)``.
        kept: Which coefficients there are, shape ``(K, M)``.
        admissible: Whether the shapes may have these constants, shape ``(C,)``.

    Returns:
        The fit with the smallest absolute error met on the way, the start included.

    Raises:
        ValueError: If no constants were met that are admissible and for which the shapes are
            defined at every point of the data.
    """
    assert problem.incidence is not None
    weights = problem.weights
    best: SharedFit | None = None
    for number in range(_ROUNDS):
        reduced = _Reduced(problem, weights)
        if number or len(constants) == 0:
            constants = reduced.descend(shapes, constants, kept)
        values = shapes(constants)
        if not np.isfinite(values).all():
            break
        linear, coefficients = reduced.linear_part(values, kept)
        fit = SharedFit(constants, coefficients, kept, linear, np.inf)
        residuals = problem.target - fit.predict(problem, shapes)
        mae = float(np.abs(residuals).mean())
        settled = best is not None and mae > best.mae * (1 - _SETTLED)
        if (best is None or mae < best.mae) and admissible(constants):
            best = SharedFit(constants, coefficients, kept, linear, mae)
        if settled and number > _COARSE_ROUNDS:
            break
        coarse = {"floor": COARSE_FLOOR} if number < _COARSE_ROUNDS else {}
        weights = absolute_weights(residuals, **coarse)
    if best is None:
        raise ValueError("the shapes have no admissible fit to the data")
    return best


class _Reduced:
    """Weighted observations, rotated to as many equations as there are unknowns."""

    def __init__(self, problem: AdditiveProblem, weights: Floats) -> None:
        root = np.sqrt(weights)[:, None]
        self._n_linear = problem.linear.shape[1]
        self._group = problem.group
        assert problem.incidence is not None
        target = problem.target[:, None]
        full = np.concatenate([problem.linear, problem.incidence, target], axis=1)
        triangle = np.asarray(np.linalg.qr(root * full, mode="r"))
        self._matrix, self._target = triangle[:, :-1], triangle[:, -1]
        self._size = float(np.linalg.norm(self._target))

    def design(self, values: Floats, kept: Booleans) -> Floats:
        """Columns of the linear part and of every coefficient that is kept."""
        points = self._matrix[:, self._n_linear :]
        groups, shapes = np.nonzero(kept)
        spread = np.where(self._group[:, None] == groups[None, :], values[shapes].T, 0.0)
        return np.concatenate([self._matrix[:, : self._n_linear], points @ spread], axis=1)

    def linear_part(self, values: Floats, kept: Booleans) -> tuple[Floats, Floats]:
        """Coefficients of the linear part, and of the shapes as ``(K, M)``."""
        design = self.design(values, kept)
        size = np.linalg.norm(design, axis=0)
        size[size == 0] = 1.0
        found = np.linalg.lstsq(design / size, self._target, rcond=1e-10)[0] / size
        coefficients = np.zeros(kept.shape)
        coefficients[kept] = found[self._n_linear :]
        return found[: self._n_linear], coefficients

    def descend(self, shapes: ShapeValues, constants: Floats, kept: Booleans) -> Floats:
        """Constants after a least-squares fit with the coefficients eliminated."""
        if len(constants) == 0:
            return constants

        def residuals(x: Floats) -> Floats:
            values = shapes(x)
            if not np.isfinite(values).all():
                return np.full(len(self._target), _UNDEFINED * self._size)
            design = self.design(values, kept)
            size = np.linalg.norm(design, axis=0)
            size[size == 0] = 1.0
            basis, _ = np.linalg.qr(design / size)
            return np.asarray(self._target - basis @ (basis.T @ self._target))

        with np.errstate(all="ignore"):
            found = least_squares(
                residuals, constants, x_scale="jac", max_nfev=_EVALUATIONS, method="trf"
            )
        return np.asarray(found.x)
