"""The one exception that stands for a mistake a user can mend."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(ValueError):
    """Bad input: the message names the bad value, what is allowed and what to do next.

    The command line prints the message as a single line and exits with code 2.
    """


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
