"""Scoring formulas by their loss with the best constants found for them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from matbench_segvae.expressions import FITTED
from matbench_segvae.expressions.operators import LARGEST_INTEGER
from matbench_segvae.fitting.additive_problem import AdditiveProblem, Fit, fit_constants
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.robust import fit_table_absolutely
from matbench_segvae.seeding import drawn_rows
from matbench_segvae.segvae.settings import FitSettings
from matbench_segvae.types import Booleans, Floats, Tokens

# Which formulas may be kept, shape (B,), given the formulas, their constants for one group of
# points, shape (B, C), and the number of the group.
Admissible = Callable[[Program, Floats, int], Booleans]


def admit_all(program: Program, constants: Floats, group: int) -> Booleans:
    """Admit all formulas."""
    return np.ones(len(program), dtype=np.bool_)


@dataclass(frozen=True, eq=False, kw_only=True)
class Criteria:
    """What formulas are judged by.

    Attributes:
        admissible: Which formulas, with their constants, may be kept.
        absolute: Whether a table's errors count as they are instead of squared.
        constant_free_target: Of a table, the target in the units in which offset and factor
            may be whole numbers, shape ``(N,)``; ``None`` for no constant-free losses.
            Formulas compared as they stand have no other loss.
    """

    admissible: Admissible = admit_all
    absolute: bool = False
    constant_free_target: Floats | None = None


_DEFAULT_CRITERIA = Criteria()


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """A formula with its loss and the constants that gave it.

    Attributes:
        tokens: The formula.
        loss: Root mean squared error, weighted, beyond what free values at the points would
            leave; infinite if the formula is not defined on the data or not admissible.
        constants: Constants in each group, shape ``(K, C)`` with the formula's own ``C``.
        constant_free_loss: The same error of a formula without fitted constants if offset and
            factor are whole numbers too, in spreads of the target; infinite if the criteria
            have no target for it.
    """

    tokens: Tokens
    loss: float
    constants: Floats
    constant_free_loss: float = float("inf")


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


class DirectObjective:
    """Scores formulas without fitted constants as they stand, without factor and offset.

    Args:
        table: The data.
        variables: Names of the columns of its points.
        criteria: What formulas are judged by.
    """

    def __init__(
        self,
        table: AdditiveProblem,
        variables: Sequence[str],
        criteria: Criteria = _DEFAULT_CRITERIA,
    ) -> None:
        self._table = table
        self._share = table.weights / table.weights.sum()
        self._variables = tuple(variables)
        self._criteria = criteria

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Score formulas; hints do not matter.

        Raises:
            ValueError: If a formula has constants to be fitted.
        """
        if any(FITTED in tokens for tokens in formulas):
            raise ValueError("formulas with fitted constants need another objective")
        program = Program.compile(formulas, self._variables)
        none = np.empty((len(formulas), 0))
        with np.errstate(over="ignore"):
            residuals = program.values(self._table.points, none) - self._table.target
            errors = _mean_error(residuals, self._share, self._criteria.absolute)
        kept = np.isfinite(errors) & self._criteria.admissible(program, none, 0)
        losses = np.where(kept, errors, np.inf).tolist()
        no_constants = np.empty((1, 0))
        return [
            Scored(tokens, loss, no_constants, loss)
            for tokens, loss in zip(formulas, losses, strict=True)
        ]


class RandomStarts:
    """Draws constants to start fits from; its state goes into checkpoints of a search.

    Args:
        seed: Source of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def random_start(self, shape: tuple[int, ...]) -> Floats:
        """Constants of either sign around 1, the size that suits data in natural units."""
        sign = np.where(self._rng.random(shape) < 0.5, -1.0, 1.0)
        return np.asarray(sign * np.exp(0.8 * self._rng.normal(size=shape)))

    def state_dict(self) -> dict[str, Any]:
        """State of the generator, as JSON."""
        return {"rng": json.dumps(self._rng.bit_generator.state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the generator."""
        self._rng.bit_generator.state = json.loads(state["rng"])


