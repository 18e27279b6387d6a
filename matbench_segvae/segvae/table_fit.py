"""From rows to a front: what happens between the estimator and the search."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import Grammar
from matbench_segvae.segvae.additive import FitSettings
from matbench_segvae.segvae.equations import Equation
from matbench_segvae.segvae.front import FrontMaker
from matbench_segvae.segvae.losses import Loss
from matbench_segvae.segvae.scaling import powers_of_ten
from matbench_segvae.segvae.settings import SearchSettings
from matbench_segvae.segvae.table_search import Candidate, Table, TableSearch, Weights

Array = NDArray[np.float64]

_CONSTANT = 1e-13  # spread of a target, in units of its size, that is only rounding


@dataclass(frozen=True, eq=False)
class Memory:
    """What a warm start goes on from.

    Attributes:
        language: Tokens of the grammar; another language needs another start.
        scales: What features were divided by, shape ``(V,)``.
        candidates: The formulas of the front, for the scaled features.
        network: Weights of the network, none if they were not to be kept.
        n_fits: Fits so far.
    """

    language: tuple[str, ...]
    scales: Array
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
    memory: Memory | None


def distinct_rows(points: Array, target: Array, weights: Array) -> Table:
    """The rows in a fixed order, equal ones as one with the sum of their weights.

    A weight of 2 is then the same as a row that stands there twice, a weight of 0 the same
    as no row, and the order of the rows does not matter.

    Args:
        points: Shape ``(N, V)``.
        target: Shape ``(N,)``.
        weights: Shape ``(N,)``, none negative, not all 0.
    """
    used = weights > 0
    rows = np.column_stack([points, target])[used]
    distinct, where = np.unique(rows, axis=0, return_inverse=True)
    summed = np.bincount(where.ravel(), weights=weights[used])
    return Table(distinct[:, :-1].copy(), distinct[:, -1].copy(), summed / summed.mean())


def fit_table(task: TableTask, table: Table, memory: Memory | None) -> TableResult:
    """Search formulas for a table.

    Args:
        task: How.
        table: The rows.
        memory: Of an earlier fit with the same language, to go on from.
    """
    scales = powers_of_ten(table.points) if task.search.scaled else np.ones(table.points.shape[1])
    scales = scales if memory is None else memory.scales
    maker = FrontMaker(table, scales, task.names, task.loss, task.search.scaled)
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
    kept = Memory(
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
