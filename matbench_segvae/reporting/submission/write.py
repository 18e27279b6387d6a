"""Submission folders in Matbench's form, written from the stored folds of a run.

A folder ``<benchmark>_<algorithm>`` with ``results.json.gz``, ``info.json`` and the source
that makes the results again; see https://matbench.materialsproject.org/How%20To%20Use/3submit/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matbench_segvae.algorithms.registry import algorithm_class
from matbench_segvae.benchmark import (
    make_benchmark,
    quiet_matbench,
    read_benchmark,
    write_benchmark,
)
from matbench_segvae.errors import UserError
from matbench_segvae.files import write_text
from matbench_segvae.reporting.seeds import SeedScore, read_seeds, stored_seeds, write_seeds
from matbench_segvae.reporting.submission import INFO, RESULTS
from matbench_segvae.reporting.submission.info import info_text
from matbench_segvae.reporting.submission.script import (
    SCRIPT,
    recorded_recipes,
    run_script,
    with_seeds,
)
from matbench_segvae.running import FoldResult, FoldStore
from matbench_segvae.running.store import BrokenFoldFile, fits_task


@dataclass(frozen=True)
class Submission:
    """The submission folder of an algorithm on a benchmark, as far as it could be written.

    Attributes:
        folder: The folder.
        tasks: Tasks in its results file; empty if none is finished.
        missing: Folds that have to be run before a task can be in the results file, by task.
    """

    folder: Path
    tasks: tuple[str, ...]
    missing: Mapping[str, tuple[int, ...]]


@dataclass
class _Collected:
    """Stored folds of one algorithm on one benchmark."""

    complete: dict[str, list[FoldResult]] = field(default_factory=dict)
    missing: dict[str, tuple[int, ...]] = field(default_factory=dict)


def require_readable_results(
    out: Path, algorithms: Sequence[str], tasks: Mapping[str, Any]
) -> None:
    """Make sure that a run can add to the results that are there, before anything is computed.

    Args:
        out: Folder of all results.
        algorithms: Names of algorithms.
        tasks: Tasks by name.

    Raises:
        UserError: If a results file cannot be read; see :func:`earlier_results`.
    """
    for benchmark in dict.fromkeys(str(task.benchmark_name) for task in tasks.values()):
        for algorithm in algorithms:
            earlier_results(FoldStore(out, benchmark, algorithm))


def write_submissions(
    out: Path, algorithms: Sequence[str], tasks: Mapping[str, Any]
) -> list[Submission]:
    """Write the submission folder of every algorithm on every benchmark.

    A task is in it once all its folds are finished. Tasks of earlier runs that are already in
    a results file stay in it.

    Args:
        out: Folder of all results.
        algorithms: Names of algorithms.
        tasks: Loaded tasks by name.

    Returns:
        One entry for each folder with at least one finished fold.

    Raises:
        UserError: If a folder cannot be written to, or the results in it cannot be read.
    """
    benchmarks: dict[str, dict[str, Any]] = {}
    for name, task in tasks.items():
        benchmarks.setdefault(str(task.benchmark_name), {})[name] = task
    submissions = []
    with quiet_matbench():
        for benchmark, members in benchmarks.items():
            for algorithm in algorithms:
                store = FoldStore(out, benchmark, algorithm)
                if (store.folder / "folds").is_dir():
                    submissions.append(_write(store, members))
    return submissions


def _write(store: FoldStore, tasks: Mapping[str, Any]) -> Submission:
    collected = _collect(store, tasks)
    names: tuple[str, ...] = ()
    if collected.complete:
        benchmark = _assemble(store, tasks, collected)
        names = tuple(benchmark.tasks_map)
        recipes = recorded_recipes(store.algorithm, benchmark)
        versions = _versions(collected.complete)
        try:
            write_benchmark(benchmark, store.folder / RESULTS)
            write_text(store.folder / INFO, _info(store.algorithm, versions))
            write_seeds(store.folder, _seed_scores(store, collected))
            seeds = read_seeds(store.folder)
            recipes = [with_seeds(recipe, seeds) for recipe in recipes]
            write_text(store.folder / SCRIPT, run_script(store.folder.name, recipes))
        except OSError as error:
            raise UserError(f"cannot write to '{store.folder}': {error.strerror}") from error
    return Submission(store.folder, names, collected.missing)


def _seed_scores(store: FoldStore, collected: _Collected) -> list[SeedScore]:
    return [
        score
        for task, results in collected.complete.items()
        for score in stored_seeds(store, task, results)
    ]


def _collect(store: FoldStore, tasks: Mapping[str, Any]) -> _Collected:
    collected = _Collected()
    for name, task in tasks.items():
        found: dict[int, FoldResult] = {}
        for fold in task.folds:
            try:
                result = store.load(name, fold)
            except BrokenFoldFile:
                continue
            if result is not None and fits_task(result, task):
                found[fold] = result
        missing = tuple(fold for fold in task.folds if fold not in found)
        if missing and found:
            collected.missing[name] = missing
        elif not missing:
            collected.complete[name] = list(found.values())
    return collected


def _assemble(store: FoldStore, tasks: Mapping[str, Any], collected: _Collected) -> Any:  # noqa: ANN401
    """Record all finished folds in a fresh benchmark object."""
    earlier = _earlier_tasks(store, collected)
    benchmark = make_benchmark(store.benchmark, [*collected.complete, *earlier])
    for name, results in collected.complete.items():
        task = benchmark.tasks_map[name]
        # The truth is needed for scoring; it is loaded once, in the run.
        task.df = tasks[name].df
        for result in results:
            predictions = list(result.predictions.values())
            task.record(result.fold, predictions, std=_stds(result), params=dict(result.params))
    for name, results in earlier.items():
        benchmark.tasks_map[name].results = results
    card = algorithm_class(store.algorithm).card
    benchmark.add_metadata({"algorithm": card.algorithm, "algorithm_long": card.algorithm_long})
    return benchmark


def _stds(result: FoldResult) -> list[float] | None:
    """Standard deviations as Matbench can record them.

    Matbench makes 95 % intervals of them with scipy, where a scale of exactly 0 gives NaN;
    the smallest number there is gives an interval without width.
    """
    if result.stds is None:
        return None
    return [max(std, sys.float_info.min) for std in result.stds.values()]


def _earlier_tasks(store: FoldStore, collected: _Collected) -> dict[str, Any]:
    """Results of tasks that were finished in earlier runs and are not in this one."""
    return {
        name: _without_traces(task.results)
        for name, task in earlier_results(store).items()
        if name not in collected.complete
    }


def earlier_results(store: FoldStore) -> Mapping[str, Any]:
    """The tasks in the results file of an algorithm, by name; none if there is no such file.

    Args:
        store: Where its folds are kept.

    Raises:
        UserError: If the file cannot be read: writing it anew would lose what is in it.
    """
    path = store.folder / RESULTS
    if not path.exists():
        return {}
    try:
        with quiet_matbench():
            before = read_benchmark(path)
        if before.benchmark_name != store.benchmark:
            raise UserError(f"'{path}' holds results of {before.benchmark_name}")
    except UserError as error:
        raise UserError(
            f"{error}; it is kept as it is: move it away, or choose another folder with --out"
        ) from error
    tasks: Mapping[str, Any] = before.tasks_map
    return tasks


def _without_traces(results: Any) -> Any:  # noqa: ANN401
    """Undo what Matbench's validation does to recorded uncertainties.

    It reads their keys ``std`` and ``ci``, and its dictionaries create a key that is read,
    beside the samples.
    """
    for fold in results.values():
        uncertainty = fold.get("uncertainty") or {}
        for key in ("std", "ci"):
            if uncertainty.get(key) == {}:
                del uncertainty[key]
    return results


def _versions(complete: Mapping[str, Iterable[FoldResult]]) -> dict[str, str]:
    """The versions the results were made with; where folds differ, those of the last one."""
    versions: dict[str, str] = {}
    for results in complete.values():
        for result in results:
            versions |= result.params.get("versions", {})
    return versions


def _info(algorithm: str, versions: Mapping[str, str]) -> str:
    card = algorithm_class(algorithm).card
    info = {
        "authors": card.authors,
        "algorithm": card.algorithm,
        "algorithm_long": card.algorithm_long,
        "bibtex_refs": list(card.bibtex_refs),
        "notes": card.notes,
        "requirements": {
            "python": [f"{name}=={v}" for name, v in versions.items() if name != "python"]
        },
    }
    return info_text(info)
