"""The search on a table: arrays in, candidate formulas out.

Everything the estimator asks of the fitting and of the network is in here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem, powers_of_ten
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.regressor.front import Equation, FrontMaker
from matbench_segvae.regressor.losses import Loss
from matbench_segvae.regressor.table import Candidate, Table, Weights
from matbench_segvae.segvae.pretraining import pretrained
from matbench_segvae.segvae.scoring import AdditiveObjective, Criteria, DirectObjective, Objective
from matbench_segvae.segvae.search import Search
from matbench_segvae.segvae.settings import FitSettings, SearchSettings
from matbench_segvae.segvae.training import SEGVAEModule
from matbench_segvae.types import Floats

_PERFECT = 1e-10  # root mean squared error, in spreads of the target, at which to stop


_NETWORK_SEED = 0  # one network for all searches in a language, so that it can be kept


_LEAST_SECONDS = 1e-3  # for the one round that always takes place


_PROBES = 128  # random points of the data's box at which a formula has to be defined


_ROUNDING = 1e-10  # span of a formula's values that is next to nothing


class TableSearch:
    """A network and the searches it is used in, one after the other.

    Attributes:
        grammar: The language of the formulas.
        settings: Sizes and lengths.
        seed: Source of all randomness.
    """

    def __init__(
        self,
        grammar: Grammar,
        settings: SearchSettings,
        fit_settings: FitSettings,
        seed: int,
        weights: Weights | None = None,
        absolute: bool = False,
    ) -> None:
        """Make the network.

        Args:
            grammar: The language of the formulas.
            settings: Sizes and lengths.
            fit_settings: How hard constants are fitted.
            seed: Source of all randomness.
            weights: Of a network trained before; none to pretrain one.
            absolute: Whether errors count as they are instead of squared.
        """
        self._absolute = absolute
        self.grammar = grammar
        self.settings = settings
        self.seed = seed
        self._fit_settings = fit_settings
        self._module = _network(grammar, settings, weights)

    def weights(self) -> Weights:
        """Weights of the network as it is now."""
        return {name: value.detach().clone() for name, value in self._module.state_dict().items()}

    def run(
        self,
        table: Table,
        constant_free_target: Floats,
        epochs: int,
        deadline: float | None,
        report: Callable[[str], None],
    ) -> list[Candidate]:
        """Search formulas for a table.

        Args:
            table: The rows, features of ordinary size.
            constant_free_target: The target in the user's units.
            epochs: Rounds of the search.
            deadline: Moment of :func:`time.monotonic` after which no round is begun.
            report: Takes a line about the best formula after each round.

        Returns:
            The Pareto fronts of complexity against loss of formulas without constants, with
            one constant and so on, and the best few of those without: which are on the front of
            all is only known once they have their offset and factor, or none.
        """
        objective = self._objective(table, constant_free_target)
        spread = (
            table.spread if self.settings.linear_scaling else float(np.std(constant_free_target))
        )
        settings = replace(
            self.settings,
            epochs=epochs,
            max_seconds=_sooner(self.settings.max_seconds, deadline),
            target_loss=max(self.settings.target_loss, _PERFECT * spread),
        )
        self.seed += 1  # another search has to draw other formulas
        found = Search(self.grammar, objective, self._module, settings, self.seed).run(report)
        promising = {s.tokens: s for s in [*found.fronts(), *found.constant_free()]}
        return [
            Candidate(s.tokens, tuple(s.constants.ravel().tolist())) for s in promising.values()
        ]

    def _objective(self, table: Table, constant_free_target: Floats) -> Objective:
        """What formulas are asked for."""
        variables = self.grammar.variables
        criteria = Criteria(
            admissible=_Sound(table, self.seed),
            absolute=self._absolute,
            constant_free_target=constant_free_target,
        )
        problem = AdditiveProblem.table(table.points, table.target, table.weights)
        if not self.settings.linear_scaling:
            as_it_stands = replace(problem, target=constant_free_target)
            return DirectObjective(as_it_stands, variables, criteria)
        return AdditiveObjective(problem, variables, self._fit_settings, self.seed, criteria)


def _sooner(seconds: float | None, deadline: float | None) -> float | None:
    """The seconds that are left, none for no limit."""
    if deadline is None:
        return seconds
    left = max(deadline - time.monotonic(), _LEAST_SECONDS)
    return left if seconds is None else min(left, seconds)


def _network(grammar: Grammar, settings: SearchSettings, weights: Weights | None) -> SEGVAEModule:
    """A pretrained network, or one with given weights."""
    if weights is None:
        return pretrained(grammar, settings, _NETWORK_SEED)
    module = SEGVAEModule(len(grammar.tokens), settings.network, settings.training)
    module.load_state_dict(weights)
    return module


class _Sound:
    """Admits formulas that are defined everywhere between the data, not only on them.

    And whose values are more than rounding: what is left of ``x - (x + 1e-14)`` differs from
    row to row, so that a large factor of it can seem to describe anything.
    """

    def __init__(self, table: Table, seed: int) -> None:
        rng = np.random.default_rng(seed)
        low, high = table.points.min(axis=0), table.points.max(axis=0)
        self._probes = low + (high - low) * rng.random((_PROBES, table.points.shape[1]))

    def __call__(self, program: Program, constants: Floats, group: int) -> NDArray[np.bool_]:
        values = program.values(self._probes, constants)
        defined = np.asarray(np.isfinite(values).all(axis=1))
        finite = np.where(defined[:, None], values, 0.0)
        # Features and constants are of the size of one.
        least = _ROUNDING * (1 + np.abs(finite).max(axis=1))
        return np.asarray(defined & (finite.max(axis=1) - finite.min(axis=1) > least))


_CONSTANT = 1e-13  # spread of a target, in units of its size, that is only rounding


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What a warm start goes on from.

    Attributes:
        language: Tokens of the grammar; another language needs another start.
        scales: What features were divided by, shape ``(V,)``.
        candidates: The formulas of the front, for the scaled features.
        network: Weights of the network, none if they were not to be kept.
        n_fits: Fits so far.
    """

    language: tuple[str, ...]
    scales: Floats
    candidates: tuple[Candidate, ...]
    network: Weights | None
    n_fits: int


