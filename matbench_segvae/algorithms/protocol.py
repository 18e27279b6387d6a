"""The protocol of an algorithm that is run on the folds of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from matbench_segvae.types import Report

if TYPE_CHECKING:
    from matbench_segvae.defects import Host


@dataclass(frozen=True)
class AlgorithmCard:
    """What a leaderboard shows about an algorithm; becomes its ``info.json``.

    Attributes:
        algorithm: Short name shown in the leaderboard.
        algorithm_long: Its method, in a sentence or two.
        authors: Who submits it.
        bibtex_refs: BibTeX entries of the methods it uses.
        notes: Remarks that a reader of the scores should know.
        packages: Names of the distributions whose versions matter for the result.
        takes_minutes: Whether a fit takes minutes; folds are then run side by side, in a process
            for each core.
    """

    algorithm: str
    algorithm_long: str
    authors: str
    bibtex_refs: tuple[str, ...] = ()
    notes: str = ""
    packages: tuple[str, ...] = ()
    takes_minutes: bool = False


def _ignore(_: str) -> None:
    """Drop a progress line."""


@dataclass(frozen=True)
class FoldContext:
    """Everything an algorithm may know about the fold beside its training data.

    Attributes:
        benchmark: Benchmark name, such as ``"defects2d_v0.1"``.
        task: Task name, such as ``"defects2d_mos2_v3"``.
        fold: Fold number.
        input_type: ``"structure"`` or ``"composition"``.
        task_type: ``"regression"`` or ``"classification"``.
        target: Name of the target column.
        unit: Unit of the target.
        seed: The only source of randomness an algorithm may use.
        scratch: An empty folder that is removed after the fold. An algorithm writes to no
            other, except for a cache that changes no result.
        hosts: Pristine crystals that the defects are in; ``None`` for all known ones.
        related: Other measured properties of the training samples, in the order of the inputs,
            such as HOMO and LUMO where the target is the gap; ``None`` if there are none.
        report: Takes one line of progress, such as the best formula so far.
    """

    benchmark: str
    task: str
    fold: int
    input_type: str
    task_type: str
    target: str
    unit: str
    seed: int
    scratch: Path
    hosts: tuple[Host, ...] | None = None
    related: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    report: Report = field(default=_ignore, repr=False, compare=False)


@runtime_checkable
class Algorithm(Protocol):
    """One contestant; a fresh instance is made for every fold.

    Attributes:
        card: What the leaderboard shows about it.
    """

    card: ClassVar[AlgorithmCard]

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Learn from the training part of a fold.

        Args:
            inputs: Structures or compositions, indexed by sample id.
            targets: Target values with the same index.
            context: Seed, kind of task and other facts of the fold.

        Raises:
            UserError: If the algorithm does not support such inputs.
        """

    def predict(self, inputs: pd.Series) -> np.ndarray:
        """Predict the target of unseen inputs.

        Args:
            inputs: Structures or compositions, indexed by sample id.

        Returns:
            Predictions, shape ``(len(inputs),)``, in the unit of the target.
        """

    def describe(self) -> Mapping[str, Any]:
        """Describe the fitted model, in JSON's own types.

        Some keys mean the same for all algorithms: ``formula`` and ``latex`` (texts),
        ``complexity`` (nodes of the formula) and ``parameters`` (number of fitted numbers).
        """


@runtime_checkable
class PredictsStd(Protocol):
    """An algorithm that also estimates how uncertain its predictions are.

    The uncertainties of an algorithm with this method are recorded with its predictions.
    """

    def predict_std(self, inputs: pd.Series) -> np.ndarray:
        """Estimate the standard deviation of each prediction of a regression.

        Args:
            inputs: Structures or compositions, indexed by sample id.

        Returns:
            Standard deviations, 0 or larger, shape ``(len(inputs),)``, in the unit of the
            target.
        """
