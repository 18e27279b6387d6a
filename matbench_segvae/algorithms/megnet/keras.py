"""The original MEGNet, on TensorFlow.

MEGNet is Chen et al., Chem. Mater. 31, 3564 (2019), doi 10.1021/acs.chemmater.9b01294, in
the authors' first implementation, the package ``megnet`` 1.3.2. It comes with the extra
``keras``; TensorFlow is imported by the first `fit` and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.megnet.graphs import CrystalGraph, SparseDefectGraph
from matbench_segvae.algorithms.megnet.keras_loading import Libraries, load_libraries, seeded
from matbench_segvae.algorithms.megnet.keras_training import (
    KerasGraph,
    as_keras_graph,
    build,
    train,
)
from matbench_segvae.algorithms.megnet.preparation import (
    Converter,
    TargetScale,
    check_inputs,
    raw_graphs,
    validation_split,
)
from matbench_segvae.algorithms.megnet.settings import KerasSettings
from matbench_segvae.algorithms.megnet.training import TrainingOutcome
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import CHEN, KAZEEV
from matbench_segvae.defects import are_defective

_PACKAGES = ("megnet", "tensorflow", "tf_keras", "matgl", "pymatgen")
_NOTES = "For a classification the network is fitted to 0 and 1 and its output clipped."


class KerasMEGNet:
    """The original MEGNet on the sparse defect graph, or on all atoms where there is none.

    The graphs are those of `megnet` and `megnet_dense`.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        takes_minutes=True,
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
        self._scale = TargetScale()

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Train on the fold's training part, a share of which chooses the best epoch.

        Args:
            inputs: Structures, indexed by sample id.
            targets: Target values with the same index.
            context: Seed, scratch folder and what kind of task it is.

        Raises:
            UserError: If the extra ``keras`` is not installed, or the inputs are not
                structures, too few, or without known host.
        """
        check_inputs(self.card.algorithm, inputs, context)
        self._libraries = load_libraries(self.card.algorithm)
        settings = self.settings
        sparse = not settings.dense and are_defective(inputs.to_list(), context.hosts)
        cutoff = settings.defect_cutoff if sparse else settings.crystal_cutoff
        kind = SparseDefectGraph if sparse else CrystalGraph
        self._converter = kind.from_training(inputs, cutoff, context.hosts)
        self._scale = TargetScale.from_training(targets, context.task_type == "classification")
        values, graphs = self._scale.standardised(targets), self._graphs(inputs)
        training, validation = (
            ([graphs[i] for i in rows], values[rows])
            for rows in validation_split(len(graphs), settings.validation_share, context.seed)
        )
        types = len(self._converter.element_types)
        with seeded(self._libraries, context.seed):
            self._model = build(self._libraries, types, cutoff, settings)
            parts = (training, validation)
            self._outcome = train(self._libraries, self._model, parts, settings, context)
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
        return self._scale.predictions(np.asarray(outputs, dtype=float).reshape(-1))

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
            "validation_mae": self._outcome.validation_mae * self._scale.std,
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
        """Make the embedding of unseen elements the mean of the trained ones."""
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
        takes_minutes=True,
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
