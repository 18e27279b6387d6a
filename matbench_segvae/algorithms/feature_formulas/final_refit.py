"""The constants of the chosen formula, fitted to all rows of the training part."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.feature_formulas.metrics import Metric, fit_linear
from matbench_segvae.algorithms.feature_formulas.terms import Term, centred_design, matrix, sum_of
from matbench_segvae.expressions import Expression
from matbench_segvae.types import Floats

_FIT_ROUNDS = 40
_DIGITS = 5  # of the constants, which are reported as they are used in predictions


def final_refit(
    terms: Sequence[Term], table: pd.DataFrame, target: Floats, metric: Metric
) -> Expression:
    """Fit a sum of terms to all rows on which it is defined.

    Args:
        terms: The terms of the formula.
        table: Their features, ``N`` rows.
        target: Shape ``(N,)``.
        metric: What to minimise.

    Returns:
        The formula without its link, constants rounded to five digits.
    """
    if not terms:
        return Expression(("c",), (_rounded(metric.constant(target)),))
    defined = np.flatnonzero(np.isfinite(matrix(terms, table)).all(axis=1))
    design = centred_design(matrix(terms, table.iloc[defined]))
    found, _ = fit_linear(design.columns, target[defined], metric, _FIT_ROUNDS)
    formula = sum_of(terms, design.original_units(found))
    return formula.with_constants([_rounded(value) for value in formula.constants])


def _rounded(value: float) -> float:
    """A number with as many digits as are reported."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else value
