"""One style for all pictures, and files that are the same for the same results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from matbench_segvae.errors import UserError

_FORMATS = (".pdf", ".png", ".svg")


def check_format(path: Path) -> None:
    """Refuse a file name whose format cannot be drawn.

    Raises:
        UserError: If the ending is none of the supported ones.
    """
    if path.suffix not in _FORMATS:
        raise UserError(f"cannot draw '{path}': the name has to end with {', '.join(_FORMATS)}")


def save_figure(make: Callable[[], Figure], path: Path) -> Path:
    """Draw a figure in this package's style and save it.

    Args:
        make: Draws the figure; called inside the style.
        path: Where to save it; its ending is the format.

    Returns:
        The path.

    Raises:
        UserError: If it cannot be written.
    """
    with matplotlib.rc_context({"svg.hashsalt": "matbench_segvae", "font.size": 9}):
        figure = make()
        # Without a date and with fixed ids the same results give the same file.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        try:
            figure.savefig(path, metadata=metadata, dpi=160, bbox_inches="tight")
        except OSError as error:
            raise UserError(f"cannot write '{path}': {error.strerror}") from error
    return path
