"""The last fit: all constants of the chosen formula together, under the task's metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.formulas.metrics import Metric, descend, fit_linear
from matbench_segvae.algorithms.formulas.terms import Term, matrix, scaled, sum_of
from matbench_segvae.expressions import Expression
from matbench_segvae.expressions.compiled import Program

Floats = NDArray[np.float64]

_LINEAR_ROUNDS = 40
_JOINT_ROUNDS = 30
_DIGITS = 5  # of the constants: what is reported is what predicts


def polished(
    terms: Sequence[Term], table: pd.DataFrame, target: Floats, metric: Metric
) -> Expression:
    """Fit a sum of terms to all rows: coefficients first, then all constants together.

    Args:
        terms: The terms, defined on all rows.
        table: Holds their features.
        target: Shape ``(N,)``.
        metric: What to minimise.

    Returns:
        The formula without its link, constants rounded to five digits.
    """
    design = np.column_stack([np.ones(len(target)), matrix(terms, table)]) if terms else None
    if design is None:
        return Expression(("c",), (_rounded(metric.constant(target)),))
    coefficients, loss = _fit_standardised(design, target, metric)
    formula = sum_of(terms, coefficients)
    if any(term.constants for term in terms):
        joint, joint_loss = _joint_fit(formula, table, target, metric)
        if joint_loss < loss:
            formula = _with_signs(terms, joint)
    return formula.with_constants([_rounded(value) for value in formula.constants])


def _fit_standardised(design: Floats, target: Floats, metric: Metric) -> tuple[Floats, float]:
    """Coefficients of a design whose columns may be of any size."""
    middle, size = design[:, 1:].mean(axis=0), design[:, 1:].std(axis=0)
    units = np.column_stack([design[:, 0], (design[:, 1:] - middle) / size])
    found, loss = fit_linear(units, target, metric, _LINEAR_ROUNDS)
    factors = found[1:] / size
    return np.concatenate([[found[0] - factors @ middle], factors]), loss


def _joint_fit(
    formula: Expression, table: pd.DataFrame, target: Floats, metric: Metric
) -> tuple[Expression, float]:
    """All constants of a formula from where they are."""
    names = formula.variables
    points = table[list(names)].to_numpy(dtype=np.float64)
    program = Program.compile([formula.tokens], names)

    def model(constants: Floats) -> tuple[Floats, Floats]:
        values = program.values(points, constants[None])[0]
        slopes = program.derivatives(points, constants[None])[0]
        return values, np.nan_to_num(slopes.T, posinf=0.0, neginf=0.0)

    start = np.array(formula.constants)
    constants, loss = descend(model, start, target, metric, _JOINT_ROUNDS)
    return formula.with_constants(constants.tolist()), loss


def _with_signs(terms: Sequence[Term], formula: Expression) -> Expression:
    """The sum again, with the signs that its factors have after a fit."""
    signs = [1.0 if token == "add" else -1.0 for token in reversed(formula.tokens[: len(terms)])]
    offset, *rest = formula.constants
    factors, new_terms = [offset], []
    for term, sign in zip(terms, signs, strict=True):
        count = scaled(term.tokens).count("c")
        factors.append(sign * rest[0])
        new_terms.append(Term(term.tokens, tuple(rest[1:count])))
        rest = rest[count:]
    return sum_of(new_terms, np.array(factors))


def _rounded(value: float) -> float:
    """A number with as many digits as are reported."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else value
