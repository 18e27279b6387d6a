"""The search on a table: arrays in, candidate formulas out.

Everything the estimator asks of the fitting and of the network is in here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from matbench_segvae.expressions import Grammar
from matbench_segvae.expressions.compiled import Program
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.segvae.additive import AdditiveObjective, FitSettings
from matbench_segvae.segvae.module import SEGVAEModule
from matbench_segvae.segvae.objective import DirectObjective, Objective
from matbench_segvae.segvae.pretraining import pretrained
from matbench_segvae.segvae.search import search
from matbench_segvae.segvae.settings import SearchSettings

Array = NDArray[np.float64]
Tokens = tuple[str, ...]
Weights = dict[str, torch.Tensor]

_PERFECT = 1e-10  # root mean squared error, in spreads of the target, at which to stop
_NETWORK_SEED = 0  # one network for all searches in a language, so that it can be kept
_LEAST_SECONDS = 1e-3  # for the one round that always takes place
_PROBES = 128  # random points of the data's box at which a formula has to be defined
_ROUNDING = 1e-10  # span of a formula's values that is next to nothing


@dataclass(frozen=True)
class Table:
    """Rows to describe by a formula.

    Attributes:
        points: Features, shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Of the rows in the loss, shape ``(N,)``, all positive, with mean 1.
    """

    points: Array
    target: Array
    weights: Array

    @property
    def spread(self) -> float:
        """Standard deviation of the target."""
        mean = float(np.average(self.target, weights=self.weights))
        return math.sqrt(float(np.average((self.target - mean) ** 2, weights=self.weights)))

    def reweighted(self, factors: Array) -> Table:
        """The same rows with their weights multiplied, mean 1 again."""
        weights = self.weights * factors
        return replace(self, weights=weights / weights.mean())


@dataclass(frozen=True)
class Candidate:
    """A formula with constants from which to fit it further.

    Attributes:
        tokens: Prefix tokens.
        constants: Values of its fitted constants.
    """

    tokens: Tokens
    constants: tuple[float, ...]


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
        plain_target: Array,
        epochs: int,
        deadline: float | None,
        report: Callable[[str], None],
    ) -> list[Candidate]:
        """Search formulas for a table.

        Args:
            table: The rows, features of ordinary size.
            plain_target: The target in the user's units.
            epochs: Rounds of the search.
            deadline: Moment of :func:`time.monotonic` after which no round is begun.
            report: Takes a line about the best formula after each round.

        Returns:
            The Pareto fronts of complexity against loss of formulas without constants, with
            one constant and so on, and the best few of those without: which are on the front of
            all is only known once they have their offset and factor, or none.
        """
        objective = self._objective(table, plain_target)
        spread = table.spread if self.settings.scaled else float(np.std(plain_target))
        settings = replace(
            self.settings,
            epochs=epochs,
            max_seconds=_sooner(self.settings.max_seconds, deadline),
            target_loss=max(self.settings.target_loss, _PERFECT * spread),
        )
        self.seed += 1  # another search has to draw other formulas
        found = search(self.grammar, objective, self._module, settings, self.seed, report)
        promising = {s.tokens: s for s in [*found.fronts(), *found.plain()]}
        return [
            Candidate(s.tokens, tuple(s.constants.ravel().tolist())) for s in promising.values()
        ]

    def _objective(self, table: Table, plain_target: Array) -> Objective:
        """What formulas are asked for."""
        variables, sound = self.grammar.variables, _Sound(table, self.seed)
        if not self.settings.scaled:
            return DirectObjective(
                table.points, plain_target, table.weights, variables, sound, self._absolute
            )
        problem = AdditiveProblem.table(table.points, table.target, table.weights)
        return AdditiveObjective(
            problem,
            variables,
            self._fit_settings,
            self.seed,
            sound,
            plain_target,
            self._absolute,
        )


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

    def __call__(self, program: Program, constants: Array, group: int) -> NDArray[np.bool_]:
        values = program.values(self._probes, constants)
        defined = np.asarray(np.isfinite(values).all(axis=1))
        finite = np.where(defined[:, None], values, 0.0)
        # Features and constants are of the size of one.
        least = _ROUNDING * (1 + np.abs(finite).max(axis=1))
        return np.asarray(defined & (finite.max(axis=1) - finite.min(axis=1) > least))
