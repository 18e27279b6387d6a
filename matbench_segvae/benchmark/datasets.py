"""Finding data files: a mirror first, then the cache, then the network.

Three environment variables steer it:

* ``MATBENCH_SEGVAE_DATA``: a read-only folder that holds the files (a mirror).
* ``MATBENCH_SEGVAE_CACHE``: where downloads are kept instead of the user's cache folder.
* ``MATBENCH_SEGVAE_URL``: the address of a mirror served over HTTP, used instead of the
  addresses in the catalogue.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pooch
import requests

from matbench_segvae.benchmark.catalogue import CATALOGUE, DataFile
from matbench_segvae.errors import UserError
from matbench_segvae.files import CACHE_VARIABLE, cache_folder, require_regular

MIRROR_VARIABLE = "MATBENCH_SEGVAE_DATA"
URL_VARIABLE = "MATBENCH_SEGVAE_URL"
_TIMEOUT = 30.0  # s without an answer


@dataclass(frozen=True)
class DataStatus:
    """Where a file is now.

    Attributes:
        file: Its entry in the catalogue.
        place: In the mirror, in the cache, or nowhere on this machine.
        path: The file itself, or None if it is nowhere.
        intact: Whether its checksum is the catalogue's; None if it is nowhere.
    """

    file: DataFile
    place: Literal["mirror", "cache", "absent"]
    path: Path | None
    intact: bool | None


def mirror_folder() -> Path | None:
    """The mirror that is searched first, if any.

    Returns:
        The folder, or None if ``MATBENCH_SEGVAE_DATA`` is not set.

    Raises:
        UserError: If it names something that is not a readable folder.
    """
    chosen = os.environ.get(MIRROR_VARIABLE)
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(
            f"{MIRROR_VARIABLE}={chosen} {what}: name a folder with the data files, or unset it "
            "to download them"
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{MIRROR_VARIABLE}={chosen} cannot be read: mend its permissions")
    return folder


def lookup(name: str) -> DataFile:
    """The entry of a file in the catalogue.

    Args:
        name: Its name there.

    Returns:
        The entry.

    Raises:
        UserError: If there is no such entry.
    """
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"unknown data file {name!r}: choose from {', '.join(CATALOGUE)}{hint}")
    return CATALOGUE[name]


def address(file: DataFile) -> str:
    """The address that a file would be downloaded from.

    Args:
        file: Its entry in the catalogue.

    Returns:
        The pinned address, or that on the server named by ``MATBENCH_SEGVAE_URL``.
    """
    base = os.environ.get(URL_VARIABLE)
    return f"{base.rstrip('/')}/{file.path}" if base else file.url


def fetch(name: str) -> Path:
    """Get a file, downloading it only if it is in neither mirror nor cache.

    Args:
        name: Its name in the catalogue.

    Returns:
        A file with the right checksum.

    Raises:
        UserError: If the name is unknown, the mirror is unusable or holds other bytes, or
            the download fails or brings other bytes.
    """
    file = lookup(name)
    found = _in_mirror(file)
    if found is not None:
        _check(file, found, _read(found))
        return found
    return _download(file)


def verify(name: str) -> Path:
    """Check a file that is already on this machine, downloading nothing.

    Args:
        name: Its name in the catalogue.

    Returns:
        The file.

    Raises:
        UserError: If it is not here or its checksum is wrong.
    """
    file = lookup(name)
    found = _in_mirror(file) or _in_cache(file)
    if found is None:
        raise UserError(f"{name} is not on this machine: run `matbench-segvae data fetch {name}`")
    _check(file, found, _read(found))
    return found


def status(names: Iterable[str] | None = None) -> list[DataStatus]:
    """Where files are, downloading nothing.

    Args:
        names: Names in the catalogue; all of it by default.

    Returns:
        One status per file, in the order of the names.

    Raises:
        UserError: If a name is unknown or the mirror is unusable.
    """
    statuses = []
    for file in map(lookup, CATALOGUE if names is None else names):
        place: Literal["mirror", "cache", "absent"] = "mirror"
        found = _in_mirror(file)
        if found is None:
            place, found = "cache", _in_cache(file)
        if found is None:
            statuses.append(DataStatus(file, "absent", None, None))
        else:
            statuses.append(DataStatus(file, place, found, _has_digest(file, _read(found))))
    return statuses


def read_pickle_verified(name: str) -> pd.DataFrame:
    """Unpickle a data frame after checking its bytes.

    A pickle runs code when it is read. This is the only place that does so, and only with
    bytes that have just been found to be those of the catalogue.

    Args:
        name: Name of a pickle in the catalogue.

    Returns:
        The data frame in it.

    Raises:
        UserError: As :func:`fetch`, or if the bytes were modified since.
    """
    file = lookup(name)
    path = fetch(name)
    content = _read(path)
    _check(file, path, content)
    frame: pd.DataFrame = pd.read_pickle(io.BytesIO(content), compression=None)  # noqa: S301
    return frame


def _in_mirror(file: DataFile) -> Path | None:
    """Find a file in the mirror."""
    folder = mirror_folder()
    found = folder / file.path if folder else None
    return found if found and found.is_file() else None


def _in_cache(file: DataFile) -> Path | None:
    """Find a file in the cache."""
    found = cache_folder() / file.path
    return found if found.is_file() else None


def _read(path: Path) -> bytes:
    """Read a whole file."""
    try:
        require_regular(path)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; mend its permissions") from error


def _has_digest(file: DataFile, content: bytes) -> bool:
    """Whether bytes are those of the catalogue."""
    kind, _, expected = file.digest.partition(":")
    if kind == "sha256":
        return hashlib.sha256(content).hexdigest() == expected
    head = f"blob {len(content)}\0".encode()
    # The id that git gave the file; it identifies the bytes, and guards nothing secret.
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest() == expected


def _check(file: DataFile, path: Path, content: bytes) -> None:
    """Refuse bytes that are not the catalogue's."""
    if not _has_digest(file, content):
        raise UserError(
            f"{path} does not have the catalogue's {_short_digest(file)}: put the published "
            "file there, or remove it to have it downloaded"
        )


def _short_digest(file: DataFile) -> str:
    """The start of the pinned checksum, such as ``"sha256 a462bb4b8014…"``."""
    kind, _, digits = file.digest.partition(":")
    return f"{kind.replace('-', ' ')} {digits[:12]}…"


def _download(file: DataFile) -> Path:
    """Take a file from the cache or download it there."""
    target = cache_folder() / file.path
    url = address(file)
    # Ids of git blobs are unknown to pooch: it neither replaces a spoilt file nor refuses one.
    by_pooch = file.digest.startswith("sha256:")
    try:
        if not by_pooch and target.is_file() and not _has_digest(file, target.read_bytes()):
            target.unlink()
        found = pooch.retrieve(
            url,
            known_hash=file.digest if by_pooch else None,
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
        )
        if not by_pooch and not _has_digest(file, target.read_bytes()):
            target.unlink()
            raise ValueError(file.digest)
    except requests.RequestException as error:
        raise UserError(
            f"cannot download {file.name} from {url} ({type(error).__name__}): connect to the "
            f"network, or set {MIRROR_VARIABLE} to a folder that has {file.path}"
        ) from error
    except ValueError as error:
        # The bytes are gone by now.
        raise UserError(
            f"{url} gave other bytes than the catalogue's {_short_digest(file)}: try again, "
            f"or set {MIRROR_VARIABLE} to a folder that has {file.path}"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot write to the cache {target.parent} ({error.strerror}): set {CACHE_VARIABLE} "
            "to a folder of your own"
        ) from error
    return Path(found)
