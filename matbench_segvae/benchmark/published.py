"""Published results on the tasks, listed below the results of this package, never among them.

On tasks of defects these are the predictions that came with the DFT data, scored again on the
tasks' structures. The networks behind them were trained by the data's authors (Kazeev et al.,
npj Comput. Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z; Huang et al., npj 2D Mater.
Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1), on other splits of a larger data set. Their
errors show what such networks reach on these structures, and cannot be ranked among those of
our folds.

On two tasks of Matbench v0.1 they are mean scores over the official folds, as Matbench's
leaderboards show them (https://matbench.materialsproject.org, pages "matbench_jdft2d" and
"matbench_steels").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from matbench_segvae.benchmark.datasets import read_pickle_verified
from matbench_segvae.benchmark.samples import TARGET

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

# The file that lists the structures of a task's test sets.
_STRUCTURES: Mapping[str, str] = MappingProxyType(
    {
        "defects2d_mos2_v3": "v3-table",
        "defects2d_mos2_v2": "v2-table",
        "defects2d_mos2_x2": "x2-table",
        "defects2d_mos2_transfer": "v3-table",
    }
)

# Mean absolute errors on the official folds, meV/atom and MPa.
_OFFICIAL: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "matbench_jdft2d": {
            "MODNet": 33.2,
            "coGN": 37.2,
            "AMMExpress": 39.9,
            "SchNet": 42.7,
            "ALIGNN": 43.4,
            "RF-SCM/Magpie": 50.0,
            "MEGNet": 54.2,
            "dummy": 67.3,
        },
        "matbench_steels": {
            "TPOT-Mat": 80.0,
            "MODNet": 87.8,
            "AMMExpress": 97.5,
            "RF-SCM/Magpie": 103.5,
            "CrabNet": 107.3,
            "dummy": 229.7,
        },
    }
)

ELSEWHERE = "published, trained elsewhere on other splits"
OFFICIAL = "published on Matbench's leaderboard, the same folds"


@dataclass(frozen=True)
class PublishedScore:
    """How well a published model does on a task.

    Attributes:
        task: Task name.
        model: Name of the model.
        mae: Mean absolute error in the unit of the target; over all structures of the task's
            test sets, or the mean over the official folds.
        standing: How it compares with our folds, in words.
        max_error: Largest absolute error in the unit of the target, if known.
        structures: Number of structures scored here; none where the score is as published.
    """

    task: str
    model: str
    mae: float
    standing: str
    max_error: float | None = None
    structures: int | None = None


def published_scores(task: str) -> list[PublishedScore]:
    """Published scores on a task.

    Args:
        task: Task name.

    Returns:
        One score per model, best first; none for tasks without published results.

    Raises:
        UserError: If a data file cannot be had.
    """
    if task in _STRUCTURES:
        scores = _scored_again(task)
    else:
        official = _OFFICIAL.get(task, {})
        scores = [PublishedScore(task, model, mae, OFFICIAL) for model, mae in official.items()]
    return sorted(scores, key=lambda score: score.mae)


def _scored_again(task: str) -> list[PublishedScore]:
    """Score the published predictions on a task's structures, in eV per defect site."""
    ids = read_pickle_verified(_STRUCTURES[task]).index
    predictions = read_pickle_verified(_PREDICTIONS).loc[ids]
    truth = predictions[_TRUTH].to_numpy(dtype=float)
    scores = []
    for column, model in _MODELS.items():
        errors = np.abs(predictions[column, TARGET].to_numpy(dtype=float) - truth)
        mae, worst = float(errors.mean()), float(errors.max())
        scores.append(PublishedScore(task, model, mae, ELSEWHERE, worst, len(errors)))
    return scores
