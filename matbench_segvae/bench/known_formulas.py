"""Suites of known formulas to be found again from a few points each.

Nguyen: Uy, Hoai, O'Neill, McKay and Galván-López, Genet. Program. Evolvable Mach. 12, 91 (2011),
in the form used by Petersen et al., ICLR 2021. Livermore: Mundhenk, Landajuela, Glatt, Santiago,
Faissol and Petersen, NeurIPS 2021, https://arxiv.org/abs/2111.00053, with the ranges of the
authors' own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from matbench_segvae.errors import named
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
        n_points: How many points are drawn.
    """

    name: str
    truth: str
    variables: tuple[str, ...]
    low: float
    high: float
    n_points: int = N_POINTS

    def points(self, rng: np.random.Generator, n_points: int | None = None) -> Floats:
        """Draw points uniformly in the range, shape ``(n_points, V)``."""
        n_rows = self.n_points if n_points is None else n_points
        return rng.uniform(self.low, self.high, (n_rows, len(self.variables)))

    def values(self, points: Floats) -> Floats:
        """Evaluate the truth without noise, shape ``(n_points,)``."""
        return parse(self.truth, self.variables)(dict(zip(self.variables, points.T, strict=True)))


def _problem(
    suite: str, number: str, truth: str, low: float = -1, high: float = 1, n_points: int = N_POINTS
) -> RecoveryProblem:
    variables = ("x", "y") if "y" in truth else ("x",)
    return RecoveryProblem(f"{suite}-{number}", truth, variables, low, high, n_points)


_nguyen = partial(_problem, "Nguyen")
_livermore = partial(_problem, "Livermore")


NGUYEN: tuple[RecoveryProblem, ...] = (
    _nguyen("1", "x**3 + x**2 + x"),
    _nguyen("2", "x**3*x + x**3 + x**2 + x"),
    _nguyen("3", "x**3*x**2 + x**3*x + x**3 + x**2 + x"),
    _nguyen("4", "(x**3)**2 + x**3*x**2 + x**3*x + x**3 + x**2 + x"),
    _nguyen("5", "sin(x**2)*cos(x) - 1"),
    _nguyen("6", "sin(x) + sin(x + x**2)"),
    _nguyen("7", "log(x + 1) + log(x**2 + 1)", 0, 2),
    _nguyen("8", "sqrt(x)", 0, 4),
    _nguyen("9", "sin(x) + sin(y**2)", 0, 1),
    _nguyen("10", "2*sin(x)*cos(y)", 0, 1),
    # x**y, expressed with the exp and log of the grammar.
    _nguyen("11", "exp(y*log(x))", 0, 1),
    _nguyen("12", "x**3*x - x**3 + y**2/2 - y", 0, 1),
)
"""Nguyen-1 to Nguyen-12 in their usual ranges."""

NGUYEN_12A = _nguyen("12a", "x**3*x - x**3 + y**2/2 - y", 0, 10)
"""Nguyen-12 in the wider range of the authors of Livermore, which is harder."""

_HIGH_POWERS = "(x**3)**2 + x**3*x**2 + x**3*x + x**3 + x**2 + x"

LIVERMORE: tuple[RecoveryProblem, ...] = (
    _livermore("1", "1/3 + x + sin(x**2)", -10, 10, 1000),
    _livermore("2", "sin(x**2)*cos(x) - 2"),
    _livermore("3", "sin(x**3)*cos(x**2) - 1"),
    _livermore("4", "log(x + 1) + log(x**2 + 1) + log(x)", 0, 2),
    _livermore("5", "x**3*x - x**3 + y**2 - y", 0, 1),
    _livermore("6", "4*x**3*x + 3*x**3 + 2*x**2 + x"),
    _livermore("7", "(exp(x) - exp(-x))/2"),
    _livermore("8", "(exp(x) + exp(-x))/2"),
    _livermore("9", f"(x**3)**3 + (x**2)**2*(x**2)**2 + (x**3)**2*x + {_HIGH_POWERS}"),
    _livermore("10", "6*sin(x)*cos(y)", 0, 1),
    _livermore("11", "x**2*y**2/(x + y)", n_points=50),
    _livermore("12", "x**3*x**2/y**3", n_points=50),
    _livermore("13", "exp(log(x)/3)", 0, 4),
    _livermore("14", "x**3 + x**2 + x + sin(x) + sin(y**2)"),
    _livermore("15", "exp(log(x)/5)", 0, 4),
    _livermore("16", "exp(2*log(x)/3)", 0, 4),
    _livermore("17", "4*sin(x)*cos(y)", 0, 1),
    _livermore("18", "sin(x**2)*cos(x) - 5"),
    _livermore("19", "log(x**2 + x) + log(x**3 + x)", 0, 2),
    _livermore("20", "x**3*x**2 + x**3*x + x**2 + x"),
    _livermore("21", "exp(-x**2)"),
    _livermore("22", f"(x**2)**2*(x**2)**2 + (x**3)**2*x + {_HIGH_POWERS}"),
    _livermore("23", "exp(-x**2/2)"),
)
"""Livermore-1 to Livermore-23 in the ranges of their authors."""

SUITES: Mapping[str, tuple[RecoveryProblem, ...]] = MappingProxyType(
    {"nguyen": NGUYEN, "livermore": LIVERMORE}
)
"""Suites by name."""


def suite_named(name: str) -> tuple[RecoveryProblem, ...]:
    """A suite of known formulas.

    Raises:
        UserError: If there is none of that name.
    """
    return named(name, SUITES, "suite")
