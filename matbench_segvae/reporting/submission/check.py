"""Whether a folder can be submitted to Matbench as it is.

Two sources, named at every rule: the *page* is "Submit to leaderboard",
https://matbench.materialsproject.org/How%20To%20Use/3submit/, the *checker* is
``scripts/test_submission.py`` of https://github.com/materialsproject/matbench, which every
submission there has to pass. A folder of ``matbench_v0.1`` without a violation passes the
checker. Folders of ``defects2d_v0.1`` and ``own_tasks`` are not collected there; the same rules
hold for them, and their results are read by the benchmark's class in this package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark import (
    BENCHMARK_NAME,
    OWN_BENCHMARK,
    benchmark_from,
    quiet_matbench,
)
from matbench_segvae.errors import UserError, one_line, reason_of
from matbench_segvae.files import is_compressed, read_json
from matbench_segvae.reporting.submission import INFO, RESULTS
from matbench_segvae.reporting.submission.info import broken_rules
from matbench_segvae.running.store import MATBENCH_NAME, OFFICIAL

BENCHMARKS = (BENCHMARK_NAME, MATBENCH_NAME, OWN_BENCHMARK)
MAX_BYTES = 10_000_000
"""Largest file beside the results, bytes (page and checker)."""


_FOLDER_NAME = re.compile(f"({'|'.join(map(re.escape, BENCHMARKS))})_[A-Za-z0-9][A-Za-z0-9_.+-]*")
_BANNED = ".ipynb_checkpoints"


@dataclass(frozen=True)
class Violation:
    """A rule that a submission breaks.

    Attributes:
        where: The folder or the file in it.
        message: What is wrong, and what is allowed.
    """

    where: Path
    message: str

    def __str__(self) -> str:
        """Both in one line."""
        return one_line(f"{self.where}: {self.message}")


def check_submissions(folders: Sequence[Path]) -> list[Violation]:
    """Check submission folders.

    Args:
        folders: Folders; each is also compared with the folders beside it.

    Returns:
        All violations, in the order of the folders; none if every folder can be submitted.
    """
    found: list[Violation] = []
    with quiet_matbench():
        for folder in folders:
            found.extend(_folder(folder))
    return found


def notes_on(folder: Path) -> list[str]:
    """What whoever submits a folder without a violation should know, in one line each.

    Args:
        folder: A folder that :func:`check_submissions` has found nothing wrong with.
    """
    loaded = benchmark_from(read_json(folder / RESULTS))
    others = [
        name
        for name, task in loaded.tasks_map.items()
        if any(fold["parameters"].get(OFFICIAL) is False for fold in task.results.values())
    ]
    return [
        f"{name} was run on a data file that is not Matbench's own: scores may differ from those "
        "of the official file"
        for name in others
    ]


def require_name(folder: Path) -> str:
    """The benchmark in a folder's name.

    Raises:
        UserError: If the folder is not named as a submission.
    """
    benchmark = benchmark_of(folder)
    if benchmark is None:
        raise UserError(f"'{folder}' cannot be a submission: its name has to be {_allowed_names()}")
    return benchmark


def _folder(folder: Path) -> Iterator[Violation]:
    if not folder.is_dir():
        yield Violation(folder, "there is no such folder: give folders <benchmark>_<algorithm>")
        return
    benchmark = benchmark_of(folder)
    if benchmark is None:
        yield Violation(folder, f"the folder's name has to be {_allowed_names()}")
    yield from _files(folder)
    info = folder / INFO
    if info.is_file():
        yield from _info(info)
    results = folder / RESULTS
    if results.is_file():
        for message in _results(results, benchmark):
            yield Violation(results, message)


def benchmark_of(folder: Path) -> str | None:
    """The benchmark in a folder's name ``<benchmark>_<algorithm>`` (page), if it has one."""
    found = _FOLDER_NAME.fullmatch(folder.resolve().name)
    return None if found is None else found[1]


def _allowed_names() -> str:
    names = " or ".join(f"{benchmark}_<algorithm>" for benchmark in BENCHMARKS)
    return f"{names}, with letters, digits, '_', '.', '+' and '-' in <algorithm>"


