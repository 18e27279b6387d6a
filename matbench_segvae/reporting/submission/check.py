"""Whether a folder can be submitted to Matbench as it is.

Two sources, named at every rule: the *page* is "Submit to leaderboard",
https://matbench.materialsproject.org/How%20To%20Use/3submit/, the *checker* is
``scripts/test_submission.py`` of https://github.com/materialsproject/matbench, which every
submission there has to pass. A folder of ``matbench_v0.1`` without a violation passes the
checker. Folders of our own benchmark have no place there; the same rules hold for them, and
their results are read by :class:`~matbench_segvae.benchmark.benchmark.DefectBenchmark`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark import make_benchmark, quiet_matbench
from matbench_segvae.benchmark.folds import BENCHMARK_NAME
from matbench_segvae.errors import UserError
from matbench_segvae.files import read_json
from matbench_segvae.reporting.submission import INFO, RESULTS

NAME_LENGTH = (5, 15)
"""Fewest and most characters of an algorithm's short name (page)."""


MAX_WORDS = 1000
"""Most words of the long description (page)."""


_BIBTEX = re.compile(r"@\s*\w+\s*[{(]")


_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def info_complaints(info: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the content of an ``info.json``.

    Args:
        info: The file's content.

    Yields:
        One line for every rule that is broken.
    """
    for key, check in _FIELDS.items():
        if key not in info:
            yield f"'{key}' is missing: it has to be {_SHAPES[key]}"
        # The checker asks for notes, but lets them be empty.
        elif not info[key] and key != "notes":
            yield f"'{key}' is empty: it has to be {_SHAPES[key]}"
        else:
            yield from check(key, info[key])


def _text(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"'{key}' is {_kind(value)}: it has to be {_SHAPES[key]}"


def _texts(key: str, value: object) -> Iterator[str]:
    """A text or a list of texts: the page's template has the one, many submissions the other."""
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) and entry.strip() for entry in entries):
        yield f"'{key}' holds something else than texts: it has to be {_SHAPES[key]}"


def _name(key: str, value: object) -> Iterator[str]:
    """The short name; its length is the page's rule."""
    yield from _text(key, value)
    low, high = NAME_LENGTH
    if isinstance(value, str) and not low <= len(value) <= high:
        yield f"'{key}' is '{value}', {len(value)} characters: {low} to {high} are allowed"


def _description(key: str, value: object) -> Iterator[str]:
    """The long description; its length is the page's rule."""
    yield from _text(key, value)
    if isinstance(value, str) and (n_words := len(value.split())) > MAX_WORDS:
        yield f"'{key}' has {n_words} words: up to {MAX_WORDS} are allowed"


def _references(key: str, value: object) -> Iterator[str]:
    """References "each formatted as bibtex" (page)."""
    complaints = list(_texts(key, value))
    yield from complaints
    if complaints:
        return
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if not _BIBTEX.search(str(entry)):
            yield (
                f"'{key}' holds '{_short(str(entry))}': every reference has to be BibTeX, "
                "@article{…} or the like"
            )


def _requirements(key: str, value: object) -> Iterator[str]:
    """Python requirements in the template's shape, matbench among them (page)."""
    listed = value.get("python") if isinstance(value, Mapping) else None
    if not isinstance(listed, list) or not listed:
        yield f"'{key}' has no list under 'python': it has to be {_SHAPES[key]}"
        return
    names = set()
    for entry in listed:
        found = _DISTRIBUTION.match(entry) if isinstance(entry, str) else None
        if found is None:
            yield f"'{key}' holds {entry!r}: requirements are texts such as 'numpy==2.1.0'"
        else:
            names.add(found.group().lower())
    if "matbench" not in names:
        yield f"'{key}' does not name matbench: the version of matbench has to be among them"


