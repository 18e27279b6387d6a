"""What an algorithm costs on a task."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matbench_segvae.errors import finite_number

Params = Mapping[str, Any]
"""What an algorithm recorded beside the predictions of a fold."""


@dataclass(frozen=True)
class Cost:
    """Cost of an algorithm on a task; ``None`` is for what was not recorded.

    Attributes:
        parameters: Numbers fitted in a fold, mean over the folds, rounded.
        fit_seconds: Mean time to fit a fold, in s.
        predict_seconds: Mean time to predict 1,000 structures, in s.
        device: ``"cpu"`` or ``"cuda"``; both, if folds differ.
    """

    parameters: int | None = None
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    device: str | None = None


def cost_of(folds: Sequence[Params]) -> Cost:
    """Mean cost of an algorithm over its folds."""
    parameters = _mean(folds, lambda params: params.get("parameters"))
    devices = sorted({name for params in folds if (name := _device(params))})
    return Cost(
        parameters=None if parameters is None else round(parameters),
        fit_seconds=_mean(folds, lambda params: params.get("seconds_fit")),
        predict_seconds=_mean(folds, _predict_seconds),
        device="+".join(devices) or None,
    )


def _mean(folds: Sequence[Params], read: Callable[[Params], object]) -> float | None:
    """Mean over the folds that recorded a number."""
    numbers = [number for fold in folds if (number := finite_number(read(fold))) is not None]
    return statistics.fmean(numbers) if numbers else None


def _predict_seconds(params: Params) -> float | None:
    seconds = finite_number(params.get("seconds_predict"))
    count = finite_number(params.get("n_test"))
    if seconds is None or count is None or count < 1:
        return None
    return 1000.0 * seconds / count


def _device(params: Params) -> str | None:
    """The device the algorithm reports; without a report, the only one there was."""
    device = params.get("device")
    if isinstance(device, str):
        return device
    hardware = params.get("hardware")
    if isinstance(hardware, Mapping) and "cpu" in hardware:
        # Whether an accelerator was used, only the algorithm can report.
        return None if hardware.get("accelerator") else "cpu"
    return None
