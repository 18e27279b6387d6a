"""All tasks by name: those of this package, those of Matbench v0.1, and the user's own."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests

from matbench_segvae.benchmark._matbench import (
    MBV01_KEY,
    MatbenchBenchmark,
    MatbenchTask,
    mbv01_metadata,
)
from matbench_segvae.benchmark.benchmark import DefectBenchmark
from matbench_segvae.benchmark.folds import BENCHMARK_NAME, committed_metadata
from matbench_segvae.benchmark.matbench_data import MATMINER_VARIABLE, data_path, matminer_folder
from matbench_segvae.benchmark.own_benchmark import OwnBenchmark, OwnMatbenchTask
from matbench_segvae.benchmark.own_task import read_facts, register_task
from matbench_segvae.benchmark.registered import folder_of, registered_tasks
from matbench_segvae.benchmark.task_card import OWN_BENCHMARK
from matbench_segvae.benchmark.task_files import CHECKSUMS
from matbench_segvae.benchmark.tasks import DefectTask
from matbench_segvae.errors import UserError, named
from matbench_segvae.files import DAMAGED, require_regular

_TASKS: Mapping[str, type[MatbenchTask]] = MappingProxyType(
    {BENCHMARK_NAME: DefectTask, MBV01_KEY: MatbenchTask, OWN_BENCHMARK: OwnMatbenchTask}
)

_BENCHMARKS: Mapping[str, type[MatbenchBenchmark]] = MappingProxyType(
    {
        BENCHMARK_NAME: DefectBenchmark,
        MBV01_KEY: MatbenchBenchmark,
        OWN_BENCHMARK: OwnBenchmark,
    }
)


@dataclass(frozen=True)
class TaskSummary:
    """One line of a list of tasks.

    Attributes:
        name: Task name.
        benchmark: Benchmark name.
        n_samples: Number of samples, training and test.
        target: Name of the target.
        unit: Its unit; empty if it has none.
        input_type: ``"structure"`` or ``"composition"``.
        task_type: ``"regression"`` or ``"classification"``.
        source: Where the data come from.
        description: What the task is.
    """

    name: str
    benchmark: str
    n_samples: int
    target: str
    unit: str
    input_type: str
    task_type: str
    source: str
    description: str

    def as_row(self) -> dict[str, str]:
        """One row of the list of tasks on a terminal.

        Returns:
            Column heading to text.
        """
        return {
            "task": self.name,
            "samples": str(self.n_samples),
            "input": self.input_type,
            "target": f"{self.target} ({self.unit})" if self.unit else self.target,
            "data": self.source,
        }


def task_names() -> list[str]:
    """Names of all tasks.

    Returns:
        Those of this package first, then Matbench's, then the user's own.

    Raises:
        UserError: If the list of the user's own tasks cannot be read.
    """
    builtin = [*committed_metadata(), *mbv01_metadata]
    return [*builtin, *(name for name in registered_tasks() if name not in builtin)]


def task_name_of(task: str) -> str:
    """The name of a task that may be given by its folder, which is then registered.

    Args:
        task: Task name, or folder of a task of a user's own; a name goes first.

    Returns:
        Task name.

    Raises:
        UserError: If there is no such task, the folder cannot be used, or its name is that of
            another task.
    """
    if task in task_names():
        return task
    folder = Path(task)
    # A folder beside the working directory is named without any slash.
    if len(folder.parts) > 1 or os.path.lexists(folder / CHECKSUMS):
        return register_task(folder)
    near = difflib.get_close_matches(task, task_names(), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    known = ", ".join([*committed_metadata(), *registered_tasks()])
    raise UserError(
        f"unknown task {task!r}: choose from {known}, "
        f"a task of {MBV01_KEY} such as matbench_jdft2d, or the folder of a task of your own{hint}"
    )


def benchmark_name_of(task: str) -> str:
    """The benchmark that a task belongs to.

    Args:
        task: Task name, or folder as in :func:`task_name_of`.

    Returns:
        ``"defects2d_v0.1"``, ``"matbench_v0.1"`` or ``"own_tasks"``.

    Raises:
        UserError: If there is no such task.
    """
    if task in committed_metadata():
        return BENCHMARK_NAME
    # Reading a key of matbench's dictionaries would create it, hence the test.
    if task in mbv01_metadata:
        return str(MBV01_KEY)
    task_name_of(task)
    return OWN_BENCHMARK


def task_summary(name: str) -> TaskSummary:
    """Describe a task without loading it.

    Args:
        name: Task name, or folder as in :func:`task_name_of`.

    Returns:
        What a list of tasks shows.

    Raises:
        UserError: If there is no such task, or the folder of one of the user's own cannot be
            used.
    """
    name = task_name_of(name)
    benchmark = benchmark_name_of(name)
    if benchmark == OWN_BENCHMARK:
        facts = read_facts(folder_of(name)).card.metadata
    else:
        facts = committed_metadata()[name] if benchmark == BENCHMARK_NAME else mbv01_metadata[name]
    source = "matminer" if benchmark == MBV01_KEY else facts["source"]
    return TaskSummary(
        name=name,
        benchmark=benchmark,
        n_samples=int(facts["n_samples"]),
        target=facts["target"],
        unit=facts["unit"] or "",
        input_type=facts["input_type"],
        task_type=facts["task_type"],
        source=source,
        description=facts["description"],
    )


def make_task(name: str) -> MatbenchTask:
    """Set up a task without loading its data; see :func:`load_task`.

    Args:
        name: Task name, or folder as in :func:`task_name_of`.

    Returns:
        A :class:`DefectTask`, an :class:`OwnMatbenchTask`, or Matbench's own MatbenchTask.

    Raises:
        UserError: If there is no such task, or the folder of one of the user's own cannot be
            used.
    """
    name = task_name_of(name)
    maker = _TASKS[benchmark_name_of(name)]
    return maker(name, autoload=False)


def benchmark_class(benchmark_name: str) -> type[MatbenchBenchmark]:
    """The class of a benchmark.

    Args:
        benchmark_name: ``"defects2d_v0.1"``, ``"matbench_v0.1"`` or ``"own_tasks"``.

    Raises:
        UserError: If there is no such benchmark.
    """
    return named(benchmark_name, _BENCHMARKS, "benchmark")


def make_benchmark(benchmark_name: str, subset: Sequence[str] | None = None) -> MatbenchBenchmark:
    """Set up a benchmark without loading its data.

    Args:
        benchmark_name: ``"defects2d_v0.1"``, ``"matbench_v0.1"`` or ``"own_tasks"``.
        subset: Names of its tasks; all of them by default.

    Returns:
        A :class:`DefectBenchmark`, an :class:`OwnBenchmark`, or Matbench's own
        MatbenchBenchmark.

    Raises:
        UserError: If there is no such benchmark, or a task is of another one.
    """
    maker = benchmark_class(benchmark_name)
    for name in subset or ():
        if benchmark_name_of(name) != benchmark_name:
            raise UserError(
                f"task {name} belongs to {benchmark_name_of(name)}, not {benchmark_name}: "
                "make one benchmark of each"
            )
    return maker(benchmark_name, autoload=False, subset=None if subset is None else list(subset))


def load_task(task: MatbenchTask) -> None:
    """Load a task's data, downloading them if they are not on this machine.

    Data of Matbench v0.1 are read from ``MATMINER_DATA`` if that is set, else kept in the
    cache of this package; matminer alone would put them into its own package folder.

    Args:
        task: Made by :func:`make_task`.

    Raises:
        UserError: If the data cannot be had.
    """
    if isinstance(task, DefectTask):
        task.load()
        return
    with matminer_folder() as folder:
        path = data_path(task.dataset_name, folder)
        try:
            if path.exists():
                require_regular(path)
            task.load()
        except (requests.RequestException, OSError, *DAMAGED) as error:
            raise UserError(
                f"cannot load {task.dataset_name} ({type(error).__name__}): {folder} has no "
                f"usable {path.name} and it cannot be downloaded; connect to the "
                f"network or set {MATMINER_VARIABLE} to a folder that has the file"
            ) from error
        expected = int(task.metadata["n_samples"])
        if len(task.df) != expected:
            found, task.df = len(task.df), None
            raise UserError(
                f"cannot load {task.dataset_name}: its file in {folder} has {found} samples, and "
                f"the task has {expected}: remove it, or set {MATMINER_VARIABLE} to another folder"
            )
