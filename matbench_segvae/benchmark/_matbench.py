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
from typing import Any, ClassVar, Self

from matbench_segvae.errors import UserError
from matbench_segvae.files import read_json, write_json


class MatbenchMissingError(UserError, ImportError):
    """matbench is not installed, although installing this package succeeded."""


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
    from matbench.util import MSONable2File, RecursiveDotDict
except ImportError as error:
    if (error.name or "").partition(".")[0] != "matbench":
        raise
    raise MatbenchMissingError(
        'matbench is not installed: run "pip install --no-deps matbench==0.6"'
    ) from error


if not _imported_before:
    # matbench logs to standard output from INFO on, which would be printed between the
    # lines of the command line. A program that imported matbench earlier chose a level.
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
    "ReadBack",
    "RecursiveDotDict",
    "mbv01_metadata",
    "read_results_json",
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


def ordinary(value: Any) -> Any:  # noqa: ANN401
    """Copy nested dictionaries into ordinary ones; other values stay as they are."""
    if isinstance(value, dict):
        return {key: ordinary(inner) for key, inner in dict.items(value)}
    return value


def dotted(value: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Copy nested dictionaries into matbench's dotted ones."""
    return RecursiveDotDict(ordinary(value))


def read_results_json(path: str | Path) -> dict[str, Any]:
    """The content of a file of results, compressed or not.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        return read_json(Path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"'{path}' ")
        raise UserError(f"cannot read results from '{path}': {reason}") from error


class ReadBack(MSONable2File):
    """Reads what a Matbench class wrote, and raises its errors as one line for the user.

    A base class to be named before the one of Matbench.
    """

    _NAMED_BY: ClassVar[tuple[str, str]]
    """What the class stands for, and the key of its name in a file."""

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """Make an object from what ``as_dict`` returned.

        Matbench warns if another version of matbench wrote it.

        Args:
            d: Ordinary dictionary.

        Returns:
            An object with results and without data.

        Raises:
            UserError: If it belongs to another benchmark, was edited or is not valid.
        """
        what, key = cls._NAMED_BY
        try:
            # Matbench takes the hash out of the dictionary it is given.
            read: Self = super().from_dict(dict(d))
        except UserError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error.args[0] if error.args else error).split())
            raise UserError(f"results of {what} {d.get(key)!r} refused: {reason}") from error
        return read

    def to_file(self, filename: str | Path) -> None:
        """Write a file, in gzip's format if its name ends with ``.gz``.

        Args:
            filename: The file.
        """
        write_json(Path(filename), self.as_dict())

    @classmethod
    def from_file(cls, filename: str | Path) -> Self:
        """Read a file written by ``to_file``, compressed or not.

        Args:
            filename: The file.

        Returns:
            An object with results and without data.

        Raises:
            UserError: If it cannot be read, belongs to another benchmark, was edited or is
                not valid.
        """
        return cls.from_dict(read_results_json(filename))
