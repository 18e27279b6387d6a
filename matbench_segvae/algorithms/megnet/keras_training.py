"""Graphs, network and training of the original MEGNet, given its libraries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from matbench_segvae.algorithms.megnet.keras_loading import Libraries
from matbench_segvae.algorithms.megnet.settings import KerasSettings
from matbench_segvae.algorithms.megnet.training import TrainingOutcome
from matbench_segvae.algorithms.protocol import FoldContext
from matbench_segvae.errors import UserError
from matbench_segvae.types import Report

KerasGraph = dict[str, Any]
"""A graph as megnet takes it: types, distances (Å), state, and where edges start and end."""

Samples = tuple[Sequence[KerasGraph], np.ndarray]
"""Graphs, and their standardised targets."""


def as_keras_graph(name: str, graph: Data, lattice: torch.Tensor) -> KerasGraph:
    """Convert a graph of matgl to one of megnet.

    Args:
        name: Sample id, for messages.
        graph: A graph of one of the converters.
        lattice: Lattice vectors as rows in Å, shape ``(1, 3, 3)``.

    Raises:
        UserError: If it has no edges, which megnet cannot read.
    """
    source, target = graph.edge_index.numpy()
    if not len(source):
        raise UserError(f"{name}: no two atoms are within the cutoff, so there is no graph")
    coords, shifts = graph.frac_coords.numpy(), graph.pbc_offset.numpy()
    vectors = (coords[target] + shifts - coords[source]) @ lattice[0].numpy()
    return {
        "atom": graph.node_type.numpy().astype(np.int32),
        "bond": np.linalg.norm(vectors, axis=1).astype(np.float32),
        "state": np.zeros((1, 2), dtype=np.float32),
        "index1": source.astype(np.int32),
        "index2": target.astype(np.int32),
    }


def build(libraries: Libraries, types: int, cutoff: float, settings: KerasSettings) -> Any:  # noqa: ANN401
    """Make an untrained network.

    Args:
        libraries: TensorFlow and megnet.
        types: Number of node types.
        cutoff: Longest edge in Å.
        settings: How to build and train it.

    Returns:
        A ``megnet.models.MEGNetModel``.
    """
    return libraries.models.MEGNetModel(
        nvocal=types,
        centers=np.linspace(0.0, cutoff + 1.0, settings.centers, dtype=np.float32),
        width=settings.width,
        lr=settings.learning_rate,
        loss=settings.loss,
        metrics=["mae"],
        graph_converter=_graphs_as_they_are(libraries),
    )


def _graphs_as_they_are(libraries: Libraries) -> Any:  # noqa: ANN401
    """A converter that leaves graphs as they are, distances included."""
    converter = libraries.graph.StructureGraph()
    # With a bond converter megnet would expand distances outside the network.
    converter.graph_to_input = lambda graph: [
        np.asarray(graph[name])[None] for name in ("atom", "bond", "state", "index1", "index2")
    ]
    del converter.bond_converter
    return converter


def train(
    libraries: Libraries,
    model: Any,  # noqa: ANN401
    parts: tuple[Samples, Samples],
    settings: KerasSettings,
    context: FoldContext,
) -> TrainingOutcome:
    """Train a network in place and leave it with the weights of its best epoch.

    Args:
        libraries: TensorFlow and megnet.
        model: From `build`.
        parts: The samples to train on, and those of the validation part.
        settings: How to train.
        context: Scratch folder, and where to report progress.

    Returns:
        Course of the training; errors are in standard deviations of the target.
    """
    (graphs, targets), (validation_graphs, validation_targets) = parts
    best = _best_weights(libraries, settings, context.report)
    schedule = libraries.keras.callbacks.LearningRateScheduler(
        lambda epoch, _: settings.learning_rate * _cosine(epoch / settings.epochs)
    )
    model.train_from_graphs(
        list(graphs),
        list(targets),
        list(validation_graphs),
        list(validation_targets),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        callbacks=[schedule, best],
        save_checkpoint=False,
        patience=None,
        dirname=str(context.scratch / "megnet"),
        verbose=0,
    )
    if best.weights is not None:
        model.set_weights(best.weights)
    return TrainingOutcome(best.epoch, best.error, tuple(best.losses))


def _cosine(progress: float) -> float:
    """Learning rate relative to the first one; it ends at a hundredth of it."""
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


def _best_weights(libraries: Libraries, settings: KerasSettings, report: Report) -> Any:  # noqa: ANN401
    """A Keras callback that keeps the best weights in memory, reports, and stops early.

    Keras's `EarlyStopping` restores no weights when training runs to its end, and does not
    report progress.
    """
    first = min(int(settings.burn_in_share * settings.epochs), settings.epochs - 1)

    class BestWeights(libraries.keras.callbacks.Callback):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.epoch, self.error = -1, math.inf
            self.weights: list[np.ndarray] | None = None
            self.losses: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            logs = logs or {}
            self.losses.append(float(logs["loss"]))
            error = float(logs["val_mae"])
            if epoch >= first and error < self.error:
                self.epoch, self.error, self.weights = epoch, error, self.model.get_weights()
            if epoch - max(self.epoch, first) >= settings.patience:
                self.model.stop_training = True
            if (epoch + 1) % max(1, settings.epochs // 10) == 0:
                report(f"epoch {epoch + 1}/{settings.epochs}, loss {self.losses[-1]:.4f}")

    return BestWeights()
