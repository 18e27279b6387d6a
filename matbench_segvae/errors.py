"""The one exception that stands for a mistake a user can mend."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: the message names the bad value, what is allowed and what to do next.

    The command line prints the message as a single line and exits with code 2.
    """
