"""The folders of the user, files written whole or not at all, and the one way to read a file.

A file may come from anywhere: it may be a device that never ends, or a megabyte that unpacks to a
thousand. :func:`read_bytes` and what is built on it read neither.
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from platformdirs import user_cache_dir, user_data_dir

CACHE_VARIABLE = "MATBENCH_SEGVAE_CACHE"
"""Names the folder that is used instead of the user's cache folder."""


TASKS_VARIABLE = "MATBENCH_SEGVAE_TASKS"
"""Names the folder that is used instead of the user's data folder."""


MOST_BYTES = 2**30
"""Most bytes that are read of a file, after unpacking."""


DAMAGED = (
    EOFError,
    zlib.error,
    RecursionError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
)
"""What reading a damaged file may raise beside `OSError`: a bit that flips may turn up in gzip, in
JSON or in what they hold."""


_GZIP_MAGIC = b"\x1f\x8b"  # the first bytes of every file in gzip's format


def cache_folder() -> Path:
    """Where downloads, networks and features are kept; the folder need not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(user_cache_dir("matbench_segvae"))


def tasks_folder() -> Path:
    """Where the list of the user's own tasks is kept; the folder need not exist yet."""
    chosen = os.environ.get(TASKS_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(user_data_dir("matbench_segvae"))


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file so that readers see the old one or the new one, never half of it.

    Args:
        path: Where; its folder has to exist.

    Yields:
        A file to write to. If what is done with it fails, nothing is left of it.

    Raises:
        OSError: If it cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield cast("BinaryIO", file)
        # mkstemp makes files that only their owner can read; results are to be shared.
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def folder_written_whole(
    folder: Path, require_same: Callable[[Path, Path], None]
) -> Iterator[Path]:
    """Write a folder so that it is there with all its files, or not at all.

    Args:
        folder: Where; it need not exist.
        require_same: Takes `folder`, if there is anything in it, and the folder just written;
            raises unless the first one can stay in place of the second.

    Yields:
        A folder to fill. If that fails, nothing is left of it.

    Raises:
        OSError: If it cannot be written.
    """
    target = folder.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        yield made
        if target.exists():
            if not target.is_dir() or any(target.iterdir()):
                require_same(target, made)
                return
            target.rmdir()
        made.rename(target)


@contextmanager
def folder_replaced(folder: Path) -> Iterator[Path]:
    """Change a folder so that it is there as it was or with all changes, but for a moment.

    Between two renames it is not there at all.

    Args:
        folder: Where; it need not exist.

    Yields:
        A copy of the folder to change, empty if there is none. If that fails, the folder stays
        as it was.

    Raises:
        OSError: If it cannot be written.
    """
    target = folder.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        made, before = Path(scratch) / "made", Path(scratch) / "before"
        if target.exists():
            shutil.copytree(target, made, symlinks=True)
        else:
            made.mkdir()
        yield made
        try:
            if target.exists():
                target.rename(before)
            made.rename(target)
        except BaseException:
            if before.exists() and not target.exists():
                before.rename(target)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, see :func:`written_whole`."""
    with written_whole(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write JSON whole or not at all, in gzip's format if the name ends with ``.gz``.

    The same content gives the same bytes: no time or name is written into the compressed file.

    Raises:
        OSError: If it cannot be written.
    """
    data = json.dumps(content).encode("utf-8")
    with written_whole(path) as file:
        if path.suffix != ".gz":
            file.write(data)
            return
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
            compressed.write(data)


def is_compressed(path: Path) -> bool:
    """Whether a file is in gzip's format, whatever its name.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def require_regular(path: Path) -> None:
    """Check that something is an ordinary file, before it is opened: a pipe would wait for ever.

    Raises:
        OSError: If it is a folder, a device or a pipe, or is not there.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no ordinary file", str(path))


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a file, unpacked if it is in gzip's format, whatever its name.

    Args:
        path: The file.
        most: Most bytes to read, after unpacking.

    Raises:
        ValueError: If it is damaged or larger.
        OSError: If it cannot be read, or is a folder, a device or a pipe.
    """
    require_regular(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if content.startswith(_GZIP_MAGIC) and len(content) <= most:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(most + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"'{path}' is damaged: {error}") from error
    if len(content) > most:
        raise ValueError(f"'{path}' holds more than the {most / 2**20:,.0f} MiB that are read")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text file, see :func:`read_bytes`; a byte order mark is left out.

    Raises:
        ValueError: If it is damaged, larger, or no text in UTF-8.
        OSError: If it cannot be read, or is a folder, a device or a pipe.
    """
    return read_bytes(path, most).decode("utf-8-sig")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, compressed or not.

    Matbench 0.6 writes and reads plain text even under the name ``results.json.gz``, while its
    repository holds and reads files that are really compressed, so the content decides.

    Raises:
        ValueError: If there is no JSON object in it.
        OSError: If it cannot be read.
    """
    content = read_bytes(path)
    try:
        loaded = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return loaded
