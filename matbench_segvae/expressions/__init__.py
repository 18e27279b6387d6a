"""The language of formulas: operators, grammar, expressions and the Pareto front."""

from matbench_segvae.expressions.expression import Expression, canonical
from matbench_segvae.expressions.grammar import (
    DEFAULT_PREDICATES,
    Grammar,
    no_free_factor,
    no_nesting_of,
)
from matbench_segvae.expressions.operators import FITTED, OPERATORS, Operator
from matbench_segvae.expressions.pareto import pareto_front
from matbench_segvae.expressions.parser import parse

__all__ = [
    "DEFAULT_PREDICATES",
    "FITTED",
    "OPERATORS",
    "Expression",
    "Grammar",
    "Operator",
    "canonical",
    "no_free_factor",
    "no_nesting_of",
    "pareto_front",
    "parse",
]
