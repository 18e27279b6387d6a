"""Fitting the common constants of shapes whose coefficients differ from group to group, compiled.

In each group the values at its points are a sum of the same shapes with coefficients of its own;
the shapes' constants are common to all groups. The coefficients are eliminated by variable
projection, in Kaufman's approximation as in :mod:`~matbench_segvae.fitting.marquardt`. What it
costs to miss a group's values is a quadratic form of its own, so that a step takes one small
fit in each group.

Shapes are judged by the best law of a limited size: each coefficient counts one node, those that
pay least are left out, and how many each group keeps is decided by dynamic programming.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from matbench_segvae.fitting.compiled import ENGINE, run
from matbench_segvae.fitting.marquardt import back, solve
from matbench_segvae.types import Floats, Ints

MAX_SHAPES = 6
"""Most shapes of a law: all subsets of them are tried in every group."""

_LARGEST_TERM = 4.0  # size of one shape's share of a group, in sizes of the group's target
_TINY = 1e-100
_DAMPING = 1e-2  # at the start; divided by 4 after a step that helps, else times 3
_LARGEST_DAMPING = 1e9
_LARGEST_STEP = 3.0
_SETTLED = 1e-6  # relative gain in loss below which a fit is done


@njit(error_model="numpy")
def _evaluate(
    codes: Ints, numbers: Floats, lengths: Ints, slots: Ints, points: Floats, constants: Floats,
    values: Floats, slopes: Floats, with_slopes: bool,
) -> bool:  # fmt: skip
    """Fill values ``(M, U)`` of shapes and their derivatives ``(M, C, U)``; are all defined?"""
    n_points = points.shape[1]
    depth = codes.shape[1] // 2 + 2
    width = max(len(constants), 1)
    stack = np.empty((depth, n_points))
    inner = np.empty((depth, width, n_points))
    has = np.empty((depth, width), dtype=np.bool_)
    scratch = np.empty(n_points)
    for m in range(len(lengths)):
        first, used = slots[m, 0], slots[m, 1]
        if not run(
            codes[m], numbers[m], lengths[m], points, constants[first : first + used],
            stack, inner, has, scratch, with_slopes,
        ):  # fmt: skip
            return False
        values[m] = stack[0]
        if with_slopes:
            slopes[m] = 0.0
            for j in range(used):
                slopes[m, first + j] = inner[0, j]
    return True


@njit(error_model="numpy")
def _columns(matrix: Floats, gather: Ints, values: Floats, columns: Floats) -> None:
    """Shapes at a group's points in the metric of the group: ``(M, W)`` from ``(M, U)``."""
    width = len(gather)
    picked = np.empty(width)
    for m in range(len(values)):
        for p in range(width):
            picked[p] = values[m, gather[p]]
        for i in range(width):
            columns[m, i] = np.dot(matrix[i], picked)


@njit(error_model="numpy")
def _project(columns: Floats, target: Floats, gram: Floats, right: Floats, sizes: Floats) -> float:
    """Best coefficients of columns, which are normalised in place; the squares they leave."""
    n = len(columns)
    for m in range(n):
        sizes[m] = np.sqrt(np.dot(columns[m], columns[m])) + _TINY
        columns[m] /= sizes[m]
    for m in range(n):
        right[0, m] = np.dot(columns[m], target)
        for q in range(m + 1):
            gram[m, q] = np.dot(columns[m], columns[q])
    solve(gram, right, n)
    total = 0.0
    for i in range(len(target)):
        rest = target[i]
        for m in range(n):
            rest -= right[0, m] * columns[m, i]
        total += rest * rest
    return float(total)


@njit(error_model="numpy")
def _error(matrices: Floats, gathers: Ints, targets: Floats, values: Floats) -> float:
    """Squares that the shapes leave, with all coefficients, over all groups."""
    n, width = len(values), targets.shape[1]
    columns, gram = np.empty((n, width)), np.empty((n, n))
    right, sizes = np.empty((1, n)), np.empty(n)
    total = 0.0
    for k in range(len(targets)):
        _columns(matrices[k], gathers[k], values, columns)
        total += _project(columns, targets[k], gram, right, sizes)
    return float(total)


