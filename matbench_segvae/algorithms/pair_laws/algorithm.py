"""SEGVAE on defects: a pair law, searched on the training part of a fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.pair_laws.candidate import CandidateLaw
from matbench_segvae.algorithms.pair_laws.fit_law import find_law
from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import LAZAREV, POPOV
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats


class SEGVAEPairLaw:
    """Searches a pair law ``K(r)`` with SEGVAE and predicts energies per defect site."""

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        takes_minutes=True,
        algorithm="segvae",
        algorithm_long=(
            "Symbolic expression generation via variational autoencoder. A recurrent "
            "variational autoencoder, pretrained on random formulas, generates candidate pair "
            "laws K(r) of the distance between two defects; constants are fitted, the best "
            "formulas retrain the network, and one law is chosen by cross-validation inside the "
            "training part of the fold. Kinds of pairs have formulas of their own or one in "
            "common, with a table of coefficients. The energy of a structure is the sum over its "
            "defects and their pairs, a constant where structures differ in their number of "
            "defects and pairs are far apart, "
            "and, where cross-validation inside the training part clearly supports them, "
            "three-body terms."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(POPOV, LAZAREV),
        notes="Inputs are the pair distances of the point defects, nothing else.",
        packages=("torch", "lightning", "numpy", "scipy", "scikit-learn", "sympy", "pymatgen"),
    )

    def __init__(self, settings: PairLawSettings | None = None) -> None:
        self.settings = settings or PairLawSettings()
        self._found: list[CandidateLaw] = []
        self._chosen: CandidateLaw | None = None
        self._saved: SavedLaw | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Search a pair law on the training part of a fold.

        Raises:
            UserError: If the inputs are not structures with pairs of point defects in a
                known host.
        """
        _check_task(context)
        data = TrainingPairs.of(inputs, targets, context.hosts)
        if not data.pairs.pair_kinds:
            raise UserError(
                f"segvae on {context.task}, fold {context.fold}: no training structure holds "
                "two defects, so there is no pair law to find"
            )
        found = find_law(data, self.settings, context.seed, context.report)
        self._found, self._chosen, self._saved = found.candidates, found.chosen, found.saved

    def predict(self, inputs: pd.Series) -> Floats:
        """Energies per defect site, eV.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
        """
        saved = self._fitted()
        return saved.law.predict(saved.pairs_of(inputs))

    def predict_std(self, inputs: pd.Series) -> Floats:
        """Standard deviations of the energies per defect site, eV; see :meth:`SavedLaw.std`.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
        """
        saved = self._fitted()
        return saved.std(saved.pairs_of(inputs))

    def describe(self) -> Mapping[str, Any]:
        """The law: formula, LaTeX, constants with intervals, range, and what it was chosen from."""
        saved, chosen = self._fitted(), self._chosen
        assert chosen is not None
        return {
            **saved.description(),
            "parameters": chosen.parameters,
            "compositions": np.unique(chosen.pairs.composition, axis=0).tolist(),
            "training_mae": chosen.training_mae,
            "candidates": [_summary(candidate) for candidate in self._found],
            "settings": asdict(self.settings),
        }

    def _fitted(self) -> SavedLaw:
        if self._saved is None:
            raise RuntimeError("fit() has to come first")
        return self._saved


def _summary(candidate: CandidateLaw) -> dict[str, Any]:
    """A law that could have been chosen, in JSON's own types."""
    law = candidate.law
    return {
        "formulas": law.pair_lines(),
        "formula_of_kind": list(candidate.formula_of),
        "complexity": candidate.complexity,
        "training_mae": candidate.training_mae,
        "validation_mae": candidate.validation_mae,
    }


def _check_task(context: FoldContext) -> None:
    """Refuse tasks without structures or without a number to predict."""
    if context.input_type != "structure" or context.task_type != "regression":
        raise UserError(
            f"segvae cannot run on {context.task}: it needs structures with point defects and "
            f"a regression target, this task has a {context.input_type} and is a "
            f"{context.task_type}"
        )
