"""The soft maximum of the levels of a structure, and its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matbench_segvae.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class SoftMaximum:
    """``T log Σ exp(e/T)`` over the levels of each of ``N`` structures.

    The soft minimum of levels is the negative soft maximum of their negatives.

    Attributes:
        values: eV, shape ``(N,)``.
        shares: Derivatives by the levels, which sum to 1 in each structure, shape ``(D,)``.
        slopes: Derivatives by the logarithm of the temperature, eV, shape ``(N,)``.
    """

    values: Floats
    shares: Floats
    slopes: Floats

    @classmethod
    def of(cls, levels: Floats, starts: Ints, temperature: float) -> SoftMaximum:
        """Take the soft maximum of each structure.

        Args:
            levels: eV, shape ``(D,)``, those of a structure next to each other.
            starts: Position of the first level of each structure, ascending, shape ``(N,)``.
            temperature: ``T``, eV, positive.
        """
        sizes = np.diff(np.append(starts, len(levels)))
        of_level = np.repeat(np.arange(len(starts)), sizes)
        highest = np.maximum.reduceat(levels, starts) if len(starts) else np.zeros(0)
        below = (levels - highest[of_level]) / temperature
        weights = np.exp(below)
        sums = np.add.reduceat(weights, starts) if len(starts) else np.zeros(0)
        shares = weights / sums[of_level]
        mean = np.add.reduceat(shares * below, starts) if len(starts) else np.zeros(0)
        logarithms = np.log(sums)
        return cls(highest + temperature * logarithms, shares, temperature * (logarithms - mean))
