"""Signs where a reader expects them: ``a - 2*b`` instead of ``a + -2*b``."""

from __future__ import annotations

from matbench_segvae.expressions import FITTED, Expression

_Part = tuple[tuple[str, ...], tuple[float, ...]]

_OPPOSITE = {"add": "sub", "sub": "add"}


def tidy(expression: Expression) -> Expression:
    """Move the signs of constants outwards; values and complexity stay the same.

    Args:
        expression: A formula with the values of its constants.
    """
    constants = expression.constants

    def leaf(token: str, index: int) -> _Part:
        return (token,), (constants[index],) if token == FITTED else ()

    return Expression(*expression.fold(leaf, _join))


def _join(token: str, parts: list[_Part]) -> _Part:
    if token in _OPPOSITE:
        token, parts = _signed_sum(token, parts)
    elif token in ("mul", "div") and _is_negative(parts[1]) and parts[0][0][0] == FITTED:
        parts = [_negated(part) for part in parts]
    elif token in ("square", "cos") and _is_negative(parts[0]):
        parts = [_negated(parts[0])]
    return (
        (token, *(t for part in parts for t in part[0])),
        tuple(c for part in parts for c in part[1]),
    )


def _signed_sum(token: str, parts: list[_Part]) -> tuple[str, list[_Part]]:
    """``a + -b`` as ``a - b``, ``a - -b`` as ``a + b``, ``-a + b`` as ``b - a``."""
    left, right = parts
    if _is_negative(right):
        token, right = _OPPOSITE[token], _negated(right)
    if token == "add" and _is_negative(left):
        return "sub", [right, _negated(left)]
    return token, [left, right]


def _sign_at(part: _Part) -> int | None:
    """Which constant carries the sign of a part: the first factor or divisor of its own."""
    tokens = part[0]
    position = 0
    while tokens[position] in ("mul", "div"):
        position += 1
    if tokens[position] == FITTED:
        return 0
    if position == 1 and tokens[-1] == FITTED and len(tokens) == 3:
        return len(part[1]) - 1  # x*c or x/c
    return None


def _is_negative(part: _Part) -> bool:
    place = _sign_at(part)
    return place is not None and part[1][place] < 0


def _negated(part: _Part) -> _Part:
    place = _sign_at(part)
    assert place is not None
    constants = list(part[1])
    constants[place] = -constants[place]
    return part[0], tuple(constants)
