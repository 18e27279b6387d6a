"""The MEGNet of matgl on the sparse defect graph or on all atoms, trained by Lightning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from matgl.models import MEGNet
from torch_geometric.data import Batch, Data

from matbench_segvae.algorithms.megnet.class_network import ClassMEGNet
from matbench_segvae.algorithms.megnet.equivalence_classes import collapse, join
from matbench_segvae.algorithms.megnet.graphs import CrystalGraph, SparseDefectGraph, placed
from matbench_segvae.algorithms.megnet.preparation import (
    Converter,
    TargetScale,
    check_inputs,
    raw_graphs,
    validation_split,
)
from matbench_segvae.algorithms.megnet.settings import MEGNetSettings
from matbench_segvae.algorithms.megnet.training import (
    Join,
    TrainingData,
    TrainingOutcome,
    device,
    draw_weights,
    parameter_count,
    predict,
    train,
)
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import CHEN, KAZEEV
from matbench_segvae.defects import are_defective
from matbench_segvae.lightning_tools import isolated


@dataclass(frozen=True)
class GraphKind:
    """A kind of graph and the network that reads it.

    Attributes:
        converter: Makes matgl's graph of a structure.
        network: The network.
        prepare: Converts a graph, its lattice and the number of the network's rounds to the
            form that the network takes, once for all epochs.
        join: Puts graphs in that form side by side.
    """

    converter: type[SparseDefectGraph] | type[CrystalGraph]
    network: type[MEGNet]
    prepare: Callable[[Data, torch.Tensor, int], Any]
    join: Join


_MANY = 2000  # training structures

DEFECTS = GraphKind(SparseDefectGraph, MEGNet, placed, Batch.from_data_list)
ALL_ATOMS = GraphKind(CrystalGraph, ClassMEGNet, collapse, join)


class GraphNetwork(ABC):
    """matgl's MEGNet on some kind of graph, trained by Lightning.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard]
    defaults: ClassVar[MEGNetSettings] = MEGNetSettings()

    def __init__(self, settings: MEGNetSettings | None = None) -> None:
        self._chosen = settings
        self.settings = settings or self.defaults
        self._kind = ALL_ATOMS
        self._converter: Converter | None = None
        self._networks: list[MEGNet] = []
        self._outcomes: list[TrainingOutcome] = []
        self._scale = TargetScale()

    @abstractmethod
    def kind_for(self, inputs: pd.Series, context: FoldContext) -> GraphKind:
        """The kind of graph that the training structures, and all others, become."""

    def defaults_for(self, n_structures: int) -> MEGNetSettings:
        """Settings for a training part of so many structures, where none were given."""
        return self.defaults

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Train on the fold's training part, a share of which chooses the best epoch.

        Args:
            inputs: Structures, indexed by sample id.
            targets: Target values with the same index.
            context: Seed, scratch folder and what kind of task it is.

        Raises:
            UserError: If the inputs are not structures, too few, or without known host.
        """
        check_inputs(self.card.algorithm, inputs, context)
        self.settings = self._chosen or self.defaults_for(len(inputs))
        self._kind = self.kind_for(inputs, context)
        sparse = self._kind is DEFECTS
        cutoff = self.settings.defect_cutoff if sparse else self.settings.crystal_cutoff
        self._scale = TargetScale.from_training(targets, context.task_type == "classification")
        values = self._scale.standardised(targets)
        self._networks, self._outcomes = [], []
        with isolated(context.seed, self.settings.threads):
            self._converter = self._kind.converter.from_training(inputs, cutoff, context.hosts)
            rounds = len(self._network(cutoff).blocks)
            graphs = self._graphs(inputs, rounds)
            for member in range(self.settings.members):
                self._add_member(self._network(cutoff), graphs, values, member, context)

    def _add_member(
        self,
        network: MEGNet,
        graphs: Sequence[Any],
        values: np.ndarray,
        member: int,
        context: FoldContext,
    ) -> None:
        """Train one more network, with its own seed and validation part."""
        count, share = self.settings.members, self.settings.validation_share

        def report(line: str) -> None:
            context.report(f"network {member + 1}/{count}, {line}" if count > 1 else line)

        own = replace(context, seed=context.seed + member, report=report)
        training, validation = (
            [(graphs[i], float(values[i])) for i in rows]
            for rows in validation_split(len(graphs), share, own.seed)
        )
        data = TrainingData(training, validation, self._kind.join)
        outcome = train(network, data, self.settings, own)
        if self._kind is ALL_ATOMS:
            _average_unseen(network)
        self._networks.append(network)
        self._outcomes.append(outcome)

    def predict(self, inputs: pd.Series) -> np.ndarray:
        """Predict the target of unseen structures.

        Args:
            inputs: Structures, indexed by sample id.

        Returns:
            Predictions, shape ``(len(inputs),)``, in the unit of the target; for a
            classification the probability of the positive class.

        Raises:
            RuntimeError: If called before `fit`.
            UserError: If a structure has an unknown host or a defect not seen in training.
        """
        if not self._networks:
            raise RuntimeError("fit has to be called before predict")
        with isolated(0, self.settings.threads):
            graphs = self._graphs(inputs, len(self._networks[0].blocks))
            size = self.settings.predict_batch
            outputs = [predict(n, graphs, self._kind.join, size) for n in self._networks]
        return self._scale.predictions(torch.stack(outputs).double().mean(dim=0).numpy())

    def describe(self) -> Mapping[str, Any]:
        """Size, settings and course of the training, in JSON's own types."""
        if not self._networks or self._converter is None:
            return {"settings": asdict(self.settings)}
        errors = [outcome.validation_mae for outcome in self._outcomes]
        return {
            "parameters": sum(map(parameter_count, self._networks)),
            "epochs": sum(len(outcome.losses) for outcome in self._outcomes),
            "best_epoch": [outcome.best_epoch for outcome in self._outcomes],
            "validation_mae": float(np.mean(errors)) * self._scale.std,
            "node_types": list(self._converter.element_types),
            "device": device(),
            "settings": asdict(self.settings),
        }

    def _graphs(self, inputs: pd.Series, rounds: int) -> list[Any]:
        assert self._converter is not None
        raw = raw_graphs(self._converter, inputs)
        return [self._kind.prepare(graph, lattice, rounds) for graph, lattice, _ in raw]

    def _network(self, cutoff: float) -> MEGNet:
        assert self._converter is not None
        options: dict[str, Any] = {
            "element_types": self._converter.element_types,
            "cutoff": cutoff,
            "gauss_width": self.settings.gaussian_sharpness,
        }
        if self._kind is ALL_ATOMS:
            options["standardise"] = self.settings.standardise_readout
        network = self._kind.network(**options)
        if self.settings.gain is not None:
            draw_weights(network, self.settings.gain)
        return network