def _kind(value: object) -> str:
    """A JSON value's type in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "nothing" if value is None else "a number")


def _short(text: str, most: int = 40) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


_SHAPES: Mapping[str, str] = {
    "authors": "the names of those who submit it, as a text or a list of texts",
    "algorithm": f"a short name of {NAME_LENGTH[0]} to {NAME_LENGTH[1]} characters",
    "algorithm_long": f"a description of up to {MAX_WORDS} words",
    "bibtex_refs": "BibTeX references, as a text or a list of texts",
    "notes": "a text, which may be empty",
    "requirements": 'an object such as {"python": ["matbench==0.6", "numpy==2.1.0"]}',
}


_FIELDS: Mapping[str, Callable[[str, object], Iterator[str]]] = {
    "authors": _texts,
    "algorithm": _name,
    "algorithm_long": _description,
    "bibtex_refs": _references,
    "notes": _text,
    "requirements": _requirements,
}


MATBENCH_NAME = "matbench_v0.1"


BENCHMARKS = (BENCHMARK_NAME, MATBENCH_NAME)


MAX_BYTES = 10_000_000
"""Largest file beside the results, bytes (page and checker)."""


_GZIP_MAGIC = b"\x1f\x8b"


_BANNED = ".ipynb_checkpoints"


_MESSAGE = 300  # characters that are shown of matbench's own complaints


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
        return f"{self.where}: {self.message}"


def check_submissions(folders: Sequence[Path]) -> list[Violation]:
    """Check submission folders.

    Args:
        folders: Folders; each is also compared with the folders beside it.

    Returns:
        Every violation of every folder, in their order; none if all is well.
    """
    found: list[Violation] = []
    with quiet_matbench():
        for folder in folders:
            found.extend(_folder(folder))
    return found


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
    name = folder.resolve().name
    for benchmark in BENCHMARKS:
        if name.startswith(f"{benchmark}_") and name != f"{benchmark}_":
            return benchmark
    return None


def _allowed_names() -> str:
    return " or ".join(f"{benchmark}_<algorithm>" for benchmark in BENCHMARKS)


def _files(folder: Path) -> Iterator[Violation]:
    """Required files, a source file (page and checker), and what may not be there."""
    for name in (INFO, RESULTS):
        if not (folder / name).is_file():
            yield Violation(folder, f"there is no {name}: it is required under this very name")
    if not any(folder.glob("*.py")) and not any(folder.glob("*.ipynb")):
        yield Violation(folder, "there is no source: at least one .py or .ipynb is required")
    # Only the checker has this rule, and it looks into the folder itself only.
    if (folder / _BANNED).exists():
        yield Violation(folder / _BANNED, "this folder of an editor is not allowed: remove it")
    # The checker looks at files beside the results; the page asks all others to be small too.
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
    for message in info_complaints(info):
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
        yield f"{_reason(error, path)}; write it with the benchmark's to_file"
        return
    recorded = content.get("benchmark_name")
    if recorded not in BENCHMARKS:
        yield f"its benchmark is '{recorded}': it has to be {' or '.join(BENCHMARKS)}"
        return
    if benchmark not in (None, recorded):
        yield f"its benchmark is {recorded}, but the folder's name says {benchmark}"
    # Matbench 0.6 reads plain text, whatever the name of the file says.
    if recorded == MATBENCH_NAME and path.read_bytes().startswith(_GZIP_MAGIC):
        yield "it is compressed, and matbench reads it as plain text: write it with to_file"
        return
    try:
        loaded = type(make_benchmark(recorded)).from_file(path)
    # Matbench raises anything from KeyError to TypeError for a file it does not accept.
    except Exception as error:
        yield f"matbench does not load it: {_one_line(error)}"
        return
    yield from _loaded(loaded)


def _loaded(benchmark: Any) -> Iterator[str]:  # noqa: ANN401 - matbench is not typed
    """Every recorded task is complete and valid, its predictions finite."""
    if not benchmark.tasks_map:
        yield "it holds no task: record at least one, with all its folds"
    for name, traceback in benchmark.validate().items():
        yield f"{name} is not valid: {_one_line(traceback.strip().splitlines()[-1])}"
    for name, task in benchmark.tasks_map.items():
        # Matbench asks for floats, which NaN and infinity are; no score can come of them.
        for key, fold in task.results.items():
            bad = _not_finite(fold["data"])
            if bad:
                yield f"{name} {key}: {bad} predictions are not finite"


def _not_finite(predictions: Mapping[str, float]) -> int:
    return sum(not math.isfinite(value) for value in predictions.values())


def _reason(error: ValueError | OSError, path: Path) -> str:
    """Why a file could not be read, without the name of the file."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return _one_line(str(error).removeprefix(f"'{path}' "))


def _one_line(error: object) -> str:
    """Matbench's own words, cut where it lists all samples."""
    if isinstance(error, KeyError) and error.args:
        error = error.args[0]
    line = " ".join(str(error).split())
    return line if len(line) <= _MESSAGE else f"{line[:_MESSAGE]}…"


def require_name(folder: Path) -> str:
    """The benchmark in a folder's name.

    Raises:
        UserError: If the folder is not named as a submission.
    """
    benchmark = benchmark_of(folder)
    if benchmark is None:
        raise UserError(f"'{folder}' cannot be a submission: its name has to be {_allowed_names()}")
    return benchmark
