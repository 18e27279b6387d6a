"""What tasks and benchmark share: checks, plain dictionaries, and files in one-line errors."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark._matbench import RecursiveDotDict
from matbench_segvae.benchmark.folds import BENCHMARK_NAME, committed_metadata
from matbench_segvae.errors import UserError

_GZIP_MAGIC = b"\x1f\x8b"


def check_benchmark(name: str) -> None:
    """Refuse other benchmarks than ours."""
    if name != BENCHMARK_NAME:
        raise UserError(
            f"benchmark {name!r} is not {BENCHMARK_NAME!r}: use matbench.bench.MatbenchBenchmark "
            "for Matbench's own"
        )


def check_tasks(names: Sequence[str]) -> None:
    """Refuse tasks that our benchmark does not have."""
    known = committed_metadata()
    unknown = [name for name in names if name not in known]
    if not names:
        raise UserError(f"no tasks of {BENCHMARK_NAME} given: choose from {', '.join(known)}")
    if unknown:
        raise UserError(
            f"unknown tasks {', '.join(map(repr, unknown))} of {BENCHMARK_NAME}: "
            f"choose from {', '.join(known)}"
        )


def plain(value: Any) -> Any:  # noqa: ANN401
    """Copy nested dictionaries into ordinary ones; other values stay as they are."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in dict.items(value)}
    return value


def dotted(value: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Copy nested dictionaries into matbench's dotted ones."""
    return RecursiveDotDict(plain(value))


@contextlib.contextmanager
def one_line(what: str) -> Iterator[None]:
    """Turn matbench's complaints about a file into one line for the user."""
    try:
        yield
    except UserError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error.args[0] if error.args else error).split())
        raise UserError(f"{what}: {reason}") from error


def read_json(filename: str | Path) -> Any:  # noqa: ANN401
    """Read a JSON object, gzipped or not: matbench 0.6 writes plain text even into .gz."""
    path = Path(filename)
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        found = json.loads(content)
    except (OSError, EOFError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read results from {path}: {reason}") from error
    if not isinstance(found, dict):
        raise UserError(f"cannot read results from {path}: not what a Matbench class writes")
    return found
