"""The search: sample formulas, score them, keep the best, retrain on what was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Grammar
from matbench_segvae.isolation import isolated
from matbench_segvae.segvae.data import Report, SearchData
from matbench_segvae.segvae.memory import Memory
from matbench_segvae.segvae.module import SEGVAEModule
from matbench_segvae.segvae.objective import Objective
from matbench_segvae.segvae.pretraining import identity_of_search
from matbench_segvae.segvae.settings import SearchSettings
from matbench_segvae.segvae.training import (
    SeededSteps,
    TrainerOptions,
    build_trainer,
    run_trainer,
)


class _Rounds(Callback):
    """Logs the figures of each round and ends the search where it is good enough."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data = _search_data(trainer)
        pl_module.log_dict(data.metrics)
        trainer.should_stop |= data.finished


def _search_data(trainer: L.Trainer) -> SearchData:
    data: Any = getattr(trainer, "datamodule", None)
    assert isinstance(data, SearchData)
    return data


def search(
    grammar: Grammar,
    objective: Objective,
    module: SEGVAEModule,
    settings: SearchSettings,
    seed: int,
    report: Report = lambda _: None,
    trainer_options: TrainerOptions | None = None,
    checkpoint: Path | None = None,
) -> Memory:
    """Look for formulas with a small loss.

    Each epoch's ``best_loss``, ``front_size``, ``formulas`` (scored so far), ``valid_share``
    and ``unique_share`` of the samples, ``reconstruction``, ``divergence`` and ``loss`` of
    the network, ``sampling_seconds`` and ``scoring_seconds`` go to the trainer's loggers.

    Args:
        grammar: The language of the formulas.
        objective: Fits and scores them. If it has ``state_dict`` and ``load_state_dict``,
            checkpoints hold its state.
        module: A pretrained network; it is trained further.
        settings: Sizes and lengths.
        seed: Seed of sampling and retraining.
        report: Takes a line about the best formula after each round.
        trainer_options: Arguments of :class:`lightning.Trainer` to go beside or in place of
            ours, which write and print nothing: loggers, callbacks such as
            ``ModelCheckpoint``, ``accelerator``, ``max_time``, ``default_root_dir``.
        checkpoint: A checkpoint of the same search to go on from. ``epochs``,
            ``target_loss``, ``patience`` and ``max_seconds`` may have changed since; the
            time is counted over all parts.

    Returns:
        What the search remembers: the Pareto front among other things.

    Raises:
        UserError: If the checkpoint cannot be read or belongs to another search.
        KeyboardInterrupt: If the user interrupted; checkpoints stay.
    """

    def identity() -> str:
        return identity_of_search(grammar, settings, seed)

    data = SearchData(grammar, objective, settings, seed, report, identity)
    if checkpoint is not None:
        _check(checkpoint, identity())
    with isolated(seed):
        trainer = build_trainer(
            settings.epochs,
            [SeededSteps(seed), _Rounds()],
            trainer_options,
            settings.max_seconds,
        )
        run_trainer(trainer, module, data, checkpoint)
    return data.memory


def _check(checkpoint: Path, identity: str) -> None:
    """Refuse a checkpoint that is damaged, not of a search, or of another one."""
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        found = content[SearchData.__qualname__]["identity"]
        loop = content["loops"]["fit_loop"]
        epochs = loop["epoch_progress"]["current"]
        between = loop["epoch_loop.batch_progress"]["is_last_batch"]
        between &= epochs["processed"] < epochs["ready"]
    except Exception as error:  # a damaged file can raise nearly anything
        raise UserError(
            f"{checkpoint} is not a checkpoint of a search ({type(error).__name__}): "
            "give one that search() wrote, or none to begin anew"
        ) from error
    if found != identity:
        raise UserError(
            f"{checkpoint} belongs to a search with another grammar, other settings or another "
            "seed: resume with those it was begun with"
        )
    if between:
        # Lightning then takes the next epoch for the rest of this one if its length differs.
        raise UserError(
            f"{checkpoint} was written after the last step of an epoch but before its end: "
            "give another one, best of those that ModelCheckpoint(every_n_epochs=1) writes"
        )
