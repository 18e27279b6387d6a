"""The rows that formulas are searched for, and the formulas that are candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from matbench_segvae.types import Floats, Tokens

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Table:
    """Rows to describe by a formula.

    Attributes:
        points: Features, shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Of the rows in the loss, shape ``(N,)``, all positive, with mean 1.
    """

    points: Floats
    target: Floats
    weights: Floats

    @property
    def spread(self) -> float:
        """Standard deviation of the target."""
        mean = float(np.average(self.target, weights=self.weights))
        return math.sqrt(float(np.average((self.target - mean) ** 2, weights=self.weights)))

    def reweighted(self, factors: Floats) -> Table:
        """The same rows with their weights multiplied, mean 1 again."""
        weights = self.weights * factors
        return replace(self, weights=weights / weights.mean())


@dataclass(frozen=True)
class Candidate:
    """A formula with constants from which to fit it further.

    Attributes:
        tokens: Prefix tokens.
        constants: Values of its fitted constants.
    """

    tokens: Tokens
    constants: tuple[float, ...]


def distinct_rows(points: Floats, target: Floats, weights: Floats) -> Table:
    """The rows in a fixed order, equal ones as one with the sum of their weights.

    A weight of 2 is then the same as a row that stands there twice, a weight of 0 the same
    as no row, and the order of the rows does not matter.

    Args:
        points: Shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Shape ``(N,)``, none negative, not all 0.
    """
    used = weights > 0
    rows = np.column_stack([points, target])[used]
    distinct, where = np.unique(rows, axis=0, return_inverse=True)
    summed = np.bincount(where.ravel(), weights=weights[used])
    return Table(distinct[:, :-1].copy(), distinct[:, -1].copy(), summed / summed.mean())
