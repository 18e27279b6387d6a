"""The file ``info.json`` of a submission, and the rules that its content has to keep.

Two sources, named at every rule: the *page* is "Submit to leaderboard",
https://matbench.materialsproject.org/How%20To%20Use/3submit/, the *checker* is
``scripts/test_submission.py`` of https://github.com/materialsproject/matbench.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

NAME_LENGTH = (5, 15)
"""Fewest and most characters of an algorithm's short name (page)."""


MAX_WORDS = 1000
"""Most words of the long description (page)."""


_BIBTEX = re.compile(r"@\s*\w+\s*[{(]")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_SHAPES: Mapping[str, str] = {
    "authors": "the names of those who submit it, as a text or a list of texts",
    "algorithm": f"a short name of {NAME_LENGTH[0]} to {NAME_LENGTH[1]} characters",
    "algorithm_long": f"a description of up to {MAX_WORDS} words",
    "bibtex_refs": "BibTeX references, as a text or a list of texts",
    "notes": "a text, which may be empty",
    "requirements": 'an object such as {"python": ["matbench==0.6", "numpy==2.1.0"]}',
}
"""What the value of each key has to be."""


def info_text(info: Mapping[str, Any]) -> str:
    """The file's text."""
    return json.dumps(info, indent=2, ensure_ascii=False) + "\n"


def broken_rules(info: Mapping[str, Any]) -> Iterator[str]:
    """The rules that the content of an ``info.json`` breaks.

    Args:
        info: The file's content.

    Yields:
        One line for every broken rule.
    """
    for key, check in _RULES.items():
        if key not in info:
            yield f"'{key}' is missing: it has to be {_SHAPES[key]}"
        # The checker requires notes, but accepts empty ones.
        elif not info[key] and key != "notes":
            yield f"'{key}' is empty: it has to be {_SHAPES[key]}"
        else:
            yield from check(key, info[key])


def _text(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"'{key}' is {_kind(value)}: it has to be {_SHAPES[key]}"


def _texts(key: str, value: object) -> Iterator[str]:
    """A text or a list of texts: the page's template has the one, many submissions the other."""
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) and entry.strip() for entry in entries):
        yield f"'{key}' holds something else than texts: it has to be {_SHAPES[key]}"


def _name(key: str, value: object) -> Iterator[str]:
    """The short name; its length is the page's rule."""
    yield from _text(key, value)
    low, high = NAME_LENGTH
    if isinstance(value, str) and not low <= len(value) <= high:
        yield f"'{key}' is '{value}', {len(value)} characters: {low} to {high} are allowed"


def _description(key: str, value: object) -> Iterator[str]:
    """The long description; its length is the page's rule."""
    yield from _text(key, value)
    if isinstance(value, str) and (n_words := len(value.split())) > MAX_WORDS:
        yield f"'{key}' has {n_words} words: up to {MAX_WORDS} are allowed"


def _references(key: str, value: object) -> Iterator[str]:
    """References "each formatted as bibtex" (page)."""
    broken = list(_texts(key, value))
    yield from broken
    if broken:
        return
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if not _BIBTEX.search(str(entry)):
            yield (
                f"'{key}' holds '{_short(str(entry))}': every reference has to be BibTeX, "
                "@article{…} or the like"
            )


def _requirements(key: str, value: object) -> Iterator[str]:
    """Python requirements in the template's shape, matbench among them (page)."""
    listed = value.get("python") if isinstance(value, Mapping) else None
    if not isinstance(listed, list) or not listed:
        yield f"'{key}' has no list under 'python': it has to be {_SHAPES[key]}"
        return
    names = set()
    for entry in listed:
        found = _DISTRIBUTION.match(entry) if isinstance(entry, str) else None
        if found is None:
            yield f"'{key}' holds {entry!r}: requirements are texts such as 'numpy==2.1.0'"
        else:
            names.add(found.group().lower())
    if "matbench" not in names:
        yield f"'{key}' does not name matbench: the version of matbench has to be among them"


def _kind(value: object) -> str:
    """A JSON value's type in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "nothing" if value is None else "a number")


def _short(text: str, most: int = 40) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


_RULES: Mapping[str, Callable[[str, object], Iterator[str]]] = {
    "authors": _texts,
    "algorithm": _name,
    "algorithm_long": _description,
    "bibtex_refs": _references,
    "notes": _text,
    "requirements": _requirements,
}
"""What checks the value of each key."""
