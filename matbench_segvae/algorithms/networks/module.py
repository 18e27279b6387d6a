"""A matgl network, its loss and its learning-rate schedule as a Lightning module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning
import torch

from matbench_segvae.algorithms.networks.settings import MEGNetSettings

# Graphs side by side, their idle state attributes, and their targets.
Batch = tuple[Any, torch.Tensor, torch.Tensor]

_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "l1_loss": torch.nn.functional.l1_loss,
    "huber_loss": torch.nn.functional.huber_loss,
    "smooth_l1_loss": torch.nn.functional.smooth_l1_loss,
    "mse_loss": torch.nn.functional.mse_loss,
}


class GraphModule(lightning.LightningModule):
    """A network of graphs, its loss and its learning-rate schedule.

    Args:
        network: Takes graphs side by side and their states, gives a number each.
        settings: How to train it.
    """

    def __init__(self, network: torch.nn.Module, settings: MEGNetSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.step_losses: list[torch.Tensor] = []

    def forward(self, graphs: Any, states: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        """Evaluate the network, shape ``(graphs,)``."""
        # A batch of one comes back without its batch dimension.
        output: torch.Tensor = self.network(graphs, state_attr=states).reshape(-1)
        return output

    def on_train_epoch_start(self) -> None:
        """Start to collect the losses of an epoch."""
        self.step_losses = []

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """Compute the loss of a batch."""
        graphs, states, targets = batch
        loss = _LOSSES[self.settings.loss](self(graphs, states), targets)
        self.step_losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add a batch to the mean absolute error of the validation part."""
        graphs, states, targets = batch
        error = (self(graphs, states) - targets).abs().mean()
        self.log("val_mae", error, batch_size=len(targets), on_epoch=True, on_step=False)

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam with a linear warm-up and a cosine schedule, stepped once an epoch."""
        settings = self.settings
        # The fused kernel does in one call what else takes longer than the forward pass.
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda epoch: _rate(epoch, settings.epochs, settings.warm_up)
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _rate(epoch: int, epochs: int, warm_up: int) -> float:
    """Learning rate of an epoch relative to the largest one; it ends at a hundredth of it."""
    if epoch < warm_up:
        return (epoch + 1) / (warm_up + 1)
    progress = (epoch - warm_up) / max(1, epochs - warm_up)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
