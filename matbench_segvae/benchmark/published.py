"""Predictions that were published with the DFT data, scored again on the tasks' structures.

The networks behind them were trained by the data's authors (Kazeev et al., npj Comput. Mater.
9, 113 (2023), doi 10.1038/s41524-023-01062-z; Huang et al., npj 2D Mater. Appl. 7, 6 (2023),
doi 10.1038/s41699-023-00369-1), on other splits of a larger data set. Their errors say what
such networks reach on these structures, and cannot be ranked among those of our folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from matbench_segvae.benchmark.datasets import read_pickle_verified
from matbench_segvae.benchmark.tables import TARGET

_PREDICTIONS = "dft-table"
_TRUTH = ("DFT", TARGET)
# The file's names of the models, and those that the literature has for them. One more model
# in the file has no name, and is left out.
_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "GemNet": "GemNet",
        "MEGNet-Sparse-EOS": "MEGNet-sparse",
        "MEGNet-Sparse": "MEGNet-sparse, no EOS",
        "MEGNet": "MEGNet",
        "SchNet": "SchNet",
        "Catboost+Matminer": "CatBoost + matminer",
    }
)
# The table that lists the structures of a task's test parts.
_STRUCTURES: Mapping[str, str] = MappingProxyType(
    {
        "defects2d_mos2_v3": "v3-table",
        "defects2d_mos2_v2": "v2-table",
        "defects2d_mos2_x2": "x2-table",
        "defects2d_mos2_transfer": "v3-table",
    }
)


@dataclass(frozen=True)
class PublishedScore:
    """How well published predictions meet the structures of a task.

    Attributes:
        task: Task name.
        model: What made the predictions.
        mae: Mean absolute error over all structures of the task's test parts, in eV per
            defect site.
        max_error: Largest absolute error, in eV per defect site.
        structures: Their number.
    """

    task: str
    model: str
    mae: float
    max_error: float
    structures: int


def published_scores(task: str) -> list[PublishedScore]:
    """Score the published predictions on a task's structures.

    Args:
        task: Task name.

    Returns:
        One score per model, best first; none for tasks that nothing was published for.

    Raises:
        UserError: If a data file cannot be had.
    """
    if task not in _STRUCTURES:
        return []
    ids = read_pickle_verified(_STRUCTURES[task]).index
    table = read_pickle_verified(_PREDICTIONS).loc[ids]
    truth = table[_TRUTH].to_numpy(dtype=float)
    scores = []
    for column, model in _MODELS.items():
        errors = np.abs(table[column, TARGET].to_numpy(dtype=float) - truth)
        scores.append(
            PublishedScore(task, model, float(errors.mean()), float(errors.max()), len(errors))
        )
    return sorted(scores, key=lambda score: score.mae)
