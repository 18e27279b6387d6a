"""MEGNet on the sparse defect graph: the graph network that formulas are held against.

MEGNet is Chen et al., Chem. Mater. 31, 3564 (2019), doi 10.1021/acs.chemmater.9b01294, in
the implementation of matgl; its sparse defect graph is Kazeev et al., npj Comput. Mater. 9,
113 (2023), doi 10.1038/s41524-023-01062-z. Importing matgl creates a cache folder
under the home directory, ``~/.cache/matgl``; nothing is downloaded or kept there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from matgl.models import MEGNet

from matbench_segvae.algorithms.base import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.defect_graphs import CrystalGraph, SparseDefectGraph
from matbench_segvae.algorithms.megnet_training import (
    Item,
    MEGNetSettings,
    TrainingOutcome,
    as_item,
    parameter_count,
    predict,
    train,
)
from matbench_segvae.errors import UserError
from matbench_segvae.isolation import isolated

# Benchmarks whose structures are supercells of a known host with a few defects.
DEFECT_BENCHMARKS = "defects2d_"


class SparseMEGNet:
    """matgl's MEGNet, trained by Lightning.

    On the defect benchmark a structure becomes a graph of its defect sites alone: a node's
    type says what is there and what was there, edges join all defects and their in-plane
    images within 20 Å. On other structure tasks it is matgl's graph of all atoms.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="megnet",
        algorithm_long=(
            "MEGNet of matgl on the sparse defect graph: nodes are the defect sites, their type "
            "is the kind of defect, edges reach to 20 Å with in-plane periodic images. Where a "
            "task has no defects, the graph of all atoms with a cutoff of 5 Å. The epoch with "
            "the smallest error on a validation part of the training fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(
            "@article{Chen2019, title={Graph Networks as a Universal Machine Learning Framework "
            "for Molecules and Crystals}, author={Chen, Chi and Ye, Weike and Zuo, Yunxing and "
            "Zheng, Chen and Ong, Shyue Ping}, journal={Chemistry of Materials}, volume={31}, "
            "pages={3564--3572}, year={2019}, doi={10.1021/acs.chemmater.9b01294}}",
            "@article{Kazeev2023, title={Sparse representation for machine learning the "
            "properties of defects in 2D materials}, author={Kazeev, Nikita and others}, "
            "journal={npj Computational Materials}, volume={9}, "
            "pages={113}, year={2023}, doi={10.1038/s41524-023-01062-z}}",
        ),
        notes="For a classification the network is fitted to 0 and 1 and its output clipped.",
        packages=("matgl", "torch", "torch_geometric", "lightning", "pymatgen"),
    )

    def __init__(self, settings: MEGNetSettings | None = None) -> None:
        self.settings = settings or MEGNetSettings()
        self._converter: SparseDefectGraph | CrystalGraph | None = None
        self._model: MEGNet | None = None
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
            UserError: If the inputs are not structures, too few, or without known host.
        """
        if context.input_type != "structure":
            raise UserError(
                f"megnet needs structures to make graphs of, but {context.task} has "
                f"{context.input_type}s: leave megnet out or choose a structure task"
            )
        if len(inputs) < 2:
            raise UserError(f"megnet needs at least 2 training structures, got {len(inputs)}")
        self._classification = context.task_type == "classification"
        sparse = context.benchmark.startswith(DEFECT_BENCHMARKS)
        kind, cutoff = (
            (SparseDefectGraph, self.settings.defect_cutoff)
            if sparse
            else (CrystalGraph, self.settings.crystal_cutoff)
        )
        with isolated(context.seed, self.settings.threads):
            self._converter = kind.from_training(inputs, cutoff)
            items = self._items(inputs, self._standardised(targets))
            self._model = self._network(cutoff)
            kept, aside = _split(items, self.settings.validation_share, context.seed)
            self._outcome = train(
                self._model,
                kept,
                aside,
                self.settings,
                context.seed,
                context.scratch,
                context.report,
            )
            if not sparse:
                _average_unseen(self._model)

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
        if self._model is None:
            raise RuntimeError("fit has to be called before predict")
        with isolated(0, self.settings.threads):
            items = self._items(inputs, np.zeros(len(inputs)))
            outputs = predict(self._model, items).numpy().astype(float)
        values = outputs * self._std + self._mean
        return np.clip(values, 0.0, 1.0) if self._classification else values

    def describe(self) -> Mapping[str, Any]:
        """Size, settings and course of the training, in JSON's own types."""
        if self._model is None or self._outcome is None or self._converter is None:
            return {"settings": asdict(self.settings)}
        return {
            "parameters": parameter_count(self._model),
            "epochs": len(self._outcome.losses),
            "best_epoch": self._outcome.best_epoch,
            "validation_mae": self._outcome.validation_mae * self._std,
            "node_types": list(self._converter.element_types),
            "settings": asdict(self.settings),
        }

    def _standardised(self, targets: pd.Series) -> np.ndarray:
        values = targets.to_numpy(dtype=float)
        self._mean = float(values.mean())
        # A constant target leaves nothing to scale by.
        self._std = float(values.std()) or 1.0
        return (values - self._mean) / self._std

    def _items(self, inputs: pd.Series, targets: np.ndarray) -> list[Item]:
        assert self._converter is not None
        items = []
        for name, structure, target in zip(inputs.index, inputs, targets, strict=True):
            try:
                graph, lattice, state = self._converter.get_graph(structure)
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            items.append(as_item(graph, lattice, state, float(target)))
        return items

    def _network(self, cutoff: float) -> MEGNet:
        assert self._converter is not None
        return MEGNet(element_types=self._converter.element_types, cutoff=cutoff)


def _split(items: list[Item], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Put a share of the items aside, at least one, at random but by seed."""
    order = np.random.default_rng(seed).permutation(len(items))
    aside = max(1, round(share * len(items)))
    return [items[i] for i in order[aside:]], [items[i] for i in order[:aside]]


def _average_unseen(model: MEGNet) -> None:
    """Let the type for unseen elements be the mean of the trained ones, not random noise."""
    table = model.embedding.layer_node_embedding.weight
    with torch.no_grad():
        table[-1] = table[:-1].mean(dim=0)
