"""The benchmark ``defects2d_v0.1``, all tasks of defects together, on matbench's own class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from matbench_segvae.benchmark._matbench import (
    CLF_KEY,
    COMPOSITION_KEY,
    REG_KEY,
    STRUCTURE_KEY,
    MatbenchBenchmark,
    ReadBack,
    RecursiveDotDict,
    dotted,
    ordinary,
)
from matbench_segvae.benchmark.folds import (
    BENCHMARK_NAME,
    check_benchmark,
    check_tasks,
    committed_metadata,
)
from matbench_segvae.benchmark.tasks import DefectTask
from matbench_segvae.errors import UserError


class DefectBenchmark(ReadBack, MatbenchBenchmark):
    """The benchmark ``defects2d_v0.1``; see :class:`matbench.bench.MatbenchBenchmark`.

    Attributes:
        benchmark_name: Always ``"defects2d_v0.1"``.
        metadata: What Matbench keeps about every data set of the benchmark.
        user_metadata: What was added with ``add_metadata``.
        tasks_map: Task name to :class:`DefectTask`.
    """

    _NAMED_BY: ClassVar = ("benchmark", MatbenchBenchmark._BENCHMARK_KEY)
    _TASK: ClassVar[type[DefectTask]] = DefectTask

    def __init__(
        self,
        benchmark: str = BENCHMARK_NAME,
        autoload: bool = False,
        subset: Sequence[str] | None = None,
    ) -> None:
        """Set up the tasks.

        Args:
            benchmark: Name of the benchmark; there is one.
            autoload: Load all structures and targets at once.
            subset: Task names; all of them by default.

        Raises:
            UserError: If there is no such benchmark or task.
        """
        check_benchmark(benchmark)
        names = list(committed_metadata() if subset is None else subset)
        check_tasks(names)
        self.benchmark_name = BENCHMARK_NAME
        tasks = {name: DefectTask(name, autoload=autoload) for name in names}
        self._set_up(tasks, committed_metadata())

    def _set_up(self, tasks: Mapping[str, DefectTask], metadata: Mapping[str, Any]) -> None:
        """What Matbench's own class sets up from its files."""
        self.metadata = dotted(metadata)
        self.user_metadata: dict[str, Any] = {}
        self.tasks_map = RecursiveDotDict()
        for name, task in tasks.items():
            self.tasks_map[name] = task

    def __getattr__(self, item: str) -> Any:  # noqa: ANN401
        # Matbench's own version never ends while pickle or copy make an empty instance.
        tasks = self.__dict__.get("tasks_map", {})
        if item in tasks:
            return tasks[item]
        raise AttributeError(f"{type(self).__name__} has no attribute or task {item!r}")

    @classmethod
    def from_preset(
        cls, benchmark: str = BENCHMARK_NAME, preset_name: str = "all", autoload: bool = False
    ) -> Self:
        """Choose tasks by input, kind of target or level of theory; see Matbench.

        Args:
            benchmark: Name of the benchmark; there is one.
            preset_name: Matbench's ``all``, ``structure``, ``composition``,
                ``regression``, ``classification``; or ``dft``, ``xtb``.
            autoload: Load all structures and targets at once.

        Returns:
            A benchmark with those tasks.

        Raises:
            UserError: If there is no such benchmark or preset, or no task in it.
        """
        check_benchmark(benchmark)
        fields = {
            STRUCTURE_KEY: "input_type",
            COMPOSITION_KEY: "input_type",
            REG_KEY: "task_type",
            CLF_KEY: "task_type",
            "dft": "level",
            "xtb": "level",
        }
        if preset_name != cls.ALL_KEY and preset_name not in fields:
            known = ", ".join([cls.ALL_KEY, *fields])
            raise UserError(
                f"unknown preset {preset_name!r} of {BENCHMARK_NAME}: choose from {known}"
            )
        chosen = [
            name
            for name, facts in committed_metadata().items()
            if preset_name == cls.ALL_KEY or facts[fields[preset_name]] == preset_name
        ]
        if not chosen:
            raise UserError(
                f"{BENCHMARK_NAME} has no task in preset {preset_name!r}: all its tasks are "
                f"{STRUCTURE_KEY} {REG_KEY} tasks"
            )
        return cls(benchmark, autoload=autoload, subset=chosen)

    @classmethod
    def _from_args(
        cls, benchmark_name: str, tasks_dict: Mapping[str, Any], user_metadata: dict[str, Any]
    ) -> Self:
        """Make a benchmark from arguments that Matbench has checked."""
        bench = cls(benchmark_name, subset=list(tasks_dict))
        for name, task in tasks_dict.items():
            bench.tasks_map[name] = cls._TASK.from_dict(task)
        bench.user_metadata = user_metadata
        return bench

    def __getstate__(self) -> dict[str, Any]:
        """The state without matbench's dotted dictionaries, which cannot be pickled."""
        state = {key: ordinary(value) for key, value in self.__dict__.items()}
        return {**state, "tasks_map": dict(self.tasks_map)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self.metadata = dotted(state["metadata"])
        self.tasks_map = dotted(state["tasks_map"])
