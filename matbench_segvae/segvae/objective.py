"""What a formula is worth: its loss on the data with the best constants found for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
        plain: The same error of a formula without fitted constants if it is taken as it
            stands or negative, with neither offset nor factor; infinite where that is not
            asked for.
    """

    tokens: Tokens
    loss: float
    constants: Floats
    plain: float = float("inf")


class Objective(Protocol):
    """Scores formulas; the search knows nothing else about the data."""

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Fit and score formulas, in the order given.

        Args:
            formulas: The formulas.
            hints: Constants to start from for some of them, shape ``(K, C)``, NaN for none.
        """


@dataclass(frozen=True)
class FitSettings:
    """How hard to try to find a formula's constants.

    Attributes:
        screening_starts: Random starts for every formula and group.
        screening_steps: Steps from each of them, and of the joint fit after them.
        screening_rows: Rows of a table that random starts are tried on. Losses are always
            those of all rows.
        polished_share: Share of the formulas that are fitted again, harder.
        polishing_starts: Random starts for those, beside where screening ended.
        polishing_steps: Steps from each of them, and of the joint fit after them.
        decay: Weight of the constants' squares, see
            :func:`~matbench_segvae.expressions.fitting.fit_constants`.
    """

    screening_starts: int = 3
    screening_steps: int = 6
    screening_rows: int = 128
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
        plain_target: Floats | None = None,
    ) -> None:
        """Set up.

        Args:
            problem: The data.
            variables: Names of the columns of its points.
            settings: How hard to fit.
            seed: Source of the random starts.
            admissible: Says which fits may be kept.
            plain_target: Of a table, what formulas without fitted constants are compared with
                as they stand, shape ``(N,)``; in other units than the problem's target.
        """
        self._plain_target = plain_target
        self._admissible = admissible
        self._problem = problem
        self._variables = tuple(variables)
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._n_observations = len(problem.target)
        self._one_by_one = _sampled(problem, settings.screening_rows, seed).one_by_one()

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Fit and score formulas: all of them briefly, the most promising ones harder."""
        settings = self._settings
        given = [(hints or {}).get(tokens) for tokens in formulas]
        scored = self._fit(formulas, settings.screening_starts, settings.screening_steps, given)
        n_polished = max(1, round(settings.polished_share * len(scored)))
        order = sorted(range(len(scored)), key=lambda i: scored[i].loss)[:n_polished]
        before = [scored[i] for i in order]
        after = self._fit(
            [s.tokens for s in before],
            settings.polishing_starts,
            settings.polishing_steps,
            [given[i] for i in order],
            before,
        )
        for position, old, new in zip(order, before, after, strict=True):
            scored[position] = min(old, new, key=lambda s: s.loss)
        return scored if self._plain_target is None else self._with_plain(scored)

    def _with_plain(self, scored: Sequence[Scored]) -> list[Scored]:
        """Add the errors of formulas that are taken as they stand."""
        found = list(scored)
        target, weights = self._plain_target, self._problem.weights
        places = [
            i for i, s in enumerate(found) if math.isfinite(s.loss) and FITTED not in s.tokens
        ]
        if target is None or not places:
            return found
        program = Program.compile([found[i].tokens for i in places], self._variables)
        values = program.values(self._problem.points, np.empty((len(places), 0)))
        spread = np.sqrt(np.cov(target, aweights=weights, ddof=0))
        with np.errstate(over="ignore"):
            errors = [np.average((target - s * values) ** 2, axis=1, weights=weights)
                      for s in (1, -1)]  # fmt: skip
        for place, error in zip(places, np.sqrt(np.minimum(*errors)) / spread, strict=True):
            found[place] = replace(found[place], plain=float(error))
        return found

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
        hints: Sequence[Floats | None],
        previous: Sequence[Scored] = (),
    ) -> list[Scored]:
        """Fit each formula from random starts, and from where it was before if given."""
        program = Program.compile(formulas, self._variables)
        starts = [self._best_starts(program, n_starts, n_steps, hints)]
        # One group needs no joint fit, only the loss on all of its rows.
        lengths = {0} if self._problem.n_groups == 1 and not previous else {0, n_steps}
        if previous:
            starts.append(_stack([s.constants for s in previous], program.width))
        # The starts are candidates too: a joint step may leave what is admissible.
        fits = [self._joint_fit(program, start, n) for start in starts for n in sorted(lengths)]
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

    def _best_starts(
        self, program: Program, n_starts: int, n_steps: int, hints: Sequence[Floats | None]
    ) -> Floats:
        """Find good constants for each group by itself, from several random starts.

        Groups meet only in the residual. Looking for them one by one needs a lucky start
        for each, not for all at once. A hint takes the place of one random start.

        Returns:
            Constants, shape ``(B, K, C)``.
        """
        repeated = program.repeat(n_starts)
        every = np.arange(len(program))
        best = []
        for group, problem in enumerate(self._one_by_one):
            start = self._random_start((len(repeated), 1, program.width))
            for row, hint in enumerate(hints):
                if hint is not None:
                    known = np.flatnonzero(np.isfinite(hint[group]))
                    start[row, 0, known] = hint[group, known]
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


def _sampled(problem: AdditiveProblem, n_rows: int, seed: int) -> AdditiveProblem:
    """A long table with some of its rows only; any other problem as it is.

    Enough to tell good starts from bad ones, at a fraction of the time.
    """
    n_all = len(problem.target)
    if problem.mixing is not None or n_all <= n_rows:
        return problem
    rows = np.random.default_rng(seed).choice(n_all, n_rows, replace=False)
    return problem.subset(np.sort(rows))


def _stack(constants: Sequence[Floats], width: int) -> Floats:
    """Stack constants of different lengths into ``(B, K, width)``, filled with 0."""
    return np.stack([np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in constants])
