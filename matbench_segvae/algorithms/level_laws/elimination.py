"""Which coefficients a level law needs: backward elimination, judged on held-out structures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.level_laws.level_fit import LevelFit, fit_levels, refit_levels
from matbench_segvae.algorithms.level_laws.shifts import ShapeShifts
from matbench_segvae.expressions import Expression
from matbench_segvae.types import Floats, Report


@dataclass(frozen=True)
class EliminationSettings:
    """How a level law is fitted and shortened.

    Attributes:
        temperatures: Temperatures to start from, eV.
        stiffness: Weight of the coefficients' squares in the loss, 1/eV: keeps those finite
            that the data leave open.
        share: Share of the coefficients that leave in one round, one at least.
        fewest: Number of coefficients at which the elimination ends.
        folds: Of the cross-validation inside the training part.
    """

    temperatures: tuple[float, ...] = (0.05, 0.03)
    stiffness: float = 1.0
    share: float = 0.08
    fewest: int = 10
    folds: int = 3


@dataclass(frozen=True, eq=False)
class FittedLevels:
    """Levels whose shifts are sums of shapes.

    Attributes:
        fit: The numbers.
        shifts: Which kind has which shape.
        validation: Number of coefficients and mean absolute error, eV, of the laws compared.
    """

    fit: LevelFit
    shifts: ShapeShifts
    validation: tuple[tuple[int, float], ...] = ()

    @property
    def shapes(self) -> tuple[Expression, ...]:
        """The shapes with their fitted constants."""
        return self.shifts.fitted(self.fit.constants)

    @property
    def coefficients(self) -> Floats:
        """Of all kinds and shapes, eV, 0 where a kind has no such shape."""
        table = np.zeros(self.shifts.used.shape)
        table[self.shifts.used] = self.fit.coefficients
        return table

    @property
    def typical_error(self) -> float:
        """Mean absolute error, eV: in validation, or of the fit where there was none."""
        return dict(self.validation).get(len(self.fit.coefficients), self.fit.mae)

    def predict(self, data: LevelData) -> Floats:
        """Soft maxima of structures with the same kinds of defects and pairs, eV."""
        shifts = replace(self.shifts, data=data).columns(self.fit.constants)
        return self.fit.predict(data, shifts @ self.fit.coefficients)


def fit_level_law(
    data: LevelData,
    target: Floats,
    shapes: Sequence[Expression],
    settings: EliminationSettings | None = None,
    seed: int = 0,
    report: Report = lambda _: None,
) -> FittedLevels:
    """Fit levels with shifts by shapes, as few of them as validation supports.

    Args:
        data: ``N`` structures.
        target: What the soft maximum of their levels is to be, eV, shape ``(N,)``.
        shapes: Formulas in ``r`` with the constants to start from, common to all kinds.
        settings: How to fit and to eliminate.
        seed: Of the splits for validation.
        report: Takes a line for every law compared.

    Returns:
        The shortest law whose validation error is within a standard error of the best one's,
        fitted to all data; the longest one where there are too few structures to validate.
    """
    chosen = settings or EliminationSettings()
    if len(data) < 2 * chosen.folds:
        return next(_ever_shorter(data, target, shapes, chosen))
    validation = _validate(data, target, shapes, chosen, seed)
    n_coefficients = _shortest(validation)
    for size, errors in validation.items():
        report(f"level law of {size} coefficients: validation error {1e3 * errors.mean():.2f} meV")
    law = next(
        law
        for law in _ever_shorter(data, target, shapes, chosen)
        if len(law.fit.coefficients) <= n_coefficients
    )
    means = tuple((size, float(errors.mean())) for size, errors in validation.items())
    return replace(law, validation=means)


def _ever_shorter(
    data: LevelData, target: Floats, shapes: Sequence[Expression], settings: EliminationSettings
) -> Iterator[FittedLevels]:
    """Yield laws of which each lacks those coefficients of the one before that cost least."""
    used = np.ones((len(data.pair_kinds), len(shapes)), dtype=np.bool_)
    shifts = ShapeShifts(data, tuple(shapes), used, settings.stiffness)
    fit = fit_levels(data, target, shifts, settings.temperatures)
    while True:
        yield FittedLevels(fit, shifts)
        n = len(fit.coefficients)
        n_leaving = min(max(1, int(settings.share * n)), n - settings.fewest)
        if n_leaving < 1:
            return
        staying = np.ones(n, dtype=np.bool_)
        staying[np.argsort(fit.costs, kind="stable")[:n_leaving]] = False
        used = shifts.used.copy()
        used[used] = staying
        shifts = replace(shifts, used=used)
        shorter = replace(fit, coefficients=fit.coefficients[staying])
        fit = refit_levels(data, target, shifts, shorter)


def _validate(
    data: LevelData,
    target: Floats,
    shapes: Sequence[Expression],
    settings: EliminationSettings,
    seed: int,
) -> dict[int, Floats]:
    """Absolute errors on held-out structures, eV, shape ``(N,)``, by number of coefficients.

    The whole elimination is repeated in every fold, so that the choice of what to leave out is
    judged too.
    """
    errors: dict[int, Floats] = {}
    split = KFold(settings.folds, shuffle=True, random_state=seed)
    for fitted, held_out in split.split(target):
        part = data.subset(fitted)
        for law in _ever_shorter(part, target[fitted], shapes, settings):
            own = errors.setdefault(len(law.fit.coefficients), np.full(len(target), np.nan))
            own[held_out] = np.abs(target[held_out] - law.predict(data.subset(held_out)))
    return errors


def _shortest(validation: dict[int, Floats]) -> int:
    """Fewest coefficients with an error within a standard error of the smallest."""
    best = min(validation.values(), key=lambda errors: float(errors.mean()))
    limit = float(best.mean() + best.std() / np.sqrt(len(best)))
    return min(size for size, errors in validation.items() if float(errors.mean()) <= limit)
