"""Fitting the constants of many formulas at once to data that add up over points.

The model is ``y = linear @ beta + incidence @ (scale[group] * f(points; constants[group]))``:
every observation is a sum of one formula ``f`` taken at a few of a small set of points,
beside columns that enter linearly. A pair law has one point per distinct pair distance,
however many structures there are; an ordinary table is the case of one point per
observation.

For squared errors everything an observation contributes can be reduced beforehand: the
linear part is projected out and the remainder rotated to at most as many equations as there are
points. The cost of a candidate formula then does not depend on the number of
observations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.marquardt import fit_batch
from matbench_segvae.types import Booleans, Floats, Ints

_RANK = 1e-10  # singular values below this share of the largest count as 0


@dataclass(frozen=True, eq=False)
class AdditiveProblem:
    """Observations that are sums of one unknown formula over points.

    Attributes:
        points: Where the formula is evaluated, shape ``(R, V)``.
        group: Group of each point, int, shape ``(R,)``, in ``[0, n_groups)``; every group
            has its own scale and constants.
        n_groups: Number of groups ``K``.
        incidence: How often each point counts in each observation, shape ``(N, R)``; ``None``
            for a table, where the observations are the points.
        linear: Columns that enter linearly without a formula, shape ``(N, P)``; a table has
            a column of ones.
        target: Observed values, shape ``(N,)``.
        weights: Weight of each observation in a squared loss, shape ``(N,)``.
    """

    points: Floats
    group: Ints
    n_groups: int
    incidence: Floats | None
    linear: Floats
    target: Floats
    weights: Floats

    @classmethod
    def table(cls, points: Floats, target: Floats, weights: Floats) -> AdditiveProblem:
        """An ordinary table: ``y = beta + scale * f(x; constants)``.

        Args:
            points: Shape ``(N, V)``.
            target: Shape ``(N,)``.
            weights: Shape ``(N,)``.
        """
        group = np.zeros(len(points), dtype=np.int64)
        return cls(points, group, 1, None, np.ones((len(points), 1)), target, weights)

    def subset(self, rows: Ints) -> AdditiveProblem:
        """The same problem with some of its observations only."""
        picked = replace(
            self, linear=self.linear[rows], target=self.target[rows], weights=self.weights[rows]
        )
        if self.incidence is None:
            return replace(picked, points=self.points[rows], group=self.group[rows])
        return replace(picked, incidence=self.incidence[rows])

    def reweighted(self, weights: Floats) -> AdditiveProblem:
        """The same problem with other weights, shape ``(N,)``."""
        return replace(self, weights=weights)

    @cached_property
    def members(self) -> list[Ints]:
        """Positions of the points of each group."""
        return [np.flatnonzero(self.group == k) for k in range(self.n_groups)]

    @cached_property
    def _reduced(self) -> tuple[Floats, Floats]:
        """Matrix of shape ``(r, R)``, ``r = min(N, R)``, and target of shape ``(r,)``."""
        root = np.sqrt(self.weights)
        if self.incidence is None:
            mean = np.average(self.target, weights=self.weights)
            return np.empty((0, len(root))), root * (self.target - mean)
        incidence, target = root[:, None] * self.incidence, root * self.target
        if self.linear.shape[1]:
            left, singular, _ = np.linalg.svd(root[:, None] * self.linear, full_matrices=False)
            basis = left[:, singular > _RANK * singular.max()]
            incidence = incidence - basis @ (basis.T @ incidence)
            target = target - basis @ (basis.T @ target)
        rotation, matrix = np.linalg.qr(incidence)
        return matrix, rotation.T @ target

    @property
    def reduced_matrix(self) -> Floats:
        """Incidence without what the linear part can do, rotated, shape ``(r, R)``."""
        return self._reduced[0]

    @property
    def reduced_target(self) -> Floats:
        """Reduced target, shape ``(r,)``: what a formula is fitted to."""
        return self._reduced[1]

    @cached_property
    def padded(self) -> tuple[Floats, Floats]:
        """Points ``(K, V, W)`` and matrices ``(K, r, W)`` of the groups, of equal width.

        A narrow group repeats its last point, which then counts 0 times.
        """
        matrix = self._reduced[0]
        width = max(len(rows) for rows in self.members)
        points = np.empty((self.n_groups, self.points.shape[1], width))
        matrices = np.zeros((self.n_groups, len(matrix), width))
        for k, rows in enumerate(self.members):
            filled = np.concatenate([rows, np.repeat(rows[-1:], width - len(rows))])
            points[k] = self.points[filled].T
            matrices[k, :, : len(rows)] = matrix[:, rows]
        return points, matrices

    def one_by_one(self) -> list[AdditiveProblem]:
        """A problem for each group alone, as if the others were described without error.

        Free values at the points are fitted first; each group's share of them is then
        the target of its formula, in the metric of its block of the normal matrix.
        Good starts for the joint fit can so be found group by group.
        """
        if self.n_groups == 1:
            return [self]
        matrix, target = self._reduced
        normal = matrix.T @ matrix
        free = np.linalg.pinv(normal, rcond=1e-8, hermitian=True) @ (matrix.T @ target)
        problems = []
        for rows in self.members:
            values, vectors = np.linalg.eigh(normal[np.ix_(rows, rows)])
            incidence = np.sqrt(values.clip(min=0))[:, None] * vectors.T
            problems.append(
                AdditiveProblem(
                    points=self.points[rows],
                    group=np.zeros(len(rows), dtype=np.int64),
                    n_groups=1,
                    incidence=incidence,
                    linear=np.empty((len(rows), 0)),
                    target=incidence @ free[rows],
                    weights=np.ones(len(rows)),
                )
            )
        return problems

    def values(self, program: Program, constants: Floats) -> Floats:
        """Values of one formula at all points.

        Args:
            program: A batch of one formula.
            constants: Shape ``(K, C)``.

        Returns:
            Shape ``(R,)``.
        """
        values = np.empty(len(self.points))
        for k, rows in enumerate(self.members):
            values[rows] = program.values(self.points[rows], constants[None, k])[0]
        return values

    def columns(self, values: Floats) -> Floats:
        """Sum values at the points, shape ``(R,)``, into a column per group, ``(N, K)``."""
        if self.incidence is None:
            return values[:, None]
        return np.stack([self.incidence[:, rows] @ values[rows] for rows in self.members], axis=1)

    def linear_part(self, columns: Floats) -> Floats:
        """Best coefficients of the linear part and of further columns by weighted least squares.

        Args:
            columns: Shape ``(N, M)``.

        Returns:
            Coefficients, shape ``(P + M,)``; the shortest ones if they are not unique.
        """
        root = np.sqrt(self.weights)
        design = np.concatenate([self.linear, columns], axis=1)
        # Columns of very different size would else fall below the rank tolerance.
        size = np.linalg.norm(design, axis=0)
        size[size == 0] = 1.0
        solution = np.linalg.lstsq(root[:, None] * design / size, root * self.target, rcond=_RANK)
        return np.asarray(solution[0] / size, dtype=np.float64)


@dataclass
class Fit:
    """Constants of a batch of formulas.

    Attributes:
        constants: Shape ``(B, K, C)``.
        scale: Factor of the formula in each group, shape ``(B, K)``.
        error: Reduced sum of squared errors, shape ``(B,)``; infinite where a formula is
            not defined at every point.
        loss: The same with the decay of the constants, which is what is minimised.
    """

    constants: Floats
    scale: Floats
    error: Floats
    loss: Floats

    def where(self, mask: Booleans, other: Fit) -> Fit:
        """Take this fit where the mask, shape ``(B,)``, is true, the other one elsewhere."""
        return Fit(
            np.where(mask[:, None, None], self.constants, other.constants),
            np.where(mask[:, None], self.scale, other.scale),
            np.where(mask, self.error, other.error),
            np.where(mask, self.loss, other.loss),
        )


def fit_constants(
    problem: AdditiveProblem,
    program: Program,
    start: Floats,
    n_steps: int,
    decay: float = 0.0,
) -> Fit:
    """Fit the constants of all formulas by Levenberg-Marquardt steps.

    Args:
        problem: The data.
        program: Formulas, ``B`` of them.
        start: Constants to start from, shape ``(B, K, C)``.
        n_steps: Number of steps for each formula.
        decay: Weight of the constants' squares in the loss, in units of the loss of no
            formula at all. A little of it settles constants that the data leave open at
            small values, where formulas are smooth.

    Returns:
        The best constants met by each formula, with scales and loss.
    """
    points, matrices = problem.padded
    target = problem.reduced_target
    # A last column of zeros spares the compiled code the case of no constants.
    constants = np.zeros((len(program), problem.n_groups, max(program.width, 1)))
    constants[:, :, : program.width] = start
    scale, error, loss = fit_batch(
        program.codes,
        program.numbers,
        program.lengths,
        program.n_constants,
        points,
        matrices,
        np.sqrt(problem.weights)[None],
        target[None],
        constants,
        n_steps,
        decay * float(target @ target),
    )
    return Fit(constants[:, :, : program.width], scale, error, loss)


_ORDINARY = 1  # orders of magnitude away from one that need no scaling


def powers_of_ten(points: Floats) -> Floats:
    """The size of each column as a power of ten; 1 for columns of ordinary size.

    Args:
        points: Shape ``(N, V)``.

    Returns:
        Shape ``(V,)``.
    """
    with np.errstate(over="ignore"):
        # The largest value goes first, so that squares neither overflow nor vanish.
        largest = np.abs(points).max(axis=0)
        safe = np.where(largest > 0, largest, 1.0)
        size = safe * np.sqrt(np.mean((points / safe) ** 2, axis=0))
    order = np.round(np.log10(np.where(size > 0, size, 1.0)))
    return np.asarray(10.0 ** np.where(np.abs(order) > _ORDINARY, order, 0.0))
