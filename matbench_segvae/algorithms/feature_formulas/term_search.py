"""SEGVAE as the writer of terms: products of powers of the screened features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.feature_formulas.terms import Term
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem, powers_of_ten
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.segvae import (
    AdditiveObjective,
    Criteria,
    FitSettings,
    Scored,
    Search,
    SearchSettings,
    pretrained,
)
from matbench_segvae.types import Floats

_OPERATORS = ("mul", "div", "square", "sqrt")


_LONGEST = 4  # tokens of a term


_NETWORK_SEED = 0  # one pretrained network for all searches


_PROBES = 256  # points between the rows at which a term has to be defined


def written_terms(
    table: pd.DataFrame,
    rest: Floats,
    weights: Floats,
    settings: SearchSettings,
    per_size: int,
    seed: int,
) -> list[Term]:
    """The best terms of every length that a search finds for what is missing.

    Args:
        table: The screened features.
        rest: What is missing from the present formula, shape ``(N,)``.
        weights: Of the rows, shape ``(N,)``.
        settings: Sizes and lengths of the search.
        per_size: Terms of each length to return at most.
        seed: Source of the search's randomness.
    """
    # Names by position, so that tables of as many columns share a pretrained network.
    names = {f"x{i}": str(name) for i, name in enumerate(table.columns)}
    grammar = Grammar(
        variables=tuple(names),
        operators=_OPERATORS,
        constants=(),
        max_length=_LONGEST,
        max_fitted=0,
        predicates=(*DEFAULT_PREDICATES, quotients_stand_alone),
    )
    # A factor is free, so that products of scaled features are those of the features.
    points = table.to_numpy(dtype=np.float64)
    points = points / powers_of_ten(points)
    spread = float(np.sqrt(np.average((rest - np.average(rest, weights=weights)) ** 2)))
    problem = AdditiveProblem.table(points, rest / (spread or 1.0), weights)
    criteria = Criteria(admissible=_Defined(points, seed))
    objective = AdditiveObjective(problem, grammar.variables, FitSettings(), seed, criteria)
    module = pretrained(grammar, settings, _NETWORK_SEED)
    found = Search(grammar, objective, module, settings, seed).run()
    one_signed = {x for x, column in zip(names, points.T, strict=True) if _of_one_sign(column)}
    return [
        Term(tuple(names.get(token, token) for token in scored.tokens))
        for scored in _best_of_each_length(found.best.values(), per_size)
        if scored.tokens[0] != "div" or scored.tokens[-1] in one_signed
    ]


def quotients_stand_alone(tokens: Sequence[str]) -> bool:
    """Predicate: only whole terms are quotients, and only of a feature by a feature.

    Among terms that multiply quotients some are large for a few rows only; these describe the
    rows well and others badly.
    """
    return "div" not in tokens or len(tokens) == 3


def _best_of_each_length(scored: Iterable[Scored], most: int) -> list[Scored]:
    """The formulas with the smallest losses of each length, the shortest first."""
    lengths: dict[int, list[Scored]] = {}
    for one in scored:
        if np.isfinite(one.loss):
            lengths.setdefault(len(one.tokens), []).append(one)
    return [
        one
        for length in sorted(lengths)
        for one in sorted(lengths[length], key=lambda s: (s.loss, s.tokens))[:most]
    ]


def _of_one_sign(column: Floats) -> bool:
    """Whether a feature can be divided by: it is not 0 on the rows nor between them."""
    return bool((column > 0).all() or (column < 0).all())


class _Defined:
    """Admits terms that are defined everywhere between the rows, not only on them."""

    def __init__(self, points: Floats, seed: int) -> None:
        rng = np.random.default_rng(seed)
        low, high = points.min(axis=0), points.max(axis=0)
        self._probes = low + (high - low) * rng.random((_PROBES, points.shape[1]))

    def __call__(self, program: Program, constants: Floats, group: int) -> NDArray[np.bool_]:
        values = program.values(self._probes, constants)
        return np.asarray(np.isfinite(values).all(axis=1))
