"""Scoring formulas by their loss with the best constants found for them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from matbench_segvae.expressions import FITTED
from matbench_segvae.expressions.compiled import Floats, Program
from matbench_segvae.expressions.fitting import AdditiveProblem, Fit, fit_constants
from matbench_segvae.expressions.operators import INTEGERS
from matbench_segvae.expressions.robust import fit_table_absolutely
from matbench_segvae.segvae.objective import Admissible, Scored, Tokens, everything

_LARGEST_WHOLE = max(map(int, INTEGERS))


@dataclass(frozen=True, kw_only=True)
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
    polishing_steps: int = 15
    decay: float = 0.0


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
        absolute: bool = False,
    ) -> None:
        """Set up.

        Args:
            problem: The data.
            variables: Names of the columns of its points.
            settings: How hard to fit.
            seed: Source of the random starts.
            admissible: Says which fits may be kept.
            plain_target: Of a table, the target in the units in which offset and factor may
                be whole numbers, shape ``(N,)``.
            absolute: Whether a table's errors count as they are instead of squared.
        """
        self._absolute = absolute
        self._fit_batch = fit_table_absolutely if absolute else fit_constants
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
        """Add the errors of formulas without any fitted number."""
        found = list(scored)
        target = self._plain_target
        places = [
            i for i, s in enumerate(found) if math.isfinite(s.loss) and FITTED not in s.tokens
        ]
        if target is None or not places:
            return found
        program = Program.compile([found[i].tokens for i in places], self._variables)
        values = program.values(self._problem.points, np.empty((len(places), 0)))
        problem = replace(self._problem, target=target)
        factor = self._fit_batch(problem, program, np.empty((len(places), 1, 0)), 0).scale
        errors = _plain_errors(values, problem, factor, self._absolute)
        for place, error in zip(places, errors.tolist(), strict=True):
            found[place] = replace(found[place], plain=error)
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
        # The start is a candidate too: a joint step may leave what is admissible.
        best = self._joint_fit(program, self._best_starts(program, n_starts, n_steps, hints), 0)
        if previous:
            before = _stack([s.constants for s in previous], program.width)
            best = _better(best, self._joint_fit(program, before, 0))
        # A table that was screened needs no more than its loss on all rows.
        if previous or self._problem.n_groups > 1:
            best = _better(best, self._joint_fit(program, best.constants, n_steps))
        # What is not admissible has an infinite loss, whatever its error.
        errors = np.where(np.isfinite(best.loss), best.error, np.inf)
        losses = np.sqrt(errors / self._n_observations).tolist()
        return [
            Scored(tokens, loss, best.constants[i, :, : tokens.count(FITTED)].copy())
            for i, (tokens, loss) in enumerate(zip(formulas, losses, strict=True))
        ]

    def _joint_fit(self, program: Program, start: Floats, n_steps: int) -> Fit:
        """Fit the constants of all groups together; what is not admissible is undefined."""
        fit = self._fit_batch(self._problem, program, start, n_steps, self._settings.decay)
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
            fit = self._fit_batch(problem, repeated, start, n_steps, self._settings.decay)
            constants = fit.constants[:, 0]
            fit.loss[~self._admissible(repeated, constants, group)] = np.inf
            winner = fit.loss.reshape(n_starts, -1).argmin(axis=0)
            best.append(constants.reshape(n_starts, len(program), -1)[winner, every])
        return np.stack(best, axis=1)

    def _random_start(self, shape: tuple[int, int, int]) -> Floats:
        """Constants of either sign around 1, the size that data in natural units ask for."""
        sign = np.where(self._rng.random(shape) < 0.5, -1.0, 1.0)
        return np.asarray(sign * np.exp(0.8 * self._rng.normal(size=shape)))


def _better(first: Fit, second: Fit) -> Fit:
    """For each formula the fit with the smaller loss."""
    return second.where(second.loss < first.loss, first)


def _plain_errors(values: Floats, table: AdditiveProblem, factor: Floats, absolute: bool) -> Floats:
    """Errors of ``b + a*f`` with the best whole ``a`` and ``b``, or 1 and 0, for each formula.

    Args:
        values: Of the formulas, shape ``(B, N)``.
        table: Target and weights, shape ``(N,)``.
        factor: Best factors that need not be whole, shape ``(B, 1)``.
        absolute: Whether errors count as they are instead of squared.

    Returns:
        Mean absolute or root mean squared errors in spreads of the target, shape ``(B,)``.
    """
    share = table.weights / table.weights.sum()

    def middle(rows: Floats) -> Floats:
        return np.asarray(np.median(rows, axis=-1) if absolute else rows @ share)

    def error(rest: Floats) -> Floats:
        return np.asarray(np.abs(rest) @ share if absolute else np.sqrt(np.square(rest) @ share))

    with np.errstate(all="ignore"):
        sign = np.where(factor < 0, -1.0, 1.0)
        errors = []
        for a in (sign, sign * np.clip(np.round(np.abs(factor)), 1, _LARGEST_WHOLE)):
            rest = table.target - a * values
            offset = np.round(middle(rest))[:, None]
            for b in (0.0, np.clip(offset, -_LARGEST_WHOLE, _LARGEST_WHOLE)):
                errors.append(error(rest - b))
        best = np.min(errors, axis=0) / error(table.target - middle(table.target))
    return np.asarray(np.where(np.isfinite(best), best, np.inf))


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
