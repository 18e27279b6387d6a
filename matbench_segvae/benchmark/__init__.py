"""Tasks with folds and scores, on matbench's own classes.

A public name is imported on first use: finding data files needs no matbench.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matbench_segvae.benchmark._matbench import quiet_matbench
    from matbench_segvae.benchmark.benchmark import DefectBenchmark
    from matbench_segvae.benchmark.catalogue import CATALOGUE, DataFile
    from matbench_segvae.benchmark.datasets import DataStatus, fetch, status, verify
    from matbench_segvae.benchmark.folds import BENCHMARK_NAME
    from matbench_segvae.benchmark.registry import (
        TaskSummary,
        benchmark_name_of,
        load_task,
        make_benchmark,
        make_task,
        task_names,
        task_summary,
    )
    from matbench_segvae.benchmark.tasks import DefectTask

_HOMES = {
    "BENCHMARK_NAME": "folds",
    "CATALOGUE": "catalogue",
    "DataFile": "catalogue",
    "DataStatus": "datasets",
    "DefectBenchmark": "benchmark",
    "DefectTask": "tasks",
    "TaskSummary": "registry",
    "benchmark_name_of": "registry",
    "fetch": "datasets",
    "load_task": "registry",
    "make_benchmark": "registry",
    "make_task": "registry",
    "quiet_matbench": "_matbench",
    "status": "datasets",
    "task_names": "registry",
    "task_summary": "registry",
    "verify": "datasets",
}

__all__ = [
    "BENCHMARK_NAME",
    "CATALOGUE",
    "DataFile",
    "DataStatus",
    "DefectBenchmark",
    "DefectTask",
    "TaskSummary",
    "benchmark_name_of",
    "fetch",
    "load_task",
    "make_benchmark",
    "make_task",
    "quiet_matbench",
    "status",
    "task_names",
    "task_summary",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
