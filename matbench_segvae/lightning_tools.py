"""Quiet, seeded Lightning runs: no files, no messages, no global state left behind."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, Timer

from matbench_segvae.errors import UserError
from matbench_segvae.seeding import derived_seed

TrainerOptions = Mapping[str, Any]
"""Arguments of :class:`lightning.Trainer`, such as ``logger``, ``callbacks``, ``accelerator``."""

_CHATTY_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric")

_QUIET: TrainerOptions = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}

_RESERVED = ("reload_dataloaders_every_n_epochs", "num_sanity_val_steps")


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


def quiet_trainer(max_epochs: int, **options: Any) -> L.Trainer:  # noqa: ANN401
    """A trainer that writes nothing and prints nothing; use it inside :func:`isolated`.

    Args:
        max_epochs: Passes over the data.
        **options: Further arguments of :class:`lightning.Trainer`, or others in place of ours.
    """
    return L.Trainer(**{**_QUIET, "max_epochs": max_epochs, **options})


def use_one_core() -> None:
    """Keep this process to one core, for where several of them work side by side."""
    import numba

    torch.set_num_threads(1)
    numba.set_num_threads(1)


class SeededSteps(Callback):
    """Seeds torch anew before each step: a resumed training repeats the same dropout."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        """Seed this step."""
        torch.manual_seed(derived_seed(self._seed, "step", trainer.global_step))


def resumable_trainer(
    max_epochs: int,
    callbacks: Sequence[Callback],
    options: TrainerOptions | None = None,
    max_seconds: float | None = None,
) -> L.Trainer:
    """A quiet trainer on the processor that asks for a loader before every epoch.

    With loaders that depend on the epoch alone, and :class:`SeededSteps`, a run resumed from
    a checkpoint ends as one that was never stopped.

    Args:
        max_epochs: Passes over the data.
        callbacks: Of the caller, beside those in the options.
        options: The user's options, in place of ours. A checkpoint callback or a
            ``default_root_dir`` switches checkpoints on.
        max_seconds: Time after which no further epoch begins.

    Raises:
        UserError: If an option is one that this package needs for itself.
    """
    given = dict(options or {})
    for name in _RESERVED:
        if name in given:
            raise UserError(f"trainer option '{name}' is not free: leave it out")
    users = given.pop("callbacks", None) or []
    users = [users] if isinstance(users, Callback) else list(users)
    writes = "default_root_dir" in given or any(isinstance(c, Checkpoint) for c in users)
    if max_seconds is not None:
        # By epoch, because stopping inside one would change what comes after a resume.
        users.append(Timer(timedelta(seconds=max_seconds), interval="epoch"))
    ours: TrainerOptions = {
        "max_epochs": max_epochs,
        "accelerator": "cpu",
        "devices": 1,
        "enable_checkpointing": writes,
    }
    return quiet_trainer(
        **{**ours, **given},
        callbacks=[*callbacks, *users],
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )


def written_between_epochs(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was written after the last step of an epoch but before its end.

    Lightning then takes the next epoch for the remainder of this one if its length differs.

    Args:
        checkpoint: Content of the file.
    """
    loop = checkpoint["loops"]["fit_loop"]
    epochs = loop["epoch_progress"]["current"]
    after_last_step = bool(loop["epoch_loop.batch_progress"]["is_last_batch"])
    return after_last_step and epochs["processed"] < epochs["ready"]


def run_trainer(
    trainer: L.Trainer,
    module: L.LightningModule,
    data: L.LightningDataModule,
    checkpoint: Path | None = None,
) -> None:
    """Fit, and raise an interrupt by the user as what it is.

    Lightning answers Ctrl-C with ``sys.exit`` and leaves the next one without effect.

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
