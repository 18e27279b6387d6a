"""Scoring sets of shapes: what a law of limited size leaves of the pair energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings, PairConstraints
from matbench_segvae.algorithms.pair_laws.shapes import (
    ShapeBatch,
    formula_nodes,
)
from matbench_segvae.fitting.shape_fit import allocate, fit_batch
from matbench_segvae.segvae import FitSettings, Scored
from matbench_segvae.segvae.scoring import RandomStarts
from matbench_segvae.types import Booleans, Floats, Ints, Tokens


@dataclass(frozen=True, eq=False)
class ShapeProblem:
    """Pair energies of every kind, and what it costs to miss them.

    Attributes:
        points: Distance and phase of the lattice at every distance, shape ``(U, 2)``.
        gathers: Which point each of a kind's classes is, shape ``(K, W)``; narrower kinds
            repeat their last one, at no weight.
        matrices: Roots of the quadratic forms that missed energies cost, shape ``(K, W, W)``.
        targets: The pair energies in that metric, shape ``(K, W)``.
    """

    points: Floats
    gathers: Ints
    matrices: Floats
    targets: Floats

    @classmethod
    def of(
        cls, distance: Floats, kind: Ints, normal: Floats, energies: Floats, lattice: float
    ) -> ShapeProblem:
        """Pose the problem.

        Args:
            distance: Of each class of pairs, Å, shape ``(R,)``.
            kind: Number of its kind, shape ``(R,)``.
            normal: Normal matrix of the pair energies in the structures, shape ``(R, R)``.
            energies: Pair energies, eV, shape ``(R,)``.
            lattice: Lattice constant, Å.
        """
        unique, place = np.unique(distance, return_inverse=True)
        members = [np.flatnonzero(kind == number) for number in range(int(kind.max()) + 1)]
        width = max(map(len, members))
        gathers = np.zeros((len(members), width), dtype=np.int64)
        matrices = np.zeros((len(members), width, width))
        targets = np.zeros((len(members), width))
        for number, rows in enumerate(members):
            values, vectors = np.linalg.eigh(normal[np.ix_(rows, rows)])
            root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
            n = len(rows)
            gathers[number] = place[np.concatenate([rows, np.repeat(rows[-1:], width - n)])]
            matrices[number, :n, :n] = root
            targets[number, :n] = root @ energies[rows]
        points = np.column_stack([unique, 2 * np.pi * unique / lattice])
        return cls(points, gathers, matrices, targets)

    def allocated(self, values: Floats, n_entries: int) -> tuple[Booleans, float]:
        """Which coefficients to keep, ``(K, M)``, given shapes' values ``(M, U)``; squares left."""
        bits, left = allocate(
            self.matrices, self.gathers, self.targets, np.ascontiguousarray(values), n_entries
        )
        return np.asarray(bits[:, None] >> np.arange(len(values)) & 1, dtype=np.bool_), float(left)


