"""Least absolute deviations: fits that a few large errors in the target do not dominate.

Iteratively reweighted least squares: a squared loss with weights ``1 / |residual|`` has
the absolute loss's minimum (Schlossmacher, J. Am. Stat. Assoc. 68, 857, 1973). Residuals
below a floor all get the floor's weight, which keeps the weights finite. What is linear in
its unknowns is also solved exactly, as a linear program (Wagner, J. Am. Stat. Assoc. 54,
206, 1959).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack

from matbench_segvae.fitting.additive_problem import AdditiveProblem, Fit
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.marquardt import fit_batch
from matbench_segvae.types import Floats

STD_PER_MAE = math.sqrt(math.pi / 2)
"""Standard deviation of normal errors in units of their mean absolute value."""


COARSE_FLOOR = 1.0
"""Share of the median residual below which weights grow no further, where residuals are still to
move by about as much."""


_FLOOR = 1e-2  # share of the median residual below which weights grow no further
_ROUNDING = 1e-9  # the same as a share of the largest residual
_TABLE_ROUNDS = 6  # of reweighting, in the fit of many formulas to a table
_LINEAR_ROUNDS = 9  # of reweighting, in the fit of what is linear in its unknowns
_AT_ONCE = 4_000_000  # residuals of many formulas on many rows
_TOLERANCE = 1e-9  # of the linear program; has to be far below any pull


def absolute_weights(residuals: Floats, floor: float = _FLOOR) -> Floats:
    """Weights that make a squared loss follow the absolute one, with mean 1.

    Args:
        residuals: Shape ``(..., N)``.
        floor: Share of the median residual below which weights grow no further.
    """
    size = np.abs(residuals)
    least = floor * np.median(size, axis=-1, keepdims=True)
    least = np.maximum(least, _ROUNDING * (_ROUNDING + size.max(axis=-1, keepdims=True)))
    weights = 1 / np.maximum(size, least)
    return np.asarray(weights / weights.mean(axis=-1, keepdims=True))


def fit_table_absolutely(
    problem: AdditiveProblem,
    program: Program,
    start: Floats,
    n_steps: int,
    decay: float = 0.0,
) -> Fit:
    """Fit the constants of all formulas to a table under absolute error.

    Every formula has weights of its own, which follow its residuals.

    Args:
        problem: A table.
        program: Formulas, ``B`` of them.
        start: Constants to start from, shape ``(B, 1, C)``.
        n_steps: Twice the number of steps between two changes of the weights.
        decay: As for :func:`~matbench_segvae.fitting.additive_problem.fit_constants`.

    Returns:
        The best constants met by each formula. Its ``error`` is such that the root of its mean
        is the mean absolute error, so that fits under either loss are read in the same way.
    """
    constants = np.zeros((len(program), 1, max(program.width, 1)))
    constants[:, :, : program.width] = start
    size = max(1, _AT_ONCE // len(problem.target))
    places = [slice(i, i + size) for i in range(0, max(len(program), 1), size)]
    fits = [
        _fit_part(problem, program.part(place), constants[place], n_steps, decay)
        for place in places
    ]
    return Fit(
        np.concatenate([fit.constants for fit in fits])[:, :, : program.width],
        np.concatenate([fit.scale for fit in fits]),
        np.concatenate([fit.error for fit in fits]),
        np.concatenate([fit.loss for fit in fits]),
    )


def _fit_part(
    problem: AdditiveProblem, program: Program, constants: Floats, n_steps: int, decay: float
) -> Fit:
    """Fit so many formulas that their residuals on all rows are no burden to the memory."""
    points, matrices = problem.padded
    target, rows = problem.target, problem.weights
    penalty = decay * float(problem.reduced_target @ problem.reduced_target)
    factors = absolute_weights(target - np.median(target), COARSE_FLOOR)[None]
    best: Fit | None = None
    for number in range(_TABLE_ROUNDS):
        share = rows * factors / (rows * factors).sum(axis=-1, keepdims=True)
        around = target - (share @ target)[:, None]
        scale, _, _ = fit_batch(
            program.codes,
            program.numbers,
            program.lengths,
            program.n_constants,
            points,
            matrices,
            np.sqrt(share),
            np.sqrt(share) * around,
            constants,
            # The first round judges the start as it is.
            -(-n_steps // 2) if number else 0,
            penalty / len(target),
        )
        values = program.values(problem.points, constants[:, 0])
        with np.errstate(all="ignore"):
            middle = (share * values).sum(axis=1, keepdims=True)
            residuals = around - scale * (values - middle)
            mae = np.abs(residuals) @ rows / rows.sum()
            loss = len(target) * mae**2 + penalty * np.square(constants).sum(axis=(1, 2))
        defined = np.isfinite(loss)
        error = np.where(defined, len(target) * mae**2, np.inf)
        fit = Fit(constants.copy(), scale, error, np.where(defined, loss, np.inf))
        best = fit if best is None else fit.where(fit.loss < best.loss, best)
        factors = absolute_weights(np.where(defined[:, None], residuals, 1.0))
    assert best is not None
    return best


def robust_weights(problem: AdditiveProblem, n_rounds: int = 20) -> Floats:
    """Weights under which a squared loss judges formulas as the absolute loss would.

    They come from a robust fit of free values at the points: what even free values cannot
    describe is an outlier for every formula. With these weights the data are reduced once,
    and each candidate is then as cheap as under squared loss. Free values under the absolute
    loss pass through some observations exactly, and formulas do not: weights grow no further
    below the median residual, or those few observations would count for more than all others.

    Args:
        problem: The data; its own weights are not used.
        n_rounds: Rounds of reweighting.

    Returns:
        Weights, shape ``(N,)``. All 1 if free values describe the data without error, as
        they always do for a table.
    """
    weights = np.ones_like(problem.target)
    if problem.incidence is None:
        return weights
    design = np.concatenate([problem.linear, problem.incidence], axis=1)
    scale = np.abs(problem.target).max()
    for _ in range(n_rounds):
        coefficients = problem.reweighted(weights).linear_part(problem.incidence)
        residuals = problem.target - design @ coefficients
        if np.median(np.abs(residuals)) <= 1e-9 * scale:
            return np.ones_like(weights)
        weights = absolute_weights(residuals, COARSE_FLOOR)
    return weights


def least_absolute(design: Floats, target: Floats, pull: Floats) -> Floats:
    """Minimise ``sum |target - design @ x| + pull @ |x|`` exactly.

    Args:
        design: Shape ``(N, M)``.
        target: Shape ``(N,)``.
        pull: Cost of each unknown's size, not negative, shape ``(M,)``.

    Returns:
        The unknowns ``x``, shape ``(M,)``.

    Raises:
        RuntimeError: If the solver fails, which it has no reason to: the problem always
            has a solution.
    """
    # Unknowns and residuals are differences of two numbers that are not negative; at the
    # minimum one of the two is 0, so that their sum is the absolute value.
    columns, ones = csr_array(design), eye_array(len(target))
    found = linprog(
        np.concatenate([pull, pull, np.ones(2 * len(target))]),
        A_eq=hstack([columns, -columns, ones, -ones], format="csr"),
        b_eq=target,
        method="highs",
        options={
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        },
    )
    if not found.success:
        raise RuntimeError(f"least absolute deviations: {found.message}")
    positive, negative = found.x[: len(pull)], found.x[len(pull) : 2 * len(pull)]
    return np.asarray(positive - negative, dtype=np.float64)


def nearly_least_absolute(design: Floats, target: Floats, pull: Floats) -> Floats:
    """As :func:`least_absolute`, by reweighted least squares: nearly the minimum, and soon.

    Args:
        design: Shape ``(N, M)``.
        target: Shape ``(N,)``.
        pull: Cost of each unknown's size, shape ``(M,)``, which enters as a square.
    """
    to_zero = np.diag(np.sqrt(pull))
    weights = np.ones(len(target))
    values = np.zeros(len(pull))
    for number in range(_LINEAR_ROUNDS):
        root = np.sqrt(weights)
        rows = np.concatenate([root[:, None] * design, to_zero])
        right = np.append(root * target, np.zeros(len(pull)))
        triangle = np.asarray(np.linalg.qr(np.column_stack([rows, right]), mode="r"))
        values = np.linalg.lstsq(triangle[:, :-1], triangle[:, -1], rcond=1e-10)[0]
        coarse = number < _LINEAR_ROUNDS // 3
        weights = absolute_weights(target - design @ values, COARSE_FLOOR if coarse else _FLOOR)
    return np.asarray(values)
