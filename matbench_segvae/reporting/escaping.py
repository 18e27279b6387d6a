"""Texts of unknown origin in Markdown, shown as they are and never rendered."""

from __future__ import annotations

import html
import re

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$])")
_BACKTICKS = re.compile(r"`+")


def markdown(text: str) -> str:
    """A text for Markdown in which nothing is a heading, a link, a formula or HTML."""
    return _PUNCTUATION.sub(r"\\\1", html.escape(text, quote=False))


def fenced(text: str, language: str = "") -> str:
    """A text as a block of code in Markdown that no backticks in it can end.

    Args:
        text: The text.
        language: What it is written in, such as ``"bibtex"``.
    """
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
