"""Building and training a network of the original megnet package."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from matbench_segvae.algorithms.networks.tensorflow import Libraries
from matbench_segvae.algorithms.networks.training import TrainingOutcome
from matbench_segvae.errors import UserError

# A graph as megnet takes it: types, distances (Å), state, and where edges start and end.
KerasGraph = dict[str, Any]


@dataclass(frozen=True)
class KerasSettings:
    """How the network is built and trained.

    Attributes:
        dense: Whether defects benchmarks are read as graphs of all atoms, too.
        defect_cutoff: Longest edge of the sparse defect graph, in Å.
        crystal_cutoff: Longest edge of the graph of all atoms, in Å.
        centers: Number of Gaussians that a distance is expanded in.
        width: Their width in Å, the package's own value.
        epochs: Largest number of passes over the training part; the cosine schedule's length.
        patience: Epochs without a better validation error after which training ends.
        batch_size: Graphs per step.
        learning_rate: Adam's step at the start of the cosine schedule.
        loss: Name of a Keras loss, of targets in standard deviations.
        validation_share: Share of the training part kept aside to choose the best epoch.
        settled: Share of the epochs before which none is chosen.
    """

    dense: bool = False
    defect_cutoff: float = 20.0
    crystal_cutoff: float = 5.0
    centers: int = 100
    width: float = 0.5
    epochs: int = 200
    patience: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-3
    loss: str = "mae"
    validation_share: float = 0.1
    settled: float = 0.5


def as_keras_graph(name: str, graph: Data, lattice: torch.Tensor) -> KerasGraph:
    """Write a graph the way megnet does.

    Args:
        name: Sample id, for messages.
        graph: Of one of the converters.
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
    """A converter for graphs that are made already: distances stay distances."""
    converter = libraries.graph.StructureGraph()
    # megnet takes its presence for a wish to expand distances outside the network.
    converter.graph_to_input = lambda graph: [
        np.asarray(graph[name])[None] for name in ("atom", "bond", "state", "index1", "index2")
    ]
    del converter.bond_converter
    return converter


def train(
    libraries: Libraries,
    model: Any,  # noqa: ANN401
    training: tuple[Sequence[KerasGraph], np.ndarray],
    validation: tuple[Sequence[KerasGraph], np.ndarray],
    settings: KerasSettings,
    scratch: Path,
    report: Callable[[str], None],
) -> TrainingOutcome:
    """Train a network in place and leave it with the weights of its best epoch.

    Args:
        libraries: TensorFlow and megnet.
        model: From `build`.
        training: Graphs and standardised targets.
        validation: The same, to choose the best epoch by.
        settings: How to train.
        scratch: A folder that megnet may write to.
        report: Takes lines of progress.

    Returns:
        What came of it; errors are in standard deviations of the target.
    """
    best = _best_weights(libraries, settings, report)
    schedule = libraries.keras.callbacks.LearningRateScheduler(
        lambda epoch, _: settings.learning_rate * _cosine(epoch / settings.epochs)
    )
    model.train_from_graphs(
        list(training[0]),
        list(training[1]),
        list(validation[0]),
        list(validation[1]),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        callbacks=[schedule, best],
        save_checkpoint=False,
        patience=None,
        dirname=str(scratch / "megnet"),
        verbose=0,
    )
    if best.weights is not None:
        model.set_weights(best.weights)
    return TrainingOutcome(best.epoch, best.error, tuple(best.losses))


def _cosine(progress: float) -> float:
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


def _best_weights(
    libraries: Libraries, settings: KerasSettings, report: Callable[[str], None]
) -> Any:  # noqa: ANN401
    """A Keras callback that keeps the best weights in memory, reports, and stops in time.

    Keras's own has to be told an epoch to start from, restores nothing when training runs to
    its end, and says nothing.
    """
    first = min(int(settings.settled * settings.epochs), settings.epochs - 1)

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
