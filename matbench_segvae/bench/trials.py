"""Finished searches of an ablation, and comparing them pair by pair."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from matbench_segvae.errors import cut

BudgetKind = Literal["cpu", "formulas"]
"""What two searches have had as much of when they are compared: CPU seconds or scored formulas."""

_SAME = 0.01  # relative difference of losses that counts as none


@dataclass(frozen=True)
class Trial:
    """What a search had found when it had used up a budget.

    Attributes:
        suite: Name of the suite.
        problem: Name of the problem.
        seed: Of the points and the search.
        variant: Name of the variant.
        budget: ``"cpu"`` or ``"formulas"``.
        limit: The budget: CPU seconds, or scored formulas.
        loss: Least loss, in units of the target's spread.
        floor: Loss, in the same units, below which all are equally good.
        formulas: Scored formulas by then.
        cpu_seconds: CPU seconds by then.
        leaders_by_source: How many leaders there had been, one a round at most, by who wrote them:
            the ``network``, chance (``random``) or a ``mutation``.
        front_by_source: The same of formulas that joined the Pareto front.
    """

    suite: str
    problem: str
    seed: int
    variant: str
    budget: BudgetKind
    limit: float
    loss: float
    floor: float
    formulas: int
    cpu_seconds: float
    leaders_by_source: Mapping[str, int]
    front_by_source: Mapping[str, int]

    def __post_init__(self) -> None:
        numbers = (self.limit, self.loss, self.floor, self.cpu_seconds)
        if self.budget not in get_args(BudgetKind):
            raise ValueError(f"its budget is {cut(self.budget)!r}")
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("its numbers are not all numbers")
        for counts in (self.leaders_by_source, self.front_by_source):
            if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
                raise ValueError("what it counts by source is no object of whole numbers")

    @property
    def search(self) -> tuple[str, str, int, str]:
        """What names its search: suite, problem, seed and variant."""
        return self.suite, self.problem, self.seed, self.variant


@dataclass(frozen=True)
class Comparison:
    """Searches of one variant beside those of another with the same problems and seeds.

    Attributes:
        searches: Pairs of searches.
        ratio: Geometric mean of the losses in units of the other's.
        factor: Standard error of the ratio, as a factor to multiply it with or divide it by.
        median: Median of the ratios.
        wins: Searches whose loss is at least 1 % smaller.
        losses: Searches whose loss is at least 1 % larger.
        found: How many searches found a formula as good as any counts, of the variant and of the
            other.
    """

    searches: int
    ratio: float
    factor: float
    median: float
    wins: int
    losses: int
    found: tuple[int, int]


def compared(trials: Sequence[Trial], name: str, reference: str, budget: BudgetKind) -> Comparison:
    """What a variant does to the losses of the same searches.

    Args:
        trials: Of both variants, and of others.
        name: The variant.
        reference: What it is compared with.
        budget: At equal ``"cpu"`` seconds or ``"formulas"``.
    """

    def by_search(of: str) -> dict[tuple[str, str, int], Trial]:
        own = [trial for trial in trials if (trial.variant, trial.budget) == (of, budget)]
        return {(trial.suite, trial.problem, trial.seed): trial for trial in own}

    ours, theirs = by_search(name), by_search(reference)
    pairs = [(ours[key], theirs[key]) for key in ours if key in theirs]
    both = [(max(a.loss, a.floor), max(b.loss, b.floor)) for a, b in pairs]
    logs = [math.log(a / b) for a, b in both if max(a, b) < math.inf]
    if not logs:
        return Comparison(0, math.nan, math.nan, math.nan, 0, 0, (0, 0))
    error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    return Comparison(
        searches=len(logs),
        ratio=math.exp(statistics.fmean(logs)),
        factor=math.exp(error),
        median=math.exp(statistics.median(logs)),
        wins=sum(value < -_SAME for value in logs),
        losses=sum(value > _SAME for value in logs),
        found=(sum(a.loss <= a.floor for a, _ in pairs), sum(b.loss <= b.floor for _, b in pairs)),
    )


def written_by(trials: Sequence[Trial], name: str, budget: BudgetKind) -> dict[str, int]:
    """Who wrote the leaders of a variant's searches, most first.

    Args:
        trials: Of this variant, and of others.
        name: The variant.
        budget: Up to which budget.
    """
    total: Counter[str] = Counter()
    for trial in trials:
        if (trial.variant, trial.budget) == (name, budget):
            total.update(trial.leaders_by_source)
    return dict(total.most_common())
