"""What happens around a validation: averages before it, the best weights kept after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from matbench_segvae.algorithms.networks.module import Batch, GraphModule


class SettledStatistics(Callback):
    """Averages what a network standardises by over the training part, before it is looked at.

    Running averages lag behind the weights. Where what is standardised varies by a hundredth
    of its mean, a small lag moves every prediction by more than the targets' spread. Averages
    over all batches with the weights as they are have none (Wu and Johnson, arXiv:2105.07576).

    Args:
        training: The training part, in a fixed order.
        first: Epoch before which no weights are kept, so that no averages are needed.
    """

    def __init__(self, training: Iterable[Batch], first: int) -> None:
        self._training = training
        self._first = first

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: GraphModule) -> None:
        """Average anew."""
        norms = [m for m in pl_module.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        if not norms or trainer.current_epoch < self._first:
            return
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a plain average
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

    def __init__(self, report: Callable[[str], None], first: int) -> None:
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
        """Keep the loss, and say at every tenth of the way where the training is."""
        self.losses.append(float(torch.stack(pl_module.step_losses).mean()))
        done, total = trainer.current_epoch + 1, trainer.max_epochs
        if done % max(1, total // 10) == 0:
            best = f", best so far {self.best_epoch + 1}" if self.best_epoch >= 0 else ""
            self._report(f"epoch {done}/{total}, loss {self.losses[-1]:.4f}{best}")

    def restore(self, module: GraphModule) -> None:
        """Put the best weights back; without a finite error the last ones stay."""
        if self._weights:
            module.load_state_dict(self._weights)
