"""Published results on the tasks, listed below the results of this package, never among them.

On tasks of defects these are the predictions that came with the DFT data, scored again on the
tasks' structures. The networks behind them were trained by the data's authors (Kazeev et al.,
npj Comput. Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z; Huang et al., npj 2D Mater.
Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1), on other splits of a larger data set. Their
errors show what such networks reach on these structures, and cannot be ranked among those of
our folds. For the whole low-density set of MoS2 there are also errors as the authors state them,
of a network trained on all of 2DMD and scored on a test part of theirs.

On two tasks of Matbench v0.1 they are mean scores over the official folds, as Matbench's
leaderboards show them (https://matbench.materialsproject.org, pages "matbench_jdft2d" and
"matbench_steels").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from matbench_segvae.benchmark.datasets import read_pickle_verified
from matbench_segvae.benchmark.error_figures import ErrorFigures
from matbench_segvae.benchmark.samples import TARGET

_PREDICTIONS = "dft-table"
_TRUTH = "DFT"
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

# Tasks on the structures of the table of predictions itself: the target, and the smallest number
# of defects in a structure of the test parts.
_WHOLE_SET: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "defects2d_mos2_low": (TARGET, 1),
        "defects2d_mos2_low_transfer": (TARGET, 3),
        "defects2d_mos2_low_families": (TARGET, 3),
        "defects2d_mos2_low_gap": ("band_gap", 1),
        "defects2d_mos2_low_homo": ("homo", 1),
    }
)

# Model, mean absolute error and its uncertainty, eV per site, as stated.
_STATED: Mapping[str, tuple[tuple[str, float, float], ...]] = MappingProxyType(
    {
        "defects2d_mos2_low": (
            ("MEGNet-sparse, paper", 0.0039, 0.0011),
            ("MEGNet-sparse, corrected notebook", 0.0026, 0.0005),
        ),
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
STATED = (
    "figures as stated in the paper (Kazeev et al., doi 10.1038/s41524-023-01062-z) and in its "
    "authors' corrected notebook, trained on all of 2DMD, their own test part"
)
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
        median: Median absolute error in the unit of the target, if known.
        within_20_mev: Share of errors below 20 meV, if known.
        spread: Uncertainty of the mean as published, in the unit of the target.
    """

    task: str
    model: str
    mae: float
    standing: str
    max_error: float | None = None
    structures: int | None = None
    median: float | None = None
    within_20_mev: float | None = None
    spread: float | None = None


def published_scores(task: str) -> list[PublishedScore]:
    """Published scores on a task.

    Args:
        task: Task name.

    Returns:
        One score per model, best first; none for tasks without published results.

    Raises:
        UserError: If a data file cannot be had.
    """
    tested = _tested(task)
    scores = [] if tested is None else _scored_again(task, *tested)
    for model, mae, spread in _STATED.get(task, ()):
        scores.append(PublishedScore(task, model, mae, STATED, spread=spread))
    for model, mae in _OFFICIAL.get(task, {}).items():
        scores.append(PublishedScore(task, model, mae, OFFICIAL))
    return sorted(scores, key=lambda score: score.mae)


def _tested(task: str) -> tuple[pd.DataFrame, str] | None:
    """Truth and predictions of the structures of a task's test parts, and the target."""
    if task in _STRUCTURES:
        ids = read_pickle_verified(_STRUCTURES[task]).index
        return read_pickle_verified(_PREDICTIONS).loc[ids], TARGET
    if task in _WHOLE_SET:
        target, fewest = _WHOLE_SET[task]
        table = read_pickle_verified(_PREDICTIONS)
        energies = table[_TRUTH]
        n_defects = (energies["formation_energy"] / energies[TARGET]).round()
        return table[n_defects >= fewest], target
    return None


def _scored_again(task: str, rows: pd.DataFrame, target: str) -> list[PublishedScore]:
    """Score the published predictions of a target on some structures, in eV."""
    truth = rows[_TRUTH, target]
    scores = []
    for column, model in _MODELS.items():
        figures = ErrorFigures.of(truth, rows[column, target], "eV")
        scores.append(
            PublishedScore(
                task=task,
                model=model,
                mae=figures.mean,
                standing=ELSEWHERE,
                max_error=figures.largest,
                structures=len(truth),
                median=figures.median,
                within_20_mev=figures.within_20_mev,
            )
        )
    return scores
