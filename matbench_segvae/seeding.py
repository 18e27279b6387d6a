"""Seeds derived from one seed, and random samples of rows: the only source of randomness."""

from __future__ import annotations

import numpy as np

from matbench_segvae.types import Ints


def derived_seed(seed: int, purpose: str, number: int) -> int:
    """A separate seed for each purpose and number, so that no state has to be kept."""
    words = [seed % 2**64, *purpose.encode(), number]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


def derived_short_seed(seed: int, purpose: str, number: int) -> int:
    """The same, below 2**31 as scikit-learn requires."""
    return derived_seed(seed, purpose, number) % 2**31


def drawn_rows(n_rows: int, most: int, seed: int) -> Ints:
    """Numbers of rows in order: all of them, or as many as allowed drawn at random."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, most, replace=False))
