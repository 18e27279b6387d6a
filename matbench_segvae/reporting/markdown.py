"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NONE = "–"
"""What stands in a cell without a value."""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with its first column on the left and the others on the right.

    >>> print(markdown_table(["task", "MAE"], [["a", "1.0"]]), end="")
    | task | MAE |
    | :-- | --: |
    | a | 1.0 |
    """
    align = [":--", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, align, *rows])
