"""Lightning trainers for this package: quiet unless asked, repeatable, resumable."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, Timer

from matbench_segvae.errors import UserError

TrainerOptions = Mapping[str, Any]
"""Arguments of :class:`lightning.Trainer`, such as ``logger``, ``callbacks``, ``accelerator``."""

_QUIET: TrainerOptions = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "devices": 1,
}
_OURS = ("reload_dataloaders_every_n_epochs", "num_sanity_val_steps")


def derived_seed(seed: int, purpose: str, number: int) -> int:
    """A seed of its own for each purpose and number, so that no state has to be kept."""
    words = [seed % 2**64, *purpose.encode(), number]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


def derived_short_seed(seed: int, purpose: str, number: int) -> int:
    """The same, short enough for scikit-learn."""
    return derived_seed(seed, purpose, number) % 2**31


class SeededSteps(Callback):
    """Seeds torch anew before each step: a resumed training repeats the same dropout."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        """Seed this step."""
        torch.manual_seed(derived_seed(self._seed, "step", trainer.global_step))


def build_trainer(
    max_epochs: int,
    callbacks: Sequence[Callback],
    options: TrainerOptions | None = None,
    max_seconds: float | None = None,
) -> L.Trainer:
    """A trainer that asks for a loader before every epoch, writes and prints nothing.

    Args:
        max_epochs: Passes over the data.
        callbacks: Of the caller, beside those in the options.
        options: What the user wants otherwise. A checkpoint callback or a
            ``default_root_dir`` switches checkpoints on.
        max_seconds: Time after which no further epoch begins.

    Raises:
        UserError: If an option is one that this package needs for itself.
    """
    given = dict(options or {})
    for name in _OURS:
        if name in given:
            raise UserError(f"trainer option '{name}' is not free: leave it out")
    asked = given.pop("callbacks", None) or []
    asked = [asked] if isinstance(asked, Callback) else list(asked)
    writes = "default_root_dir" in given or any(isinstance(c, Checkpoint) for c in asked)
    if max_seconds is not None:
        # By epoch, because stopping inside one would change what comes after a resume.
        asked.append(Timer(timedelta(seconds=max_seconds), interval="epoch"))
    defaults = {**_QUIET, "max_epochs": max_epochs, "enable_checkpointing": writes}
    return L.Trainer(
        **{**defaults, **given},
        callbacks=[*callbacks, *asked],
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )


def run_trainer(
    trainer: L.Trainer,
    module: L.LightningModule,
    data: L.LightningDataModule,
    checkpoint: Path | None = None,
) -> None:
    """Fit, letting an interrupt by the user through as what it is.

    Lightning answers Ctrl-C with ``sys.exit`` and leaves the process deaf to the next one.

    Raises:
        KeyboardInterrupt: If the user interrupted.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        if checkpoint is None:
            trainer.fit(module, datamodule=data)
        else:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from leaving
        raise
    finally:
        if main and handler is not None:
            signal.signal(signal.SIGINT, handler)
