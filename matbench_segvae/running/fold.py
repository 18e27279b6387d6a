"""Running one algorithm on one fold."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matbench_segvae.algorithms import Algorithm, FoldContext, create_algorithm
from matbench_segvae.algorithms.protocol import PredictsStd
from matbench_segvae.benchmark.error_figures import ErrorFigures
from matbench_segvae.errors import UserError
from matbench_segvae.running.provenance import hardware, versions
from matbench_segvae.running.store import (
    MEDIAN_ERROR,
    WITHIN_20_MEV,
    FoldResult,
    data_facts,
    to_json_types,
)
from matbench_segvae.types import Floats, Report

_STDS = "standard deviations"


class OutputError(UserError):
    """What an algorithm returned for one fold cannot be used."""


def run_fold(
    task: Any,  # noqa: ANN401 - matbench is not typed
    algorithm_name: str,
    fold: int,
    seed: int,
    report: Report = lambda _: None,
) -> FoldResult:
    """Fit a fresh algorithm on the training set of a fold and predict the test set.

    Args:
        task: A loaded ``MatbenchTask`` or one that behaves like it.
        algorithm_name: Name of the algorithm's entry point.
        fold: Fold number.
        seed: The algorithm's only source of randomness.
        report: Takes a line of progress.

    Returns:
        Predictions, scores and circumstances. The task itself is left unrecorded.

    Raises:
        UserError: If the algorithm is unknown or cannot read the task's inputs.
        OutputError: If it returns predictions or standard deviations of a wrong shape or that
            are not finite, or negative standard deviations.
    """
    # Not at the top of the module: making the task has already checked that matbench is
    # installed, with a message to the user if it is not.
    from matbench.data_ops import score_array

    algorithm = create_algorithm(algorithm_name)
    inputs, targets = task.get_train_and_val_data(fold)
    test_inputs, truth = task.get_test_data(fold, include_target=True)
    with tempfile.TemporaryDirectory(prefix="matbench_segvae-") as scratch:
        context = _context(task, fold, seed, Path(scratch), report)
        start = time.perf_counter()
        algorithm.fit(inputs, targets, context)
        fitted = time.perf_counter()
        predictions = np.asarray(algorithm.predict(test_inputs), dtype=float)
        predicted = time.perf_counter()
        stds = _stds(algorithm, test_inputs, context)
    _check(predictions, len(test_inputs), "predictions", algorithm_name, context)
    if stds is not None:
        _check(stds, len(test_inputs), _STDS, algorithm_name, context)
    circumstances = {
        "seconds_fit": fitted - start,
        "seconds_predict": predicted - fitted,
        "seed": seed,
        "versions": versions(algorithm.card.packages),
        "hardware": hardware(),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_train": len(inputs),
        "n_test": len(test_inputs),
        **data_facts(task),
        **_further_scores(truth, predictions, context),
    }
    ids = list(map(str, test_inputs.index))
    values = predictions.tolist()
    scores = score_array(truth, values, context.task_type)
    return FoldResult(
        benchmark=context.benchmark,
        task=context.task,
        algorithm=algorithm_name,
        fold=fold,
        seed=seed,
        unit=context.unit,
        predictions=dict(zip(ids, values, strict=True)),
        scores={name: float(score) for name, score in scores.items()},
        params=to_json_types({**algorithm.describe(), **circumstances}),
        stds=None if stds is None else dict(zip(ids, stds.tolist(), strict=True)),
    )


def _context(
    task: Any,  # noqa: ANN401
    fold: int,
    seed: int,
    scratch: Path,
    report: Report,
) -> FoldContext:
    metadata = task.metadata
    return FoldContext(
        benchmark=str(task.benchmark_name),
        task=str(task.dataset_name),
        fold=fold,
        input_type=str(metadata["input_type"]),
        task_type=str(metadata["task_type"]),
        target=str(metadata["target"]),
        unit=str(metadata["unit"] or ""),
        seed=seed,
        scratch=scratch,
        hosts=getattr(task, "hosts", None),
        related=task.training_properties(fold) if hasattr(task, "training_properties") else None,
        report=report,
    )


def _further_scores(
    truth: pd.Series, predictions: Floats, context: FoldContext
) -> dict[str, float]:
    """Scores of a regression that Matbench does not take."""
    if context.task_type != "regression":
        return {}
    figures = ErrorFigures.of(truth, predictions, context.unit)
    scores = {MEDIAN_ERROR: figures.median}
    if figures.within_20_mev is not None:
        scores[WITHIN_20_MEV] = figures.within_20_mev
    return scores


def _stds(algorithm: Algorithm, test_inputs: pd.Series, context: FoldContext) -> Floats | None:
    """Standard deviations of the predictions, if the algorithm has them.

    Matbench takes none for a classification, whose probabilities are themselves uncertainties.
    """
    if context.task_type != "regression" or not isinstance(algorithm, PredictsStd):
        return None
    return np.asarray(algorithm.predict_std(test_inputs), dtype=float)


def _check(values: Floats, expected: int, what: str, algorithm: str, context: FoldContext) -> None:
    """Refuse values that are not finite or not as many as the test set has samples."""
    returned = f"algorithm '{algorithm}' returned"
    where = f"on {context.task} fold {context.fold}"
    if values.shape != (expected,):
        raise OutputError(
            f"{returned} {what} of shape {values.shape} {where}: it has to be ({expected},)"
        )
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise OutputError(f"{returned} {bad} {what} that are not finite {where}")
    if what == _STDS and (values < 0).any():
        raise OutputError(f"{returned} {int((values < 0).sum())} {what} below 0 {where}")
