"""Constraints on pair laws, known beforehand: they are smooth, finite and end with distance.

Distances on a lattice are few, and a formula may pass through all of them with a pole or a
fast oscillation in between; it would be misread and predict anything at a distance that was
not in training. And a law that does not vanish far away cannot be distinguished from the
defects' own energies. That a law is even in the height between two defects holds by
construction: it depends on their distance and on whether they are in one plane, not on a
sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from matbench_segvae.types import Booleans, Floats


class Formulas(Protocol):
    """Formulas of the distance, such as a :class:`~matbench_segvae.fitting.compiled.Program`."""

    def __len__(self) -> int:
        """Number of formulas."""

    def values(self, points: Floats, constants: Floats) -> Floats:
        """Values at points ``(R, 1)`` with constants ``(B, C)``, shape ``(B, R)``."""


@dataclass(frozen=True)
class ConstraintSettings:
    """Which of the constraints hold.

    Attributes:
        vanishes: Whether a law has to go to 0 at large distances.
        smooth: Whether a law has to be finite, without poles and fast oscillations, from the
            shortest distance on the lattice to a little beyond the longest in the data.
    """

    vanishes: bool = True
    smooth: bool = True


class PairConstraints:
    """Decides which fitted formulas may stand for a kind of pair.

    A law is smooth when its total variation over the range of the data, and a little
    beyond, is no more than a few times its spread there, and a small step away from a
    distance in the data changes it by a fraction of that only: a narrow peak can pass
    through a single distance, where it would amount to a free pair energy. It vanishes when it
    is nowhere larger beyond the data than at them, and falls there at least about as fast as
    ``1/r``, from what it was in the outer half of the data, or to next to nothing. What levels off
    instead stands for an energy of defects or of all structures, and adds up to something else
    where structures have more defects; what returns later, as a pole, a long wave or a line
    through 0 does, is no interaction. Beyond the data a law is looked at in steps of 1.4 %: a
    narrower pole may be missed.
    """

    n_points = 150  # of the grid over the range of the distances
    n_outer = 30  # of the grid over the outer half of the range
    beyond = 1.25  # times the longest distance in the data: where both end
    largest_variation = 4.0  # in units of the spread at the data
    step = 0.05  # Å
    largest_change = 0.25  # in the same units, over one step
    farthest = 30.0  # times the longest distance: where looking ends
    n_outside = 240  # of the points from the longest distance on, each 1.4 % farther than the last
    largest_remainder = 1.2  # of |K| r beyond the data, in units of its largest value before
    largest_far_value = 1e-4  # of |K| there that is nothing, in units of its largest at the data

    def __init__(
        self,
        distances: Floats,
        settings: ConstraintSettings | None = None,
        shortest: float = np.inf,
    ) -> None:
        """Lay a grid over the distances.

        Args:
            distances: Distances of the kind of pair in the data, Å, shape ``(R, 1)``.
            settings: Which constraints hold.
            shortest: Shortest distance on the lattice, Å, if it is shorter than those.
        """
        self._settings = settings or ConstraintSettings()
        self._distances = distances
        start, end = min(shortest, distances.min()), self.beyond * distances.max()
        self._grid = np.linspace(start, end, self.n_points)[:, None]
        self._outer = np.linspace(max(start, distances.max() / 2), end, self.n_outer)[:, None]
        self._outside = np.geomspace(1.0, self.farthest, self.n_outside)[:, None] * distances.max()

    def __call__(self, program: Formulas, constants: Floats, group: int = 0) -> Booleans:
        """Decide which of ``B`` formulas may stand for the kind of pair.

        Args:
            program: The formulas.
            constants: Shape ``(B, C)``.
            group: Not needed: there is one kind of pair.

        Returns:
            Booleans, shape ``(B,)``.
        """
        at_data = program.values(self._distances, constants)
        kept = np.isfinite(at_data).all(axis=1)
        if self._settings.smooth:
            kept &= self._is_smooth(program, constants, at_data)
        if self._settings.vanishes:
            kept &= self._vanishes(program, constants, at_data)
        return np.asarray(kept)

    def _vanishes(self, program: Formulas, constants: Floats, at_data: Floats) -> Booleans:
        """Compare what is left beyond the data with the values at them and in their outer half."""
        outer = np.abs(program.values(self._outer, constants)) * self._outer[:, 0]
        outside = np.abs(program.values(self._outside, constants))
        largest = np.abs(at_data).max(axis=1, keepdims=True)
        limit = self.largest_remainder * outer.max(axis=1, keepdims=True) / self._outside[:, 0]
        limit = np.maximum(limit, self.largest_far_value * largest)
        # NaN compares false.
        return np.asarray((outside <= np.minimum(limit, largest)).all(axis=1))

    def _is_smooth(self, program: Formulas, constants: Floats, at_data: Floats) -> Booleans:
        """Compare variation and steps with the spread at the data."""
        variation = np.abs(np.diff(program.values(self._grid, constants), axis=1))
        # The spread includes 0, so that a nearly constant law may vary a little.
        spread = np.ptp(np.pad(at_data, ((0, 0), (0, 1))), axis=1)
        # NaN compares false: an undefined stretch is refused too.
        smooth = variation.sum(axis=1) <= self.largest_variation * spread
        for step in (-self.step, -self.step / 8, self.step / 8, self.step):
            moved = program.values(self._distances + step, constants)
            smooth &= np.abs(moved - at_data).max(axis=1) <= self.largest_change * spread
        return np.asarray(smooth)
