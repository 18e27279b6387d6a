"""The reference for level laws: a shift for every class of neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from matbench_segvae.algorithms.level_laws.band_edges import BandEdge, band_edges, predicted
from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.level_laws.shift_table import FittedTable, fit_level_table
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.defects import Host
from matbench_segvae.types import Floats


class LevelTable:
    """Fits a level for every kind of defect and a shift for every class of neighbours."""

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="level_table",
        algorithm_long=(
            "Every kind of defect has a level, shifted by each other defect by a number for "
            "every directed kind of pair, every distance and every direction that symmetry "
            "tells apart. The HOMO of a structure is the soft maximum T log sum exp(e/T) over "
            "its defects, the LUMO the soft minimum, the gap their difference, each fitted on "
            "its own under absolute error by reweighted least squares. Classes that were not in "
            "training are interpolated by distance."
        ),
        authors="The matbench_segvae developers",
        notes="A reference, not a readable law.",
        packages=("numpy", "scipy", "scikit-learn", "pymatgen"),
    )

    def __init__(self) -> None:
        self._fits: tuple[tuple[BandEdge, FittedTable], ...] = ()
        self._hosts: tuple[Host, ...] | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Fit the table to the training part of a fold.

        Args:
            inputs: Structures with point defects in a known host, indexed by sample id.
            targets: HOMO, LUMO or gap, eV.
            context: Names the target; may have HOMO and LUMO of the training structures.

        Raises:
            UserError: If the inputs are not such structures or the target is another one.
        """
        edges = band_edges("level_table", targets, context)
        data = LevelData.of(inputs, context.hosts)
        self._fits = tuple(
            (edge, fit_level_table(data, edge.maxima, context.seed)) for edge in edges
        )
        self._hosts = context.hosts

    def predict(self, inputs: pd.Series) -> Floats:
        """HOMO, LUMO or gap, eV; see :meth:`FittedTable.predict`.

        Args:
            inputs: Structures, indexed by sample id.

        Raises:
            UserError: If a structure holds no defect, or a kind of defect or pair not seen in
                training.
            RuntimeError: If called before `fit`.
        """
        data = LevelData.of(inputs, self._hosts, like=self._fitted()[0][1].data)
        return predicted(self._fitted(), data)

    def describe(self) -> Mapping[str, Any]:
        """Levels of defects, and kind, distance (Å), direction and shift (eV) of every class."""
        n_numbers = sum(table.n_numbers for _, table in self._fitted())
        return {
            "edges": {edge.name: _description(edge, table) for edge, table in self._fitted()},
            "complexity": n_numbers,
            "parameters": n_numbers,
        }

    def _fitted(self) -> tuple[tuple[BandEdge, FittedTable], ...]:
        if not self._fits:
            raise RuntimeError("fit has to be called before predict or describe")
        return self._fits


def _description(edge: BandEdge, table: FittedTable) -> dict[str, Any]:
    """A table in JSON's own types."""
    data = table.data
    levels = (edge.sign * table.fit.levels).tolist()
    return {
        "levels_eV": dict(zip(data.defect_kinds, levels, strict=True)),
        "shifts": [
            {
                "kind": str(data.pair_kinds[kind]),
                "distance_A": distance,
                "direction": direction,
                "shift_eV": shift,
            }
            for kind, distance, direction, shift in zip(
                data.kind.tolist(),
                data.distance.round(3).tolist(),
                (data.direction.round(3) + 0.0).tolist(),
                (edge.sign * table.shifts).tolist(),
                strict=True,
            )
        ],
        "temperature_eV": table.fit.temperature,
        "stiffness_per_eV": table.stiffness,
        "training_mae": table.fit.mae,
    }
