"""Training a matgl model with Lightning and keeping its best epoch, in memory alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from matgl.graph.data import collate_fn_graph
from matgl.utils.training import ModelLightningModule
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import Data

from matbench_segvae.isolation import silent_trainer

# A graph, its lattice, its state attributes and its target, as matgl collates them.
Item = tuple[Data, torch.Tensor, torch.Tensor, dict[str, float]]

_BATCH_TO_PREDICT = 128


@dataclass(frozen=True)
class MEGNetSettings:
    """How the network is built and trained.

    Attributes:
        defect_cutoff: Longest edge of the sparse defect graph, in Å.
        crystal_cutoff: Longest edge of the graph of all atoms, in Å.
        epochs: Passes over the training part, at the end of which the cosine schedule ends.
        batch_size: Graphs per step.
        learning_rate: Adam's step at the start of the cosine schedule.
        loss: ``"l1_loss"``, ``"huber_loss"``, ``"smooth_l1_loss"`` or ``"mse_loss"``, in
            units of the targets' standard deviation.
        validate_every: Epochs from one look at the validation part to the next.
        validation_share: Share of the training part kept aside to choose the best epoch.
        threads: torch threads; graphs of a few nodes gain nothing from more than one.
    """

    defect_cutoff: float = 20.0
    crystal_cutoff: float = 5.0
    epochs: int = 200
    batch_size: int = 32
    learning_rate: float = 1e-3
    loss: str = "l1_loss"
    validate_every: int = 2
    validation_share: float = 0.1
    threads: int = 1


@dataclass(frozen=True)
class TrainingOutcome:
    """What came of a training.

    Attributes:
        best_epoch: Number of the epoch whose weights were kept, from 0.
        validation_mae: Its error on the validation part, in standard deviations.
        losses: Training loss of every epoch, in standard deviations.
    """

    best_epoch: int
    validation_mae: float
    losses: tuple[float, ...]


class LeanModule(ModelLightningModule):
    """matgl's module without the metrics of every step, which cost a fifth of the time."""

    def on_train_epoch_start(self) -> None:
        """Start to collect the losses of an epoch."""
        self.step_losses: list[torch.Tensor] = []

    def training_step(
        self, batch: tuple[Data, torch.Tensor, torch.Tensor, torch.Tensor], batch_idx: int
    ) -> torch.Tensor:
        """Compute the loss of a batch."""
        graphs, lattices, states, targets = batch
        outputs = self(graphs, lattices, state_attr=states).reshape(targets.shape)
        loss: torch.Tensor = self.loss(outputs, targets)
        self.step_losses.append(loss.detach())
        return loss


class BestWeights(Callback):
    """Keeps the weights of the epoch with the smallest validation error, in memory."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.best_epoch = -1
        self.best_error = math.inf
        self.losses: list[float] = []
        self._weights: dict[str, torch.Tensor] = {}
        self._report = report

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: LeanModule) -> None:
        """Remember the weights if they are the best so far."""
        error = float(trainer.callback_metrics["val_MAE"])
        if error < self.best_error:
            self.best_error = error
            self.best_epoch = int(trainer.current_epoch)
            state = pl_module.state_dict()
            self._weights = {name: w.detach().cpu().clone() for name, w in state.items()}

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: LeanModule) -> None:
        """Keep the loss, and say at every tenth of the way where the training is."""
        self.losses.append(float(torch.stack(pl_module.step_losses).mean()))
        done, total = trainer.current_epoch + 1, trainer.max_epochs
        if done % max(1, total // 10) == 0:
            self._report(f"epoch {done}/{total}, best so far {self.best_epoch + 1}")

    def restore(self, module: LeanModule) -> None:
        """Put the best weights back; without a finite error the last ones stay."""
        if self._weights:
            module.load_state_dict(self._weights)


def train(
    model: torch.nn.Module,
    training: Sequence[Item],
    validation: Sequence[Item],
    settings: MEGNetSettings,
    seed: int,
    scratch: Path,
    report: Callable[[str], None],
) -> TrainingOutcome:
    """Train a model in place and leave it with the weights of its best epoch.

    To be called inside `matbench_segvae.isolation.isolated`.

    Args:
        model: A matgl model.
        training: Graphs with standardised targets.
        validation: Graphs to choose the best epoch by.
        settings: How to train.
        seed: Orders the batches.
        scratch: The only folder Lightning may write to.
        report: Takes lines of progress.

    Returns:
        What came of it; errors are in standard deviations of the target.
    """
    module = LeanModule(
        model,
        loss=settings.loss,
        # The fused kernel does in one call what else takes longer than the forward pass.
        optimizer=torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True),
        lr=settings.learning_rate,
        # Lightning steps the schedule once an epoch, so this counts epochs.
        decay_steps=settings.epochs,
    )
    best = BestWeights(report)
    trainer = silent_trainer(
        settings.epochs,
        check_val_every_n_epoch=settings.validate_every,
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=1,
        callbacks=[best],
        default_root_dir=str(scratch),
        num_sanity_val_steps=0,
    )
    order = torch.Generator().manual_seed(seed)
    trainer.fit(
        module,
        _loader(training, settings.batch_size, order),
        _loader(validation, _BATCH_TO_PREDICT),
    )
    module.cpu()
    best.restore(module)
    return TrainingOutcome(best.best_epoch, best.best_error, tuple(best.losses))


def _loader(
    items: Sequence[Item], batch_size: int, order: torch.Generator | None = None
) -> DataLoader[Item]:
    """A plain loader, shuffled if there is an order: matgl's own caches graphs on disk."""
    return DataLoader(
        cast("Dataset[Item]", items),
        batch_size,
        shuffle=order is not None,
        generator=order,
        collate_fn=collate_fn_graph,
    )


def predict(model: torch.nn.Module, items: Sequence[Item]) -> torch.Tensor:
    """Run a model over graphs.

    Returns:
        The outputs, shape ``(len(items),)``, in standard deviations from the mean.
    """
    module = ModelLightningModule(model).eval()
    outputs = []
    with torch.no_grad():
        for graphs, lattices, states, _ in _loader(items, _BATCH_TO_PREDICT):
            # A batch of one comes back without its batch dimension.
            outputs.append(module(graphs, lattices, state_attr=states).reshape(-1))
    return torch.cat(outputs) if outputs else torch.empty(0)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def as_item(graph: Data, lattice: torch.Tensor, state: np.ndarray, target: float) -> Item:
    """Put a converter's answer and a target into the form that matgl collates."""
    return graph, lattice, torch.as_tensor(state, dtype=torch.float32), {"target": target}
