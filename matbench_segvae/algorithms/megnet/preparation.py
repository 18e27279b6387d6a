"""What precedes the training of a graph network: graphs, scaled targets, a validation part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import Data

from matbench_segvae.algorithms.megnet.graphs import CrystalGraph, SparseDefectGraph
from matbench_segvae.algorithms.protocol import FoldContext
from matbench_segvae.errors import UserError

Converter = SparseDefectGraph | CrystalGraph


def check_inputs(name: str, inputs: pd.Series, context: FoldContext) -> None:
    """Refuse inputs that no graphs can be made of.

    Args:
        name: Name of the algorithm, for messages.
        inputs: Training inputs, indexed by sample id.
        context: What kind of task it is.

    Raises:
        UserError: If the inputs are not structures, or too few.
    """
    if context.input_type != "structure":
        raise UserError(
            f"{name} needs structures to make graphs of, but {context.task} has "
            f"{context.input_type}s: leave {name} out or choose a structure task"
        )
    if len(inputs) < 2:
        raise UserError(f"{name} needs at least 2 training structures, got {len(inputs)}")


def raw_graphs(
    converter: Converter, inputs: pd.Series
) -> list[tuple[Data, torch.Tensor, np.ndarray]]:
    """Make matgl's graph of every structure.

    Args:
        converter: Makes the graph of one structure.
        inputs: Structures, indexed by sample id.

    Returns:
        Graph, lattice in Å of shape ``(1, 3, 3)``, and unused state attributes of each.

    Raises:
        UserError: If a structure has an unknown host or a defect not seen in training.
    """
    graphs = []
    for name, structure in zip(inputs.index, inputs, strict=True):
        try:
            graphs.append(converter.get_graph(structure))
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    return graphs


def validation_split(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a validation part, of one sample at least.

    Args:
        count: Number of samples.
        share: Share of them in the validation part.
        seed: Seed of the draw.

    Returns:
        Positions of the samples to train on, and of the validation part.
    """
    order = np.random.default_rng(seed).permutation(count)
    n_validation = max(1, round(share * count))
    return order[n_validation:], order[:n_validation]


@dataclass(frozen=True)
class TargetScale:
    """Shift and scale between targets and what a network is trained on.

    Attributes:
        mean: Mean of the training targets.
        std: Their standard deviation, 1 for a constant target.
        classification: Whether targets are classes, so that predictions are probabilities.
    """

    mean: float = 0.0
    std: float = 1.0
    classification: bool = False

    @classmethod
    def from_training(cls, targets: pd.Series, classification: bool) -> TargetScale:
        """Take mean and standard deviation from the training targets."""
        values = targets.to_numpy(dtype=float)
        return cls(float(values.mean()), float(values.std()) or 1.0, classification)

    def standardised(self, targets: pd.Series) -> np.ndarray:
        """Targets in standard deviations from the mean, shape ``(len(targets),)``."""
        return np.asarray((targets.to_numpy(dtype=float) - self.mean) / self.std)

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a network in the unit of the target, or as probabilities."""
        values = outputs * self.std + self.mean
        return np.clip(values, 0.0, 1.0) if self.classification else values
