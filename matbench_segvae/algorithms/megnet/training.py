"""Training a matgl network with Lightning and keeping its best epoch, in memory alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lightning
import torch
from torch.utils.data import DataLoader, Dataset

from matbench_segvae.algorithms.megnet.graph_module import (
    Batch,
    BestWeights,
    GraphModule,
    PresentStatistics,
)
from matbench_segvae.algorithms.megnet.settings import MEGNetSettings
from matbench_segvae.algorithms.protocol import FoldContext
from matbench_segvae.lightning_tools import quiet_trainer

Item = tuple[Any, float]
"""A graph in the form that the network takes, and its standardised target."""

Join = Callable[[Sequence[Any]], Any]
"""Puts graphs side by side."""


# MEGNet's two global inputs: nothing global varies within these data sets.
_STATE_SIZE = 2


@dataclass(frozen=True)
class TrainingData:
    """Graphs to train on, and to choose the best epoch by.

    Attributes:
        training: Graphs of the training part, with standardised targets.
        validation: Graphs of the validation part, likewise.
        join: Puts graphs side by side.
    """

    training: Sequence[Item]
    validation: Sequence[Item]
    join: Join


@dataclass(frozen=True)
class TrainingOutcome:
    """Course of a training.

    Attributes:
        best_epoch: Number of the epoch whose weights were kept, from 0.
        validation_mae: Its error on the validation part, in standard deviations.
        losses: Training loss of every epoch, in standard deviations.
    """

    best_epoch: int
    validation_mae: float
    losses: tuple[float, ...]


def draw_weights(network: torch.nn.Module, gain: float) -> None:
    """Draw initial weights under which small differences between inputs do not vanish.

    The slope of softplus at 0 is one half, so a gain of 2 keeps the size of a signal, as
    derived for rectifiers by He et al. (arXiv:1502.01852). Recurrent layers stay as they are.

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
    data: TrainingData,
    settings: MEGNetSettings,
    context: FoldContext,
) -> TrainingOutcome:
    """Train a network in place and leave it with the weights of its best epoch.

    To be called inside `matbench_segvae.lightning_tools.isolated`.

    Args:
        network: A matgl network.
        data: Graphs and targets.
        settings: How to train.
        context: Its seed orders the batches; its scratch folder is the only one that Lightning
            may write to; it reports progress.

    Returns:
        Course of the training; errors are in standard deviations of the target.
    """
    module = GraphModule(network, settings)
    every = min(settings.validate_every, settings.epochs)
    # No later than the last validation, so that an epoch is chosen.
    last = settings.epochs // every * every - 1
    first = min(int(settings.burn_in_share * settings.epochs), last)
    best = BestWeights(context.report, first)
    in_order = _loader(data.training, settings.batch_size, data.join)
    trainer = quiet_trainer(
        settings.epochs,
        check_val_every_n_epoch=every,
        accelerator=device(),
        devices=1,
        callbacks=[PresentStatistics(in_order, first), best],
        default_root_dir=str(context.scratch),
        num_sanity_val_steps=0,
    )
    order = torch.Generator().manual_seed(context.seed)
    trainer.fit(
        module,
        _loader(data.training, settings.batch_size, data.join, order),
        _loader(data.validation, settings.predict_batch, data.join, no_single=False),
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
    """A loader of torch, because matgl's own caches graphs on disk.

    Args:
        items: Graphs with targets.
        batch_size: Graphs per batch.
        join: Puts graphs side by side.
        order: Shuffles the graphs; without it they stay in order.
        no_single: Whether to drop a last batch of a single graph, over which nothing can be
            standardised, unless it is the only one.
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
    """Evaluate a network on graphs.

    Args:
        network: A matgl network.
        graphs: Graphs in the form that the network takes.
        join: Puts graphs side by side.
        batch_size: Graphs at once.

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
