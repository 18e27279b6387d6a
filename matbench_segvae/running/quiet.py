"""Keeping matbench's log lines out of the output."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


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
