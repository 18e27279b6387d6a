"""Operon beside this engine: formulas scored per CPU second, on the same table in the same run.

Burlacu, Kronberger and Kommenda, "Operon C++: an efficient genetic programming framework for
symbolic regression", GECCO 2020 companion, https://doi.org/10.1145/3377929.3398099.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from matbench_segvae.types import Floats

STEPS = 10  # of Levenberg-Marquardt for each formula
_SYMBOLS = "add,sub,mul,div,constant,variable,exp,log,sin,cos,square"
_LONGEST = 30  # nodes, as many as formulas have here
_POPULATION = 1000


@dataclass(frozen=True)
class OperonThroughput:
    """What Operon scored.

    Attributes:
        scored: Formulas whose constants were fitted.
        cpu_seconds: Time of the process.
    """

    scored: int
    cpu_seconds: float

    @property
    def scored_per_cpu_second(self) -> float:
        """Formulas fitted and scored per CPU second of the whole search."""
        return self.scored / self.cpu_seconds


def has_operon() -> bool:
    """Whether pyoperon is installed."""
    return find_spec("pyoperon") is not None


def measure_operon(points: Floats, values: Floats, seed: int, seconds: int) -> OperonThroughput:
    """Time Operon on one core.

    Args:
        points: Features, shape ``(N, V)``.
        values: Target, shape ``(N,)``.
        seed: Of its search.
        seconds: How long to search.
    """
    model = import_module("pyoperon.sklearn").SymbolicRegressor(
        allowed_symbols=_SYMBOLS,
        optimizer_iterations=STEPS,
        max_length=_LONGEST,
        population_size=_POPULATION,
        generations=10**6,
        max_evaluations=10**9,
        max_time=seconds,
        n_threads=1,
        random_state=seed + 1,  # 0 is taken for none
    )
    start = time.process_time()
    model.fit(points, values)
    cpu_seconds = time.process_time() - start
    return OperonThroughput(int(model.stats_["evaluation_count"]), cpu_seconds)
