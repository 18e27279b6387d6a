"""The search for candidate formulas on a table of scaled features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from matbench_segvae.expressions import Expression, Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.regressor.table import Table
from matbench_segvae.segvae.domain import defined_between
from matbench_segvae.segvae.pretraining import Weights, pretrained
from matbench_segvae.segvae.scoring import AdditiveObjective, Criteria, DirectObjective, Objective
from matbench_segvae.segvae.search import Search
from matbench_segvae.segvae.settings import FitSettings, SearchSettings
from matbench_segvae.segvae.training import SEGVAEModule
from matbench_segvae.types import Floats, Report

_PERFECT = 1e-10  # root mean squared error, in spreads of the target, at which to stop
_PROBES = 128  # random points of the data's box at which a formula has to be defined


@dataclass(frozen=True)
class SearchOptions:
    """How a table is searched.

    Attributes:
        search: Sizes and lengths of the search.
        fitting: How hard constants are fitted.
        loss: Name of the loss.
        seed: Source of all randomness.
        report: Takes a line about the best formula after each round.
    """

    search: SearchSettings
    fitting: FitSettings
    loss: str
    seed: int
    report: Report


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What a fit starts from: for a first one, nothing but the scales of the features.

    Attributes:
        language: Tokens of the grammar; another language needs another network.
        scales: What features are divided by, shape ``(V,)``.
        formulas: The formulas that the previous fit ended with, for the scaled features.
        network: Weights of the network after the previous fit; ``None`` to pretrain one.
        n_fits: Fits so far.
    """

    language: tuple[str, ...]
    scales: Floats
    formulas: tuple[Expression, ...] = ()
    network: Weights | None = None
    n_fits: int = 0


def search_table(
    table: Table, grammar: Grammar, options: SearchOptions, start: WarmStart
) -> tuple[list[Expression], Weights | None]:
    """Search formulas for a table.

    Args:
        table: The rows, features of ordinary size, the target in the user's units.
        grammar: The language of the formulas.
        options: How to search.
        start: What to start from.

    Returns:
        The candidates with constants to start their final fit from, and the weights of the
        network after the search. Candidates are the formulas of the start, the Pareto fronts
        of complexity against loss of formulas without constants, with one constant and so on,
        and the best few of those without: which are on the front of all is only known once
        they have their offset and factor, or none. A constant table is not searched: it has
        no candidates and leaves no weights.
    """
    if table.is_constant:
        return [], None
    seed = options.seed + start.n_fits  # another fit has to draw other formulas
    module = _network(grammar, options.search, start.network)
    linear_scaling = options.search.linear_scaling
    spread = table.standardised().spread if linear_scaling else float(np.std(table.target))
    target_loss = max(options.search.target_loss, _PERFECT * spread)
    settings = replace(options.search, target_loss=target_loss)
    objective = table_objective(table, grammar.variables, options, seed)
    found = Search(grammar, objective, module, settings, seed + 1).run(options.report)
    scored = {s.tokens: s for s in [*found.fronts(), *found.constant_free()]}
    new = [Expression(s.tokens, tuple(s.constants.ravel().tolist())) for s in scored.values()]
    candidates = {formula.tokens: formula for formula in [*start.formulas, *new]}
    weights = {name: value.detach().clone() for name, value in module.state_dict().items()}
    return list(candidates.values()), weights


def table_objective(
    table: Table, variables: tuple[str, ...], options: SearchOptions, seed: int
) -> Objective:
    """What scores formulas: their error on the table, linearly scaled or as they are.

    Args:
        table: The rows, features of ordinary size.
        variables: Names of the features in formulas.
        options: How to search.
        seed: Source of the random starts.
    """
    criteria = Criteria(
        admissible=defined_between(table.points, _PROBES, seed, beyond_rounding=True),
        # Huber's width is only known once there are good formulas: absolute errors until then.
        absolute=options.loss != "squared",
        constant_free_target=table.target,
    )
    rows = table.standardised() if options.search.linear_scaling else table
    problem = AdditiveProblem.table(rows.points, rows.target, rows.weights)
    if not options.search.linear_scaling:
        return DirectObjective(problem, variables, criteria)
    return AdditiveObjective(problem, variables, options.fitting, seed, criteria)


def _network(grammar: Grammar, settings: SearchSettings, weights: Weights | None) -> SEGVAEModule:
    """A pretrained network, or one with given weights."""
    if weights is None:
        return pretrained(grammar, settings)
    module = SEGVAEModule(len(grammar.tokens), settings.network, settings.training)
    module.load_state_dict(weights)
    return module
