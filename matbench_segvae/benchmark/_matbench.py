"""The only door to matbench.

The wheel of matbench 0.6 pins scipy 1.7.3, scikit-learn 1.0.1, monty 2022.4.26 and
matminer 0.7.4, none of which can be had for Python 3.11 or newer. Its code runs on
today's versions, so it is installed without its dependencies, which this package
declares itself.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError
from matbench_segvae.files import read_json


class MatbenchMissingError(UserError, ImportError):
    """matbench is not installed, although a plain pip install succeeded."""


_imported_before = "matbench.bench" in sys.modules


try:
    from matbench.bench import MatbenchBenchmark
    from matbench.constants import (
        CLF_KEY,
        COMPOSITION_KEY,
        MBV01_KEY,
        REG_KEY,
        STRUCTURE_KEY,
    )
    from matbench.metadata import mbv01_metadata
    from matbench.task import MatbenchTask
    from matbench.util import RecursiveDotDict
except ImportError as error:
    if (error.name or "").partition(".")[0] != "matbench":
        raise
    raise MatbenchMissingError(
        'matbench is not installed: run "pip install --no-deps matbench==0.6"'
    ) from error


if not _imported_before:
    # matbench logs to standard output from INFO on, which would mix with what the
    # command line prints there. Whoever imported it first has chosen a level.
    logging.getLogger("matbench").setLevel(logging.WARNING)


__all__ = [
    "CLF_KEY",
    "COMPOSITION_KEY",
    "MBV01_KEY",
    "REG_KEY",
    "STRUCTURE_KEY",
    "MatbenchBenchmark",
    "MatbenchMissingError",
    "MatbenchTask",
    "RecursiveDotDict",
    "mbv01_metadata",
]


@contextmanager
def quiet_matbench() -> Iterator[None]:
    """Let matbench log nothing below ERROR within this context.

    Importing matbench puts a handler for stdout on its logger and sets the level to INFO,
    so this imports it first.

    Raises:
        UserError: If matbench is not installed.
    """
    import matbench_segvae.benchmark._matbench  # noqa: F401

    logger = logging.getLogger("matbench")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def plain(value: Any) -> Any:  # noqa: ANN401
    """Copy nested dictionaries into ordinary ones; other values stay as they are."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in dict.items(value)}
    return value


def dotted(value: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Copy nested dictionaries into matbench's dotted ones."""
    return RecursiveDotDict(plain(value))


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Turn matbench's complaints about a file into one line for the user."""
    try:
        yield
    except UserError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error.args[0] if error.args else error).split())
        raise UserError(f"{what}: {reason}") from error


def read_object(filename: str | Path) -> dict[str, Any]:
    """Read what a Matbench class wrote.

    Raises:
        UserError: If the file cannot be read or is something else.
    """
    try:
        return read_json(Path(filename))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read results from {filename}: {reason}") from error
