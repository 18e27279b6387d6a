"""Reading formulas: from infix text to an :class:`Expression`, without running any of it."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Sequence

from matbench_segvae.errors import UserError, cut
from matbench_segvae.expressions.expression import Expression, arity
from matbench_segvae.expressions.operators import (
    FITTED,
    LARGEST_INTEGER,
    NAMED_CONSTANTS,
    OPERATORS,
)

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}

# Powers that are operators, such as 2 for square, which is printed as {0}**2.
_POWERS = {
    int(row.template.partition("**")[2]): row.name
    for row in OPERATORS.values()
    if "**" in row.template
}
_MAX_CHARACTERS = 10_000

_MAX_DEPTH = 200  # operators inside each other; recursion elsewhere ends at a thousand

# What a node is: its token, its value if it is a fitted constant, and its arguments.
_Read = tuple[str, float | None, Sequence[ast.expr]]
_Refuse = Callable[[ast.AST, str], UserError]


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about what is no formula anyway
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "it is too long or nested too deeply"
        raise UserError(f"cannot read the formula '{cut(text)}': {reason}") from error

    def refuse(node: ast.AST, why: str) -> UserError:
        part = ast.get_source_segment(text.strip(), node) or text
        return UserError(f"cannot read '{cut(part)}' in the formula '{cut(text)}': {why}")

    tokens: list[str] = []
    constants: list[float] = []
    left = [(tree.body, 1)]
    while left:
        node, depth = left.pop()
        if depth > _MAX_DEPTH:
            raise UserError(
                f"formula '{cut(text)}' is nested more than {_MAX_DEPTH} levels deep: "
                "deeper ones are not read"
            )
        token, value, arguments = _read(node, variables, refuse)
        tokens.append(token)
        if value is not None:
            constants.append(value)
        left.extend((argument, depth + 1) for argument in reversed(arguments))
    return Expression(tuple(tokens), tuple(constants))


def _read(node: ast.expr, variables: Sequence[str] | None, refuse: _Refuse) -> _Read:
    """Read one node of the syntax tree, without its arguments."""
    match node:
        case ast.Constant(value=value):
            return _number(value, node, refuse)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            token, number, _ = _number(value, node, refuse)
            if token == "1":
                return "-1", None, ()
            return (token, -number, ()) if number is not None else ("neg", None, (node.operand,))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return "neg", None, (operand,)
        case ast.Name(id=name):
            return _known_name(name, node, variables, refuse), None, ()
        case ast.BinOp(op=ast.Pow(), left=base, right=ast.Constant(value=int(power))) if (
            power in _POWERS
        ):
            return _POWERS[power], None, (base,)
        case ast.BinOp(op=operator, left=left, right=right) if type(operator) in _BINARY:
            return _BINARY[type(operator)], None, (left, right)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in OPERATORS:
            if len(args) != arity(name):
                raise refuse(node, f"'{name}' takes {arity(name)} argument(s), not {len(args)}")
            return name, None, args
    raise refuse(node, f"allowed are + - * /, **2, **3 and {', '.join(sorted(OPERATORS))}")


def _number(value: object, node: ast.AST, refuse: _Refuse) -> _Read:
    """Read a number: a token if it is a small whole one, else a fitted constant."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(node, "only numbers are allowed")
    if isinstance(value, int) and 1 <= value <= LARGEST_INTEGER:
        return str(value), None, ()
    return FITTED, _constant(value, node, refuse), ()


def _constant(value: float, node: ast.AST, refuse: _Refuse) -> float:
    """Check that a number is finite: Python reads ``1e999`` as infinite."""
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
    refuse: _Refuse,
) -> str:
    """Check that a name is a named constant or an allowed variable."""
    if name in OPERATORS or name == FITTED:
        raise refuse(node, f"'{name}' is not a name of a variable or constant")
    if name in NAMED_CONSTANTS or variables is None or name in variables:
        return name
    raise refuse(node, f"unknown name '{cut(name)}', allowed are {', '.join(variables)}")
