"""A law that searches are to find again: energies that are sums over pairs."""

import numpy as np

from matbench_segvae.expressions import Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.segvae import NetworkSettings, SearchSettings

GRAMMAR = Grammar(("r",), ("add", "mul", "div", "exp", "cos"), constants=("2",), max_length=9)
QUICK = SearchSettings(
    corpus_size=600,
    pretraining_epochs=2,
    epochs=4,
    samples=150,
    network=NetworkSettings(embedding=16, hidden=32, latent=8),
)


def planted_problem():
    """Energies that are sums of -2 exp(-r/2) over pairs."""
    rng = np.random.default_rng(1)
    points = np.linspace(1, 8, 15)[:, None]
    incidence = rng.integers(0, 2, (60, 15)).astype(float)
    target = 4 + incidence @ (-2 * np.exp(-0.5 * points[:, 0]))
    group = np.zeros(15, dtype=np.int64)
    return AdditiveProblem(points, group, 1, incidence, np.ones((60, 1)), target, np.ones(60))
