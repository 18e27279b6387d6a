"""The Pareto front: formulas that nothing simpler beats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto_front(
    items: Iterable[T],
    complexity: Callable[[T], int],
    loss: Callable[[T], float],
    tolerance: float = 1e-3,
) -> list[T]:
    """Keep what has a smaller loss than everything that is not more complex.

    Args:
        items: Candidates; those with a loss that is not finite are left out.
        complexity: Complexity of a candidate.
        loss: Loss of a candidate, smaller is better.
        tolerance: Relative gain in loss that a step in complexity has to bring.

    Returns:
        The front, simplest first.
    """
    best: dict[int, T] = {}
    for item in items:
        rival = best.get(complexity(item))
        if math.isfinite(loss(item)) and (rival is None or loss(item) < loss(rival)):
            best[complexity(item)] = item
    front: list[T] = []
    threshold = math.inf
    for size in sorted(best):
        if loss(best[size]) < threshold:
            front.append(best[size])
            threshold = loss(best[size]) * (1 - tolerance)
    return front
