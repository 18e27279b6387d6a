"""Formulas that are defined between the data, not only on them."""

from __future__ import annotations

import numpy as np

from matbench_segvae.fitting.compiled import Program
from matbench_segvae.segvae.scoring import Admissible
from matbench_segvae.types import Booleans, Floats

_ROUNDING = 1e-10  # span of a formula's values that may be rounding alone


def defined_between(
    points: Floats, n_probes: int, seed: int, beyond_rounding: bool = False
) -> Admissible:
    """Admit formulas that are defined at random points of the data's bounding box.

    Args:
        points: Features of ordinary size, shape ``(N, V)``.
        n_probes: Number of random points.
        seed: Seed of the random points.
        beyond_rounding: Whether a formula's values also have to vary by more than rounding:
            what is left of ``x - (x + 1e-14)`` differs from row to row, so that a large
            factor of it can seem to describe anything.
    """
    rng = np.random.default_rng(seed)
    low, high = points.min(axis=0), points.max(axis=0)
    probes = low + (high - low) * rng.random((n_probes, points.shape[1]))

    def admissible(program: Program, constants: Floats, group: int) -> Booleans:
        values = program.values(probes, constants)
        defined = np.asarray(np.isfinite(values).all(axis=1))
        if not beyond_rounding:
            return defined
        finite = np.where(defined[:, None], values, 0.0)
        # Features and constants are of the size of one.
        least = _ROUNDING * (1 + np.abs(finite).max(axis=1))
        return np.asarray(defined & (finite.max(axis=1) - finite.min(axis=1) > least))

    return admissible
