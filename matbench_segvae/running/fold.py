"""Running one algorithm on one fold."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from matbench_segvae.algorithms import Algorithm, FoldContext, create_algorithm
from matbench_segvae.errors import UserError
from matbench_segvae.running.provenance import hardware, versions
from matbench_segvae.running.result import FoldResult, to_json_types


def run_fold(
    task: Any,  # noqa: ANN401 - matbench is not typed
    algorithm_name: str,
    fold: int,
    seed: int,
    report: Callable[[str], None] = lambda _: None,
) -> FoldResult:
    """Fit a fresh algorithm on a fold's training part and predict its test part.

    Args:
        task: A loaded ``MatbenchTask`` or one that behaves like it.
        algorithm_name: Name of the algorithm's entry point.
        fold: Fold number.
        seed: The algorithm's only source of randomness.
        report: Takes lines of progress.

    Returns:
        Predictions, scores and circumstances. The task itself is left unrecorded.

    Raises:
        UserError: If the algorithm is unknown, cannot read the task's inputs, or returns
            predictions of a wrong shape or that are not finite.
    """
    # Not at the top of the module: whoever made the task has found out that matbench is
    # installed, and can tell the user if it is not.
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
    _check(predictions, len(test_inputs), algorithm_name, context)
    values = predictions.tolist()
    scores = score_array(truth, values, context.task_type)
    seconds = {"seconds_fit": fitted - start, "seconds_predict": predicted - fitted}
    return FoldResult(
        benchmark=context.benchmark,
        task=context.task,
        algorithm=algorithm_name,
        fold=fold,
        seed=seed,
        unit=context.unit,
        predictions=dict(zip(map(str, test_inputs.index), values, strict=True)),
        scores={name: float(score) for name, score in scores.items()},
        params=to_json_types(
            {
                **algorithm.describe(),
                **seconds,
                **_circumstances(algorithm, seed),
                "n_train": len(inputs),
                "n_test": len(test_inputs),
            }
        ),
    )


def _context(
    task: Any,  # noqa: ANN401
    fold: int,
    seed: int,
    scratch: Path,
    report: Callable[[str], None],
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
        report=report,
    )


def _circumstances(algorithm: Algorithm, seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "versions": versions(algorithm.card.packages),
        "hardware": hardware(),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _check(predictions: np.ndarray, expected: int, algorithm: str, context: FoldContext) -> None:
    where = f"on {context.task} fold {context.fold}"
    if predictions.shape != (expected,):
        raise UserError(
            f"algorithm '{algorithm}' returned predictions of shape {predictions.shape} {where}: "
            f"it has to be ({expected},)"
        )
    bad = int(np.count_nonzero(~np.isfinite(predictions)))
    if bad:
        raise UserError(
            f"algorithm '{algorithm}' returned {bad} predictions that are not finite {where}"
        )
