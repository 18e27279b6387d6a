"""A law that searches are to find again: energies that are sums over pairs."""

import numpy as np
import pytest

from matbench_segvae.expressions import Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem


@pytest.fixture(scope="session")
def planted_grammar():
    return Grammar(("r",), ("add", "mul", "div", "exp", "cos"), constants=("2",), max_length=9)


@pytest.fixture
def planted_problem():
    """Energies that are sums of -2 exp(-r/2) over pairs."""
    rng = np.random.default_rng(1)
    points = np.linspace(1, 8, 15)[:, None]
    incidence = rng.integers(0, 2, (60, 15)).astype(float)
    target = 4 + incidence @ (-2 * np.exp(-0.5 * points[:, 0]))
    group = np.zeros(15, dtype=np.int64)
    return AdditiveProblem(points, group, 1, incidence, np.ones((60, 1)), target, np.ones(60))
