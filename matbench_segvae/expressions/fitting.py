"""Fitting the constants of many formulas at once to data that add up over points.

The model is ``y = base @ beta + mixing @ (scale[group] * f(points; constants[group]))``:
every observation is a sum of one formula ``f`` taken at a few of a small set of points,
beside columns that enter linearly. An ordinary table is the case of one point per
observation; a pair law has one point per distinct pair distance, however many structures
there are.

For squared errors everything an observation contributes can be condensed beforehand: the
base is projected out and the rest rotated to at most as many equations as there are
points. The cost of a candidate formula then does not depend on the number of
observations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from matbench_segvae.expressions.evaluate import Batch

_RIDGE = 1e-12  # keeps normal equations solvable when a formula vanishes on a group
_LARGEST_CONSTANT = 1e6


@dataclass(frozen=True)
class AdditiveProblem:
    """Observations that are sums of one unknown formula over points.

    Attributes:
        points: Where the formula is evaluated, shape ``(R, V)``, float64.
        group: Group of each point, shape ``(R,)``, values in ``[0, n_groups)``; every
            group has its own scale and constants.
        n_groups: Number of groups ``K``.
        mixing: How often each point counts in each observation, shape ``(N, R)``.
        base: Columns that enter linearly without a formula, shape ``(N, P)``.
        target: Observed values, shape ``(N,)``.
        weights: Weight of each observation in a squared loss, shape ``(N,)``.
    """

    points: torch.Tensor
    group: torch.Tensor
    n_groups: int
    mixing: torch.Tensor
    base: torch.Tensor
    target: torch.Tensor
    weights: torch.Tensor

    def subset(self, rows: torch.Tensor) -> AdditiveProblem:
        """The same problem with some of its observations only."""
        return replace(
            self,
            mixing=self.mixing[rows],
            base=self.base[rows],
            target=self.target[rows],
            weights=self.weights[rows],
        )

    def reweighted(self, weights: torch.Tensor) -> AdditiveProblem:
        """The same problem with other weights, shape ``(N,)``."""
        return replace(self, weights=weights)

    @cached_property
    def members(self) -> list[torch.Tensor]:
        """Positions of the points of each group."""
        return [torch.nonzero(self.group == k).flatten() for k in range(self.n_groups)]

    @cached_property
    def _condensed(self) -> tuple[torch.Tensor, torch.Tensor]:
        root = self.weights.sqrt()[:, None]
        mixing, target = root * self.mixing, root * self.target[:, None]
        if self.base.shape[1]:
            left, singular, _ = torch.linalg.svd(root * self.base, full_matrices=False)
            basis = left[:, singular > 1e-10 * singular.max()]
            mixing = mixing - basis @ (basis.T @ mixing)
            target = target - basis @ (basis.T @ target)
        rotation, matrix = torch.linalg.qr(mixing)
        return matrix, (rotation.T @ target).flatten()

    @property
    def matrix(self) -> torch.Tensor:
        """Condensed mixing matrix, shape ``(min(N, R), R)``."""
        return self._condensed[0]

    @property
    def rest(self) -> torch.Tensor:
        """Condensed target, shape ``(min(N, R),)``."""
        return self._condensed[1]

    def one_by_one(self) -> list[AdditiveProblem]:
        """A problem for each group alone, as if the others were described without error.

        Free values at the points are fitted first; each group's part of them is then
        what its formula is asked for, in the metric of its block of the normal matrix.
        Good starts for the joint fit can so be found group by group.
        """
        normal = self.matrix.T @ self.matrix
        free = torch.linalg.pinv(normal, rtol=1e-8, hermitian=True) @ (self.matrix.T @ self.rest)
        problems = []
        for rows in self.members:
            values, vectors = torch.linalg.eigh(normal[rows][:, rows])
            mixing = values.clamp(min=0).sqrt()[:, None] * vectors.T
            problems.append(
                AdditiveProblem(
                    points=self.points[rows],
                    group=torch.zeros(len(rows), dtype=torch.long),
                    n_groups=1,
                    mixing=mixing,
                    base=mixing.new_zeros(len(rows), 0),
                    target=mixing @ free[rows],
                    weights=mixing.new_ones(len(rows)),
                )
            )
        return problems

    def linear_part(self, columns: torch.Tensor) -> torch.Tensor:
        """Best coefficients of the base and of further columns by weighted least squares.

        Args:
            columns: Shape ``(N, K)``.

        Returns:
            Coefficients, shape ``(P + K,)``; the shortest ones if they are not unique.
        """
        root = self.weights.sqrt()[:, None]
        design = torch.cat([self.base, columns], dim=1)
        # gelsd picks the shortest solution where columns depend on each other.
        solution = torch.linalg.lstsq(
            root * design, root * self.target[:, None], rcond=1e-10, driver="gelsd"
        )
        coefficients: torch.Tensor = solution.solution.flatten()
        return coefficients


@dataclass
class Fit:
    """Constants of a batch of formulas.

    Attributes:
        constants: Shape ``(B, K, C)``.
        scale: Factor of the formula in each group, shape ``(B, K)``.
        error: Condensed sum of squared errors, shape ``(B,)``; infinite where a formula is
            not defined at every point.
        loss: The same with the decay of the constants, which is what is minimised.
    """

    constants: torch.Tensor
    scale: torch.Tensor
    error: torch.Tensor
    loss: torch.Tensor

    def where(self, mask: torch.Tensor, other: Fit) -> Fit:
        """Take this fit where the mask, shape ``(B,)``, is true, the other one elsewhere."""
        return Fit(
            torch.where(mask[:, None, None], self.constants, other.constants),
            torch.where(mask[:, None], self.scale, other.scale),
            torch.where(mask, self.error, other.error),
            torch.where(mask, self.loss, other.loss),
        )


def group_columns(problem: AdditiveProblem, matrix: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Sum values at the points into one column per group.

    Args:
        problem: Says which point belongs to which group.
        matrix: Mixing matrix, shape ``(N, R)``.
        at: Values at the points, shape ``(B, R)``.

    Returns:
        Shape ``(B, N, K)``.
    """
    return torch.stack([at[:, rows] @ matrix[:, rows].T for rows in problem.members], dim=2)


