"""The files of a 2DMD release, in a zip archive or a folder, read without unpacking them.

Whatever an archive calls its members, nothing is written by those names, and no file is read
beyond a limit.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import pandas as pd

from matbench_segvae.errors import UserError
from matbench_segvae.files import require_regular

_MARKER = "_density_defects"  # how the two top folders of the release end
_LARGEST_FILE = 2**29  # bytes of any file of the release after decompression
_LARGEST_CIF = 2**22  # bytes of one structure
_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError)


class ReleaseFiles:
    """Reads the files of a release by their path in it.

    Attributes:
        path: The zip archive or folder.
    """

    def __init__(self, path: Path) -> None:
        """Look into a release.

        Args:
            path: Zip archive or folder; the release may be one folder down in it.

        Raises:
            UserError: If there is no such file or folder, or no release in it.
        """
        self.path = path
        self._archive = None if path.is_dir() else _zip_archive(path)
        self._top = self._find_top()

    def has(self, name: str) -> bool:
        """Whether there is a file of that path."""
        if self._archive is None:
            return (self.path / self._top / name).is_file()
        return self._member(name) is not None

    def read(self, name: str) -> bytes:
        """The content of a file; gzipped files decompressed.

        Raises:
            UserError: If there is no such file, or it is damaged or too large.
        """
        try:
            with self._open(name) as raw:
                file = gzip.GzipFile(fileobj=raw) if name.endswith(".gz") else raw
                content = file.read(_LARGEST_FILE + 1)
        except _DAMAGED as error:
            raise UserError(f"{name} in '{self.path}' cannot be read: {error}") from error
        if len(content) > _LARGEST_FILE:
            raise UserError(f"{name} in '{self.path}' is larger than {_LARGEST_FILE} bytes")
        return content

    def table(self, name: str) -> pd.DataFrame:
        """A CSV file; all values are texts, empty ones included.

        Raises:
            UserError: If there is no such file, or it is no table.
        """
        try:
            text = io.BytesIO(self.read(name))
            return pd.read_csv(text, dtype=str, keep_default_na=False)
        except (ValueError, pd.errors.ParserError) as error:
            raise UserError(f"{name} in '{self.path}' is no CSV table: {error}") from error

    def structures(self, name: str) -> Iterator[tuple[str, str]]:
        """The CIF files of a ``.tar.gz``, one after the other.

        Yields:
            File name without its ending, and text.

        Raises:
            UserError: If there is no such file, or it is damaged.
        """
        try:
            # gzip's own reader complains about damage in better terms than tarfile's.
            with (
                self._open(name) as raw,
                gzip.GzipFile(fileobj=raw) as unpacked,
                tarfile.open(fileobj=unpacked, mode="r|") as tar,
            ):
                for member in tar:
                    file = tar.extractfile(member) if member.isreg() else None
                    path = PurePosixPath(member.name)
                    if file is not None and path.suffix == ".cif":
                        text = file.read(_LARGEST_CIF).decode("utf-8", "replace")
                        yield path.stem, text
        except _DAMAGED as error:
            raise UserError(f"{name} in '{self.path}' cannot be read: {error}") from error

    def names(self, folder: str, suffix: str) -> list[str]:
        """Paths of the files in a folder of the release that end in a certain way, sorted."""
        if self._archive is None:
            found = (self.path / self._top / folder).glob(f"*{suffix}")
            return sorted(f"{folder}/{path.name}" for path in found)
        start = f"{self._top}{folder}/"
        names = (info.filename for info in self._archive.infolist())
        return sorted(
            name.removeprefix(self._top)
            for name in names
            if name.startswith(start) and name.endswith(suffix) and "/" not in name[len(start) :]
        )

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        if not self.has(name):
            raise UserError(f"'{self.path}' has no {name}: give the whole release")
        member = self._member(name)
        if self._archive is None or member is None:
            with (self.path / self._top / name).open("rb") as file:
                yield file
        else:
            with self._archive.open(member) as packed:
                yield packed

    def _member(self, name: str) -> zipfile.ZipInfo | None:
        if self._archive is None:
            return None
        try:
            return self._archive.getinfo(f"{self._top}{name}")
        except KeyError:
            return None

    def _find_top(self) -> str:
        """Path of the folder that holds the release; empty if that is the top itself."""
        if self._archive is None:
            candidates = [self.path, *sorted(p for p in self.path.iterdir() if p.is_dir())]
            for folder in candidates:
                if any(found.is_dir() for found in folder.glob(f"*{_MARKER}")):
                    return "" if folder == self.path else f"{folder.name}/"
        else:
            for info in self._archive.infolist():
                parts = PurePosixPath(info.filename).parts
                for depth in (0, 1):
                    if len(parts) > depth and parts[depth].endswith(_MARKER):
                        return "".join(f"{part}/" for part in parts[:depth])
        raise UserError(
            f"'{self.path}' is no 2DMD release: it has no folder low{_MARKER} or "
            f"high{_MARKER} at the top or one folder down"
        )


def _zip_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        UserError: If it is none.
    """
    try:
        require_regular(path)
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read '{path}' ({reason}): give the zip archive of the 2DMD release, or the "
            "folder that was in it"
        ) from error
