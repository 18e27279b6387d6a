"""What choices of the search are worth where it matters: searches for formulas of pairs.

Known formulas are found or not, which shows little about a choice unless very many are
searched. The losses of the best formulas for a kind of pair can be compared search by search.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from matbench_segvae.algorithms.pair_laws.search import PairSearch
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.bench.ablation import VARIANTS, Variant
from matbench_segvae.bench.records import append, stored
from matbench_segvae.errors import UserError
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
        better: Searches whose loss is at least 1 % smaller.
        worse: Searches whose loss is at least 1 % larger.
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


def varied(
    variant: Variant, rounds: int, settings: PairLawSettings | None = None
) -> PairLawSettings:
    """Settings of searches of a variant.

    Args:
        variant: What is different in the search and its fits.
        rounds: Most rounds of a search.
        settings: What is varied; the settings of the algorithm ``segvae`` by default.
    """
    base = settings or PairLawSettings()
    return replace(
        base,
        search=replace(base.search, **{**variant.search, "epochs": rounds}),
        fit=replace(base.fit, **variant.fitting),
    )


def search_pairs(
    parts: Sequence[Part],
    settings: PairLawSettings,
    seeds: int,
    store: Path,
    report: Callable[[PairTrial], None] = lambda _: None,
) -> list[PairTrial]:
    """Search a formula for every kind of pair; what is stored is not searched again.

    Args:
        parts: Training parts.
        settings: Of the searches; see :func:`varied`.
        seeds: Number of seeds, from 0.
        store: File that gets a JSON line per finished search; an existing one is continued.
        report: Takes each search that finishes.

    Raises:
        UserError: If the file cannot be used.
    """
    done = {(t.part, t.kind, t.seed): t for t in stored(store, PairTrial)}
    each = [TrainingPairs.of(*part) for part in parts]
    found = []
    for seed in range(seeds):
        for number, data in enumerate(each):
            keys = [(number, kind, seed) for kind in range(len(data.pairs.pair_kinds))]
            if not done.keys() >= set(keys):
                search = PairSearch(data, settings, seed)
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
