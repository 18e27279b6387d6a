"""What choices of the search are worth where it matters: searches for formulas of pairs.

Known formulas are found or not, which tells little about a choice unless very many are
searched. What the best formula for a kind of pair leaves over can be compared search by search.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.pair_laws.law import pair_problem
from matbench_segvae.algorithms.pair_laws.search import PairSearch
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.bench.ablation import VARIANTS, Variant
from matbench_segvae.bench.records import append, stored
from matbench_segvae.defects import count_pairs, shortest_distances, sparse_defects
from matbench_segvae.errors import UserError
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.lightning_tools import isolated
from matbench_segvae.segvae import Scored

_SMALLEST = 1e-4  # eV: with a few distances formulas pass through them all, more or less


_SHORT = 15  # tokens, about what a law of 40 nodes has for each of three kinds of pairs


Part = tuple[pd.Series, pd.Series]
"""Structures and their energies per defect site, eV."""


@dataclass(frozen=True)
class PairTrial:
    """One search for the formula of a kind of pair.

    Attributes:
        part: Number of the training part.
        kind: Number of the kind of pair.
        seed: Of the search.
        short: Least loss of a formula of at most 15 tokens, eV; infinite if there is none.
        any_length: Least loss of all, eV.
        seconds: Time of the search.
    """

    part: int
    kind: int
    seed: int
    short: float
    any_length: float
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Searches with a change beside those without it.

    Attributes:
        searches: Pairs of searches with losses.
        ratio: Geometric mean of the losses with the change in units of those without it.
        error: Standard error of the ratio.
        better: Searches that left at least 1 % less.
        worse: Searches that left at least 1 % more.
    """

    searches: int
    ratio: float
    error: float
    better: int
    worse: int


def pair_variants(names: Sequence[str] | None = None) -> dict[str, Variant]:
    """Variants by name that pair laws have too, the default first.

    Args:
        names: Some of them; all by default.

    Raises:
        UserError: If there is no such variant, or pair laws do not have it.
    """
    known = {
        name: one
        for name, one in VARIANTS.items()
        if not one.estimator and one.search.get("linear_scaling", True)
    }
    for name in names or ():
        if name not in known:
            raise UserError(
                f"no variant '{name}' of searches for pairs: choose from {', '.join(known)}"
            )
    return {name: known[name] for name in dict.fromkeys(["default", *(names or known)])}


def search_pairs(
    parts: Sequence[Part],
    variant: Variant,
    seeds: int,
    rounds: int,
    store: Path,
    report: Callable[[PairTrial], None] = lambda _: None,
    settings: PairLawSettings | None = None,
) -> list[PairTrial]:
    """Search a formula for every kind of pair; what is stored is not searched again.

    Args:
        parts: Training parts.
        variant: Mutations to the search and its fits.
        seeds: Number of seeds, from 0.
        rounds: Most rounds of a search.
        store: File that gets a JSON line per finished search; the same file goes on.
        report: Hears of each search that finishes.
        settings: Of the searches; those of the algorithm ``segvae`` by default.

    Raises:
        UserError: If the file cannot be used.
    """
    base = settings or PairLawSettings()
    changed = replace(
        base,
        search=replace(base.search, **{**variant.search, "epochs": rounds}),
        fit=replace(base.fit, **variant.fitting),
    )
    done = {(t.part, t.kind, t.seed): t for t in stored(store, PairTrial)}
    posed = [_posed(part) for part in parts]
    found = []
    for seed in range(seeds):
        for number, (problem, shortest) in enumerate(posed):
            keys = [(number, kind, seed) for kind in range(problem.n_groups)]
            if not done.keys() >= set(keys):
                search = PairSearch(problem, changed, seed, shortest)
                for key in keys:
                    if key not in done:
                        done[key] = _trial(search, key)
                        append(store, done[key])
                        report(done[key])
            found += [done[key] for key in keys]
    return found


def compared(
    changed: Sequence[PairTrial], default: Sequence[PairTrial], loss: Callable[[PairTrial], float]
) -> Comparison:
    """What a change does to the losses of the same searches.

    Args:
        changed: Searches with the change.
        default: The same searches without it, in the same order.
        loss: Which loss to compare; below 0.1 meV all are alike.

    Raises:
        ValueError: If there are not as many of both.
    """
    pairs = zip(changed, default, strict=True)
    both = [(max(loss(one), _SMALLEST), max(loss(other), _SMALLEST)) for one, other in pairs]
    logs = [math.log(a / b) for a, b in both if max(a, b) < math.inf]
    if not logs:
        return Comparison(0, math.nan, math.nan, 0, 0)
    ratio = math.exp(statistics.fmean(logs))
    spread = statistics.stdev(logs) if len(logs) > 1 else math.nan
    return Comparison(
        searches=len(logs),
        ratio=ratio,
        error=ratio * spread / math.sqrt(len(logs)),
        better=sum(value < -0.01 for value in logs),
        worse=sum(value > 0.01 for value in logs),
    )


def _posed(part: Part) -> tuple[AdditiveProblem, list[float]]:
    """A training part as sums over pairs, and the shortest distance for each kind of pair, Å."""
    structures, energies = part
    cells = [sparse_defects(structure) for structure in structures]
    table = count_pairs(cells)
    problem = pair_problem(table, energies.to_numpy(dtype=np.float64))
    return problem, shortest_distances({cell.host for cell in cells}, table.pair_kinds)


def _trial(search: PairSearch, key: tuple[int, int, int]) -> PairTrial:
    part, kind, seed = key
    start = time.perf_counter()
    with isolated(seed):
        formulas = search.formulas(kind, seed, lambda _: None)
    seconds = time.perf_counter() - start
    short = [scored for scored in formulas if len(scored.tokens) <= _SHORT]
    return PairTrial(part, kind, seed, _least(short), _least(formulas), seconds)


def _least(formulas: Sequence[Scored]) -> float:
    return min((scored.loss for scored in formulas), default=math.inf)
