"""A network of graphs as a Lightning module, and the callbacks of its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from matbench_segvae.algorithms.megnet.settings import MEGNetSettings
from matbench_segvae.types import Report

Batch = tuple[Any, torch.Tensor, torch.Tensor]
"""Graphs side by side, their unused state attributes, and their targets."""


_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "l1_loss": torch.nn.functional.l1_loss,
    "huber_loss": torch.nn.functional.huber_loss,
    "smooth_l1_loss": torch.nn.functional.smooth_l1_loss,
    "mse_loss": torch.nn.functional.mse_loss,
}


class GraphModule(lightning.LightningModule):
    """A network of graphs, its loss and its learning-rate schedule.

    Args:
        network: Takes graphs side by side and their states, returns a number for each.
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
        # In one fused call; as many small ones the update takes longer than the forward pass.
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


class PresentStatistics(Callback):
    """Computes the averages that a network standardises by anew before each validation.

    Running averages lag behind the weights. Where the standardised quantity varies by a
    hundredth of its mean, a small lag moves every prediction by more than the targets' spread.
    Averages over the whole training part with the present weights do not lag (Wu and Johnson,
    arXiv:2105.07576).

    Args:
        training: The training part, in a fixed order.
        first: Epoch before which no weights are kept, so that no averages are needed.
    """

    def __init__(self, training: Iterable[Batch], first: int) -> None:
        self._training = training
        self._first = first

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: GraphModule) -> None:
        """Average over the training part."""
        norms = [m for m in pl_module.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        if not norms or trainer.current_epoch < self._first:
            return
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # in torch: an average over all batches
            norm.train()
        with torch.no_grad():
            for batch in self._training:
                graphs, states, _ = pl_module.transfer_batch_to_device(batch, pl_module.device, 0)
                pl_module(graphs, states)
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
            norm.eval()


class BestWeights(Callback):
    """Keeps the weights of the epoch with the smallest validation error, in memory."""

    def __init__(self, report: Report, first: int) -> None:
        self.best_epoch = -1
        self.best_error = math.inf
        self.losses: list[float] = []
        self._weights: dict[str, torch.Tensor] = {}
        self._report = report
        self._first = first

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: GraphModule) -> None:
        """Remember the weights if they are the best so far."""
        error = float(trainer.callback_metrics["val_mae"])
        if trainer.current_epoch >= self._first and error < self.best_error:
            self.best_error = error
            self.best_epoch = int(trainer.current_epoch)
            state = pl_module.state_dict()
            self._weights = {name: w.detach().cpu().clone() for name, w in state.items()}

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: GraphModule) -> None:
        """Keep the loss, and report at every tenth of the epochs."""
        self.losses.append(float(torch.stack(pl_module.step_losses).mean()))
        done, total = trainer.current_epoch + 1, trainer.max_epochs
        if done % max(1, total // 10) == 0:
            best = f", best so far {self.best_epoch + 1}" if self.best_epoch >= 0 else ""
            self._report(f"epoch {done}/{total}, loss {self.losses[-1]:.4f}{best}")

    def restore(self, module: GraphModule) -> None:
        """Restore the best weights; without a finite error the last ones stay."""
        if self._weights:
            module.load_state_dict(self._weights)
