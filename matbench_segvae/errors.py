"""The one exception that stands for a mistake a user can mend, and parts of its messages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

_SHOWN = 40  # characters of a bad value
_LONGEST_REASON = 300  # characters of another package's message, which may list all samples

_LARGEST = 1e300
"""Largest size of a number in a file of results: sums of some and 1,000 times one stay finite."""


class UserError(ValueError):
    """Bad input: the message names the bad value, what is allowed and what to do next.

    The command line prints the message as a single line and exits with code 2.
    """

    @property
    def lines(self) -> tuple[str, ...]:
        """The message, a line for each mistake."""
        return (str(self),)


class UserErrors(UserError):
    """Several mistakes that are reported together.

    Args:
        problems: A message for each, at least one.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self._problems = tuple(problems)

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each mistake."""
        return self._problems


def raise_all(problems: Sequence[str]) -> None:
    """Raise one error for all problems, if there are any.

    Raises:
        UserError: If there is one.
    """
    if problems:
        raise UserErrors(problems)


def shortened(problems: Sequence[str], shown: int = 20) -> list[str]:
    """The first problems of a kind, and a line that counts the others."""
    rest = len(problems) - shown
    return [*problems[:shown], *([f"… and {rest:,} more like the last one"] if rest > 0 else [])]


def one_line(text: str) -> str:
    """Text of unknown origin as one line that is safe to print on a terminal.

    Line breaks and tabs become single spaces, control characters their escapes.
    """
    line = re.sub(r"\s*[^\S ]\s*", " ", text.strip())
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line
    )


def cut(value: object, shown: int = _SHOWN) -> str:
    """The beginning of a value of unknown length, for a message.

    Args:
        value: The value, or another error.
        shown: How many characters of it are kept.
    """
    text = str(value)
    return text if len(text) <= shown else f"{text[:shown]}…"


def reason_of(error: object) -> str:
    """What another package's error or traceback says, in one line and cut if it lists much."""
    if isinstance(error, KeyError) and error.args:
        error = error.args[0]
    return cut(one_line(str(error)), _LONGEST_REASON)


def named(name: str, table: Mapping[str, T], what: str) -> T:
    """The entry of a table that a user has named.

    Args:
        name: The name.
        table: Entries by name.
        what: What they are, for the message.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in table:
        raise UserError(f"unknown {what} '{cut(name)}': choose from {', '.join(table)}")
    return table[name]


def finite_number(value: object) -> float | None:
    """A number of a file of results; None for anything else, such as a boolean or NaN.

    Numbers above 1e300 measure nothing, and no mean could be taken of them.
    """
    number = _finite(value)
    return None if number is None or abs(number) > _LARGEST else number


def finite(value: object, what: str) -> float:
    """A number of a file.

    Args:
        value: What the file has.
        what: What it is a number of, in the plural or as a name, for the message.

    Raises:
        ValueError: If it is none, or not finite.
    """
    number = _finite(value)
    if number is None:
        raise ValueError(f"a number of its {what} is {cut(value)!r}")
    return number


def _finite(value: object) -> float | None:
    """A number of JSON; None for anything else, such as a boolean or NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of JSON can be too large for a float
        return None
    return number if math.isfinite(number) else None


def missing_extra(user: str, packages: Sequence[str], extra: str) -> UserError:
    """The error of something whose optional dependencies are not installed.

    Args:
        user: What needs them, such as the name of an algorithm.
        packages: The packages that are missing.
        extra: Extra of this package that brings them.
    """
    return UserError(
        f"{user} needs packages that are not installed ({', '.join(packages)}): "
        f'pip install "matbench_segvae[{extra}]"'
    )
