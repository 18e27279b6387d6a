"""Training with Lightning without leaving traces: no files, no chatter, no global state."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch

_CHATTY_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric")


@contextmanager
def isolated(seed: int, threads: int = 1) -> Iterator[None]:
    """Seed torch, limit its threads and silence Lightning; put all back afterwards.

    Args:
        seed: Seed of torch's global generator inside the block.
        threads: torch threads. With one, sums always come in the same order, and
            networks of this project's size gain nothing from more.
    """
    threads_before = torch.get_num_threads()
    levels = {name: logging.getLogger(name).level for name in _CHATTY_LOGGERS}
    with torch.random.fork_rng(), warnings.catch_warnings():
        # Lightning advises on loader workers and hardware, torch_geometric and torchmetrics
        # on their own deprecations: nothing a user of this package could act on.
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def silent_trainer(max_epochs: int, **options: Any) -> lightning.Trainer:  # noqa: ANN401
    """A trainer that writes nothing and prints nothing; use it inside :func:`isolated`.

    Args:
        max_epochs: Passes over the data.
        **options: Further arguments of :class:`lightning.Trainer`.
    """
    return lightning.Trainer(
        max_epochs=max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def use_one_core() -> None:
    """Keep this process to one core, for where several of them work side by side."""
    import numba
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)