class AdditiveObjective(RandomStarts):
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
        criteria: Criteria = _DEFAULT_CRITERIA,
    ) -> None:
        """Set up.

        Args:
            problem: The data.
            variables: Names of the columns of its points.
            settings: How hard to fit.
            seed: Source of the random starts.
            criteria: What formulas are judged by.
        """
        self._criteria = criteria
        self._fit_batch = fit_table_absolutely if criteria.absolute else fit_constants
        self._problem = problem
        self._variables = tuple(variables)
        self._settings = settings
        super().__init__(seed)
        self._n_observations = len(problem.target)
        self._screened = _for_screening(problem, settings.screening_rows, seed).one_by_one()

    def score(
        self, formulas: Sequence[Tokens], hints: Mapping[Tokens, Floats] | None = None
    ) -> list[Scored]:
        """Fit and score formulas: all of them briefly, the most promising ones harder."""
        settings = self._settings
        starts = [(hints or {}).get(tokens) for tokens in formulas]
        scored = self._fit(formulas, settings.screening_starts, settings.screening_steps, starts)
        n_polished = max(1, round(settings.polished_share * len(scored)))
        order = sorted(range(len(scored)), key=lambda i: scored[i].loss)[:n_polished]
        before = [scored[i] for i in order]
        after = self._fit(
            [s.tokens for s in before],
            settings.polishing_starts,
            settings.polishing_steps,
            [starts[i] for i in order],
            before,
        )
        for position, old, new in zip(order, before, after, strict=True):
            scored[position] = min(old, new, key=lambda s: s.loss)
        target = self._criteria.constant_free_target
        return scored if target is None else self._with_constant_free_losses(scored, target)

    def _with_constant_free_losses(self, scored: Sequence[Scored], target: Floats) -> list[Scored]:
        """Add the errors of formulas without any fitted number."""
        completed = list(scored)
        positions = [
            i for i, s in enumerate(scored) if math.isfinite(s.loss) and FITTED not in s.tokens
        ]
        if not positions:
            return completed
        program = Program.compile([scored[i].tokens for i in positions], self._variables)
        values = program.values(self._problem.points, np.empty((len(positions), 0)))
        problem = replace(self._problem, target=target)
        factor = self._fit_batch(problem, program, np.empty((len(positions), 1, 0)), 0).scale
        errors = _constant_free_errors(values, problem, factor, self._criteria.absolute)
        for position, error in zip(positions, errors.tolist(), strict=True):
            completed[position] = replace(scored[position], constant_free_loss=error)
        return completed

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
        # The start is a candidate too: a joint step may end where nothing is admissible.
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
            fit.loss[~self._criteria.admissible(program, fit.constants[:, group], group)] = np.inf
        return fit

    def _best_starts(
        self, program: Program, n_starts: int, n_steps: int, hints: Sequence[Floats | None]
    ) -> Floats:
        """Find good constants for each group by itself, from several random starts.

        Groups are coupled only by the residual. Fitting them one by one needs a lucky start
        for each, not for all at once. A hint takes the place of one random start.

        Returns:
            Constants, shape ``(B, K, C)``.
        """
        repeated = program.repeat(n_starts)
        every = np.arange(len(program))
        best = []
        for group, problem in enumerate(self._screened):
            start = self.random_start((len(repeated), 1, program.width))
            for row, hint in enumerate(hints):
                if hint is not None:
                    known = np.flatnonzero(np.isfinite(hint[group]))
                    start[row, 0, known] = hint[group, known]
            fit = self._fit_batch(problem, repeated, start, n_steps, self._settings.decay)
            constants = fit.constants[:, 0]
            fit.loss[~self._criteria.admissible(repeated, constants, group)] = np.inf
            winner = fit.loss.reshape(n_starts, -1).argmin(axis=0)
            best.append(constants.reshape(n_starts, len(program), -1)[winner, every])
        return np.stack(best, axis=1)


def _better(first: Fit, second: Fit) -> Fit:
    """For each formula the fit with the smaller loss."""
    return second.where(second.loss < first.loss, first)


def _mean_error(residuals: Floats, share: Floats, absolute: bool) -> Floats:
    """Mean absolute or root mean squared errors of rows, with weights that sum to 1."""
    return np.asarray(
        np.abs(residuals) @ share if absolute else np.sqrt(np.square(residuals) @ share)
    )


def _constant_free_errors(
    values: Floats, table: AdditiveProblem, factor: Floats, absolute: bool
) -> Floats:
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

    with np.errstate(all="ignore"):
        sign = np.where(factor < 0, -1.0, 1.0)
        errors = []
        for a in (sign, sign * np.clip(np.round(np.abs(factor)), 1, LARGEST_INTEGER)):
            residuals = table.target - a * values
            offset = np.round(middle(residuals))[:, None]
            for b in (0.0, np.clip(offset, -LARGEST_INTEGER, LARGEST_INTEGER)):
                errors.append(_mean_error(residuals - b, share, absolute))
        spread = _mean_error(table.target - middle(table.target), share, absolute)
        best = np.min(errors, axis=0) / spread
    return np.asarray(np.where(np.isfinite(best), best, np.inf))


def _for_screening(problem: AdditiveProblem, most_rows: int, seed: int) -> AdditiveProblem:
    """A long table with some of its rows only; any other problem as it is.

    Enough to distinguish good starts from bad ones, at a fraction of the time.
    """
    n_rows = len(problem.target)
    if problem.incidence is not None or n_rows <= most_rows:
        return problem
    return problem.subset(drawn_rows(n_rows, most_rows, seed))


def _stack(constants: Sequence[Floats], width: int) -> Floats:
    """Stack constants of different lengths into ``(B, K, width)``, filled with 0."""
    return np.stack([np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in constants])
