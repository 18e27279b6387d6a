"""The Nguyen suite: twelve formulas to be recovered from 20 points each.

Uy, Hoai, O'Neill, McKay and Galván-López, Genet. Program. Evolvable Mach. 12, 91 (2011),
in the form used by Petersen et al., ICLR 2021, for Nguyen-1 to 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matbench_segvae.expressions import parse
from matbench_segvae.types import Floats

N_POINTS = 20


@dataclass(frozen=True)
class RecoveryProblem:
    """A known formula and where it is sampled.

    Attributes:
        name: Name of the problem.
        truth: The formula, as :func:`~matbench_segvae.expressions.parse` reads it.
        variables: Its variables.
        low: Lower bound of every variable.
        high: Upper bound of every variable.
    """

    name: str
    truth: str
    variables: tuple[str, ...]
    low: float
    high: float

    def points(self, rng: np.random.Generator, n_points: int = N_POINTS) -> Floats:
        """Draw points uniformly in the range, shape ``(n_points, V)``."""
        return rng.uniform(self.low, self.high, (n_points, len(self.variables)))

    def values(self, points: Floats) -> Floats:
        """Evaluate the truth without noise, shape ``(n_points,)``."""
        return parse(self.truth, self.variables)(dict(zip(self.variables, points.T, strict=True)))


def _one(number: int, truth: str, low: float, high: float) -> RecoveryProblem:
    return RecoveryProblem(f"Nguyen-{number}", truth, ("x",), low, high)


def _two(number: int, truth: str) -> RecoveryProblem:
    return RecoveryProblem(f"Nguyen-{number}", truth, ("x", "y"), 0.0, 1.0)


NGUYEN: tuple[RecoveryProblem, ...] = (
    _one(1, "x**3 + x**2 + x", -1, 1),
    _one(2, "x**3*x + x**3 + x**2 + x", -1, 1),
    _one(3, "x**3*x**2 + x**3*x + x**3 + x**2 + x", -1, 1),
    _one(4, "(x**3)**2 + x**3*x**2 + x**3*x + x**3 + x**2 + x", -1, 1),
    _one(5, "sin(x**2)*cos(x) - 1", -1, 1),
    _one(6, "sin(x) + sin(x + x**2)", -1, 1),
    _one(7, "log(x + 1) + log(x**2 + 1)", 0, 2),
    _one(8, "sqrt(x)", 0, 4),
    _two(9, "sin(x) + sin(y**2)"),
    _two(10, "2*sin(x)*cos(y)"),
    # x**y, expressed with the exp and log of the grammar.
    _two(11, "exp(y*log(x))"),
    _two(12, "x**3*x - x**3 + y**2/2 - y"),
)
"""Nguyen-1 to Nguyen-12 in their usual ranges."""
