"""Figures of a number, as many as its interval justifies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_PERCENTILES = (5, 95)
_LEAST, _USUAL, _MOST = 2, 4, 6  # significant digits


def interval(values: Sequence[float]) -> list[float]:
    """The 90 % interval of a number over refits, from the 5th to the 95th percentile."""
    return [float(value) for value in np.percentile(values, _PERCENTILES)]


def figures(value: float, ends: Sequence[float] | None = None) -> str:
    """A number to one digit beyond the first that its interval leaves uncertain.

    Args:
        value: The number.
        ends: Its 90 % interval. Without one, four digits are written.
    """
    width = abs(ends[1] - ends[0]) if ends is not None else math.nan
    if not value or not math.isfinite(width):
        return _rounded(value, _USUAL, "")
    if not width:
        return _rounded(value, _MOST, "")
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(width)) + 2
    return _rounded(value, min(max(digits, _LEAST), _MOST), "#")


def _rounded(value: float, digits: int, zeros: str) -> str:
    """A number to some significant digits; below a million without a power of ten.

    Args:
        value: The number.
        digits: How many.
        zeros: ``"#"`` to keep zeros at the end.
    """
    text = f"{value:{zeros}.{digits}g}"
    if abs(value) >= 1 and "e" in text and abs(float(text)) < 10**_MOST:
        text = f"{float(text):.0f}"
    return text.removesuffix(".").replace(".e", "e")
