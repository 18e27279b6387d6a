"""How the shift of a level depends on the class of the neighbour: a table, or common shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array, eye_array, hstack

from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.types import Booleans, Floats

VARIABLES = ("r",)
"""The distance of two defects, in Å."""


class Shifts(Protocol):
    """Shifts of ``C`` classes of neighbours, linear in ``M`` coefficients."""

    @property
    def pull(self) -> Floats:
        """Weight of each coefficient's square in the loss, shape ``(M,)``."""

    @property
    def start(self) -> Floats:
        """Constants to start from, those that enter not linearly, shape ``(Q,)``."""

    def columns(self, constants: Floats) -> csr_array:
        """Shift of each class by a unit of each coefficient, shape ``(C, M)``."""

    def slopes(self, constants: Floats, coefficients: Floats) -> Floats:
        """Derivatives of the shifts by the constants, shape ``(C, Q)``."""


@dataclass(frozen=True, eq=False)
class TableShifts:
    """A free shift for every class: the mean of its directed kind and a deviation.

    Attributes:
        data: The classes.
        stiffness: Weight of the deviations' squares, 1/eV: classes with few structures stay
            near the mean of their kind.
    """

    data: LevelData
    stiffness: float

    @property
    def pull(self) -> Floats:
        """Of the means of the kinds, only enough to make them unique, and of the deviations."""
        n_kinds, n_classes = len(self.data.pair_kinds), len(self.data.kind)
        return np.concatenate([np.full(n_kinds, 1e-3), np.full(n_classes, self.stiffness)])

    @property
    def start(self) -> Floats:
        """There are no constants."""
        return np.zeros(0)

    def columns(self, constants: Floats) -> csr_array:
        """Kinds, then classes, shape ``(C, len(pair_kinds) + C)``."""
        n = len(self.data.kind)
        at = (np.arange(n), self.data.kind)
        kinds = csr_array((np.ones(n), at), shape=(n, len(self.data.pair_kinds)))
        return csr_array(hstack([kinds, eye_array(n)]))

    def slopes(self, constants: Floats, coefficients: Floats) -> Floats:
        """None, shape ``(C, 0)``."""
        return np.zeros((len(self.data.kind), 0))


@dataclass(frozen=True, eq=False)
class ShapeShifts:
    """Sums of shapes common to all kinds, with a coefficient for some kinds and shapes.

    Attributes:
        data: The classes.
        shapes: Formulas in ``r``, with the constants to start from.
        used: Which kind has which shape, shape ``(len(pair_kinds), len(shapes))``. The
            coefficients are those of the first kind, then the next.
        stiffness: Weight of the coefficients' squares, 1/eV.
    """

    data: LevelData
    shapes: tuple[Expression, ...]
    used: Booleans
    stiffness: float = 1.0

    @property
    def pull(self) -> Floats:
        """The same for all coefficients."""
        return np.full(int(self.used.sum()), self.stiffness)

    @property
    def start(self) -> Floats:
        """The constants of all shapes, one after the other."""
        return np.concatenate([np.zeros(0), *(shape.constants for shape in self.shapes)])

    def columns(self, constants: Floats) -> csr_array:
        """The value of the shape at the distance of the class."""
        values = self.values(self.data.distance, constants)
        kinds, shapes = np.nonzero(self.used)
        has = self.data.kind[:, None] == kinds
        return csr_array(np.where(has, values[:, shapes], 0.0))

    def slopes(self, constants: Floats, coefficients: Floats) -> Floats:
        """Chain rule over the shapes."""
        table = np.zeros(self.used.shape)
        table[self.used] = coefficients
        points = self.data.distance[:, None]
        parts = [
            program.derivatives(points, own[None])[0, : len(own)] * table[self.data.kind, number]
            for number, (program, own) in enumerate(self._split(constants))
            if len(own)
        ]
        return np.concatenate([np.zeros((0, len(points))), *parts]).T

    def values(self, distances: Floats, constants: Floats) -> Floats:
        """All shapes at some distances, Å, shape ``(len(distances), len(shapes))``."""
        columns = [p.values(distances[:, None], own[None])[0] for p, own in self._split(constants)]
        return np.stack(columns, axis=1)

    def fitted(self, constants: Floats) -> tuple[Expression, ...]:
        """The shapes with other constants."""
        each = zip(self.shapes, self._split(constants), strict=True)
        return tuple(shape.with_constants(own.tolist()) for shape, (_, own) in each)

    @cached_property
    def _programs(self) -> Sequence[Program]:
        return [Program.compile([shape.tokens], VARIABLES) for shape in self.shapes]

    def _split(self, constants: Floats) -> list[tuple[Program, Floats]]:
        """Each shape with its constants."""
        ends = np.cumsum([shape.n_constants for shape in self.shapes])
        return list(zip(self._programs, np.split(constants, ends[:-1]), strict=True))
