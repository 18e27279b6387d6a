"""Which edges of the gap a target consists of, and what the levels are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.protocol import FoldContext
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats

HOMO, LUMO, GAP = "homo", "lumo", "band_gap"

TARGETS = (HOMO, LUMO, GAP)
"""Names of the targets that levels describe."""


@dataclass(frozen=True, eq=False)
class BandEdge:
    """A soft extremum of levels that a target consists of.

    Attributes:
        name: ``"homo"``, ``"lumo"`` or ``"band_gap"``.
        is_maximum: Whether it is a soft maximum of the levels; else it is a soft minimum.
        factor: With which it enters the target, 1 or -1.
        values: Of the training structures, eV, shape ``(N,)``.
    """

    name: str
    is_maximum: bool
    factor: int
    values: Floats

    @property
    def sign(self) -> int:
        """By which levels are multiplied to become those of a soft maximum."""
        return 1 if self.is_maximum else -1

    @property
    def maxima(self) -> Floats:
        """What the soft maximum is fitted to, eV, shape ``(N,)``."""
        return self.sign * self.values

    def contribution(self, maxima: Floats) -> Floats:
        """What the edge adds to the target, eV, given predicted soft maxima."""
        return self.factor * self.sign * maxima


class Levels(Protocol):
    """Fitted levels of one band edge."""

    def predict(self, data: LevelData) -> Floats:
        """Soft maxima of the levels of ``N`` structures, eV, shape ``(N,)``."""


def predicted(fits: Sequence[tuple[BandEdge, Levels]], data: LevelData) -> Floats:
    """The target of structures, eV: what its band edges add to it, shape ``(N,)``."""
    parts = [edge.contribution(levels.predict(data)) for edge, levels in fits]
    return np.asarray(sum(parts), dtype=np.float64)


def band_edges(algorithm: str, targets: pd.Series, context: FoldContext) -> tuple[BandEdge, ...]:
    """Split a target into band edges.

    The gap is the LUMO less the HOMO where both of the training structures are known, since gap
    levels do not add up; else it is a soft minimum of levels itself.

    Args:
        algorithm: Name of the algorithm, for messages.
        targets: Of the training structures, eV.
        context: Task, target and other properties of the training structures.

    Raises:
        UserError: If the task is none of structures and numbers, the target is none of
            ``TARGETS``, or a value is missing.
    """
    if context.input_type != "structure" or context.task_type != "regression":
        raise UserError(
            f"{algorithm} cannot run on {context.task}: it needs structures with point defects "
            f"and a regression target, this task has a {context.input_type} and is a "
            f"{context.task_type}"
        )
    if context.target not in TARGETS:
        raise UserError(
            f"{algorithm} cannot predict {context.target} of {context.task} from levels: it "
            f"predicts {', '.join(TARGETS)}; take another algorithm"
        )
    values = targets.to_numpy(dtype=np.float64)
    if not len(values):
        raise UserError(f"{context.task}, fold {context.fold}: there is no training structure")
    _refuse_missing(context.target, values, targets.index)
    related = context.related
    if context.target == GAP and related is not None and {HOMO, LUMO} <= set(related.columns):
        if len(related) != len(values):
            raise UserError(
                f"{context.task}, fold {context.fold}: {len(related)} rows of HOMO and LUMO for "
                f"{len(values)} training structures: give one for each"
            )
        lumo = related[LUMO].to_numpy(dtype=np.float64)
        homo = related[HOMO].to_numpy(dtype=np.float64)
        _refuse_missing(LUMO, lumo, related.index)
        _refuse_missing(HOMO, homo, related.index)
        return BandEdge(LUMO, False, 1, lumo), BandEdge(HOMO, True, -1, homo)
    return (BandEdge(context.target, context.target == HOMO, 1, values),)


def _refuse_missing(name: str, values: Floats, labels: Sequence[object] | pd.Index) -> None:
    """Refuse values that are no finite numbers."""
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        raise UserError(
            f"{name} of {labels[int(missing[0])]} is {values[missing[0]]}: give a number in eV or "
            "leave the structure out"
        )