@njit(error_model="numpy")
def _linearise(
    matrices: Floats, gathers: Ints, targets: Floats, values: Floats, slopes: Floats,
    normal: Floats, gradient: Floats,
) -> None:  # fmt: skip
    """Normal equations of the constants at the best coefficients, over all groups."""
    n, n_constants, width = len(values), slopes.shape[1], targets.shape[1]
    columns, gram = np.empty((n, width)), np.empty((n, n))
    right, sizes = np.empty((1, n)), np.empty(n)
    picked, residual = np.empty(width), np.empty(width)
    jacobian, undone = np.empty((n_constants, width)), np.empty((1, n))
    normal[:] = 0.0
    gradient[:] = 0.0
    for k in range(len(targets)):
        _columns(matrices[k], gathers[k], values, columns)
        _project(columns, targets[k], gram, right, sizes)
        residual[:] = targets[k]
        for m in range(n):
            residual -= right[0, m] * columns[m]
        for j in range(n_constants):
            for p in range(width):
                picked[p] = 0.0
                for m in range(n):
                    picked[p] += right[0, m] / sizes[m] * slopes[m, j, gathers[k, p]]
            for i in range(width):
                jacobian[j, i] = np.dot(matrices[k, i], picked)
            for m in range(n):
                undone[0, m] = np.dot(columns[m], jacobian[j])
            back(gram, undone, n)
            for m in range(n):
                jacobian[j] -= undone[0, m] * columns[m]
        for j in range(n_constants):
            gradient[0, j] += np.dot(jacobian[j], residual)
            for q in range(j + 1):
                normal[j, q] += np.dot(jacobian[j], jacobian[q])


@njit(error_model="numpy")
def _descend(
    codes: Ints, numbers: Floats, lengths: Ints, slots: Ints, points: Floats,
    matrices: Floats, gathers: Ints, targets: Floats, constants: Floats,
    n_steps: int, penalty: float,
) -> float:  # fmt: skip
    """Fit the constants in place; return the squares left with all coefficients."""
    n, n_points, n_constants = len(lengths), points.shape[1], len(constants)
    values = np.empty((n, n_points))
    slopes = np.empty((n, max(n_constants, 1), n_points))
    normal = np.empty((max(n_constants, 1), max(n_constants, 1)))
    damped = np.empty_like(normal)
    gradient = np.empty((1, max(n_constants, 1)))
    step = np.empty_like(gradient)
    trial = constants.copy()
    if not _evaluate(
        codes, numbers, lengths, slots, points, constants, values, slopes, False
    ):  # fmt: skip
        return np.inf
    error = _error(matrices, gathers, targets, values)
    loss = error + penalty * np.dot(constants, constants)
    damping = _DAMPING
    fresh = False
    for _ in range(n_steps if n_constants else 0):
        if not fresh:
            _evaluate(codes, numbers, lengths, slots, points, constants, values, slopes, True)
            _linearise(matrices, gathers, targets, values, slopes, normal, gradient)
            for j in range(n_constants):
                gradient[0, j] -= penalty * constants[j]
                normal[j, j] += penalty
            fresh = True
        if not np.isfinite(gradient).all():
            break
        for j in range(n_constants):
            step[0, j] = gradient[0, j]
            for q in range(j):
                damped[j, q] = normal[j, q]
            damped[j, j] = normal[j, j] * (1 + damping) + _TINY
        solve(damped, step, n_constants)
        for j in range(n_constants):
            trial[j] = constants[j] + min(max(step[0, j], -_LARGEST_STEP), _LARGEST_STEP)
        trial_loss = np.inf
        trial_error = np.inf
        if _evaluate(codes, numbers, lengths, slots, points, trial, values, slopes, False):
            trial_error = _error(matrices, gathers, targets, values)
            trial_loss = trial_error + penalty * np.dot(trial, trial)
        if trial_loss < loss:
            settled = loss - trial_loss < _SETTLED * loss
            constants[:] = trial
            error, loss, fresh = trial_error, trial_loss, False
            damping /= 4
            if settled:
                break
        else:
            damping *= 3
            if damping > _LARGEST_DAMPING:
                break
    return float(error)


@njit(error_model="numpy")
def _best_subsets(
    matrices: Floats, gathers: Ints, targets: Floats, values: Floats, best: Floats, chosen: Ints
) -> None:
    """Least squares left in each group by so many of the shapes, and which those are.

    Only shapes that do not cancel each other are taken together.

    Args:
        matrices: Metric of each group, shape ``(K, W, W)``.
        gathers: Which point each of a group's points is, shape ``(K, W)``.
        targets: Shape ``(K, W)``.
        values: Of the shapes at all points, shape ``(M, U)``.
        best: Filled, shape ``(K, M + 1)``.
        chosen: Filled with bits, one for each shape, shape ``(K, M + 1)``.
    """
    n, width = len(values), targets.shape[1]
    columns, part = np.empty((n, width)), np.empty((n, width))
    gram, right, sizes = np.empty((n, n)), np.empty((1, n)), np.empty(n)
    best[:] = np.inf
    for k in range(len(targets)):
        _columns(matrices[k], gathers[k], values, columns)
        norm = np.sqrt(np.dot(targets[k], targets[k]))
        for bits in range(1 << n):
            count = 0
            for m in range(n):
                if bits >> m & 1:
                    part[count] = columns[m]
                    count += 1
            left = np.dot(targets[k], targets[k])
            if count:
                left = _project(part[:count], targets[k], gram[:count, :count], right, sizes)
            for m in range(count):
                # Large terms that cancel cannot be read, nor be written with a few digits.
                if np.abs(right[0, m]) > _LARGEST_TERM * norm:
                    left = np.inf
            if left < best[k, count]:
                best[k, count] = left
                chosen[k, count] = bits


