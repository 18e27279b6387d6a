"""Training a matgl network with Lightning and keeping its best epoch, in memory alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, Dataset

from matbench_segvae.algorithms.megnet.settings import MEGNetSettings
from matbench_segvae.lightning_tools import quiet_trainer

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


# A graph in whatever form the network takes it, and its standardised target.
Item = tuple[Any, float]


# Puts graphs side by side.
Join = Callable[[Sequence[Any]], Any]


# MEGNet's two global inputs: nothing global varies within these data sets.
_STATE_SIZE = 2


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


def start(network: torch.nn.Module, gain: float) -> None:
    """Draw initial weights that let small differences through.

    The slope of softplus at 0 is one half, so a gain of 2 keeps the size of a signal, as He et
    al. (arXiv:1502.01852) have it for rectifiers. Recurrent layers stay as they are.

    Args:
        network: Any network; its linear layers are drawn anew from torch's generator.
        gain: Standard deviation of a layer's weights times the root of its number of inputs.
    """
    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
            torch.nn.init.zeros_(layer.bias)


def train(
    network: torch.nn.Module,
    training: Sequence[Item],
    validation: Sequence[Item],
    join: Join,
    settings: MEGNetSettings,
    seed: int,
    scratch: Path,
    report: Callable[[str], None],
) -> TrainingOutcome:
    """Train a network in place and leave it with the weights of its best epoch.

    To be called inside `matbench_segvae.lightning_tools.isolated`.

    Args:
        network: A matgl network.
        training: Graphs with standardised targets.
        validation: Graphs to choose the best epoch by.
        join: Puts graphs side by side.
        settings: How to train.
        seed: Orders the batches.
        scratch: The only folder Lightning may write to.
        report: Takes lines of progress.

    Returns:
        What came of it; errors are in standard deviations of the target.
    """
    module = GraphModule(network, settings)
    every = min(settings.validate_every, settings.epochs)
    # There has to be a look at the validation part from there on.
    last_look = settings.epochs // every * every - 1
    first = min(int(settings.settled * settings.epochs), last_look)
    best = BestWeights(report, first)
    statistics = SettledStatistics(_loader(training, settings.batch_size, join), first)
    trainer = quiet_trainer(
        settings.epochs,
        check_val_every_n_epoch=every,
        accelerator=device(),
        devices=1,
        callbacks=[statistics, best],
        default_root_dir=str(scratch),
        num_sanity_val_steps=0,
    )
    order = torch.Generator().manual_seed(seed)
    trainer.fit(
        module,
        _loader(training, settings.batch_size, join, order),
        _loader(validation, settings.predict_batch, join, no_single=False),
    )
    module.cpu()
    best.restore(module)
    return TrainingOutcome(best.best_epoch, best.best_error, tuple(best.losses))


def _loader(
    items: Sequence[Item],
    batch_size: int,
    join: Join,
    order: torch.Generator | None = None,
    no_single: bool = True,
) -> DataLoader[Item]:
    """A plain loader, shuffled if there is an order: matgl's own caches graphs on disk.

    Without a last batch of one graph, if there is another: nothing can be standardised over it.
    """

    def collate(batch: Sequence[Item]) -> Batch:
        graphs, targets = zip(*batch, strict=True)
        state = torch.zeros(len(graphs), _STATE_SIZE)
        return join(graphs), state, torch.tensor(targets, dtype=torch.float32)

    return DataLoader(
        cast("Dataset[Item]", items),
        batch_size,
        shuffle=order is not None,
        drop_last=no_single and len(items) > batch_size and len(items) % batch_size == 1,
        generator=order,
        collate_fn=collate,
    )


def predict(
    network: torch.nn.Module, graphs: Sequence[Any], join: Join, batch_size: int
) -> torch.Tensor:
    """Run a network over graphs.

    Returns:
        The outputs, shape ``(len(graphs),)``, in standard deviations from the mean.
    """
    place = torch.device(device())
    network = network.to(place).eval()
    outputs = []
    with torch.no_grad():
        for start in range(0, len(graphs), batch_size):
            some = graphs[start : start + batch_size]
            state = torch.zeros(len(some), _STATE_SIZE)
            batch = lightning.fabric.utilities.move_data_to_device((join(some), state), place)
            outputs.append(network(batch[0], state_attr=batch[1]).reshape(-1).cpu())
    network.cpu()
    return torch.cat(outputs) if outputs else torch.empty(0)


def device() -> str:
    """Where networks are trained and evaluated: ``"cuda"`` if torch sees such a device."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def parameter_count(network: torch.nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
