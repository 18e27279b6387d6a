"""The original MEGNet, on TensorFlow, through an adapter.

MEGNet is Chen et al., Chem. Mater. 31, 3564 (2019), doi 10.1021/acs.chemmater.9b01294, in
the authors' first implementation, the package ``megnet`` 1.3.2. It comes with the extra
``megnet``; TensorFlow is imported by the first `fit` and not before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import Data

from matbench_segvae.algorithms.megnet.algorithm import (
    Converter,
    check_inputs,
    raw_graphs,
    split,
    standardised,
)
from matbench_segvae.algorithms.megnet.graphs import CrystalGraph, SparseDefectGraph
from matbench_segvae.algorithms.megnet.keras_loading import Libraries, load_libraries, seeded
from matbench_segvae.algorithms.megnet.training import TrainingOutcome
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import CHEN, KAZEEV
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


_PACKAGES = ("megnet", "tensorflow", "tf_keras", "matgl", "pymatgen")


_NOTES = "For a classification the network is fitted to 0 and 1 and its output clipped."


class KerasMEGNet:
    """The original MEGNet on the sparse defect graph, or on all atoms where there is none.

    The graphs are those of `megnet` and `megnet_dense`.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="megnet_keras",
        algorithm_long=(
            "MEGNet in its authors' first implementation (megnet 1.3.2 on TensorFlow) on the "
            "sparse defect graph: nodes are the defect sites, edges reach to 20 Å with in-plane "
            "periodic images. Where a task has no defects, the graph of all atoms with a cutoff "
            "of 5 Å. The epoch with the smallest error on a validation part of the training "
            "fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(CHEN, KAZEEV),
        notes=_NOTES,
        packages=_PACKAGES,
    )
    defaults: ClassVar[KerasSettings] = KerasSettings()

    def __init__(self, settings: KerasSettings | None = None) -> None:
        self.settings = settings or self.defaults
        self._libraries: Libraries | None = None
        self._converter: Converter | None = None
        # A megnet.models.MEGNetModel once fitted.
        self._model: Any = None
        self._outcome: TrainingOutcome | None = None
        self._mean, self._std = 0.0, 1.0
        self._classification = False

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Train on the fold's training part, a share of which chooses the best epoch.

        Args:
            inputs: Structures, indexed by sample id.
            targets: Target values with the same index.
            context: Seed, scratch folder and what kind of task it is.

        Raises:
            UserError: If the extra is not installed, or the inputs are not structures, too
                few, or without known host.
        """
        check_inputs(self.card.algorithm, inputs, context)
        self._libraries = load_libraries(self.card.algorithm)
        self._classification = context.task_type == "classification"
        sparse = context.on_defects and not self.settings.dense
        settings = self.settings
        cutoff = settings.defect_cutoff if sparse else settings.crystal_cutoff
        kind = SparseDefectGraph if sparse else CrystalGraph
        self._converter = kind.from_training(inputs, cutoff)
        values, self._mean, self._std = standardised(targets)
        graphs = self._graphs(inputs)
        kept, aside = split(len(graphs), settings.validation_share, context.seed)
        types = len(self._converter.element_types)
        with seeded(self._libraries, context.seed):
            self._model = build(self._libraries, types, cutoff, settings)
            self._outcome = train(
                self._libraries,
                self._model,
                ([graphs[i] for i in kept], values[kept]),
                ([graphs[i] for i in aside], values[aside]),
                settings,
                context.scratch,
                context.report,
            )
        if not sparse:
            self._average_unseen()

    def predict(self, inputs: pd.Series) -> np.ndarray:
        """Predict the target of unseen structures.

        Args:
            inputs: Structures, indexed by sample id.

        Returns:
            Predictions, shape ``(len(inputs),)``, in the unit of the target; for a
            classification the probability of the positive class.

        Raises:
            RuntimeError: If called before `fit`.
            UserError: If a structure has an unknown host, a defect not seen in training, or
                no two atoms within the cutoff.
        """
        if self._model is None or self._libraries is None:
            raise RuntimeError("fit has to be called before predict")
        graphs = self._graphs(inputs)
        if not graphs:
            return np.empty(0)
        with seeded(self._libraries, 0):
            outputs = self._model.predict_graphs(graphs, batch_size=self.settings.batch_size)
        values = np.asarray(outputs, dtype=float).reshape(-1) * self._std + self._mean
        return np.clip(values, 0.0, 1.0) if self._classification else values

    def describe(self) -> Mapping[str, Any]:
        """Size, settings and course of the training, in JSON's own types."""
        if self._outcome is None or self._converter is None or self._libraries is None:
            return {"settings": asdict(self.settings)}
        weights = self._model.model.trainable_weights
        gpus = self._libraries.tensorflow.config.list_physical_devices("GPU")
        return {
            "parameters": int(sum(np.prod(weight.shape) for weight in weights)),
            "epochs": len(self._outcome.losses),
            "best_epoch": self._outcome.best_epoch,
            "validation_mae": self._outcome.validation_mae * self._std,
            "node_types": list(self._converter.element_types),
            "device": "cuda" if gpus else "cpu",
            "settings": asdict(self.settings),
        }

    def _graphs(self, inputs: pd.Series) -> list[KerasGraph]:
        assert self._converter is not None
        raw = raw_graphs(self._converter, inputs)
        return [
            as_keras_graph(str(name), graph, lattice)
            for name, (graph, lattice, _) in zip(inputs.index, raw, strict=True)
        ]

    def _average_unseen(self) -> None:
        """Let the type for unseen elements be the mean of the trained ones, not random noise."""
        layer = self._model.model.get_layer("atom_embedding")
        (table,) = layer.get_weights()
        table[-1] = table[:-1].mean(axis=0)
        layer.set_weights([table])


class KerasDenseMEGNet(KerasMEGNet):
    """The original MEGNet on the graph of all atoms with a cutoff of 5 Å.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="megnet_keras_dense",
        algorithm_long=(
            "MEGNet in its authors' first implementation (megnet 1.3.2 on TensorFlow) on the "
            "graph of all atoms of the supercell with a cutoff of 5 Å. The epoch with the "
            "smallest error on a validation part of the training fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(CHEN,),
        notes=_NOTES,
        packages=_PACKAGES,
    )
    defaults: ClassVar[KerasSettings] = KerasSettings(dense=True, batch_size=16)