@dataclass(frozen=True)
class TableTask:
    """How to search a table.

    Attributes:
        grammar: The language, with a variable for each column.
        names: What the grammar calls each column, to its name for the user.
        search: Sizes and lengths.
        fitting: How hard constants are fitted.
        loss: Name of the loss.
        epochs: Rounds of the search.
        time_limit: Seconds to search for, none for no limit.
        seed: Source of all randomness.
        report: Takes a line after each round.
        keep_network: Whether to remember the network for a warm start.
    """

    grammar: Grammar
    names: Mapping[str, str]
    search: SearchSettings
    fitting: FitSettings
    loss: str
    epochs: int
    time_limit: float | None
    seed: int
    report: Callable[[str], None] = field(default=lambda _: None)
    keep_network: bool = False


@dataclass(frozen=True)
class TableResult:
    """What came of it.

    Attributes:
        front: The formulas in the table's units, simplest first.
        plain: Those of a front without any fitted number.
        loss: What was minimised.
        memory: What another fit can go on from.
    """

    front: tuple[Equation, ...]
    plain: tuple[Equation, ...]
    loss: Loss
    memory: WarmStart | None


def fit_table(task: TableTask, table: Table, memory: WarmStart | None) -> TableResult:
    """Search formulas for a table.

    Args:
        task: How.
        table: The rows.
        memory: Of an earlier fit with the same language, to go on from.
    """
    scales = (
        powers_of_ten(table.points)
        if task.search.linear_scaling
        else np.ones(table.points.shape[1])
    )
    scales = scales if memory is None else memory.scales
    maker = FrontMaker(table, scales, task.names, task.loss, task.search.linear_scaling)
    varies = np.ptp(table.points, axis=0).any()
    if not varies or table.spread <= _CONSTANT * np.abs(table.target).max():
        return TableResult(*maker.fronts([]), maker.loss, None)
    n_fits = 0 if memory is None else memory.n_fits
    search = TableSearch(
        task.grammar,
        task.search,
        task.fitting,
        task.seed + n_fits,
        None if memory is None else memory.network,
        # How wide Huber's loss is is only known once there are good formulas.
        absolute=task.loss != "squared",
    )
    deadline = None if task.time_limit is None else time.monotonic() + task.time_limit
    rows = _standardised(maker.scaled)
    found = search.run(rows, maker.scaled.target, task.epochs, deadline, task.report)
    known = () if memory is None else memory.candidates
    candidates = {candidate.tokens: candidate for candidate in [*known, *found]}
    fits = maker.polished(list(candidates.values()))
    front, plain = maker.fronts(fits)
    kept = WarmStart(
        task.grammar.tokens,
        scales,
        tuple(candidate for candidate, _ in fits),
        search.weights() if task.keep_network else None,
        n_fits + 1,
    )
    return TableResult(front, plain, maker.loss, kept)


def _standardised(table: Table) -> Table:
    """The same with a target of mean 0 and spread 1; offset and factor are free anyway."""
    mean = float(np.average(table.target, weights=table.weights))
    spread = table.spread
    if not math.isfinite(spread):
        return table
    return replace(table, target=(table.target - mean) / spread)
