"""Results of a benchmark in a file, as the repository of Matbench holds them.

The repository reads ``results.json.gz`` as what its name says, a file in gzip's format. The wheel
of matbench 0.6 writes plain text under that name and reads nothing else; here both are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark._matbench import MatbenchBenchmark, read_results_json
from matbench_segvae.benchmark.registry import benchmark_class
from matbench_segvae.errors import UserError, reason_of
from matbench_segvae.files import read_json, write_json


def read_benchmark(path: str | Path) -> MatbenchBenchmark:
    """Read the results of any benchmark, compressed or not.

    Args:
        path: The file.

    Returns:
        A benchmark with results and without data.

    Raises:
        UserError: If it cannot be read, or matbench does not accept its content.
    """
    content = read_results_json(path)
    try:
        return benchmark_from(content)
    except UserError as error:
        raise UserError(f"cannot read results from '{path}': {error}") from error


def benchmark_from(content: Mapping[str, Any]) -> MatbenchBenchmark:
    """Make a benchmark of the content of a results file.

    Args:
        content: The JSON object.

    Returns:
        A benchmark with results and without data.

    Raises:
        UserError: If matbench does not accept it.
    """
    kind = benchmark_class(str(content.get("benchmark_name")))
    try:
        # Matbench takes the hash out of the dictionary it is given.
        return kind.from_dict(dict(content))
    except UserError:
        raise
    # Matbench raises anything from KeyError to TypeError for a file it does not accept.
    except Exception as error:
        raise UserError(reason_of(error)) from error


def write_benchmark(benchmark: MatbenchBenchmark, path: str | Path) -> None:
    """Write the results of any benchmark as the repository of Matbench reads them.

    Args:
        benchmark: With results.
        path: The file; it is compressed if its name ends with ``.gz``. A file that holds the same
            results stays as it is, with the time at which they were first written.

    Raises:
        OSError: If it cannot be written.
    """
    path, content = Path(path), benchmark.as_dict()
    with suppress(OSError, ValueError):
        if _without_stamp(read_json(path)) == _without_stamp(json.loads(json.dumps(content))):
            return
    write_json(path, content)


def _without_stamp(content: Mapping[str, Any]) -> dict[str, Any]:
    """Results without the second in which they were written, and the hash that it goes into."""
    return {key: value for key, value in content.items() if key not in ("datestamp", "hash")}
