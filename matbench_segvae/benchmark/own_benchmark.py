"""Tasks of a user's own on matbench's classes, so that everything that takes tasks takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import pandas as pd

from matbench_segvae.benchmark.benchmark import DefectBenchmark
from matbench_segvae.benchmark.own_task import read_facts, read_task
from matbench_segvae.benchmark.registered import folder_of, registered_tasks
from matbench_segvae.benchmark.task_card import OWN_BENCHMARK
from matbench_segvae.benchmark.tasks import DefectTask
from matbench_segvae.errors import UserError


class OwnMatbenchTask(DefectTask):
    """A registered task of a user's own; see :class:`matbench.task.MatbenchTask`.

    Attributes:
        benchmark_name: Always ``"own_tasks"``.
        folder: The task's folder.
        hosts: The pristine crystals of the structures; None for all known ones.
        checksum: Of all that results depend on.
    """

    def __init__(
        self, dataset_name: str, autoload: bool = True, benchmark: str = OWN_BENCHMARK
    ) -> None:
        """Set up a task.

        Args:
            dataset_name: Name of a registered task.
            autoload: Load structures and targets at once.
            benchmark: Name of the benchmark; there is one.

        Raises:
            UserError: If there is no such task or benchmark, or its folder cannot be used.
        """
        _check_benchmark(benchmark)
        self.folder = folder_of(dataset_name)
        facts = read_facts(self.folder)
        if facts.card.name != dataset_name:
            raise UserError(
                f"'{self.folder}' holds the task {facts.card.name!r} now, not {dataset_name!r}: "
                f"take it from the list with `matbench-segvae task remove {dataset_name}`"
            )
        self.benchmark_name = OWN_BENCHMARK
        self.hosts = facts.card.hosts or None
        self.checksum = facts.checksum
        self._set_up(dataset_name, facts.card.metadata, facts.folds)
        if autoload:
            self.load()

    def _samples(self) -> pd.DataFrame:
        if read_facts(self.folder).checksum != self.checksum:
            raise UserError(f"'{self.folder}' was replaced in the meantime: start again")
        return read_task(self.folder).samples


class OwnBenchmark(DefectBenchmark):
    """All tasks of a user's own; see :class:`matbench.bench.MatbenchBenchmark`.

    Attributes:
        benchmark_name: Always ``"own_tasks"``.
        metadata: What Matbench keeps about every data set in it.
        user_metadata: What was added with ``add_metadata``.
        tasks_map: Task name to :class:`OwnMatbenchTask`.
    """

    _TASK: ClassVar[type[DefectTask]] = OwnMatbenchTask

    def __init__(
        self,
        benchmark: str = OWN_BENCHMARK,
        autoload: bool = False,
        subset: Sequence[str] | None = None,
    ) -> None:
        """Set up the tasks.

        Args:
            benchmark: Name of the benchmark; there is one.
            autoload: Load all structures and targets at once.
            subset: Names of registered tasks; by default all whose folders are there.

        Raises:
            UserError: If there is no such benchmark or task, or a folder cannot be used.
        """
        _check_benchmark(benchmark)
        here = [name for name, folder in registered_tasks().items() if folder.is_dir()]
        names = here if subset is None else list(subset)
        tasks = {name: OwnMatbenchTask(name, autoload=autoload) for name in names}
        self.benchmark_name = OWN_BENCHMARK
        self._set_up(tasks, {name: task.metadata for name, task in tasks.items()})

    @classmethod
    def from_preset(
        cls, benchmark: str = OWN_BENCHMARK, preset_name: str = "all", autoload: bool = False
    ) -> Self:
        """Choose tasks by input or kind of target; see Matbench.

        Args:
            benchmark: Name of the benchmark; there is one.
            preset_name: Matbench's ``all``, ``structure`` or ``regression``, which all of them
                are.
            autoload: Load all structures and targets at once.

        Returns:
            A benchmark with all registered tasks.

        Raises:
            UserError: If there is no such benchmark or preset, or a folder cannot be used.
        """
        known = (cls.ALL_KEY, "structure", "regression")
        if preset_name not in known:
            raise UserError(
                f"unknown preset {preset_name!r} of {OWN_BENCHMARK}: choose from {', '.join(known)}"
            )
        return cls(benchmark, autoload=autoload)


def _check_benchmark(name: Any) -> None:  # noqa: ANN401 - read from files
    """Raise UserError for another benchmark than this one."""
    if name != OWN_BENCHMARK:
        raise UserError(f"benchmark {name!r} is not {OWN_BENCHMARK!r}: tasks of your own are in it")
