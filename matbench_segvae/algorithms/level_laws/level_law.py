"""Levels with shifts by formulas, chosen on the training part of a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.level_laws.band_edges import BandEdge, band_edges, predicted
from matbench_segvae.algorithms.level_laws.elimination import (
    EliminationSettings,
    FittedLevels,
    fit_level_law,
)
from matbench_segvae.algorithms.level_laws.formulas import (
    law_description,
    law_lines,
    law_nodes,
    law_numbers,
    starting_shapes,
)
from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.defects import Host
from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.robust import STD_PER_MAE
from matbench_segvae.types import Floats


class LevelLaw:
    """Fits levels with shifts that are sums of a few shapes common to all kinds of pairs.

    Args:
        shapes: Formulas in ``r`` with the constants to start from; those of
            :func:`~matbench_segvae.algorithms.level_laws.formulas.starting_shapes` by default.
        settings: How the law is fitted and shortened.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="level_law",
        algorithm_long=(
            "Every kind of defect has a level, shifted by each other defect by a sum of a few "
            "shapes of their distance, which are common to all kinds, with coefficients for each "
            "directed kind of pair. The HOMO of a structure is the soft maximum "
            "T log sum exp(e/T) over its defects, the LUMO the soft minimum, the gap their "
            "difference, each fitted on its own under absolute error. Coefficients are "
            "eliminated backward as far as cross-validation inside the training part allows."
        ),
        authors="The matbench_segvae developers",
        notes="Inputs are the pair distances of the point defects, nothing else.",
        packages=("numpy", "scipy", "scikit-learn", "sympy", "pymatgen"),
    )

    def __init__(
        self,
        shapes: Sequence[Expression] | None = None,
        settings: EliminationSettings | None = None,
    ) -> None:
        self._shapes = None if shapes is None else tuple(shapes)
        self.settings = settings or EliminationSettings()
        self._laws: tuple[tuple[BandEdge, FittedLevels], ...] = ()
        self._hosts: tuple[Host, ...] | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Fit a law to the training part of a fold.

        Args:
            inputs: Structures with point defects in a known host, indexed by sample id.
            targets: HOMO, LUMO or gap, eV.
            context: Names the target; may have HOMO and LUMO of the training structures.

        Raises:
            UserError: If the inputs are not such structures or the target is another one.
        """
        edges = band_edges("level_law", targets, context)
        data = LevelData.of(inputs, context.hosts)
        shapes = self._shapes or starting_shapes(data.host.a)
        self._laws = tuple(
            (
                edge,
                fit_level_law(
                    data, edge.maxima, shapes, self.settings, context.seed, context.report
                ),
            )
            for edge in edges
        )
        self._hosts = context.hosts

    def predict(self, inputs: pd.Series) -> Floats:
        """HOMO, LUMO or gap, eV.

        Args:
            inputs: Structures, indexed by sample id.

        Raises:
            UserError: If a structure holds no defect, or a kind of defect or pair not seen in
                training.
            RuntimeError: If called before `fit`.
        """
        data = LevelData.of(inputs, self._hosts, like=self._fitted()[0][1].shifts.data)
        return predicted(self._fitted(), data)

    def predict_std(self, inputs: pd.Series) -> Floats:
        """Standard deviations of the predictions, eV, the same for all structures.

        `STD_PER_MAE` times the validation error, that of the gap from both edges in quadrature,
        as if their errors were independent.

        Args:
            inputs: Structures, indexed by sample id.
        """
        errors = [law.typical_error for _, law in self._fitted()]
        return np.full(len(inputs), STD_PER_MAE * float(np.linalg.norm(errors)))

    def describe(self) -> Mapping[str, Any]:
        """The law of each band edge: lines to read, levels, shapes and coefficients."""
        lines = [line for edge, law in self._fitted() for line in law_lines(edge, law)]
        return {
            "formula": "; ".join(lines),
            "edges": {edge.name: law_description(edge, law) for edge, law in self._fitted()},
            "parameters": sum(law_numbers(law) for _, law in self._fitted()),
            "complexity": sum(law_nodes(law) for _, law in self._fitted()),
        }

    def _fitted(self) -> tuple[tuple[BandEdge, FittedLevels], ...]:
        if not self._laws:
            raise RuntimeError("fit has to be called before predict or describe")
        return self._laws
