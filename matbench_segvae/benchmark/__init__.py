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
    from matbench_segvae.benchmark.matbench_data import MatbenchData, data_file_of
    from matbench_segvae.benchmark.own_benchmark import OwnBenchmark, OwnMatbenchTask
    from matbench_segvae.benchmark.own_folds import folds_of
    from matbench_segvae.benchmark.own_task import (
        OwnTask,
        read_task,
        register_task,
        write_task,
    )
    from matbench_segvae.benchmark.registry import (
        TaskSummary,
        benchmark_name_of,
        load_task,
        make_benchmark,
        make_task,
        task_name_of,
        task_names,
        task_summary,
    )
    from matbench_segvae.benchmark.results_file import (
        benchmark_from,
        read_benchmark,
        write_benchmark,
    )
    from matbench_segvae.benchmark.task_card import OWN_BENCHMARK
    from matbench_segvae.benchmark.tasks import DefectTask

_HOMES = {
    "BENCHMARK_NAME": "folds",
    "CATALOGUE": "catalogue",
    "OWN_BENCHMARK": "task_card",
    "DataFile": "catalogue",
    "DataStatus": "datasets",
    "DefectBenchmark": "benchmark",
    "DefectTask": "tasks",
    "MatbenchData": "matbench_data",
    "OwnBenchmark": "own_benchmark",
    "OwnMatbenchTask": "own_benchmark",
    "OwnTask": "own_task",
    "TaskSummary": "registry",
    "benchmark_from": "results_file",
    "benchmark_name_of": "registry",
    "data_file_of": "matbench_data",
    "fetch": "datasets",
    "folds_of": "own_folds",
    "load_task": "registry",
    "make_benchmark": "registry",
    "make_task": "registry",
    "quiet_matbench": "_matbench",
    "read_benchmark": "results_file",
    "read_task": "own_task",
    "register_task": "own_task",
    "status": "datasets",
    "task_name_of": "registry",
    "task_names": "registry",
    "task_summary": "registry",
    "verify": "datasets",
    "write_benchmark": "results_file",
    "write_task": "own_task",
}

__all__ = [
    "BENCHMARK_NAME",
    "CATALOGUE",
    "OWN_BENCHMARK",
    "DataFile",
    "DataStatus",
    "DefectBenchmark",
    "DefectTask",
    "MatbenchData",
    "OwnBenchmark",
    "OwnMatbenchTask",
    "OwnTask",
    "TaskSummary",
    "benchmark_from",
    "benchmark_name_of",
    "data_file_of",
    "fetch",
    "folds_of",
    "load_task",
    "make_benchmark",
    "make_task",
    "quiet_matbench",
    "read_benchmark",
    "read_task",
    "register_task",
    "status",
    "task_name_of",
    "task_names",
    "task_summary",
    "verify",
    "write_benchmark",
    "write_task",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
