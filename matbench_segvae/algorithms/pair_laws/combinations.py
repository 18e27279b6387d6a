"""Laws as combinations of formulas, one for each kind of pair, judged before they are fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from matbench_segvae.algorithms.pair_laws.law import VARIABLES, nodes_of
from matbench_segvae.algorithms.pair_laws.picks import Costs, Pick, cheapest_picks
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.expressions import pareto_front
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.robust import absolute_weights
from matbench_segvae.segvae import Scored
from matbench_segvae.types import Floats

_ROUNDS = 4  # of reweighting; the weights to start from are nearly right


class _Combination(NamedTuple):
    """A formula for each kind of pair, with the law's complexity and error (eV per site)."""

    formulas: tuple[Scored, ...]
    nodes: int
    mae: float


def promising_combinations(
    problem: AdditiveProblem,
    formulas: Sequence[Sequence[Scored]],
    nodes_beside: int,
    settings: PairLawSettings,
) -> list[tuple[Scored, ...]]:
    """Combinations worth a fit of all constants together, each once.

    The combinations with the least sums of squares are judged by their absolute error, the
    constants of their formulas as they are. Kept are those with the smallest error, and the
    best one of every complexity.

    Args:
        problem: Structures as sums over pairs, with weights to start from.
        formulas: Formulas to choose from for each kind of pair.
        nodes_beside: Complexity of what stands beside the formulas.
        settings: Limits of the laws and numbers of combinations.
    """
    columns = [
        [_column(problem, kind, scored) for scored in choice]
        for kind, choice in enumerate(formulas)
    ]
    nodes = [[nodes_of([scored.tokens], 0) for scored in choice] for choice in formulas]
    judged = []
    for picked in _picks(problem, formulas, nodes_beside, settings):
        chosen = tuple(choice[i] for choice, i in zip(formulas, picked, strict=True))
        design = np.stack([choice[i] for choice, i in zip(columns, picked, strict=True)], axis=1)
        size = nodes_beside + sum(choice[i] for choice, i in zip(nodes, picked, strict=True))
        judged.append(_Combination(chosen, size, _least_absolute_error(problem, design)))
    judged.sort(key=lambda one: (one.mae, one.nodes))
    best = judged[: settings.combinations_fitted]
    best += pareto_front(judged, lambda one: one.nodes, lambda one: one.mae)
    return list(dict.fromkeys(one.formulas for one in best))


def _picks(
    problem: AdditiveProblem,
    formulas: Sequence[Sequence[Scored]],
    nodes_beside: int,
    settings: PairLawSettings,
) -> list[Pick]:
    """Combinations to judge: those within the limits with the least squares, and the simplest."""
    n_rows = len(problem.target)
    n_linear = problem.linear.shape[1] + len(formulas)
    costs = Costs(
        squares=[np.array(_squares(problem, kind, c)) for kind, c in enumerate(formulas)],
        nodes=[np.array([nodes_of([s.tokens], 0) for s in c]) for c in formulas],
        parameters=[np.array([s.constants.size for s in c]) for c in formulas],
        max_nodes=min(settings.max_nodes, n_rows / settings.min_rows_per_node) - nodes_beside,
        max_parameters=n_rows / settings.min_rows_per_parameter - n_linear,
    )
    picks = cheapest_picks(costs, settings.combinations_tried)
    sizes = zip(costs.nodes, costs.parameters, strict=True)
    simplest = tuple(int(np.argmin(nodes + parameters)) for nodes, parameters in sizes)
    return list(dict.fromkeys([*picks, simplest]))


def _least_absolute_error(problem: AdditiveProblem, columns: Floats) -> float:
    """Least mean absolute error over the coefficients of the linear part and the columns."""
    design = np.concatenate([problem.linear, columns], axis=1)
    design = design / np.maximum(np.linalg.norm(design, axis=0), np.finfo(float).tiny)
    target, weights = problem.target, problem.weights
    residuals = target
    for _ in range(_ROUNDS):
        weighted = design.T * weights
        # Of a few unknowns; a pseudo-inverse leaves open what the data leave open.
        inverse = np.linalg.pinv(weighted @ design, hermitian=True)
        residuals = target - design @ (inverse @ (weighted @ target))
        weights = absolute_weights(residuals)
    return float(np.abs(residuals).mean())


def _column(problem: AdditiveProblem, kind: int, scored: Scored) -> Floats:
    """What a formula adds to each structure, shape ``(N,)``, its factor left out."""
    assert problem.incidence is not None
    rows = problem.members[kind]
    program = Program.compile([scored.tokens], VARIABLES)
    values = program.values(problem.points[rows], scored.constants.reshape(1, -1))[0]
    return np.asarray(problem.incidence[:, rows] @ values)


def _squares(problem: AdditiveProblem, kind: int, choice: Sequence[Scored]) -> list[float]:
    """Reduced sums of squares that formulas leave of the target of their kind of pair."""
    return [len(problem.members[kind]) * scored.loss**2 for scored in choice]
