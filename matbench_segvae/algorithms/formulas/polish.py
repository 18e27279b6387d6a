"""The last fit: the constants of the chosen formula, under the task's metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.formulas.metrics import Metric, fit_linear
from matbench_segvae.algorithms.formulas.terms import Term, matrix, sum_of
from matbench_segvae.expressions import Expression

Floats = NDArray[np.float64]

_ROUNDS = 40
_DIGITS = 5  # of the constants: what is reported is what predicts


def polished(
    terms: Sequence[Term], table: pd.DataFrame, target: Floats, metric: Metric
) -> Expression:
    """Fit a sum of terms to all rows.

    Args:
        terms: The terms, defined on all rows.
        table: Holds their features.
        target: Shape ``(N,)``.
        metric: What to minimise.

    Returns:
        The formula without its link, constants rounded to five digits.
    """
    if not terms:
        return Expression(("c",), (_rounded(metric.constant(target)),))
    values = matrix(terms, table)
    # Of any size: columns of like size are what can be solved for.
    middle, size = values.mean(axis=0), values.std(axis=0)
    units = np.column_stack([np.ones(len(target)), (values - middle) / size])
    found, _ = fit_linear(units, target, metric, _ROUNDS)
    factors = found[1:] / size
    formula = sum_of(terms, np.concatenate([[found[0] - factors @ middle], factors]))
    return formula.with_constants([_rounded(value) for value in formula.constants])


def _rounded(value: float) -> float:
    """A number with as many digits as are reported."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else value