def _files(folder: Path) -> Iterator[Violation]:
    """Required files, a source file (page and checker), and what is not allowed."""
    for name in (INFO, RESULTS):
        if not (folder / name).is_file():
            yield Violation(folder, f"there is no {name}: it is required under this very name")
    if not any(folder.glob("*.py")) and not any(folder.glob("*.ipynb")):
        yield Violation(folder, "there is no source: at least one .py or .ipynb is required")
    # Only the checker has this rule, and it looks into the folder itself only.
    if (folder / _BANNED).exists():
        yield Violation(folder / _BANNED, "this folder of an editor is not allowed: remove it")
    # The checker looks at files beside the results; the page limits all others too.
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        if path != folder / RESULTS and size > MAX_BYTES:
            yield Violation(
                path, f"it has {size / 1e6:.1f} MB: up to {MAX_BYTES / 1e6:.0f} MB are allowed"
            )


def _info(path: Path) -> Iterator[Violation]:
    """The content of ``info.json``, and a name that nobody else has (checker)."""
    try:
        info = read_json(path)
    except (ValueError, OSError) as error:
        yield Violation(path, f"{_reason(error, path)}; it has to hold a JSON object")
        return
    for message in broken_rules(info):
        yield Violation(path, message)
    name = info.get("algorithm")
    same = [other.name for other in _rivals(path.parent) if _name_in(other) == name]
    if name and same:
        yield Violation(
            path, f"'algorithm' is '{name}' in {same[0]} too: choose a name that no other has"
        )


def _rivals(folder: Path) -> list[Path]:
    """The submissions to the same benchmark in the folders beside it."""
    own = folder.resolve()
    beside = sorted(path for path in own.parent.iterdir() if path.is_dir() and path != own)
    return [path for path in beside if benchmark_of(path) == benchmark_of(own)]


def _name_in(folder: Path) -> object:
    """The algorithm's name in a folder, if there is one to be read."""
    try:
        return read_json(folder / INFO).get("algorithm")
    except (ValueError, OSError):
        return None


def _results(path: Path, benchmark: str | None) -> Iterator[str]:
    """Results that the benchmark's own class loads as valid (page and checker)."""
    try:
        content = read_json(path)
    except (ValueError, OSError) as error:
        yield f"{_reason(error, path)}; write it with matbench_segvae.benchmark.write_benchmark"
        return
    recorded = content.get("benchmark_name")
    if recorded not in BENCHMARKS:
        yield f"its benchmark is '{recorded}': it has to be {' or '.join(BENCHMARKS)}"
        return
    if benchmark not in (None, recorded):
        yield f"its benchmark is {recorded}, but the folder is named for {benchmark}"
    if not is_compressed(path):
        yield (
            "it is plain text, and Matbench's repository reads it with gzip: compress it, or write "
            "it with matbench_segvae.benchmark.write_benchmark"
        )
    try:
        loaded = benchmark_from(content)
    except UserError as error:
        yield f"matbench does not load it: {error}"
        return
    yield from _loaded(loaded)


def _loaded(benchmark: Any) -> Iterator[str]:  # noqa: ANN401 - matbench is not typed
    """Every recorded task is complete and valid, its predictions finite."""
    if not benchmark.tasks_map:
        yield "it holds no task: record at least one, with all its folds"
    for name, traceback in benchmark.validate().items():
        yield f"{name} is not valid: {reason_of(traceback.strip().splitlines()[-1])}"
    for name, task in benchmark.tasks_map.items():
        # Matbench accepts any float, NaN and infinity too, from which no score can be computed.
        for key, fold in task.results.items():
            bad = _not_finite(fold["data"])
            if bad:
                yield f"{name} {key}: {bad} predictions are not finite"


def _not_finite(predictions: Mapping[str, Any]) -> int:
    return sum(isinstance(v, float) and not math.isfinite(v) for v in predictions.values())


def _reason(error: ValueError | OSError, path: Path) -> str:
    """Why a file could not be read, without the name of the file."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return reason_of(str(error).removeprefix(f"'{path}' "))