def _average_unseen(network: MEGNet) -> None:
    """Make the embedding of unseen elements the mean of the trained ones."""
    table = network.embedding.layer_node_embedding.weight
    with torch.no_grad():
        table[-1] = table[:-1].mean(dim=0)


class SparseMEGNet(GraphNetwork):
    """matgl's MEGNet, trained by Lightning.

    Of supercells with point defects each becomes a graph of its defect sites alone: a node's
    type is the kind of defect, the species before and after; edges join all defects and their
    in-plane images within 20 Å. On other structure tasks it is matgl's graph of all atoms.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        takes_minutes=True,
        algorithm="megnet",
        algorithm_long=(
            "MEGNet of matgl on the sparse defect graph: nodes are the defect sites, their type "
            "is the kind of defect, edges reach to 20 Å with in-plane periodic images. Where a "
            "task has no defects, the graph of all atoms with a cutoff of 5 Å. Three networks (one "
            "where there are more than 2,000 training structures), each with its own initial "
            "weights and validation part, are averaged; of each, the epoch with the smallest "
            "error on a validation part of the training fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(CHEN, KAZEEV),
        notes="For a classification the network is fitted to 0 and 1 and its output clipped.",
        packages=("matgl", "torch", "torch_geometric", "lightning", "pymatgen"),
    )

    # Chosen on hold-out structures within the training parts of defects2d_mos2_v3.
    defaults: ClassVar[MEGNetSettings] = MEGNetSettings(
        gaussian_sharpness=4.0, learning_rate=3e-3, burn_in_share=0.75, members=3
    )

    def defaults_for(self, n_structures: int) -> MEGNetSettings:
        """One network in larger batches where there are many structures.

        A fold then takes minutes instead of an hour; the number of steps stays about the same.
        """
        if n_structures <= _MANY:
            return self.defaults
        return replace(self.defaults, members=1, epochs=100, batch_size=128)

    def kind_for(self, inputs: pd.Series, context: FoldContext) -> GraphKind:
        """The graph of the defects where there are some, else that of all atoms."""
        return DEFECTS if are_defective(inputs.to_list(), context.hosts) else ALL_ATOMS


class DenseMEGNet(GraphNetwork):
    """matgl's MEGNet on the graph of all atoms with a cutoff of 5 Å, trained by Lightning.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        takes_minutes=True,
        algorithm="megnet_dense",
        algorithm_long=(
            "MEGNet of matgl on the graph of all atoms of the supercell with a cutoff of 5 Å; "
            "defects are not marked. The readout of a graph is standardised over a batch before "
            "the last layers, without which matgl's MEGNet predicts the mean for dozens of "
            "epochs. The epoch with the smallest error on a validation part of the training "
            "fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(CHEN,),
        notes="For a classification the network is fitted to 0 and 1 and its output clipped.",
        packages=("matgl", "torch", "torch_geometric", "lightning", "pymatgen"),
    )
    defaults: ClassVar[MEGNetSettings] = MEGNetSettings(
        gain=1.5,
        standardise_readout=True,
        epochs=100,
        batch_size=16,
        predict_batch=32,
    )

    def kind_for(self, inputs: pd.Series, context: FoldContext) -> GraphKind:
        """The graph of all atoms, whatever the task."""
        return ALL_ATOMS
