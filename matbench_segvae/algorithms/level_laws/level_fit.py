"""Fitting levels, shifts and temperature under absolute error.

Iteratively reweighted least squares with steps of Levenberg and Marquardt. The maximum has many
local optima where a wrong defect is the highest; at a high temperature all defects of a structure
take part. So a fit begins at a high temperature and with a loss that is quadratic for small
residuals, and both become sharper from stage to stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array, hstack

from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.level_laws.shifts import Shifts
from matbench_segvae.algorithms.level_laws.soft_extremum import SoftMaximum
from matbench_segvae.types import Floats

_HOT = 0.05  # eV; temperature of the first stage
_SETTLED = 1e-4  # relative gain of a step at which a stage ends
_TRIES = 10  # of stronger damping before a stage ends
_LARGEST_STEP = 0.7  # of the logarithm of the temperature
_COLDEST = np.log(1e-4)  # of the temperature in eV; an extremum is then as good as hard


@dataclass(frozen=True)
class Stage:
    """A stage of a fit.

    Attributes:
        softness: Residual, eV, below which the loss is quadratic.
        steps: Most steps.
        free_constants: Whether the constants of shapes move.
        free_temperature: Whether the temperature moves.
    """

    softness: float
    steps: int
    free_constants: bool = True
    free_temperature: bool = True


_FIRST = Stage(1e-2, 30, free_constants=False, free_temperature=False)
_WARM = Stage(4e-3, 40, free_temperature=False)
_LAST = (Stage(2e-3, 60), Stage(5e-4, 100))


@dataclass(frozen=True, eq=False)
class LevelFit:
    """Fitted levels.

    Attributes:
        levels: Of each kind of defect alone, eV, shape ``(P,)``.
        coefficients: Of the shifts, eV, shape ``(M,)``.
        constants: Of the shifts' shapes, shape ``(Q,)``.
        temperature: eV.
        loss: What was minimised, in the last stage.
        mae: Mean absolute error on the training data, eV.
        costs: About how much more loss there is, eV, without each coefficient, shape ``(M,)``.
    """

    levels: Floats
    coefficients: Floats
    constants: Floats
    temperature: float
    loss: float = np.inf
    mae: float = np.inf
    costs: Floats = field(default_factory=lambda: np.zeros(0))

    def predict(self, data: LevelData, shifts: Floats) -> Floats:
        """Soft maxima, eV, shape ``(N,)``.

        Args:
            data: Structures with the same kinds of defects.
            shifts: Of the data's classes, eV, shape ``(C,)``.
        """
        levels = self.levels[data.of_defect] + data.neighbours @ shifts
        return SoftMaximum.of(levels, data.starts, self.temperature).values


def fit_levels(
    data: LevelData, target: Floats, shifts: Shifts, temperatures: tuple[float, ...]
) -> LevelFit:
    """Fit levels whose soft maximum is the target.

    Args:
        data: ``N`` structures, one at least.
        target: eV, shape ``(N,)``.
        shifts: Shifts of the data's classes.
        temperatures: eV; a fit starts from each, and the one with the smallest loss is kept.
    """
    problem = _Problem(data, target, shifts)
    middle = np.full(len(data.defect_kinds), float(np.median(target)))
    nothing = LevelFit(middle, np.zeros(len(shifts.pull)), shifts.start, _HOT)
    first = problem.descend(nothing, _FIRST)
    fits = []
    for temperature in temperatures:
        fit = problem.descend(replace(first, temperature=temperature), _WARM)
        for stage in _LAST:
            fit = problem.descend(fit, stage)
        fits.append(fit)
    return min(fits, key=lambda fit: fit.loss)


def refit_levels(data: LevelData, target: Floats, shifts: Shifts, start: LevelFit) -> LevelFit:
    """Fit again from numbers that are nearly right.

    Args:
        data: As for :func:`fit_levels`.
        target: As for :func:`fit_levels`.
        shifts: As for :func:`fit_levels`.
        start: With the coefficients of ``shifts``.
    """
    return _Problem(data, target, shifts).descend(start, _LAST[-1])


@dataclass(frozen=True, eq=False)
class _State:
    """Numbers of a law in one vector, with what follows from them."""

    numbers: Floats  # levels, coefficients, constants, logarithm of the temperature
    columns: csr_array  # of the levels of all defects, by levels and coefficients
    maximum: SoftMaximum
    loss: float


class _Problem:
    """A law on data: its loss and the derivatives of its predictions."""

    def __init__(self, data: LevelData, target: Floats, shifts: Shifts) -> None:
        self._data, self._target, self._shifts = data, target, shifts
        self._composition, self._starts = data.composition, data.starts
        self._latest: tuple[Floats, csr_array | None] = (np.zeros(0), None)
        self._pull = np.concatenate([np.full(len(data.defect_kinds), 1e-6), shifts.pull])
        self._weak = np.full(len(shifts.start) + 1, 1e-6)  # keeps the equations regular

    def descend(self, fit: LevelFit, stage: Stage) -> LevelFit:
        """Take the steps of a stage."""
        linear = np.concatenate([fit.levels, fit.coefficients, fit.constants])
        state = self._state(np.append(linear, np.log(fit.temperature)), stage)
        damping = 1e-3
        for _ in range(stage.steps):
            normal, slope = self._equations(state, stage)
            better = None
            for _ in range(_TRIES):
                step = _damped_step(normal, slope, damping)
                tried = self._state(state.numbers + step, stage)
                if tried.loss < state.loss:
                    better = tried
                    break
                damping *= 4
            if better is None:
                break
            gain = (state.loss - better.loss) / state.loss
            state, damping = better, max(damping / 3, 1e-9)
            if gain < _SETTLED:
                break
        return self._as_fit(state, stage)

    def _state(self, numbers: Floats, stage: Stage) -> _State:
        """Evaluate the law; its loss is infinite where a shape is undefined."""
        numbers = np.append(numbers[:-1], max(numbers[-1], _COLDEST))
        coefficients, constants = np.split(numbers[:-1], [len(self._pull)])
        columns = self._columns(constants)
        if not np.isfinite(columns.data).all():
            empty = SoftMaximum(np.zeros(0), np.zeros(0), np.zeros(0))
            return _State(numbers, columns, empty, np.inf)
        temperature = float(np.exp(numbers[-1]))
        maximum = SoftMaximum.of(columns @ coefficients, self._starts, temperature)
        residuals = self._target - maximum.values
        loss = np.hypot(residuals, stage.softness).sum() + self._pull @ coefficients**2 / 2
        return _State(numbers, columns, maximum, float(loss))

    def _columns(self, constants: Floats) -> csr_array:
        """Level of every defect by a unit of each level and coefficient, shape ``(D, P + M)``."""
        at, columns = self._latest
        if columns is None or not np.array_equal(at, constants):
            with np.errstate(all="ignore"):
                shifts = self._data.neighbours @ self._shifts.columns(constants)
            columns = csr_array(hstack([self._composition, shifts]))
            self._latest = constants, columns
        return columns

    def _equations(self, state: _State, stage: Stage) -> tuple[Floats, Floats]:
        """Normal matrix and descent of the reweighted squares."""
        n_linear = len(self._pull)
        coefficients, constants = np.split(state.numbers[:-1], [n_linear])
        own = coefficients[len(self._data.defect_kinds) :]
        ends = np.append(self._starts, len(self._data.of_defect))
        shares = state.maximum.shares
        shape = (len(self._starts), len(shares))
        mean = csr_array((shares, np.arange(len(shares)), ends), shape=shape)
        by_constants = self._data.neighbours @ self._shifts.slopes(constants, own)
        jacobian = np.concatenate(
            [
                (mean @ state.columns).toarray(),
                (mean @ by_constants) * stage.free_constants,
                state.maximum.slopes[:, None] * stage.free_temperature,
            ],
            axis=1,
        )
        residuals = self._target - state.maximum.values
        weights = 1 / np.hypot(residuals, stage.softness)
        normal = jacobian.T @ (weights[:, None] * jacobian)
        normal += np.diag(np.concatenate([self._pull, self._weak]))
        slope = jacobian.T @ (weights * residuals)
        slope[:n_linear] -= self._pull * coefficients
        return normal, slope

    def _as_fit(self, state: _State, stage: Stage) -> LevelFit:
        """Name the numbers."""
        n_kinds, n_linear = len(self._data.defect_kinds), len(self._pull)
        levels, coefficients, constants = np.split(state.numbers[:-1], [n_kinds, n_linear])
        normal, _ = self._equations(state, stage)
        spread = np.diag(np.linalg.inv(normal))[n_kinds:n_linear]
        mae = float(np.abs(self._target - state.maximum.values).mean())
        temperature = float(np.exp(state.numbers[-1]))
        costs = coefficients**2 / spread / 2
        return LevelFit(levels, coefficients, constants, temperature, state.loss, mae, costs)


def _damped_step(normal: Floats, slope: Floats, damping: float) -> Floats:
    """A step of Levenberg and Marquardt; the temperature changes by at most a factor of two."""
    damped = normal + damping * np.diag(np.diag(normal))
    step = np.asarray(np.linalg.solve(damped, slope), dtype=np.float64)
    step[-1] = np.clip(step[-1], -_LARGEST_STEP, _LARGEST_STEP)
    return step