@njit(error_model="numpy")
def _allocate(best: Floats, n_entries: int, kept: Ints) -> float:
    """Spread a number of coefficients over the groups so that the least squares are left.

    Args:
        best: Squares left by so many coefficients in each group, shape ``(K, M + 1)``.
        n_entries: Coefficients in all, at most.
        kept: Filled with the number of coefficients of each group, shape ``(K,)``.

    Returns:
        The squares left.
    """
    n_groups, width = best.shape
    size = min(max(n_entries, 0), n_groups * (width - 1))
    totals = np.full((n_groups + 1, size + 1), np.inf)
    totals[0, :] = 0.0
    picks = np.zeros((n_groups, size + 1), dtype=np.int64)
    for k in range(n_groups):
        for entries in range(size + 1):
            for own in range(min(width - 1, entries) + 1):
                total = totals[k, entries - own] + best[k, own]
                if total < totals[k + 1, entries]:
                    totals[k + 1, entries] = total
                    picks[k, entries] = own
    left = size
    for k in range(n_groups - 1, -1, -1):
        kept[k] = picks[k, left]
        left -= picks[k, left]
    return float(totals[n_groups, size])


def _entry_points(engine: str) -> tuple[Any, Any]:
    """What Python calls, kept on disk for as long as the engine stays the same."""

    @njit(cache=True, parallel=True, error_model="numpy")
    def fit(
        codes: Ints, numbers: Floats, lengths: Ints, slots: Ints, starts: Ints, n_constants: Ints,
        points: Floats, matrices: Floats, gathers: Ints, targets: Floats, constants: Floats,
        n_entries: Ints, n_steps: int, penalty: float,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Fit a batch of sets of shapes; see :class:`ShapeProblem`."""
        assert engine
        n_sets = len(starts) - 1
        errors, losses = np.empty(n_sets), np.empty(n_sets)
        for b in prange(n_sets):
            own = slice(starts[b], starts[b + 1])
            used = n_constants[b]
            errors[b] = _descend(
                codes[own], numbers[own], lengths[own], slots[own], points, matrices, gathers,
                targets, constants[b, :used], n_steps, penalty,
            )  # fmt: skip
            losses[b] = np.inf
            if np.isfinite(errors[b]):
                n = starts[b + 1] - starts[b]
                values = np.empty((n, points.shape[1]))
                slopes = np.empty((n, max(used, 1), 1))
                _evaluate(
                    codes[own], numbers[own], lengths[own], slots[own], points,
                    constants[b, :used], values, slopes, False,
                )  # fmt: skip
                best = np.empty((len(targets), n + 1))
                chosen = np.empty((len(targets), n + 1), dtype=np.int64)
                _best_subsets(matrices, gathers, targets, values, best, chosen)
                kept = np.empty(len(targets), dtype=np.int64)
                losses[b] = _allocate(best, n_entries[b], kept)
        return errors, losses

    @njit(cache=True, error_model="numpy")
    def allocate(
        matrices: Floats, gathers: Ints, targets: Floats, values: Floats, n_entries: int
    ) -> tuple[Ints, float]:
        """Bits of the shapes that each group keeps, shape ``(K,)``, and the squares left."""
        assert engine
        shape = (len(targets), len(values) + 1)
        best, chosen = np.empty(shape), np.empty(shape, dtype=np.int64)
        _best_subsets(matrices, gathers, targets, values, best, chosen)
        kept = np.empty(len(targets), dtype=np.int64)
        left = _allocate(best, n_entries, kept)
        bits = np.empty(len(targets), dtype=np.int64)
        for k in range(len(targets)):
            bits[k] = chosen[k, kept[k]]
        return bits, left

    return fit, allocate


fit_batch, allocate = _entry_points(ENGINE)
