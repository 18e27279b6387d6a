"""A formula with a factor and with refits, as a sum of products or as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matbench_segvae.expressions.arguments import cosine, exponential
from matbench_segvae.expressions.expression import Expression
from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, OPERATORS
from matbench_segvae.expressions.sums import (
    Function,
    Sum,
    Variable,
    added,
    constant,
    factor,
    multiplied,
    powered,
    scaled,
)
from matbench_segvae.expressions.traced import ONE, Number, Origin
from matbench_segvae.expressions.tree import (
    Addition,
    Call,
    Constant,
    Node,
    Power,
    Quotient,
    Symbol,
    Whole,
    phase_constant,
)

# Operators that are whole powers: 2 for square, which is printed as {0}**2.
_EXPONENTS = {"inv": -1} | {
    row.name: int(found[1])
    for row in OPERATORS.values()
    if (found := re.fullmatch(r"\{0\}\*\*\(?(-?\d+)\)?", row.template))
}


@dataclass(frozen=True)
class ScaledFormula:
    """A formula with a factor in front of it, and refits of both.

    Attributes:
        formula: The formula with its constants.
        scale: The factor; ``None`` for none.
        refits: Factor and formula of each refit, the formula with the same tokens.
        known: Values of names in the formula that are neither variables nor fitted.
        phase: Which of its constants is the phase of its wave; ``None`` for none. It is written
            as a constant of its own whatever its value, 0 too.
    """

    formula: Expression
    scale: float | None = None
    refits: Sequence[tuple[float | None, Expression]] = ()
    known: Mapping[str, float] = field(default_factory=dict)
    phase: int | None = None

    @property
    def factor(self) -> Number | None:
        """The factor in front of the formula."""
        if self.scale is None:
            return None
        others = [float(scale) for scale, _ in self.refits if scale is not None]
        return Number((self.scale, *others), Origin.FITTED)

    def number(self, token: str, index: int) -> Number | None:
        """The number that a leaf of the formula is, if it is one."""
        if token == FITTED:
            formulas = (self.formula, *(formula for _, formula in self.refits))
            origin = Origin.PHASE if index == self.phase else Origin.FITTED
            return Number(tuple(one.constants[index] for one in formulas), origin)
        if token in self.known:
            return Number((float(self.known[token]),), Origin.KNOWN)
        if token in NAMED_CONSTANTS:
            value = NAMED_CONSTANTS[token]
            return Number((value,), Origin.WHOLE if value.is_integer() else Origin.KNOWN)
        return None


def rewritten(what: ScaledFormula, spread: bool) -> Sum:
    """A formula as a sum of products.

    Raises:
        NoNormalFormError: If a constant of it is not finite, or 0.
    """

    def leaf(token: str, index: int) -> Sum:
        number = what.number(token, index)
        return factor(Variable(token)) if number is None else constant(number)

    def node(token: str, arguments: list[Sum]) -> Sum:
        first, *others = arguments
        exponent = _EXPONENTS.get(token)
        if exponent is not None:
            return powered(first, exponent, spread)
        match token:
            case "add":
                return added([first, *others])
            case "sub":
                return added([first, scaled(others[0], -ONE)])
            case "neg":
                return scaled(first, -ONE)
            case "mul":
                return multiplied(first, others[0])
            case "div":
                return multiplied(first, powered(others[0], -1, spread))
            case "exp":
                return exponential(first)
            case "cos":
                return cosine(first)
        return factor(Function(token, first))

    total = what.formula.fold(leaf, node)
    return total if what.factor is None else scaled(total, what.factor)


def plain(what: ScaledFormula) -> Node:
    """A formula with the operators and constants that it has."""

    def leaf(token: str, index: int) -> Node:
        number = what.number(token, index)
        if number is None:
            return Symbol(token)
        if number.origin is Origin.PHASE:
            return phase_constant(number)
        return Whole(number.value) if number.whole else Constant(number, "constant")

    def node(token: str, arguments: list[Node]) -> Node:
        exponent = _EXPONENTS.get(token)
        first = arguments[0]
        if exponent is not None:
            power = first if abs(exponent) == 1 else Power(first, abs(exponent))
            return power if exponent > 0 else Quotient((), (power,))
        match token:
            case "add":
                return Addition(((1, first), (1, arguments[1])))
            case "sub":
                return Addition(((1, first), (-1, arguments[1])))
            case "neg":
                return Addition(((-1, first),))
            case "mul":
                return Quotient(tuple(arguments))
            case "div":
                return Quotient((first,), (arguments[1],))
        return Call(token, first)

    root = what.formula.fold(leaf, node)
    if what.factor is None:
        return root
    front = Constant(what.factor, "factor")
    if isinstance(root, Quotient) and not root.above:
        return Quotient((front,), root.below)
    return Quotient((front, root))
