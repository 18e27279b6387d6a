"""The estimator's parameters: checked, and in the form that the search takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from keyword import iskeyword
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from matbench_segvae.errors import UserError, cut
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar
from matbench_segvae.expressions.grammar import LINEAR_SCALING_PREDICATES, PREDICATES, Predicate
from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, OPERATORS
from matbench_segvae.regressor.front import SELECTIONS
from matbench_segvae.regressor.losses import LOSSES
from matbench_segvae.regressor.table import names_by_position
from matbench_segvae.segvae.settings import (
    FitSettings,
    PresetName,
    SearchSettings,
    paper_grammar,
    preset,
)
from matbench_segvae.types import Floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PRESETS: tuple[PresetName, ...] = ("default", "paper")
"""Names of the settings to choose from."""


_RANGES = {"max_length": (1, 200), "max_fitted": (0, 200), "epochs": (1, 1_000_000)}
"""Least and largest whole numbers; writing random formulas of 200 tokens takes a minute."""

_LARGEST_TARGET = 1e140

_LEAST_SECONDS = 1e-3  # for the one round that always takes place


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check every parameter that does not concern the grammar's names.

    Args:
        parameters: The estimator's parameters by name.

    Raises:
        UserError: Naming the value and what is allowed.
    """
    for name, allowed in (
        ("loss", LOSSES),
        ("model_selection", SELECTIONS),
        ("preset", PRESETS),
    ):
        if parameters[name] not in allowed:
            raise UserError(f"{name}={parameters[name]!r}: choose from {', '.join(allowed)}")
    for name, (least, most) in _RANGES.items():
        value = parameters[name]
        if value is not None and not (_is(value, Integral) and least <= value <= most):
            raise UserError(
                f"{name}={cut(value)}: a whole number from {least} to {most:,}, or None"
            )
    limit = parameters["time_limit"]
    if limit is not None and not (_is(limit, Real) and limit > 0 and math.isfinite(limit)):
        raise UserError(f"time_limit={limit!r}: a positive number of seconds, or None")
    for name, kind in (("search_settings", SearchSettings), ("fit_settings", FitSettings)):
        value = parameters[name]
        if not isinstance(value, kind | None):
            raise UserError(f"{name}={value!r}: {kind.__name__}(...) or None")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def check_size(target: Floats) -> None:
    """Refuse a target whose squares are no numbers.

    Args:
        target: Finite values, shape ``(N,)``.

    Raises:
        UserError: Naming the size of the largest value.
    """
    largest = float(np.abs(target).max())
    if largest and not 1 / _LARGEST_TARGET <= largest <= _LARGEST_TARGET:
        raise UserError(
            f"the largest value of the target is {largest:.3g}, and squares of errors would "
            f"be no numbers: give it in another unit, between {1 / _LARGEST_TARGET:g} and "
            f"{_LARGEST_TARGET:g}"
        )


def row_weights(sample_weight: ArrayLike | None, points: Floats) -> Floats:
    """Weights of the rows as given, or all 1, shape ``(N,)``.

    Args:
        sample_weight: What the user gave, shape ``(N,)``.
        points: Features, shape ``(N, V)``.

    Raises:
        UserError: If a weight is negative, or all are 0.
        ValueError: If there are not as many as rows.
    """
    if sample_weight is not None and not np.any(np.asarray(sample_weight)):
        raise UserError("sample_weight is zero for every row: at least one has to count")
    weights = np.asarray(_check_sample_weight(sample_weight, points, dtype=np.float64))
    if (weights < 0).any():
        raise UserError(f"sample_weight has a negative value, {weights.min():g}: 0 or more")
    return weights


def search_settings(parameters: Mapping[str, Any]) -> SearchSettings:
    """Settings of the search: given or the preset's, with the limits on rounds and time.

    Args:
        parameters: The estimator's parameters by name, checked.
    """
    given: SearchSettings = parameters["search_settings"] or preset(parameters["preset"])
    seconds = given.max_seconds
    if parameters["time_limit"] is not None:
        limit = max(parameters["time_limit"], _LEAST_SECONDS)
        seconds = limit if seconds is None else min(seconds, limit)
    return replace(given, epochs=parameters["epochs"] or given.epochs, max_seconds=seconds)


