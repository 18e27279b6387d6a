"""The rows that a formula has to describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.additive_problem import powers_of_ten
from matbench_segvae.types import Floats

_CONSTANT = 1e-13  # spread of a target, in units of its size, that is only rounding


@dataclass(frozen=True, eq=False)
class Table:
    """Features and target of the training rows.

    Attributes:
        points: Features, shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Of the rows in the loss, shape ``(N,)``, all positive, with mean 1.
        variables: Names of the features in formulas.
    """

    points: Floats
    target: Floats
    weights: Floats
    variables: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Weighted mean of the target."""
        return float(np.average(self.target, weights=self.weights))

    @property
    def spread(self) -> float:
        """Weighted standard deviation of the target."""
        return math.sqrt(float(np.average((self.target - self.mean) ** 2, weights=self.weights)))

    @property
    def is_constant(self) -> bool:
        """Whether the target, or every feature, has the same value in all rows."""
        varies = np.ptp(self.points, axis=0).any()
        return bool(not varies or self.spread <= _CONSTANT * np.abs(self.target).max())

    def values(self, expression: Expression) -> Floats:
        """Values of a formula on the rows, shape ``(N,)``, NaN outside its domain."""
        return values_of(expression, self.points, self.variables)

    def reweighted(self, factors: Floats) -> Table:
        """The same rows with their weights multiplied, shape ``(N,)``, and mean 1 again."""
        weights = self.weights * factors
        return replace(self, weights=weights / weights.mean())

    def scaled(self, scales: Floats) -> Table:
        """The table as the search sees it: features divided by scales and named by position.

        Args:
            scales: Shape ``(V,)``.
        """
        names = names_by_position(len(self.variables))
        return replace(self, points=self.points / scales, variables=names)

    def standardised(self) -> Table:
        """The same rows with a target of mean 0 and spread 1.

        Under linear scaling this changes no fit but brings the target to an ordinary size.
        """
        mean, spread = self.mean, self.spread
        if not math.isfinite(spread):
            return self
        return replace(self, target=(self.target - mean) / spread)


def distinct_rows(
    points: Floats, target: Floats, weights: Floats, variables: tuple[str, ...]
) -> Table:
    """The rows in a fixed order, equal ones as one with the sum of their weights.

    A weight of 2 is then the same as a repeated row, a weight of 0 the same as no row, and
    the order of the rows does not matter.

    Args:
        points: Shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Shape ``(N,)``, none negative, not all 0.
        variables: Names of the features in formulas.
    """
    used = weights > 0
    rows = np.column_stack([points, target])[used]
    distinct, where = np.unique(rows, axis=0, return_inverse=True)
    summed = np.bincount(where.ravel(), weights=weights[used])
    points, target = distinct[:, :-1].copy(), distinct[:, -1].copy()
    return Table(points, target, summed / summed.mean(), variables)


def names_by_position(n_features: int) -> tuple[str, ...]:
    """What the search calls the features: ``x0``, ``x1`` and so on.

    With these names, tables of as many columns share a pretrained network.
    """
    return tuple(f"x{i}" for i in range(n_features))


def feature_scales(points: Floats, linear_scaling: bool) -> Floats:
    """What to divide the features by for the search, shape ``(V,)``.

    Args:
        points: Shape ``(N, V)``.
        linear_scaling: Whether formulas are linearly scaled; if not, a factor of a feature
            could not be undone and all scales are 1.
    """
    return powers_of_ten(points) if linear_scaling else np.ones(points.shape[1])


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
    return expression(columns)
