"""SEGVAE: a pair law or a level law where the inputs have defects, else a formula of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pandas as pd

from matbench_segvae.algorithms.feature_formulas.algorithm import FeatureFormula
from matbench_segvae.algorithms.level_laws.band_edges import TARGETS
from matbench_segvae.algorithms.level_laws.level_law import LevelLaw
from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.defects import are_defective
from matbench_segvae.types import Floats


class SEGVAE:
    """The `segvae` of the leaderboards: whichever kind of formula fits inputs and target.

    On supercells of known hosts with point defects (see
    :func:`~matbench_segvae.defects.are_defective`) it is :class:`SEGVAEPairLaw`, or
    :class:`LevelLaw` where the target is a band edge or the gap; on all others
    :class:`~matbench_segvae.algorithms.feature_formulas.algorithm.FeatureFormula`.
    """

    card: ClassVar[AlgorithmCard] = replace(
        SEGVAEPairLaw.card,
        algorithm_long=(
            f"{SEGVAEPairLaw.card.algorithm_long} On HOMO, LUMO and gap of defects nothing is "
            f"searched, and formulas of levels are fitted: {LevelLaw.card.algorithm_long} On "
            f"tasks without defects: {FeatureFormula.card.algorithm_long}"
        ),
        bibtex_refs=tuple(
            dict.fromkeys((*SEGVAEPairLaw.card.bibtex_refs, *FeatureFormula.card.bibtex_refs))
        ),
        notes=(
            "On defects the inputs are the pair distances of the point defects, nothing else; "
            "on other tasks one formula per fold, of at most 40 nodes and 8 features."
        ),
        packages=tuple(
            dict.fromkeys(
                (
                    *SEGVAEPairLaw.card.packages,
                    *LevelLaw.card.packages,
                    *FeatureFormula.card.packages,
                )
            )
        ),
    )

    def __init__(self) -> None:
        self._kind: SEGVAEPairLaw | LevelLaw | FeatureFormula | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Find a formula on the training part of a fold.

        Raises:
            UserError: If the inputs are not of the type of the task.
        """
        defective = context.input_type == "structure" and are_defective(
            inputs.to_list(), context.hosts
        )
        kind: SEGVAEPairLaw | LevelLaw | FeatureFormula
        if not defective:
            kind = FeatureFormula()
        elif context.target in TARGETS:
            kind = LevelLaw()
        else:
            kind = SEGVAEPairLaw()
        kind.fit(inputs, targets, context)
        self._kind = kind

    def predict(self, inputs: pd.Series) -> Floats:
        """Predictions of the formula found.

        Raises:
            UserError: If an input is not of the kind the formula is for.
        """
        return self._fitted().predict(inputs)

    def predict_std(self, inputs: pd.Series) -> Floats:
        """Standard deviations of the predictions, in the unit of the target.

        Raises:
            UserError: If an input is not of the kind the formula is for.
        """
        return self._fitted().predict_std(inputs)

    def describe(self) -> Mapping[str, Any]:
        """The formula, its constants, and what it was chosen from."""
        return self._fitted().describe()

    def _fitted(self) -> SEGVAEPairLaw | LevelLaw | FeatureFormula:
        if self._kind is None:
            raise RuntimeError("fit() has to come first")
        return self._kind
