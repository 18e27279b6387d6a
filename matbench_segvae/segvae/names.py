"""Names of the columns of a table, as formulas write them."""

from __future__ import annotations

from collections.abc import Sequence
from keyword import iskeyword

from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, OPERATORS


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
