"""A free shift for every class of neighbours, as free as validation supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.level_laws.level_fit import LevelFit, fit_levels, refit_levels
from matbench_segvae.algorithms.level_laws.shifts import TableShifts
from matbench_segvae.defects.pairs import SAME_DIRECTION, SAME_DISTANCE
from matbench_segvae.types import Floats

_STIFFNESS = (30.0, 10.0, 3.0, 1.0)  # 1/eV; from the most to the least stiff table
_TEMPERATURES = (0.05, 0.03, 0.02)  # eV
_FOLDS = 3


@dataclass(frozen=True, eq=False)
class FittedTable:
    """Levels with a shift for every class.

    Attributes:
        fit: Levels and temperature.
        data: The classes.
        shifts: Of every class, eV, shape ``(C,)``.
        stiffness: Weight, 1/eV, of the squares of the deviations from the kinds' means.
    """

    fit: LevelFit
    data: LevelData
    shifts: Floats
    stiffness: float

    @property
    def n_numbers(self) -> int:
        """Levels, shifts and the temperature."""
        return len(self.fit.levels) + len(self.shifts) + 1

    def predict(self, data: LevelData) -> Floats:
        """Soft maxima of structures with the same kinds of defects and pairs, eV.

        The shift of a class that was not in training is interpolated linearly between the
        neighbouring distances of its directed kind; beyond the shortest and the longest one
        it stays constant.
        """
        classes = zip(
            data.kind.tolist(), data.distance.tolist(), data.direction.tolist(), strict=True
        )
        return self.fit.predict(data, np.array([self._shift(*each) for each in classes]))

    def _shift(self, kind: int, distance: float, direction: float) -> float:
        """The shift of a class, eV; at a distance the mean over directions if its own is new."""
        rows = self.data.kind == kind
        near = rows & (np.abs(self.data.distance - distance) < SAME_DISTANCE)
        same = near & (np.abs(self.data.direction - direction) < SAME_DIRECTION)
        if near.any():
            return float(self.shifts[same if same.any() else near].mean())
        shells, of_class = np.unique(self.data.distance[rows], return_inverse=True)
        means = np.bincount(of_class, self.shifts[rows]) / np.bincount(of_class)
        return float(np.interp(distance, shells, means))


def fit_level_table(data: LevelData, target: Floats, seed: int) -> FittedTable:
    """Fit levels and shifts whose soft maximum is the target.

    Args:
        data: ``N`` structures.
        target: eV, shape ``(N,)``.
        seed: Of the split by which the stiffness is chosen.
    """
    errors = np.zeros(len(_STIFFNESS))
    if len(data) >= 2 * _FOLDS:
        for fitted, held_out in KFold(_FOLDS, shuffle=True, random_state=seed).split(target):
            part, other = data.subset(fitted), data.subset(held_out)
            for number, table in enumerate(_ever_freer(part, target[fitted])):
                errors[number] += np.abs(target[held_out] - table.predict(other)).sum()
    # Of equal errors the first, which is the stiffest table.
    return list(_ever_freer(data, target))[int(errors.argmin())]


def _ever_freer(data: LevelData, target: Floats) -> Iterator[FittedTable]:
    """Fit ever less stiff tables, each from the one before, which avoids poor local optima."""
    fit: LevelFit | None = None
    for stiffness in _STIFFNESS:
        table = TableShifts(data, stiffness)
        if fit is None:
            fit = fit_levels(data, target, table, _TEMPERATURES)
        else:
            fit = refit_levels(data, target, table, fit)
        yield FittedTable(fit, data, table.columns(fit.constants) @ fit.coefficients, stiffness)
