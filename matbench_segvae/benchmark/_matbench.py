"""The only door to matbench.

The wheel of matbench 0.6 pins scipy 1.7.3, scikit-learn 1.0.1, monty 2022.4.26 and
matminer 0.7.4, none of which can be had for Python 3.11 or newer. Its code runs on
today's versions, so it is installed without its dependencies, which this package
declares itself.
"""

from __future__ import annotations

import logging
import sys

from matbench_segvae.errors import UserError


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
