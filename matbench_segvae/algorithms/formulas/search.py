"""SEGVAE as the writer of terms: short formulas of the screened features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.formulas.terms import Term
from matbench_segvae.expressions import (
    DEFAULT_PREDICATES,
    FITTED,
    Expression,
    Grammar,
    no_free_factor,
)
from matbench_segvae.expressions.compiled import Program
from matbench_segvae.expressions.expression import complexity_of, subtree_end, subtree_starts
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.segvae import (
    AdditiveObjective,
    FitSettings,
    Scored,
    SearchSettings,
    pretrained,
    search,
)
from matbench_segvae.segvae.options import no_free_multiple, no_free_term
from matbench_segvae.segvae.scaling import in_original_units, powers_of_ten

Floats = NDArray[np.float64]

_OPERATORS = ("add", "sub", "mul", "div", "square", "sqrt")
_LONGEST = 5  # tokens of a term
_MOST_FITTED = 1  # constants in a term
_NETWORK_SEED = 0  # one pretrained network for all searches
_PROBES = 256  # points between the rows at which a term has to be defined
_FRACTION = 0.01  # scale of all shares of elements: sums of them need no constants


def written_terms(
    table: pd.DataFrame,
    rest: Floats,
    weights: Floats,
    settings: SearchSettings,
    fit: FitSettings,
    per_size: int,
    seed: int,
) -> list[Term]:
    """The best terms of every length that a search finds for what is missing.

    Args:
        table: The screened features.
        rest: What is missing from the present formula, shape ``(N,)``.
        weights: Of the rows, shape ``(N,)``.
        settings: Sizes and lengths of the search.
        fit: How hard constants are fitted.
        per_size: Terms of each complexity to return at most.
        seed: Source of the search's randomness.
    """
    # Names by position, so that tables of as many columns share a pretrained network.
    names = {f"x{i}": str(name) for i, name in enumerate(table.columns)}
    grammar = Grammar(
        variables=tuple(names),
        operators=_OPERATORS,
        constants=("1",),
        max_length=_LONGEST,
        max_fitted=_MOST_FITTED,
        predicates=(
            *DEFAULT_PREDICATES,
            no_free_factor,
            no_free_multiple,
            no_free_term,
            quotients_stand_alone,
        ),
    )
    points = table.to_numpy(dtype=np.float64)
    scales = powers_of_ten(points)
    scales[[str(name).startswith("x_") for name in table.columns]] = _FRACTION
    spread = float(np.sqrt(np.average((rest - np.average(rest, weights=weights)) ** 2)))
    problem = AdditiveProblem.table(points / scales, rest / (spread or 1.0), weights)
    objective = AdditiveObjective(
        problem, grammar.variables, fit, seed, _Defined(points / scales, seed)
    )
    module = pretrained(grammar, settings, _NETWORK_SEED)
    found = search(grammar, objective, module, settings, seed)
    by_name = dict(zip(names, scales.tolist(), strict=True))
    best = _best_of_each_size(found.best.values(), per_size)
    terms = dict.fromkeys(_term(scored, by_name, names) for scored in best)
    everywhere = np.concatenate([points, _between(points, seed)])
    columns = {str(name): everywhere[:, i] for i, name in enumerate(table.columns)}
    return [term for term in terms if not _has_pole(term, columns)]


def quotients_stand_alone(tokens: Sequence[str]) -> bool:
    """Predicate: only whole terms are quotients, and only of a feature by a feature.

    Among terms that multiply quotients some are large for a few rows only; these describe the
    rows well and others badly.
    """
    if "div" not in tokens:
        return True
    return len(tokens) == 3 and not {FITTED, *NAMED_CONSTANTS} & set(tokens)


def _best_of_each_size(scored: Iterable[Scored], per_size: int) -> list[Scored]:
    """The formulas with the smallest losses of each complexity, simplest first."""
    sizes: dict[int, list[Scored]] = {}
    for one in scored:
        if np.isfinite(one.loss):
            sizes.setdefault(complexity_of(one.tokens), []).append(one)
    return [
        one
        for size in sorted(sizes)
        for one in sorted(sizes[size], key=lambda s: (s.loss, s.tokens))[:per_size]
    ]


def _term(scored: Scored, scales: dict[str, float], names: dict[str, str]) -> Term:
    """A formula of scaled variables as a term of the features themselves."""
    formula = Expression(scored.tokens, tuple(scored.constants.ravel().tolist()))
    plain = in_original_units(formula, scales)
    return Term(tuple(names.get(token, token) for token in plain.tokens), plain.constants)


class _Defined:
    """Admits terms that are defined everywhere between the rows, not only on them."""

    def __init__(self, points: Floats, seed: int) -> None:
        self._probes = _between(points, seed)

    def __call__(self, program: Program, constants: Floats, group: int) -> NDArray[np.bool_]:
        values = program.values(self._probes, constants)
        return np.asarray(np.isfinite(values).all(axis=1))


def _between(points: Floats, seed: int) -> Floats:
    """Random points of the box around the rows."""
    rng = np.random.default_rng(seed)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray(low + (high - low) * rng.random((_PROBES, points.shape[1])))


def _has_pole(term: Term, columns: Mapping[str, Floats]) -> bool:
    """Whether what a term divides by takes both signs, or is 0, at some points."""
    starts = subtree_starts(term.tokens)
    used = np.cumsum([0, *(token == FITTED for token in term.tokens)])
    for position, token in enumerate(term.tokens):
        if token not in ("div", "inv"):
            continue
        first = starts[position][-1]
        last = subtree_end(term.tokens, first)
        inner = Term(term.tokens[first:last], term.constants[used[first] : used[last]])
        values = inner.values(columns) if inner.features else np.ones(1)
        if not (np.all(values > 0) or np.all(values < 0)):
            return True
    return False