def _solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solve batched symmetric systems, shapes ``(B, n, n)`` and ``(B, n, m)``."""
    size = matrix.diagonal(dim1=1, dim2=2).mean(dim=1)
    ridge = _RIDGE * size + torch.finfo(matrix.dtype).tiny ** 0.5
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype)
    solution: torch.Tensor = torch.linalg.solve_ex(matrix + ridge[:, None, None] * eye, right)[0]
    return solution


@dataclass
class _State:
    """Where a batch of fits stands: the fit and what the next step needs."""

    fit: Fit
    gradient: torch.Tensor  # (B, K*C)
    curvature: torch.Tensor  # (B, K*C, K*C)


def _expand(
    problem: AdditiveProblem, batch: Batch, constants: torch.Tensor, decay: float
) -> _State:
    """Evaluate the batch at some constants, solve for the scales, linearise the rest.

    Variable projection (Golub and Pereyra, SIAM J. Numer. Anal. 10, 413, 1973) in
    Kaufman's approximation: the scales are eliminated, and the derivative of the
    residual by the constants is the part of it that the scales cannot undo.
    """
    values, slopes = batch.values_and_derivatives(problem.points, constants[:, problem.group])
    good = torch.isfinite(values).all(1) & torch.isfinite(slopes).flatten(1).all(1)
    values = torch.where(good[:, None], values, 0.0)
    slopes = torch.where(good[:, None, None], slopes, 0.0)
    columns = group_columns(problem, problem.matrix, values)  # (B, r, K)
    normal = columns.transpose(1, 2) @ columns
    scale = _solve(normal, columns.transpose(1, 2) @ problem.rest[:, None])
    residual = problem.rest - (columns @ scale).squeeze(2)  # (B, r)
    jacobian = torch.cat(
        [
            torch.einsum("nr,brc->bnc", problem.matrix[:, rows], slopes[:, rows])
            * scale[:, k, :, None]
            for k, rows in enumerate(problem.members)
        ],
        dim=2,
    )
    undone = _solve(normal, columns.transpose(1, 2) @ jacobian)
    jacobian = jacobian - columns @ undone
    penalty = decay * problem.rest.square().sum()
    flat = (constants * batch.used[:, None]).flatten(1)
    error = torch.where(good, residual.square().sum(1), torch.inf)
    gradient = (jacobian.transpose(1, 2) @ residual[:, :, None]).squeeze(2)
    curvature = jacobian.transpose(1, 2) @ jacobian
    return _State(
        Fit(constants, scale.squeeze(2), error, error + penalty * flat.square().sum(1)),
        gradient - penalty * flat,
        curvature + penalty * torch.eye(flat.shape[1], dtype=curvature.dtype),
    )


def fit_constants(
    problem: AdditiveProblem,
    batch: Batch,
    start: torch.Tensor,
    n_iterations: int,
    decay: float = 0.0,
) -> Fit:
    """Fit the constants of all formulas by Levenberg-Marquardt steps in lockstep.

    Args:
        problem: The data.
        batch: Formulas, ``B`` of them.
        start: Constants to start from, shape ``(B, K, C)``.
        n_iterations: Number of steps; each formula accepts or refuses its own.
        decay: Weight of the constants' squares in the loss, in units of the loss of no
            formula at all. A little of it settles constants that the data leave open at
            small values, where formulas are smooth.

    Returns:
        The best constants met by each formula, with scales and loss.
    """
    state = _expand(problem, batch, start, decay)
    if batch.width == 0:
        return state.fit
    damping = torch.full((batch.n_formulas,), 1e-2, dtype=start.dtype)
    for _ in range(n_iterations):
        diagonal = state.curvature.diagonal(dim1=1, dim2=2)
        damped = state.curvature + torch.diag_embed(damping[:, None] * diagonal)
        step = _solve(damped, state.gradient[:, :, None]).reshape_as(start)
        step = torch.nan_to_num(step).clamp(-_LARGEST_CONSTANT, _LARGEST_CONSTANT)
        trial = _expand(problem, batch, state.fit.constants + step, decay)
        better = trial.fit.loss < state.fit.loss
        state = _State(
            trial.fit.where(better, state.fit),
            torch.where(better[:, None], trial.gradient, state.gradient),
            torch.where(better[:, None, None], trial.curvature, state.curvature),
        )
        damping = torch.where(better, damping / 4, damping * 3).clamp(1e-12, 1e9)
    return state.fit
