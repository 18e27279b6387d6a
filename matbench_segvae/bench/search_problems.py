"""What searches are compared on: known formulas, and pair laws of real defects.

Five suites: `nguyen` and `livermore`, known formulas; `oscillations`, damped waves as in pair laws,
with random constants; `pairs`, a formula for each kind of pair in every training part of the triple
vacancies of MoS2; and `shapes`, the dear one, shapes common to all kinds of pairs in the training
parts of the 5,933 structures of low density, where scoring a formula takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.pair_laws.search import PairSearch
from matbench_segvae.algorithms.pair_laws.settings import (
    PAIR_GRAMMAR,
    SHAPE_GRAMMAR,
    PairLawSettings,
)
from matbench_segvae.algorithms.pair_laws.shared_search import SharedSearch
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.bench.known_formulas import LIVERMORE, NGUYEN, NGUYEN_12A, RecoveryProblem
from matbench_segvae.benchmark import load_task, make_task
from matbench_segvae.expressions import Grammar
from matbench_segvae.regressor.regressor import SEGVAERegressor
from matbench_segvae.regressor.table import distinct_rows, names_by_position
from matbench_segvae.regressor.table_search import SearchOptions, table_objective
from matbench_segvae.regressor.validation import formula_grammar
from matbench_segvae.segvae import FitSettings, Objective, SearchSettings
from matbench_segvae.types import Floats

Part = tuple[pd.Series, pd.Series]
"""Structures and their energies per defect site, eV."""

_FLOOR = 1e-4  # of known formulas, in spreads of the target: a formula that good is found
_PAIR_FLOOR = 1e-4  # eV: with a few distances formulas pass through them all, more or less
_N_OSCILLATIONS = 20
_N_DISTANCES = 40


@dataclass(frozen=True, eq=False)
class SearchProblem:
    """Something to search a formula for.

    Attributes:
        name: Its name within the suite.
        grammar: The language.
        search: Settings of the search that variants change.
        fitting: How hard constants are fitted, which variants change too.
        objective: What scores formulas, given how hard to fit and a seed.
        spread: Of the target, in units of the loss.
        floor: Loss, in units of the spread, below which all formulas are equally good.
    """

    name: str
    grammar: Grammar
    search: SearchSettings
    fitting: FitSettings
    objective: Callable[[FitSettings, int], Objective]
    spread: float
    floor: float


def known_formula(problem: RecoveryProblem) -> SearchProblem:
    """The search for a known formula, as the estimator with its default settings does it.

    Args:
        problem: The formula, and where it is sampled: the points of a seed are the same in all
            variants.
    """

    def drawn(rng: np.random.Generator) -> tuple[Floats, Floats]:
        points = problem.points(rng)
        return points, problem.values(points)

    return _table_problem(problem.name, len(problem.variables), drawn)


def oscillation(number: int) -> SearchProblem:
    """A damped wave of a distance beside a power, with the same random constants every time.

    Args:
        number: Which one.
    """
    constants = np.random.default_rng([number, _N_OSCILLATIONS])
    decay, wavelength = constants.uniform(1, 4), constants.uniform(2, 5)
    phase = constants.uniform(0, 2 * math.pi)
    factor, power = constants.uniform(-1, 1), int(constants.integers(1, 4))

    def drawn(rng: np.random.Generator) -> tuple[Floats, Floats]:
        distances = rng.uniform(2.4, 13, (_N_DISTANCES, 1))
        r = distances[:, 0]
        wave = np.exp(-r / decay) * np.cos(2 * math.pi * r / wavelength + phase)
        return distances, wave + factor / r**power

    return _table_problem(f"oscillation-{number}", 1, drawn)


def _table_problem(
    name: str, n_variables: int, drawn: Callable[[np.random.Generator], tuple[Floats, Floats]]
) -> SearchProblem:
    """A search on a table of points and values that are drawn anew for each seed."""
    parameters = SEGVAERegressor().get_params(deep=False)
    grammar = formula_grammar(parameters, names_by_position(n_variables), linear_scaling=True)

    def objective(fitting: FitSettings, seed: int) -> Objective:
        points, values = drawn(np.random.default_rng(seed))
        table = distinct_rows(points, values, np.ones(len(values)), grammar.variables)
        options = SearchOptions(SearchSettings(), fitting, "squared", seed, lambda _: None)
        return table_objective(table, grammar.variables, options, seed)

    # The target is standardised: losses are in its spreads already.
    return SearchProblem(name, grammar, SearchSettings(), FitSettings(), objective, 1.0, _FLOOR)


def pair_problems(
    part: Part, name: str, settings: PairLawSettings | None = None
) -> Iterator[SearchProblem]:
    """The searches for a formula of each kind of pair.

    Args:
        part: The structures.
        name: Of the part.
        settings: Of the searches; those of the algorithm ``segvae`` by default.
    """
    search = PairSearch(TrainingPairs.of(*part), settings or PairLawSettings(), 0)
    spread = float(np.std(search.data.energies))
    for number, kind in enumerate(search.data.pairs.pair_kinds):
        yield SearchProblem(
            f"{name} {kind}",
            PAIR_GRAMMAR,
            search.settings.search,
            search.settings.fit,
            partial(search.objective, number),
            spread,
            _PAIR_FLOOR / spread,
        )


def shape_problem(part: Part, name: str, settings: PairLawSettings | None = None) -> SearchProblem:
    """The search for shapes that all kinds of pairs have in common.

    Args:
        part: The structures.
        name: Of the part.
        settings: Of the searches; those of the algorithm ``segvae`` by default.
    """
    base = settings or PairLawSettings()
    data = TrainingPairs.of(*part)
    search = SharedSearch(data, base, 0)
    shapes = search.shape_problem()
    return SearchProblem(
        name,
        SHAPE_GRAMMAR,
        base.shape_search,
        base.shape_fit,
        partial(search.objective, shapes),
        math.sqrt(float(np.square(shapes.targets).sum()) / len(data.energies)),
        _FLOOR,
    )


def _training_parts(task_name: str) -> list[tuple[str, Part]]:
    """The training parts of a task with their names."""
    task = make_task(task_name)
    load_task(task)
    return [(f"fold {fold}", task.get_train_and_val_data(fold)) for fold in task.folds]


def _pairs_of_triple_vacancies() -> list[SearchProblem]:
    parts = _training_parts("defects2d_mos2_v3")
    return [one for name, part in parts for one in pair_problems(part, name)]


def _shapes_of_low_density() -> list[SearchProblem]:
    return [shape_problem(part, name) for name, part in _training_parts("defects2d_mos2_low")]


SEARCH_SUITES: Mapping[str, Callable[[], list[SearchProblem]]] = MappingProxyType(
    {
        "nguyen": lambda: [known_formula(one) for one in (*NGUYEN, NGUYEN_12A)],
        "livermore": lambda: [known_formula(one) for one in LIVERMORE],
        "oscillations": lambda: [oscillation(number) for number in range(_N_OSCILLATIONS)],
        "pairs": _pairs_of_triple_vacancies,
        "shapes": _shapes_of_low_density,
    }
)
"""What makes the problems of each suite."""


@cache
def problems(suite: str) -> Mapping[str, SearchProblem]:
    """The problems of a suite by name, made once in a process."""
    return {problem.name: problem for problem in SEARCH_SUITES[suite]()}
