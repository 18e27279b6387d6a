"""What the estimator may be told, checked before a fit begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar
from matbench_segvae.expressions.expression import arity
from matbench_segvae.expressions.grammar import (
    Predicate,
    no_constant_subtree,
    no_free_factor,
    no_nesting_of,
    no_pointless_pair,
    no_self_cancelling,
)
from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS
from matbench_segvae.segvae.equations import SELECTIONS
from matbench_segvae.segvae.losses import LOSSES
from matbench_segvae.segvae.presets import PresetName, paper_grammar

PRESETS: tuple[PresetName, ...] = ("default", "paper")
"""Names of the settings to choose from."""

PREDICATES: Mapping[str, Predicate] = {
    "no_constant_subtree": no_constant_subtree,
    "no_pointless_pair": no_pointless_pair,
    "no_self_cancelling": no_self_cancelling,
    "no_nested_trigonometric": no_nesting_of(("sin", "cos")),
    "no_nested_exponential": no_nesting_of(("exp", "tanh")),
    "no_nested_logarithm": no_nesting_of(("log",)),
    "no_free_factor": no_free_factor,
}
"""A priori knowledge by name."""


def no_free_term(tokens: Sequence[str]) -> bool:
    """Predicate: no constant added to the whole, for where its offset is free."""
    if tokens[0] not in ("add", "sub"):
        return True
    missing, end = 1, 1
    while missing:  # to the end of the first argument
        missing += arity(tokens[end]) - 1
        end += 1
    return not any(
        len(side) == 1 and _is_constant(side[0]) for side in (tokens[1:end], tokens[end:])
    )


def _is_constant(token: str) -> bool:
    return token == FITTED or token in NAMED_CONSTANTS


def no_free_multiple(tokens: Sequence[str]) -> bool:
    """Predicate: no whole number as a factor of the whole, for where its scale is free."""
    # Arguments stand in canonical order, the shorter one first.
    return tokens[0] != "mul" or not _is_constant(tokens[1])


_FREE: tuple[Predicate, ...] = (no_free_factor, no_free_multiple, no_free_term)


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
                "constants; choose 0 or None, or a preset or search_settings with scaled=True"
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
