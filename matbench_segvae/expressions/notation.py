"""Written formulas as text, in LaTeX and for sympy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce

import sympy as sp

from matbench_segvae.expressions.operators import OPERATORS
from matbench_segvae.expressions.tree import (
    Addition,
    Call,
    Constant,
    Node,
    Power,
    Quotient,
    Symbol,
    Turn,
    Whole,
)

Figure = Callable[[Constant], str]
"""How a constant is written: its figures, or a name."""

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4  # how tightly things bind, as for operators


class Text:
    """Writes formulas in one line, as programming languages do."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def formula(self, node: Node) -> str:
        """A formula."""
        return self._written(node)[0]

    def _written(self, node: Node) -> tuple[str, int]:
        """A formula, and how tightly it binds."""
        match node:
            case Addition(terms):
                return self._addition(terms), _SUM
            case Quotient(above, below):
                return self._quotient(above, below)
            case Power(base, exponent):
                return self._power(self._inner(base, _ATOM), exponent), _POWER
            case Call(name, argument):
                return self._call(name, self.formula(argument)), _ATOM
        text = self._atom(node)
        return text, _SUM if text.startswith("-") else _ATOM

    def _inner(self, node: Node, least: int) -> str:
        """Part of a formula, in brackets if it does not bind tightly enough."""
        text, binds = self._written(node)
        return text if binds >= least else self._bracketed(text)

    def _signed(self, node: Node) -> tuple[int, str]:
        """A product as its sign and the rest."""
        text = self.formula(node)
        if isinstance(node, Addition):
            return 1, self._bracketed(text)
        return (-1, text[1:]) if text.startswith("-") else (1, text)

    def _addition(self, terms: Sequence[tuple[int, Node]]) -> str:
        """A sum, in which a number's sign joins that in front of it."""
        text = ""
        for sign, node in terms:
            own, rest = self._signed(node)
            negative = sign * own < 0
            text += (" - " if negative else " + ") if text else ("-" if negative else "")
            text += rest
        return text

    def _quotient(self, above: Sequence[Node], below: Sequence[Node]) -> tuple[str, int]:
        sign, first = self._signed(above[0]) if above else (1, "1")
        product = "*".join([first, *(self._inner(node, _POWER) for node in above[1:])])
        text = product
        if len(below) == 1:
            text += f"/{self._inner(below[0], _POWER)}"
        elif below:
            text += f"/({'*'.join(self._inner(node, _POWER) for node in below)})"
        return (f"-{text}", _SUM) if sign < 0 else (text, _PRODUCT)

    def _power(self, base: str, exponent: int) -> str:
        return f"{base}**{exponent}"

    def _call(self, name: str, argument: str) -> str:
        return f"{name}({argument})"

    def _atom(self, node: Node) -> str:
        match node:
            case Symbol(name):
                return name
            case Whole(value):
                return f"{value:.17g}"
            case Constant():
                return self._figure(node)
        return "2*pi"

    def _bracketed(self, text: str) -> str:
        return f"({text})"


class Latex(Text):
    """Writes formulas in LaTeX, with fractions and exponents."""

    def _written(self, node: Node) -> tuple[str, int]:
        text, binds = super()._written(node)
        is_raised = node.name == "exp" if isinstance(node, Call) else "^" in text
        # What has an exponent already takes no other one outside of brackets.
        return text, min(binds, _POWER) if is_raised else binds

    def _quotient(self, above: Sequence[Node], below: Sequence[Node]) -> tuple[str, int]:
        sign, first = self._signed(above[0]) if above else (1, "1")
        if below and len(above) == 1 and isinstance(above[0], Addition):
            first = self.formula(above[0])
        space = r" \, "
        text = space.join([first, *(self._inner(node, _PRODUCT) for node in above[1:])])
        if below:
            alone = len(below) == 1
            parts = [self.formula(n) if alone else self._inner(n, _PRODUCT) for n in below]
            text = rf"\frac{{{text}}}{{{space.join(parts)}}}"
        return (f"-{text}", _SUM) if sign < 0 else (text, _PRODUCT)

    def _power(self, base: str, exponent: int) -> str:
        return f"{base}^{{{exponent}}}"

    def _call(self, name: str, argument: str) -> str:
        if name == "exp":
            return f"e^{{{argument}}}"
        known = name in ("sin", "cos", "log", "tanh")
        operator = rf"\{name}" if known else rf"\operatorname{{{name}}}"
        return rf"{operator}\left({argument}\right)"

    def _atom(self, node: Node) -> str:
        match node:
            case Symbol(name):
                return str(sp.latex(sp.Symbol(name)))
            case Turn():
                return r"2 \pi"
        text = super()._atom(node)
        # 1.2e-05 in front of a unit or alone
        return re.sub(r"e([+-])0*(\d+)", _exponent, text)

    def _bracketed(self, text: str) -> str:
        return rf"\left({text}\right)"


def _exponent(found: re.Match[str]) -> str:
    sign = "-" if found[1] == "-" else ""
    return rf" \cdot 10^{{{sign}{found[2]}}}"


def symbolic(node: Node, value: Callable[[Constant], sp.Expr]) -> sp.Expr:
    """A written formula for sympy, as it is written.

    Args:
        node: The formula.
        value: What stands for a constant: a number, or a symbol.
    """
    with sp.evaluate(False):
        return _symbolic(node, value)


def _symbolic(node: Node, value: Callable[[Constant], sp.Expr]) -> sp.Expr:
    def inner(part: Node) -> sp.Expr:
        return _symbolic(part, value)

    match node:
        case Symbol(name):
            return sp.Symbol(name, real=True)
        case Whole(number):
            return sp.Integer(int(number)) if number.is_integer() else sp.Float(number, 17)
        case Turn():
            return sp.Mul(2, sp.pi)
        case Constant():
            return value(node)
        case Addition(terms):
            parts = [inner(term) if sign > 0 else _negative(inner(term)) for sign, term in terms]
            return reduce(sp.Add, parts)
        case Quotient(above, below):
            parts = [*map(inner, above), *(sp.Pow(inner(part), -1) for part in below)]
            return reduce(sp.Mul, parts)
        case Power(base, exponent):
            return sp.Pow(inner(base), exponent)
        case Call(name, argument):
            return OPERATORS[name].symbolic(inner(argument))
    raise TypeError(f"{node!r} is not part of a formula")


def _negative(part: sp.Expr) -> sp.Expr:
    """The negative, of a number as one number."""
    with sp.evaluate(bool(part.is_Number)):
        return -part
