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
from matbench_segvae.files import CACHE_VARIABLE, cache_folder

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
        intact: Whether its sha256 is the catalogue's; None if it is nowhere.
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
        A file with the right sha256.

    Raises:
        UserError: If the name is unknown, the mirror is unusable or holds other bytes, or
            the download fails or brings other bytes.
    """
    file = lookup(name)
    found = _in_mirror(file)
    if found is not None:
        _check(file, found, _digest(found))
        return found
    return _download(file)


def verify(name: str) -> Path:
    """Check a file that is already on this machine, downloading nothing.

    Args:
        name: Its name in the catalogue.

    Returns:
        The file.

    Raises:
        UserError: If it is not here or its sha256 is wrong.
    """
    file = lookup(name)
    found = _in_mirror(file) or _in_cache(file)
    if found is None:
        raise UserError(f"{name} is not on this machine: run `matbench-segvae data fetch {name}`")
    _check(file, found, _digest(found))
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
            statuses.append(DataStatus(file, place, found, _digest(found) == file.sha256))
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
    _check(file, path, hashlib.sha256(content).hexdigest())
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
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; mend its permissions") from error


def _digest(path: Path) -> str:
    """Compute the sha256 of a file."""
    return hashlib.sha256(_read(path)).hexdigest()


def _check(file: DataFile, path: Path, digest: str) -> None:
    """Refuse a file that is not the catalogue's."""
    if digest != file.sha256:
        raise UserError(
            f"{path} has sha256 {digest[:12]}… but the catalogue says {file.sha256[:12]}…: "
            "put the published file there, or remove it to have it downloaded"
        )


def _download(file: DataFile) -> Path:
    """Take a file from the cache or download it there."""
    target = cache_folder() / file.path
    url = address(file)
    try:
        found = pooch.retrieve(
            url,
            known_hash=f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
        )
    except requests.RequestException as error:
        raise UserError(
            f"cannot download {file.name} from {url} ({type(error).__name__}): connect to the "
            f"network, or set {MIRROR_VARIABLE} to a folder that has {file.path}"
        ) from error
    except ValueError as error:
        # pooch removes the bytes before it raises.
        raise UserError(
            f"{url} gave other bytes than the catalogue's sha256 {file.sha256[:12]}…: try again, "
            f"or set {MIRROR_VARIABLE} to a folder that has {file.path}"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot write to the cache {target.parent} ({error.strerror}): set {CACHE_VARIABLE} "
            "to a folder of your own"
        ) from error
    return Path(found)
