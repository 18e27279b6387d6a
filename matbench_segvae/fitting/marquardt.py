"""Levenberg-Marquardt for one formula in several groups, compiled, over a batch of formulas.

The scales of the groups enter linearly and are eliminated: variable projection (Golub and
Pereyra, SIAM J. Numer. Anal. 10, 413, 1973) in Kaufman's approximation, where the
derivative of the residual by a constant is the part of it that the scales cannot undo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from matbench_segvae.fitting.compiled import ENGINE, run
from matbench_segvae.types import Floats, Ints

_RIDGE = 1e-12  # keeps normal equations solvable when a formula vanishes on a group
_TINY = 1e-150
_DAMPING = 1e-2  # at the start; divided by 4 after a step that helps, else times 3
_LARGEST_DAMPING = 1e9
_LARGEST_STEP = 1e6
_SETTLED = 1e-7  # relative gain in loss below which a fit is done


@njit(cache=True, error_model="numpy")
def back(factor: Floats, right: Floats, n: int) -> None:
    """Solve, given a factor as :func:`solve` leaves it, in place."""
    for row in range(len(right)):
        for i in range(n):
            total = right[row, i]
            for k in range(i):
                total -= factor[i, k] * right[row, k]
            right[row, i] = total / factor[i, i]
        for i in range(n - 1, -1, -1):
            total = right[row, i]
            for k in range(i + 1, n):
                total -= factor[k, i] * right[row, k]
            right[row, i] = total / factor[i, i]


@njit(cache=True, error_model="numpy")
def solve(matrix: Floats, right: Floats, n: int) -> None:
    """Solve a symmetric positive definite system in place by Cholesky's decomposition.

    Args:
        matrix: Shape ``(>= n, >= n)``; its lower triangle is overwritten.
        right: Shape ``(m, >= n)``: right sides, each overwritten by its solution.
        n: Size of the system.
    """
    trace = 0.0
    for i in range(n):
        trace += matrix[i, i]
    ridge = _RIDGE * trace / n + _TINY
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j] + (ridge if i == j else 0.0)
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                matrix[i, i] = np.sqrt(max(total, ridge))
            else:
                matrix[i, j] = total / matrix[j, j]
    back(matrix, right, n)


@njit(cache=True, error_model="numpy")
def _project(matrix: Floats, root: Floats, values: Floats, out: Floats) -> None:
    """Reduce values at a group's points: by the matrix, or by taking out their mean.

    Args:
        matrix: Shape ``(r, W)``, or ``(0, W)`` for a table, whose observations are its
            points.
        root: Square roots of the weights of a table's rows, shape ``(W,)``.
        values: Shape ``(W,)``.
        out: Shape ``(r,)``.
    """
    if len(matrix):
        for i in range(len(out)):
            out[i] = np.dot(matrix[i], values)
        return
    weight = 0.0
    mean = 0.0
    for i in range(len(out)):
        square = root[i] * root[i]
        weight += square
        mean += square * values[i]
    mean /= weight
    for i in range(len(out)):
        out[i] = root[i] * (values[i] - mean)


@njit(cache=True, error_model="numpy")
def _scales(
    columns: Floats, target: Floats, gram: Floats, right: Floats, residual: Floats
) -> float:
    """Solve for the scales and leave the residual; return its sum of squares.

    Args:
        columns: Reduced sums of each group, shape ``(K, r)``.
        target: Reduced target, shape ``(r,)``.
        gram: Room for normal equations, shape ``(K, K)``; holds their factor afterwards.
        right: Room for the scales, shape ``(1, K)``.
        residual: Room for the residual, shape ``(r,)``.
    """
    n_groups = len(columns)
    for k in range(n_groups):
        right[0, k] = np.dot(columns[k], target)
        for m in range(k + 1):
            gram[k, m] = np.dot(columns[k], columns[m])
    solve(gram, right, n_groups)
    residual[:] = target
    for k in range(n_groups):
        residual -= right[0, k] * columns[k]
    return float(np.dot(residual, residual))


@njit(error_model="numpy")
def _fit_one(
    codes: Ints,
    numbers: Floats,
    length: int,
    used: int,
    points: Floats,
    matrix: Floats,
    root: Floats,
    target: Floats,
    constants: Floats,
    scale: Floats,
    n_steps: int,
    penalty: float,
) -> tuple[float, float]:
    """Fit one formula from given constants, in place.

    Args:
        codes: The formula, shape ``(L,)``.
        numbers: Named constants in it, shape ``(L,)``.
        length: Its number of tokens.
        used: Number of its fitted constants.
        points: Points of each group, shape ``(K, V, W)``.
        matrix: Reduced incidence matrices of the groups, shape ``(K, r, W)``.
        root: Square roots of a table's weights, see :func:`_project`.
        target: Reduced target, shape ``(r,)``.
        constants: Shape ``(K, C)``; where to start, overwritten by the best.
        scale: Shape ``(K,)``, overwritten.
        n_steps: Number of steps.
        penalty: Weight of the constants' squares.

    Returns:
        Sum of squared errors, and the same with the penalty; infinite if undefined.
    """
    n_groups, _, width = points.shape
    size = len(target)
    depth = len(codes) // 2 + 2
    stack = np.empty((depth, width))
    slopes = np.empty((depth, max(used, 1), width))
    has = np.empty((depth, max(used, 1)), dtype=np.bool_)
    scratch = np.empty(width)
    columns = np.empty((n_groups, size))
    trial_columns = np.empty((n_groups, size))
    n_free = n_groups * used
    jacobian = np.empty((max(n_free, 1), size))
    gram = np.empty((n_groups, n_groups))
    right = np.empty((1, n_groups))
    residual = np.empty(size)
    normal = np.empty((max(n_free, 1), max(n_free, 1)))
    damped = np.empty_like(normal)
    gradient = np.empty((1, max(n_free, 1)))
    step = np.empty((1, max(n_free, 1)))
    undone = np.empty((1, n_groups))
    trial = np.empty_like(constants)

    squares = 0.0
    for k in range(n_groups):
        for j in range(used):
            squares += constants[k, j] * constants[k, j]
        if not run(
            codes, numbers, length, points[k], constants[k, :used],
            stack, slopes, has, scratch, False,
        ):  # fmt: skip
            return np.inf, np.inf
        _project(matrix[k], root, stack[0], columns[k])
    error = _scales(columns, target, gram, right, residual)
    loss = error + penalty * squares
    scale[:] = right[0]
    damping = _DAMPING
    fresh = False
    for _ in range(n_steps if used else 0):
        if not fresh:
            # Linearise at the constants that were accepted last.
            _scales(columns, target, gram, right, residual)
            for k in range(n_groups):
                run(
                    codes, numbers, length, points[k], constants[k, :used],
                    stack, slopes, has, scratch, True,
                )  # fmt: skip
                for j in range(used):
                    p = k * used + j
                    _project(matrix[k], root, slopes[0, j], jacobian[p])
                    jacobian[p] *= scale[k]
            for p in range(n_free):
                for k in range(n_groups):
                    undone[0, k] = np.dot(columns[k], jacobian[p])
                back(gram, undone, n_groups)
                for k in range(n_groups):
                    jacobian[p] -= undone[0, k] * columns[k]
            bad = False
            for p in range(n_free):
                value = constants[p // used, p % used]
                gradient[0, p] = np.dot(jacobian[p], residual) - penalty * value
                bad = bad or not np.isfinite(gradient[0, p])
                for q in range(p + 1):
                    normal[p, q] = np.dot(jacobian[p], jacobian[q])
                normal[p, p] += penalty
            if bad:
                break
            fresh = True
        for p in range(n_free):
            step[0, p] = gradient[0, p]
            for q in range(p):
                damped[p, q] = normal[p, q]
            damped[p, p] = normal[p, p] * (1 + damping)
        solve(damped, step, n_free)
        squares = 0.0
        for p in range(n_free):
            change = min(max(step[0, p], -_LARGEST_STEP), _LARGEST_STEP)
            value = constants[p // used, p % used] + change
            trial[p // used, p % used] = value
            squares += value * value
        defined = np.isfinite(squares)
        for k in range(n_groups):
            defined = defined and run(
                codes, numbers, length, points[k], trial[k, :used],
                stack, slopes, has, scratch, False,
            )  # fmt: skip
            if not defined:
                break
            _project(matrix[k], root, stack[0], trial_columns[k])
        trial_loss = np.inf
        if defined:
            trial_error = _scales(trial_columns, target, gram, right, residual)
            trial_loss = trial_error + penalty * squares
        if trial_loss < loss:
            gain = loss - trial_loss
            error, loss = trial_error, trial_loss
            constants[:, :used] = trial[:, :used]
            columns[:] = trial_columns
            scale[:] = right[0]
            damping /= 4
            fresh = False
            if gain < _SETTLED * loss:
                break
        else:
            damping *= 3
            if damping > _LARGEST_DAMPING:
                break
    return error, loss


def _entry_point(engine: str) -> Any:  # noqa: ANN401 - a numba dispatcher
    """What Python calls, kept on disk for as long as the engine stays the same."""

    @njit(cache=True, parallel=True, error_model="numpy")
    def fit_batch(
        codes: Ints,
        numbers: Floats,
        lengths: Ints,
        n_constants: Ints,
        points: Floats,
        matrix: Floats,
        root: Floats,
        target: Floats,
        constants: Floats,
        n_steps: int,
        penalty: float,
    ) -> tuple[Floats, Floats, Floats]:
        """Fit every formula of a batch; ``constants``, shape ``(B, K, C)``, is overwritten.

        Roots of weights, shape ``(B, W)``, and reduced targets, shape ``(B, r)``, have a row for
        each formula, or one for all.

        Returns:
            Scales of shape ``(B, K)``, errors and losses of shape ``(B,)``.
        """
        assert engine
        n_formulas = len(codes)
        scales = np.zeros((n_formulas, len(points)))
        errors = np.empty(n_formulas)
        losses = np.empty(n_formulas)
        for b in prange(n_formulas):
            errors[b], losses[b] = _fit_one(
                codes[b], numbers[b], lengths[b], n_constants[b], points, matrix,
                root[b % len(root)], target[b % len(target)], constants[b], scales[b],
                n_steps, penalty,
            )  # fmt: skip
        return scales, errors, losses

    return fit_batch


fit_batch = _entry_point(ENGINE)
