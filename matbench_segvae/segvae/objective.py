"""What a formula is worth: its loss on the data with the best constants found for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import FITTED
from matbench_segvae.expressions.compiled import Floats, Program
from matbench_segvae.expressions.fitting import AdditiveProblem, Fit, fit_constants

Tokens = tuple[str, ...]

# Given formulas, their constants for one group of points, shape (B, C), and the number of
# the group, says which may be kept, shape (B,).
Admissible = Callable[[Program, Floats, int], NDArray[np.bool_]]


def everything(program: Program, constants: Floats, group: int) -> NDArray[np.bool_]:
    """Admit all formulas."""
    return np.ones(len(program), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Scored:
    """A formula with its loss and the constants that gave it.

    Attributes:
        tokens: The formula.
        loss: Root mean squared error, weighted, beyond what free values at the points would
            leave; infinite if the formula is not defined on the data or not admissible.
        constants: Constants in each group, shape ``(K, C)`` with the formula's own ``C``.
    """

    tokens: Tokens
    loss: float
    constants: Floats


class Objective(Protocol):
    """Scores formulas; the search knows nothing else about the data."""

    def score(self, formulas: Sequence[Tokens]) -> list[Scored]:
        """Fit and score formulas, in the order given."""


@dataclass(frozen=True)
class FitSettings:
    """How hard to try to find a formula's constants.

    Attributes:
        screening_starts: Random starts for every formula and group.
        screening_steps: Steps from each of them, and of the joint fit after them.
        polished_share: Share of the formulas that are fitted again, harder.
        polishing_starts: Random starts for those, beside where screening ended.
        polishing_steps: Steps from each of them, and of the joint fit after them.
        decay: Weight of the constants' squares, see
            :func:`~matbench_segvae.expressions.fitting.fit_constants`.
    """

    screening_starts: int = 3
    screening_steps: int = 6
    polished_share: float = 0.1
    polishing_starts: int = 10
    polishing_steps: int = 20
    decay: float = 5e-5


class AdditiveObjective:
    """Scores formulas on an :class:`AdditiveProblem` by fitting their constants.

    A fit that is not admissible counts as undefined, so that constants found from another
    start, or another formula, take its place.
    """

    def __init__(
        self,
        problem: AdditiveProblem,
        variables: Sequence[str],
        settings: FitSettings,
        seed: int,
        admissible: Admissible = everything,
    ) -> None:
        self._admissible = admissible
        self._problem = problem
        self._variables = tuple(variables)
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._n_observations = len(problem.target)
        self._one_by_one = problem.one_by_one()

    def score(self, formulas: Sequence[Tokens]) -> list[Scored]:
        """Fit and score formulas: all of them briefly, the most promising ones harder."""
        settings = self._settings
        scored = self._fit(formulas, settings.screening_starts, settings.screening_steps)
        n_polished = max(1, round(settings.polished_share * len(scored)))
        order = sorted(range(len(scored)), key=lambda i: scored[i].loss)[:n_polished]
        before = [scored[i] for i in order]
        after = self._fit(
            [s.tokens for s in before], settings.polishing_starts, settings.polishing_steps, before
        )
        for position, old, new in zip(order, before, after, strict=True):
            scored[position] = min(old, new, key=lambda s: s.loss)
        return scored

    def state_dict(self) -> dict[str, Any]:
        """Where the source of random starts stands, in plain types."""
        return {"rng": json.dumps(self._rng.bit_generator.state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the source of random starts back to where it stood."""
        self._rng.bit_generator.state = json.loads(state["rng"])

    def _fit(
        self,
        formulas: Sequence[Tokens],
        n_starts: int,
        n_steps: int,
        previous: Sequence[Scored] = (),
    ) -> list[Scored]:
        """Fit each formula from random starts, and from where it was before if given."""
        program = Program.compile(formulas, self._variables)
        starts = [self._best_starts(program, n_starts, n_steps)]
        if previous:
            starts.append(_stack([s.constants for s in previous], program.width))
        # The starts are candidates too: a joint step may leave what is admissible.
        fits = [self._joint_fit(program, start, n) for start in starts for n in (0, n_steps)]
        best = fits[0]
        for fit in fits[1:]:
            best = fit.where(fit.loss < best.loss, best)
        # What is not admissible has an infinite loss, whatever its error.
        errors = np.where(np.isfinite(best.loss), best.error, np.inf)
        losses = np.sqrt(errors / self._n_observations).tolist()
        return [
            Scored(tokens, loss, best.constants[i, :, : tokens.count(FITTED)].copy())
            for i, (tokens, loss) in enumerate(zip(formulas, losses, strict=True))
        ]

    def _joint_fit(self, program: Program, start: Floats, n_steps: int) -> Fit:
        """Fit the constants of all groups together; what is not admissible is undefined."""
        fit = fit_constants(self._problem, program, start, n_steps, self._settings.decay)
        for group in range(self._problem.n_groups):
            fit.loss[~self._admissible(program, fit.constants[:, group], group)] = np.inf
        return fit

    def _best_starts(self, program: Program, n_starts: int, n_steps: int) -> Floats:
        """Find good constants for each group by itself, from several random starts.

        Groups meet only in the residual. Looking for them one by one needs a lucky start
        for each, not for all at once.

        Returns:
            Constants, shape ``(B, K, C)``.
        """
        repeated = program.repeat(n_starts)
        every = np.arange(len(program))
        best = []
        for group, problem in enumerate(self._one_by_one):
            start = self._random_start((len(repeated), 1, program.width))
            fit = fit_constants(problem, repeated, start, n_steps, self._settings.decay)
            constants = fit.constants[:, 0]
            fit.loss[~self._admissible(repeated, constants, group)] = np.inf
            winner = fit.loss.reshape(n_starts, -1).argmin(axis=0)
            best.append(constants.reshape(n_starts, len(program), -1)[winner, every])
        return np.stack(best, axis=1)

    def _random_start(self, shape: tuple[int, int, int]) -> Floats:
        """Constants of either sign around 1, the size that data in natural units ask for."""
        sign = np.where(self._rng.random(shape) < 0.5, -1.0, 1.0)
        return np.asarray(sign * np.exp(0.8 * self._rng.normal(size=shape)))


def _stack(constants: Sequence[Floats], width: int) -> Floats:
    """Stack constants of different lengths into ``(B, K, width)``, filled with 0."""
    return np.stack([np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in constants])
