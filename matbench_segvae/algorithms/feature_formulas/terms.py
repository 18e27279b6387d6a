"""Terms: short formulas of the features, of which a formula is a sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
        """What it adds to the nodes of a sum: itself, a coefficient and a sign."""
        return len(scaled(self.tokens)) + 1

    def values(self, columns: Mapping[str, Floats]) -> Floats:
        """Its values, shape ``(N,)``, NaN where it is not defined."""
        return Expression(self.tokens)({name: columns[name] for name in self.features})


def simple_terms(name: str, values: Floats) -> list[Term]:
    """A feature by itself, and under each function that is defined on all rows.

    Args:
        name: Of the feature.
        values: Shape ``(N,)``.
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
    columns = {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}
    return np.stack([term.values(columns) for term in terms], axis=1)


def design(terms: Sequence[Term], table: pd.DataFrame) -> Floats:
    """A column of ones, and terms around their means in units of their spread.

    Args:
        terms: The terms, ``T`` of them, defined on all rows.
        table: The features, ``N`` rows.

    Returns:
        Shape ``(N, 1 + T)``.
    """
    ones = np.ones((len(table), 1))
    if not terms:
        return ones
    values = matrix(terms, table)
    size = values.std(axis=0)
    units = (values - values.mean(axis=0)) / np.where(size > 0, size, 1.0)
    return np.column_stack([ones, units])


def distinct(terms: Sequence[Term], values: Floats) -> list[int]:
    """Positions of terms that vary and are no other term up to factor and offset.

    Args:
        terms: Simplest first, of which the first one of several is kept.
        values: Shape ``(N, T)``.
    """
    seen: set[bytes] = set()
    kept = []
    for position in range(len(terms)):
        column = values[:, position]
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
    """A term times a fitted constant, which is its first leaf: ``c*x/y``, or ``c/x``."""
    if tokens[0] == "inv":
        return ("div", FITTED, *tokens[1:])
    if tokens[0] in ("mul", "div"):
        end = subtree_end(tokens, 1)
        return (tokens[0], *scaled(tokens[1:end]), *tokens[end:])
    return ("mul", FITTED, *tokens)


def sum_of(terms: Sequence[Term], coefficients: Floats) -> Expression:
    """``b + a1*t1 + a2*t2 + …``, negative coefficients written as differences.

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


def nodes_of(terms: Iterable[Term], metric: Metric) -> int:
    """Nodes of a sum of terms with an offset, link included; every number is one."""
    return len(metric.head) + 1 + sum(term.nodes for term in terms)


def linked(formula: Expression, metric: Metric) -> Expression:
    """The formula inside its link, which gives the prediction."""
    return Expression((*metric.head, *formula.tokens), formula.constants)
