"""SEGVAE on defects: a pair law, searched on the training part of a fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matbench_segvae.algorithms.pair_laws.law import PairLaw, pairs_of
from matbench_segvae.algorithms.pair_laws.selection import (
    FoundLaw,
    best_law,
    intervals,
    resampled,
    search_laws,
)
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.references import LAZAREV, POPOV
from matbench_segvae.defects import PairCounts, count_pairs, shortest_distances, sparse_defects
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.robust import STD_PER_MAE
from matbench_segvae.lightning_tools import isolated


class SEGVAEPairLaw:
    """Searches a pair law ``K(r)`` with SEGVAE and predicts energies per defect site."""

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="segvae",
        algorithm_long=(
            "Symbolic expression generation via variational autoencoder. A recurrent "
            "variational autoencoder, pretrained on random formulas, writes candidate pair "
            "laws K(r) of the distance between two defects; constants are fitted, the best "
            "formulas retrain the network, and one formula is chosen by cross-validation "
            "inside the training part of the fold. The energy of a structure is the sum over "
            "its defects and their pairs, and, where validation inside the training part "
            "clearly speaks for it, a term T/(r1 r2) for any two defects around a third one."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(POPOV, LAZAREV),
        notes="Inputs are the pair distances of the point defects, nothing else.",
        packages=("torch", "lightning", "numpy", "scipy", "scikit-learn", "sympy", "pymatgen"),
    )

    def __init__(self, settings: PairLawSettings | None = None) -> None:
        self.settings = settings or PairLawSettings()
        self._table: PairCounts | None = None
        self._hosts: list[str] = []
        self._law: PairLaw | None = None
        self._found: list[FoundLaw] = []
        self._chosen: FoundLaw | None = None
        self._resampled: list[PairLaw] = []

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Search a pair law on the training part of a fold.

        Raises:
            UserError: If the inputs are not structures with pairs of point defects in a
                known host.
        """
        _check_task(context)
        cells = [sparse_defects(structure) for structure in inputs]
        table = count_pairs(cells)
        if not table.pair_kinds:
            raise UserError(
                f"segvae on {context.task}, fold {context.fold}: no training structure holds "
                "two defects, so there is no pair law to find"
            )
        self._hosts = sorted({cell.host for cell in cells})
        shortest = shortest_distances(self._hosts, table.pair_kinds)
        energies = targets.to_numpy(dtype=np.float64)
        with isolated(context.seed):
            found = search_laws(
                table, energies, shortest, self.settings, context.seed, context.report
            )
        if not found:
            raise UserError("segvae found no formula that satisfies the conditions on pair laws")
        chosen = best_law(found, self.settings.patience)
        fit, n_resamples = chosen.candidate.fit, self.settings.bootstrap
        fits = resampled(chosen.search, fit, len(inputs), n_resamples, context.seed)
        self._table, self._found, self._chosen = table, found, chosen
        self._law = chosen.named()
        self._resampled = [chosen.named(refit) for refit in fits]

    def predict(self, inputs: pd.Series) -> NDArray[np.float64]:
        """Energies per defect site, eV.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
        """
        return self._fitted_law().predict(pairs_of(inputs, like=self._table))

    def predict_std(self, inputs: pd.Series) -> NDArray[np.float64]:
        """Standard deviations of the energies per defect site, eV.

        Those of the refits to resampled structures and 1.25 times the law's validation error,
        in quadrature, as for predictions of stored laws.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
        """
        self._fitted_law()
        assert self._chosen is not None
        table = pairs_of(inputs, like=self._table)
        spread = np.zeros(len(inputs))
        if len(self._resampled) > 1:
            spread = np.std([law.predict(table) for law in self._resampled], axis=0, ddof=1)
        return np.asarray(np.hypot(spread, STD_PER_MAE * self._chosen.candidate.validation_mae))

    def describe(self) -> Mapping[str, Any]:
        """The law: formula, LaTeX, constants with intervals, range, and what it was chosen from."""
        law, table, chosen = self._fitted_law(), self._table, self._chosen
        assert table is not None and chosen is not None
        return {
            "formula": "; ".join(law.lines()),
            "latex": law.latex(),
            "complexity": law.complexity,
            "parameters": chosen.candidate.parameters,
            "hosts": self._hosts,
            "compositions": np.unique(table.composition, axis=0).tolist(),
            "constants": law.plain(),
            "constants_90_percent": intervals(law, self._resampled),
            "distances_A": {
                kind: [float(d.min()), float(d.max())]
                for number, kind in enumerate(table.pair_kinds)
                for d in [table.distance[table.kind == number]]
            },
            "resampled": [other.plain() for other in self._resampled],
            "training_mae": chosen.candidate.fit.mae,
            "validation_mae": chosen.candidate.validation_mae,
            "candidates": [_told(law) for law in self._found],
            "settings": asdict(self.settings),
        }

    def _fitted_law(self) -> PairLaw:
        if self._law is None:
            raise RuntimeError("fit() has to come first")
        return self._law


def _told(found: FoundLaw) -> dict[str, Any]:
    """A law that was to choose from, in JSON's own types."""
    candidate = found.candidate
    return {
        "formulas": [str(Expression(tokens)) for tokens in candidate.fit.formulas],
        "formula_of_kind": list(found.formula_of),
        "complexity": candidate.nodes,
        "training_mae": candidate.fit.mae,
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
