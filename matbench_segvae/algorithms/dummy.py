"""The baseline: predict the mean of the training targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext


class MeanPredictor:
    """Predicts the training mean, or for a classification the share of the positive class.

    For regressions this is Matbench's own dummy, so that its scores on Matbench tasks are the
    official ones, which verifies folds and scoring.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="dummy",
        algorithm_long=(
            "Predicts the mean of the training targets; for a classification, the share of "
            "the positive class as its probability."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(
            "@article{Dunn2020, title={Benchmarking materials property prediction methods: the "
            "Matbench test set and Automatminer reference algorithm}, author={Dunn, Alexander and "
            "Wang, Qi and Ganose, Alex and Dopp, Daniel and Jain, Anubhav}, journal={npj "
            "Computational Materials}, volume={6}, pages={138}, year={2020}, "
            "doi={10.1038/s41524-020-00406-3}}",
        ),
        notes="The lowest bar: an algorithm has learned something where it beats this one.",
        packages=("numpy",),
    )

    def __init__(self) -> None:
        self._mean: float | None = None
        self._std = 0.0

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Take the mean of the targets; the inputs are not used.

        Args:
            inputs: Structures or compositions, indexed by sample id.
            targets: Target values; ``False``/``True`` for a classification.
            context: Not used.
        """
        values = targets.to_numpy(dtype=float)
        self._mean, self._std = float(np.mean(values)), float(np.std(values))

    def predict(self, inputs: pd.Series) -> np.ndarray:
        """Predict the training mean for every input.

        Args:
            inputs: Anything with a length.

        Returns:
            Predictions, shape ``(len(inputs),)``, in the unit of the target.

        Raises:
            RuntimeError: If called before `fit`.
        """
        if self._mean is None:
            raise RuntimeError("fit has to be called before predict")
        return np.full(len(inputs), self._mean)

    def predict_std(self, inputs: pd.Series) -> np.ndarray:
        """Return the standard deviation of the training targets for every input.

        Args:
            inputs: Anything with a length.

        Returns:
            Standard deviations, shape ``(len(inputs),)``, in the unit of the target.

        Raises:
            RuntimeError: If called before `fit`.
        """
        if self._mean is None:
            raise RuntimeError("fit has to be called before predict_std")
        return np.full(len(inputs), self._std)

    def describe(self) -> Mapping[str, Any]:
        """The fitted mean."""
        return {"mean": self._mean, "parameters": 1}
