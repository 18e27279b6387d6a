"""The data files of Matbench's own tasks, and whether they are the official ones.

matminer names the sha256 of every file, but compares it only with what it downloads itself. A file
that somebody put into its folder may hold other targets, and scores on it are none of Matbench's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark._matbench import MBV01_KEY
from matbench_segvae.files import cache_folder, require_regular

MATMINER_VARIABLE = "MATMINER_DATA"


@dataclass(frozen=True)
class MatbenchData:
    """A data file on this machine.

    Attributes:
        task: Name of its task.
        sha256: Its checksum.
        official_sha256: The checksum that matminer names for the task.
    """

    task: str
    sha256: str
    official_sha256: str

    @property
    def is_official(self) -> bool:
        """Whether it is the file that Matbench's scores are for."""
        return self.sha256 == self.official_sha256

    @property
    def warning(self) -> str | None:
        """What to tell about it; nothing if it is the official file."""
        if self.is_official:
            return None
        return (
            f"{self.task}: the data are not Matbench's own (sha256 {self.sha256[:12]}… instead of "
            f"{self.official_sha256[:12]}…); results say so, and scores may differ from the board's"
        )


def data_file_of(task: Any) -> MatbenchData | None:  # noqa: ANN401 - matbench is not typed
    """The data file of a task of Matbench v0.1.

    Args:
        task: A task.

    Returns:
        The file; ``None`` for tasks of other benchmarks, and while it is not on this machine.
    """
    if str(task.benchmark_name) != MBV01_KEY:
        return None
    # Importing matminer's data sets takes a second.
    from matminer.datasets.dataset_retrieval import get_dataset_attribute

    name = str(task.dataset_name)
    with matminer_folder() as folder:
        path = data_path(name, folder)
    try:
        require_regular(path)
        state = path.stat()
        found = _sha256(path, state.st_mtime_ns, state.st_size)
    except OSError:
        return None
    return MatbenchData(name, found, str(get_dataset_attribute(name, "hash")))


def data_path(name: str, folder: str) -> Path:
    """Where the data file of a task is or would be.

    Args:
        name: Task name.
        folder: The folder that matminer reads from.
    """
    return Path(folder) / f"{name}.json.gz"


@lru_cache(maxsize=16)
def _sha256(path: Path, modified: int, size: int) -> str:
    """The checksum of a file; every fold asks for it, and some have a hundred megabytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def matminer_folder() -> Iterator[str]:
    """The folder that matminer reads from within this context.

    It is the one that ``MATMINER_DATA`` names, or one in the cache of this package: matminer alone
    would put files into its own package folder.
    """
    chosen = os.environ.get(MATMINER_VARIABLE)
    if chosen:
        yield chosen
        return
    folder = str(cache_folder() / "matminer")
    os.environ[MATMINER_VARIABLE] = folder
    try:
        yield folder
    finally:
        del os.environ[MATMINER_VARIABLE]
