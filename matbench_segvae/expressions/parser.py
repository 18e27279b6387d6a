"""Reading formulas: from infix text to an :class:`Expression`, without running any of it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence

from matbench_segvae.errors import UserError, cut
from matbench_segvae.expressions.expression import Expression, arity
from matbench_segvae.expressions.operators import FITTED, INTEGERS, NAMED_CONSTANTS, OPERATORS

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}

# Powers that are operators, such as 2 for square, which is printed as {0}**2.
_POWERS = {
    int(row.template.partition("**")[2]): row.name
    for row in OPERATORS.values()
    if "**" in row.template
}
_MAX_CHARACTERS = 10_000

# Prefix tokens and, in the same order, the values of the constants among them.
_Parts = tuple[list[str], list[float]]


def parse(text: str, variables: Sequence[str] | None = None) -> Expression:
    """Read a formula such as ``"2.5*exp(-r) + cos(r)**2"``.

    Python's own parser builds the syntax tree; only arithmetic, the known operators,
    names and numbers are let through and nothing is evaluated. A whole number from 1 to
    10, or -1, becomes that token, any other number a fitted constant with this value.

    Args:
        text: The formula in infix notation, as :meth:`Expression.to_string` prints it.
        variables: Names that may occur; any name by default.

    Raises:
        UserError: If the text is not a formula, naming the part that is not understood.
    """
    if len(text) > _MAX_CHARACTERS:
        raise UserError(f"formula of {len(text)} characters: at most {_MAX_CHARACTERS} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"cannot read the formula '{cut(text)}': {error}") from error

    def refuse(node: ast.AST, why: str) -> UserError:
        part = ast.get_source_segment(text.strip(), node) or text
        return UserError(f"cannot read '{cut(part)}' in the formula '{cut(text)}': {why}")

    try:
        tokens, constants = _read(tree.body, variables, refuse)
    except RecursionError as error:
        raise UserError(f"formula '{cut(text)}' is nested too deeply to be read") from error
    return Expression(tuple(tokens), tuple(constants))


def _read(
    node: ast.expr,
    variables: Sequence[str] | None,
    refuse: Callable[[ast.AST, str], UserError],
) -> _Parts:
    """Turn one node of the syntax tree into prefix tokens and constants."""

    def join(token: str, *arguments: ast.expr) -> _Parts:
        parts = [_read(argument, variables, refuse) for argument in arguments]
        return [token, *(t for p in parts for t in p[0])], [c for p in parts for c in p[1]]

    match node:
        case ast.Constant(value=bool()):
            raise refuse(node, "only numbers are allowed")
        case ast.Constant(value=int(value)) if str(value) in INTEGERS:
            return [str(value)], []
        case ast.Constant(value=int(value) | float(value)):
            return [FITTED], [_constant(value, node, refuse)]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float(value))):
            return [FITTED], [-_constant(value, node, refuse)]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))) if value == 1:
            return ["-1"], []
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return join("neg", operand)
        case ast.Name(id=name):
            return [_known_name(name, node, variables, refuse)], []
        case ast.BinOp(op=ast.Pow(), left=base, right=ast.Constant(value=int(power))) if (
            power in _POWERS
        ):
            return join(_POWERS[power], base)
        case ast.BinOp(op=operator, left=left, right=right) if type(operator) in _BINARY:
            return join(_BINARY[type(operator)], left, right)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in OPERATORS:
            if len(args) != arity(name):
                raise refuse(node, f"'{name}' takes {arity(name)} argument(s), not {len(args)}")
            return join(name, *args)
    raise refuse(node, f"allowed are + - * /, **2, **3 and {', '.join(sorted(OPERATORS))}")


def _constant(value: float, node: ast.AST, refuse: Callable[[ast.AST, str], UserError]) -> float:
    """Check that a number is one: ``1e999`` is read as infinite, long whole numbers overflow."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise refuse(node, "it is too large a number")
    return number


def _known_name(
    name: str,
    node: ast.AST,
    variables: Sequence[str] | None,
    refuse: Callable[[ast.AST, str], UserError],
) -> str:
    """Check that a name is a named constant or an allowed variable."""
    if name in OPERATORS or name == FITTED:
        raise refuse(node, f"'{name}' is not a name of a variable or constant")
    if name in NAMED_CONSTANTS or variables is None or name in variables:
        return name
    raise refuse(node, f"unknown name '{cut(name)}', allowed are {', '.join(variables)}")