class ShapeObjective(RandomStarts):
    """Scores sets of shapes by what the best law of `max_nodes` nodes leaves.

    Args:
        problem: Pair energies.
        n_structures: Number of structures, to which losses refer.
        max_nodes: Nodes of the formula and the coefficients together.
        settings: How hard to fit.
        constraints: Which sets of shapes may stand in a law.
        seed: Source of the random starts.
    """

    def __init__(
        self,
        problem: ShapeProblem,
        n_structures: int,
        max_nodes: int,
        settings: FitSettings,
        constraints: ShapeConstraints,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self._problem = problem
        self._n_structures = n_structures
        self._max_nodes = max_nodes
        self._settings = settings
        self._constraints = constraints
        self._penalty = settings.decay * float(np.square(problem.targets).sum())

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Fit and score sets of shapes: all of them briefly, the most promising ones harder."""
        settings = self._settings
        starts = [(hints or {}).get(tokens) for tokens in formulas]
        scored = self._fit(formulas, settings.screening_starts, settings.screening_steps, starts)
        n_polished = max(1, round(settings.polished_share * len(scored)))
        order = sorted(range(len(scored)), key=lambda i: scored[i].loss)[:n_polished]
        again = self._fit(
            [formulas[i] for i in order],
            settings.polishing_starts,
            settings.polishing_steps,
            [scored[i].constants for i in order],
        )
        for position, new in zip(order, again, strict=True):
            scored[position] = min(scored[position], new, key=lambda s: s.loss)
        return scored

    def _fit(
        self,
        formulas: Sequence[Tokens],
        n_starts: int,
        n_steps: int,
        hints: Sequence[Floats | None],
    ) -> list[Scored]:
        """Fit each set from random starts, one of which is its hint if it has one."""
        batch = ShapeBatch.compile(formulas)
        width = max(int(batch.n_constants.max(initial=0)), 1)
        start = self.random_start((n_starts, len(formulas), width))
        for row, hint in enumerate(hints):
            if hint is not None:
                known = np.flatnonzero(np.isfinite(hint[0]))
                start[0, row, known] = hint[0, known]
        room = np.array([self._max_nodes - formula_nodes(tokens) for tokens in formulas])
        constants = start.reshape(-1, width)
        losses = self._descend(batch.repeat(n_starts), constants, np.tile(room, n_starts), n_steps)
        repeated = [tokens for _ in range(n_starts) for tokens in formulas]
        losses[~self._constraints(repeated, constants)] = np.inf
        table = losses.reshape(n_starts, -1)
        winner = table.argmin(axis=0)
        found = constants.reshape(n_starts, len(formulas), width)
        return [
            Scored(
                tokens,
                float(np.sqrt(table[winner[i], i] / self._n_structures)),
                found[winner[i], i, : batch.n_constants[i]][None].copy(),
            )
            for i, tokens in enumerate(formulas)
        ]

    def _descend(self, batch: ShapeBatch, constants: Floats, room: Ints, n_steps: int) -> Floats:
        """Fit the constants in place; squares that laws within their room leave, ``(B,)``."""
        program, problem = batch.program, self._problem
        _, losses = fit_batch(
            program.codes,
            program.numbers,
            program.lengths,
            batch.slots,
            batch.starts,
            batch.n_constants,
            np.ascontiguousarray(problem.points.T),
            problem.matrices,
            problem.gathers,
            problem.targets,
            constants,
            room,
            n_steps,
            self._penalty,
        )
        return np.asarray(losses)


class ShapeConstraints:
    """Decides which sets of shapes consist of shapes that may stand in a pair law.

    Args:
        points: Distance, Å, and phase of the lattice at the distances of pairs, shape ``(U, 2)``.
        settings: Which constraints hold.
        shortest: Shortest distance on the lattice, Å.
    """

    def __init__(self, points: Floats, settings: ConstraintSettings, shortest: float) -> None:
        self._phase = float(points[0, 1] / points[0, 0])
        self._each = PairConstraints(points[:, :1], settings, shortest)

    def __call__(self, sets: Sequence[Tokens], constants: Floats) -> Booleans:
        """Decide for each set of shapes with its constants, shape ``(B,)``."""
        batch = ShapeBatch.compile(sets)
        own = np.zeros((len(batch.slots), max(batch.program.width, 1)))
        owner = np.repeat(np.arange(len(sets)), np.diff(batch.starts))
        for row, (first, used) in enumerate(batch.slots.tolist()):
            own[row, :used] = constants[owner[row], first : first + used]
        kept = self._each(_OfDistance(batch, self._phase), own)
        return np.asarray(np.logical_and.reduceat(kept, batch.starts[:-1]))


class _OfDistance:
    """The shapes of a batch as functions of the distance alone, as constraints take them."""

    def __init__(self, batch: ShapeBatch, phase: float) -> None:
        self._program, self._phase = batch.program, phase

    def __len__(self) -> int:
        return len(self._program)

    def values(self, points: Floats, constants: Floats) -> Floats:
        """Values at distances, Å, shape ``(R, 1)``."""
        return self._program.values(np.hstack([points, self._phase * points]), constants)
