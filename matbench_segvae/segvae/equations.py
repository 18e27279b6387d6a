"""The result of a search: formulas in the user's units, from the simplest to the closest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.expressions import Expression

SELECTIONS = ("best", "accuracy", "score")
_CLOSE = 1.5  # times the least loss: what "best" chooses among

Array = NDArray[np.float64]


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


def values_of(expression: Expression, points: Array, variables: Sequence[str]) -> Array:
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