def formula_grammar(
    parameters: Mapping[str, Any], variables: Sequence[str], linear_scaling: bool
) -> Grammar:
    """The language of the formulas, with a variable for each feature, named by position.

    Args:
        parameters: The estimator's parameters by name; ``None`` leaves it to the preset.
        variables: The names of the features that the user's predicates know.
        linear_scaling: Whether formulas are linearly scaled: they then need no constants
            that offset or factor could replace. Without, they have no fitted constants.

    Raises:
        UserError: If a name is unknown.
    """
    _check_lists(parameters)
    max_fitted = parameters["max_fitted"]
    if max_fitted and not linear_scaling:
        raise UserError(
            f"max_fitted={max_fitted}: formulas are taken as they stand, without fitted "
            "constants; choose 0 or None, or a preset or search_settings with "
            "linear_scaling=True"
        )
    names = dict(zip(names_by_position(len(variables)), variables, strict=True))
    is_paper = parameters["preset"] == "paper"
    base = paper_grammar(tuple(names)) if is_paper else Grammar(tuple(names))
    if max_fitted is None:
        max_fitted = base.max_fitted if base.fitted_constants and linear_scaling else 0
    chosen: dict[str, Any] = {
        name: tuple(parameters[name])
        for name in ("operators", "constants")
        if parameters[name] is not None
    }
    if parameters["max_length"] is not None:
        chosen["max_length"] = parameters["max_length"]
    predicates = base.predicates if parameters["predicates"] is None else parameters["predicates"]
    return replace(
        base,
        **chosen,
        fitted_constants=max_fitted > 0,
        max_fitted=max_fitted,
        predicates=(
            *(_predicate(given, names) for given in predicates),
            *(LINEAR_SCALING_PREDICATES if linear_scaling else ()),
        ),
    )


def _check_lists(parameters: Mapping[str, Any]) -> None:
    """Refuse text in place of a list of names, and an empty list of operators."""
    for name in ("operators", "constants", "predicates"):
        if isinstance(parameters[name], str):
            raise UserError(f"{name}={parameters[name]!r}: give a list of names")
    if parameters["operators"] is not None and len(parameters["operators"]) == 0:
        raise UserError("operators=(): name at least one, such as 'add'")


def _predicate(given: str | Predicate, names: Mapping[str, str]) -> Predicate:
    """A predicate by name, or the user's own, which takes tokens with the user's names."""
    if isinstance(given, str) and given in PREDICATES:
        return PREDICATES[given]
    if given in DEFAULT_PREDICATES:
        return given
    if callable(given):
        return lambda tokens: bool(given([names.get(token, token) for token in tokens]))
    raise UserError(
        f"unknown predicate {given!r}: choose from {', '.join(PREDICATES)}, or give a function "
        "of a formula's tokens that returns whether to keep it"
    )


def is_formula_name(name: str) -> bool:
    """Whether a column's name can stand in a formula as it is.

    It has to be an ASCII identifier, as the parser of formulas expects, and must not be the
    name of an operator or a constant.
    """
    taken = name in OPERATORS or name in NAMED_CONSTANTS or name == FITTED
    return name.isascii() and name.isidentifier() and not iskeyword(name) and not taken


def formula_names(columns: Sequence[str]) -> dict[str, str]:
    """Name the columns for use in formulas.

    Args:
        columns: Names of the columns, in order, all different.

    Returns:
        Column names by the names that stand for them in formulas, in the order of the
        columns. A column keeps a name that formulas can hold; another one becomes ``x3``
        after its position, or ``x3_`` if a column is called ``x3`` already.
    """
    kept = {name for name in columns if is_formula_name(name)}
    names: dict[str, str] = {}
    for position, column in enumerate(columns):
        name = column if column in kept else f"x{position}"
        while name != column and (name in kept or name in names):
            name += "_"
        names[name] = column
    return names
