"""Training a matgl network with Lightning and keeping its best epoch, in memory alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from torch.utils.data import DataLoader, Dataset

from matbench_segvae.algorithms.networks.callbacks import BestWeights, SettledStatistics
from matbench_segvae.algorithms.networks.module import Batch, GraphModule
from matbench_segvae.algorithms.networks.settings import MEGNetSettings
from matbench_segvae.isolation import silent_trainer

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

    To be called inside `matbench_segvae.isolation.isolated`.

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
    trainer = silent_trainer(
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
