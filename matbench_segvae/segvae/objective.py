"""What a formula is worth: its loss on the data, and who says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import FITTED
from matbench_segvae.expressions.compiled import Floats, Program

Tokens = tuple[str, ...]

# Given formulas, their constants for one group of points, shape (B, C), and the number of
# the group, says which may be kept, shape (B,).
Admissible = Callable[[Program, Floats, int], NDArray[np.bool_]]


def everything(program: Program, constants: Floats, group: int) -> NDArray[np.bool_]:
    """Admit all formulas."""
    return np.ones(len(program), dtype=np.bool_)


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """A formula with its loss and the constants that gave it.

    Attributes:
        tokens: The formula.
        loss: Root mean squared error, weighted, beyond what free values at the points would
            leave; infinite if the formula is not defined on the data or not admissible.
        constants: Constants in each group, shape ``(K, C)`` with the formula's own ``C``.
        plain: The same error of a formula without fitted constants if offset and factor are
            whole numbers too, in spreads of the target; infinite where that is not asked for.
    """

    tokens: Tokens
    loss: float
    constants: Floats
    plain: float = float("inf")


class Objective(Protocol):
    """Scores formulas; the search knows nothing else about the data."""

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Fit and score formulas, in the order given.

        Args:
            formulas: The formulas.
            hints: Constants to start from for some of them, shape ``(K, C)``, NaN for none.
        """


class DirectObjective:
    """Scores formulas without fitted constants by what they say as they stand.

    Args:
        points: Shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Of the rows, shape ``(N,)``.
        variables: Names of the columns of the points.
        admissible: Says which formulas may be kept.
        absolute: Whether errors count as they are instead of squared.
    """

    def __init__(
        self,
        points: Floats,
        target: Floats,
        weights: Floats,
        variables: Sequence[str],
        admissible: Admissible = everything,
        absolute: bool = False,
    ) -> None:
        self._absolute = absolute
        self._points, self._target = points, target
        self._share = weights / weights.sum()
        self._variables = tuple(variables)
        self._admissible = admissible

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Score formulas; hints do not matter.

        Raises:
            ValueError: If a formula has constants to be fitted.
        """
        if any(FITTED in tokens for tokens in formulas):
            raise ValueError("formulas with fitted constants need another objective")
        program = Program.compile(formulas, self._variables)
        none = np.empty((len(formulas), 0))
        with np.errstate(over="ignore"):
            rest = program.values(self._points, none) - self._target
            absolute = np.abs(rest) @ self._share
            errors = absolute if self._absolute else np.sqrt(np.square(rest) @ self._share)
        kept = np.isfinite(errors) & self._admissible(program, none, 0)
        losses = np.where(kept, errors, np.inf).tolist()
        no_constants = np.empty((1, 0))
        return [
            Scored(tokens, loss, no_constants, loss)
            for tokens, loss in zip(formulas, losses, strict=True)
        ]
