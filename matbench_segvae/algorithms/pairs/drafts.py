"""Combinations of formulas, one for each kind of pair, judged before they are fitted.

There are too many to fit all of them to the structures. The constants of each formula are
those of its own search; with them a law is linear in what is left, the defect energies and
a factor for each formula, and its least absolute error is quickly found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.algorithms.pairs.law import nodes_of
from matbench_segvae.expressions.compiled import Floats, Program
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.expressions.robust import absolute_weights
from matbench_segvae.segvae import Scored

Law = tuple[Scored, ...]

_ROUNDS = 4  # of reweighting; the weights to start from are nearly right


@dataclass(frozen=True, eq=False)
class Draft:
    """A law whose formulas keep the constants they came with.

    Attributes:
        law: A formula for each kind of pair.
        nodes: Complexity of the law.
        mae: Mean absolute error, eV per site.
    """

    law: Law
    nodes: int
    mae: float


class LawDrafts:
    """All combinations of some formulas.

    Args:
        problem: Structures as sums over pairs, with weights to start from.
        formulas: Formulas to choose from for each kind of pair.
        variables: Names of the formulas' variables.
        nodes_beside: Complexity of what stands beside the formulas.
    """

    def __init__(
        self,
        problem: AdditiveProblem,
        formulas: Sequence[Sequence[Scored]],
        variables: Sequence[str],
        nodes_beside: int,
    ) -> None:
        self._problem = problem
        self._nodes_beside = nodes_beside
        self._formulas = formulas
        self._columns = [
            [_column(problem, kind, scored, variables) for scored in choice]
            for kind, choice in enumerate(formulas)
        ]

    def promising(self, most_nodes: float, most_numbers: float, n_drafts: int) -> list[Draft]:
        """The combinations with the least sums of squares, judged by the absolute error.

        Args:
            most_nodes: Largest complexity of a law.
            most_numbers: Most fitted numbers of a law; the simplest law of all is there in
                any case.
            n_drafts: How many to judge.
        """
        n_linear = self._problem.base.shape[1] + len(self._formulas)
        squares = _over_all([_squares(self._problem, k, c) for k, c in enumerate(self._formulas)])
        nodes = _over_all([[nodes_of([s.tokens], 0) for s in c] for c in self._formulas])
        nodes += self._nodes_beside
        numbers = _over_all([[s.constants.size for s in c] for c in self._formulas]) + n_linear
        allowed = (nodes <= most_nodes) & (numbers <= most_numbers)
        order = np.argsort(np.where(allowed, squares, np.inf), axis=None, kind="stable")
        chosen = order[: min(n_drafts, int(allowed.sum()))].tolist()
        simplest = int(np.argmin(nodes + numbers))
        return [
            self._draft(
                [int(i) for i in np.unravel_index(place, nodes.shape)], int(nodes.flat[place])
            )
            for place in dict.fromkeys([*chosen, simplest])
        ]

    def _draft(self, picked: Sequence[int], nodes: int) -> Draft:
        law = tuple(choice[i] for choice, i in zip(self._formulas, picked, strict=True))
        columns = [choice[i] for choice, i in zip(self._columns, picked, strict=True)]
        return Draft(law, nodes, self._mae(np.stack(columns, axis=1)))

    def _mae(self, columns: Floats) -> float:
        """Least absolute error over the coefficients of the base and the columns."""
        design = np.concatenate([self._problem.base, columns], axis=1)
        design = design / np.maximum(np.linalg.norm(design, axis=0), np.finfo(float).tiny)
        target, weights = self._problem.target, self._problem.weights
        residuals = target
        for _ in range(_ROUNDS):
            weighted = design.T * weights
            # Of a few unknowns; a pseudo-inverse leaves open what the data leave open.
            inverse = np.linalg.pinv(weighted @ design, hermitian=True)
            residuals = target - design @ (inverse @ (weighted @ target))
            weights = absolute_weights(residuals)
        return float(np.abs(residuals).mean())


def _column(
    problem: AdditiveProblem, kind: int, scored: Scored, variables: Sequence[str]
) -> Floats:
    """What a formula adds to each structure, shape ``(N,)``, its factor left out."""
    assert problem.mixing is not None
    rows = problem.members[kind]
    program = Program.compile([scored.tokens], variables)
    values = program.values(problem.points[rows], scored.constants.reshape(1, -1))[0]
    return np.asarray(problem.mixing[:, rows] @ values)


def _squares(problem: AdditiveProblem, kind: int, choice: Sequence[Scored]) -> list[float]:
    """Condensed sums of squares that formulas leave of what their kind of pair is asked for."""
    return [len(problem.members[kind]) * scored.loss**2 for scored in choice]


def _over_all(each: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Sums over one entry of each list, for every choice of entries."""
    grids = np.meshgrid(*[np.asarray(values, dtype=np.float64) for values in each], indexing="ij")
    return np.asarray(np.sum(grids, axis=0))
