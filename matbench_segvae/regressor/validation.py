"""What the estimator may be told, checked before a fit begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from keyword import iskeyword
from numbers import Integral, Real
from typing import Any

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar
from matbench_segvae.expressions.grammar import (
    _FREE,
    PREDICATES,
    Predicate,
)
from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, OPERATORS
from matbench_segvae.regressor.front import SELECTIONS
from matbench_segvae.regressor.losses import LOSSES
from matbench_segvae.segvae.settings import PresetName, paper_grammar

PRESETS: tuple[PresetName, ...] = ("default", "paper")
"""Names of the settings to choose from."""


@dataclass(frozen=True)
class Language:
    """What a user says of the language; ``None`` leaves it to the preset.

    Attributes:
        preset: Name of the preset.
        operators: Names of operators.
        constants: Named constants.
        max_length: Most tokens.
        max_fitted: Most fitted constants.
        predicates: Names of predicates, and functions of a formula's tokens.
        scaled: Whether offset and factor of the whole are left to the fit.
    """

    preset: str
    operators: Sequence[str] | None
    constants: Sequence[str] | None
    max_length: int | None
    max_fitted: int | None
    predicates: Sequence[str | Predicate] | None
    scaled: bool = True

    def grammar(self, names: Mapping[str, str]) -> Grammar:
        """The grammar.

        Args:
            names: Variables of the grammar, to the names that the user's predicates know.

        Raises:
            UserError: If a name is unknown.
        """
        for what in ("operators", "constants", "predicates"):
            if isinstance(getattr(self, what), str):
                raise UserError(f"{what}={getattr(self, what)!r}: give a list of names")
        if self.operators is not None and len(self.operators) == 0:
            raise UserError("operators=(): name at least one, such as 'add'")
        if self.max_fitted and not self.scaled:
            raise UserError(
                f"max_fitted={self.max_fitted}: formulas are taken as they stand, without fitted "
                "constants; choose 0 or None, or a preset or search_settings with "
                "linear_scaling=True"
            )
        base = paper_grammar(tuple(names)) if self.preset == "paper" else Grammar(tuple(names))
        has_fitted = base.fitted_constants and self.scaled
        fitted = (base.max_fitted if has_fitted else 0, self.max_fitted)
        n_fitted = fitted[0] if fitted[1] is None else fitted[1]
        given = base.predicates if self.predicates is None else self.predicates
        return replace(
            base,
            operators=base.operators if self.operators is None else tuple(self.operators),
            constants=base.constants if self.constants is None else tuple(self.constants),
            fitted_constants=n_fitted > 0,
            max_length=base.max_length if self.max_length is None else self.max_length,
            max_fitted=n_fitted,
            predicates=(
                *(_predicate(g, names) for g in given),
                *(_FREE if self.scaled else ()),
            ),
        )


def _predicate(given: str | Predicate, names: Mapping[str, str]) -> Predicate:
    """A predicate by name, or a user's, which is told the user's names."""
    if isinstance(given, str) and given in PREDICATES:
        return PREDICATES[given]
    if given in DEFAULT_PREDICATES:
        return given
    if callable(given):
        return lambda tokens: bool(given([names.get(token, token) for token in tokens]))
    raise UserError(
        f"unknown predicate {given!r}: choose from {', '.join(PREDICATES)}, or give a function "
        "of a formula's tokens that says whether to keep it"
    )


def check_choices(options: Mapping[str, Any]) -> None:
    """Check everything that does not concern the grammar's names.

    Args:
        options: The estimator's parameters by name.

    Raises:
        UserError: Naming the value and what is allowed.
    """
    for name, allowed in (
        ("loss", LOSSES),
        ("model_selection", SELECTIONS),
        ("preset", PRESETS),
    ):
        if options[name] not in allowed:
            raise UserError(f"{name}={options[name]!r}: choose from {', '.join(allowed)}")
    for name, least in (("max_length", 1), ("max_fitted", 0), ("epochs", 1)):
        value = options[name]
        if value is not None and not (_is(value, Integral) and value >= least):
            raise UserError(f"{name}={value!r}: a whole number of at least {least}, or None")
    limit = options["time_limit"]
    if limit is not None and not (_is(limit, Real) and limit > 0 and math.isfinite(limit)):
        raise UserError(f"time_limit={limit!r}: a positive number of seconds, or None")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def settings_or(given: object, kind: type, default: Callable[[], Any], name: str) -> Any:  # noqa: ANN401
    """A group of settings as given, or the default one.

    Raises:
        UserError: If it is something else.
    """
    if given is None:
        return default()
    if not isinstance(given, kind):
        raise UserError(f"{name}={given!r}: {kind.__name__}(...) or None")
    return given


def is_formula_name(name: str) -> bool:
    """Whether a column's name can stand in a formula as it is.

    It has to be an ASCII identifier, as the reader of formulas knows them, and must not be
    the name of an operator or a constant.
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
