"""Terms: short formulas of the features, whose sum is the formula."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.feature_formulas.metrics import Metric
from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.expression import subtree_end
from matbench_segvae.types import Floats, Tokens


@dataclass(frozen=True)
class Term:
    """A short formula of the features.

    Attributes:
        tokens: Prefix tokens, features and operators.
    """

    tokens: Tokens

    @property
    def features(self) -> frozenset[str]:
        """Names of the features in it."""
        return frozenset(Expression(self.tokens).variables)

    @property
    def nodes(self) -> int:
        """Nodes that it adds to a sum: its own, a coefficient and a sign."""
        return len(scaled(self.tokens)) + 1

    def values(self, columns: Mapping[str, Floats]) -> Floats:
        """Its values, shape ``(N,)``, NaN where it is not defined."""
        return Expression(self.tokens)({name: columns[name] for name in self.features})


def simple_terms(name: str, values: Floats) -> list[Term]:
    """A feature by itself, and under each function that is defined on all rows.

    Args:
        name: Name of the feature.
        values: Its values, shape ``(N,)``.
    """
    forms: list[Tokens] = [(name,), ("square", name)]
    low = float(values.min())
    if low > 0:
        forms += [("inv", name), ("inv", "square", name), ("log", name)]
    if low >= 0:
        forms.append(("sqrt", name))
    return [Term(tokens) for tokens in forms]


def matrix(terms: Sequence[Term], table: pd.DataFrame) -> Floats:
    """Values of terms on the rows of a table, shape ``(N, T)``."""
    if not terms:
        return np.empty((len(table), 0))
    columns = {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}
    return np.stack([term.values(columns) for term in terms], axis=1)


class Design(NamedTuple):
    """Terms in units of their spread around their means, behind a column of ones.

    Columns of like size are what a linear fit can be solved for.

    Attributes:
        columns: Shape ``(N, 1 + T)``.
        means: Means of the terms, shape ``(T,)``.
        spreads: Standard deviations of the terms, 1 for a constant one, shape ``(T,)``.
    """

    columns: Floats
    means: Floats
    spreads: Floats

    def original_units(self, coefficients: Floats) -> Floats:
        """Coefficients of the columns as those of the terms themselves, shape ``(1 + T,)``."""
        factors = coefficients[1:] / self.spreads
        return np.concatenate([[coefficients[0] - factors @ self.means], factors])


def centred_design(values: Floats) -> Design:
    """The design of a linear fit.

    Args:
        values: Of the terms, finite, shape ``(N, T)``.
    """
    means, sizes = values.mean(axis=0), values.std(axis=0)
    spreads = np.where(sizes > 0, sizes, 1.0)
    columns = np.column_stack([np.ones((len(values), 1)), (values - means) / spreads])
    return Design(columns, means, spreads)


def distinct_terms(terms: Sequence[Term], table: pd.DataFrame) -> tuple[list[Term], Floats]:
    """Terms that are defined, vary and differ by more than factor and offset, simplest first.

    Args:
        terms: The terms; of several that are the same up to factor and offset the simplest is
            kept.
        table: The features, ``N`` rows.

    Returns:
        The distinct terms, and their values, shape ``(N, T)``.
    """
    ordered = sorted(dict.fromkeys(terms), key=lambda term: term.nodes)
    values = matrix(ordered, table)
    kept = _distinct_columns(values)
    return [ordered[j] for j in kept], values[:, kept]


def _distinct_columns(values: Floats) -> list[int]:
    """Positions of the first of equal columns, of those that are finite and vary."""
    seen: set[bytes] = set()
    kept = []
    for position, column in enumerate(values.T):
        if not np.isfinite(column).all():
            continue
        around = column - column.mean()
        spread = float(np.sqrt((around**2).mean()))
        if spread <= 1e-9 * float(np.abs(column).max()):
            continue
        unit = around / spread
        unit *= np.sign(unit[np.abs(unit).argmax()])
        key = np.round(unit, 5).astype(np.float32).tobytes()
        if key not in seen:
            seen.add(key)
            kept.append(position)
    return kept


def scaled(tokens: Tokens) -> Tokens:
    """A term times a fitted constant, which becomes its first leaf: ``c*x/y``, or ``c/x``."""
    if tokens[0] == "inv":
        return ("div", FITTED, *tokens[1:])
    if tokens[0] in ("mul", "div"):
        end = subtree_end(tokens, 1)
        return (tokens[0], *scaled(tokens[1:end]), *tokens[end:])
    return ("mul", FITTED, *tokens)


def sum_of(terms: Sequence[Term], coefficients: Floats) -> Expression:
    """``b + a1*t1 + a2*t2 + …``, terms with negative coefficients subtracted.

    Args:
        terms: The terms.
        coefficients: The offset and a factor of each term, shape ``(1 + T,)``.
    """
    signs = ["add" if a >= 0 else "sub" for a in coefficients[1:]]
    tokens: list[str] = [*reversed(signs), FITTED]
    constants = [float(coefficients[0])]
    for term, factor in zip(terms, coefficients[1:], strict=True):
        tokens += scaled(term.tokens)
        constants.append(abs(float(factor)))
    return Expression(tuple(tokens), tuple(constants))


def features_of(terms: Iterable[Term]) -> tuple[str, ...]:
    """Names of the features in some terms, sorted."""
    return tuple(sorted(frozenset[str]().union(*(term.features for term in terms))))


def nodes_of(terms: Iterable[Term], metric: Metric) -> int:
    """Nodes of a sum of terms with an offset, link included; every number is one."""
    return len(metric.head) + 1 + sum(term.nodes for term in terms)


def linked(formula: Expression, metric: Metric) -> Expression:
    """The formula inside its link, which gives the prediction."""
    return Expression((*metric.head, *formula.tokens), formula.constants)
