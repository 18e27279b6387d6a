"""The reference for laws of defects: a number for every kind, distance and direction of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pandas as pd

from matbench_segvae.algorithms.level_laws.band_edges import TARGETS
from matbench_segvae.algorithms.level_laws.level_table import LevelTable
from matbench_segvae.algorithms.pair_laws.pair_table import PairTable
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.types import Floats


class InteractionTable:
    """The `pair_table` of the leaderboards: whichever of two tables fits the target.

    Where the target is a band edge or the gap it is a table of shifts of levels,
    :class:`LevelTable`, on all others one of pair energies, :class:`PairTable`.
    """

    card: ClassVar[AlgorithmCard] = replace(
        PairTable.card,
        algorithm_long=(
            f"{PairTable.card.algorithm_long} On HOMO, LUMO and gap, which do not add up over "
            f"pairs, a table of levels: {LevelTable.card.algorithm_long}"
        ),
        packages=tuple(dict.fromkeys((*PairTable.card.packages, *LevelTable.card.packages))),
    )

    def __init__(self) -> None:
        self._table: PairTable | LevelTable | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Fit the table to the training part of a fold.

        Args:
            inputs: Structures with point defects in a known host, indexed by sample id.
            targets: Energy per defect site, HOMO, LUMO or gap, eV.
            context: Names the target, and what else is known about the fold.

        Raises:
            UserError: If the inputs are not such structures.
        """
        table = LevelTable() if context.target in TARGETS else PairTable()
        table.fit(inputs, targets, context)
        self._table = table

    def predict(self, inputs: pd.Series) -> Floats:
        """The target of unseen structures, eV.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
            RuntimeError: If called before `fit`.
        """
        return self._fitted().predict(inputs)

    def describe(self) -> Mapping[str, Any]:
        """The numbers of the table, by kind, distance and direction."""
        return self._fitted().describe()

    def _fitted(self) -> PairTable | LevelTable:
        if self._table is None:
            raise RuntimeError("fit has to be called before predict or describe")
        return self._table
