"""Finding data: mirror, cache, and downloads from a server of our own."""

import functools
import hashlib
import http.server
import os
import pickle
import re
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from matbench_segvae.benchmark import catalogue, datasets, low_density
from matbench_segvae.errors import UserError

NAME = "mos2-cell"
BLOB = "mos2-low-public"
CONTENTS = {NAME: b"data_MoS2", BLOB: b"an archive"}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.requested.append(self.path)


def digest_of(kind, content):
    """A checksum as the catalogue writes it."""
    if kind == "sha256":
        return f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob = b"blob " + str(len(content)).encode() + b"\0" + content
    return f"git-blob:{hashlib.sha1(blob).hexdigest()}"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder laid out like the mirror, whose contents the catalogue is made to expect."""
    folder = tmp_path / "published"
    rows = dict(catalogue.CATALOGUE)
    for name, content in {
        **CONTENTS,
        "v2-table": pickle.dumps(pd.DataFrame({"distance": [2.4], "formE": [4.2]})),
    }.items():
        file = rows[name]
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.path).write_bytes(content)
        kind = file.digest.partition(":")[0]
        rows[name] = replace(file, digest=digest_of(kind, content))
    monkeypatch.setattr(datasets, "CATALOGUE", rows)
    return folder


@pytest.fixture
def server(published, no_data, monkeypatch):
    handler = functools.partial(QuietHandler, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.requested = []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("MATBENCH_SEGVAE_URL", f"http://127.0.0.1:{running.server_port}/")
        yield running
        running.shutdown()
        thread.join()


both_checksums = pytest.mark.parametrize("name", [NAME, BLOB])


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_catalogue_is_pinned():
    for name, file in catalogue.CATALOGUE.items():
        assert file.name == name
        commit = file.url.split("/")[5]
        assert len(commit) == 40
        assert set(commit) <= set("0123456789abcdef")
        assert re.fullmatch("sha256:[0-9a-f]{64}|git-blob:[0-9a-f]{40}", file.digest)
        assert file.url.rsplit("/", 1)[1] == Path(file.path).name
        assert file.licence
        assert "doi" in file.citation


def test_catalogue_agrees_with_the_mirror(mirror, monkeypatch):
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(mirror))
    # A mirror may have one table of the same defects instead of the two archives.
    stand_in = (mirror / low_density.STAND_IN).is_file()
    names = [n for n in catalogue.CATALOGUE if not (stand_in and n.startswith("mos2-low-"))]
    rows = datasets.status(names)
    assert {row.place for row in rows} == {"mirror"}
    assert all(row.intact for row in rows)
    for name in names:
        assert datasets.verify(name) == datasets.fetch(name)


def test_the_id_of_a_blob_is_that_of_git(tmp_path):
    (tmp_path / "file").write_bytes(b"what is up, doc?")
    # The example of https://git-scm.com/book, chapter Git Internals, Git Objects.
    file = replace(
        datasets.lookup(BLOB), digest="git-blob:bd9dbf5aae1a3862dd1526723246b20206e5fc37"
    )
    assert datasets._has_digest(file, b"what is up, doc?")
    assert not datasets._has_digest(file, b"what is up, doc!")


@both_checksums
def test_download_is_kept_in_the_cache(name, server, no_data, published):
    file = datasets.lookup(name)
    assert datasets.status([name])[0].place == "absent"
    with pytest.raises(UserError, match=f"data fetch {name}"):
        datasets.verify(name)
    found = datasets.fetch(name)
    assert found == no_data / file.path
    assert found.read_bytes() == (published / file.path).read_bytes()
    assert server.requested == [f"/{file.path}"]
    assert datasets.fetch(name) == datasets.verify(name) == found
    assert len(server.requested) == 1, "a cached file is not downloaded again"
    status = datasets.status([name])[0]
    assert (status.place, status.intact) == ("cache", True)


@both_checksums
def test_spoilt_cache_is_downloaded_again(name, server, no_data):
    found = datasets.fetch(name)
    found.write_bytes(b"spoilt")
    assert datasets.status([name])[0].intact is False
    with pytest.raises(UserError, match=r"does not have the catalogue's (sha256|git blob) "):
        datasets.verify(name)
    assert datasets.fetch(name).read_bytes() == CONTENTS[name]


@both_checksums
def test_download_with_other_bytes_is_refused(name, server, no_data, published):
    (published / datasets.lookup(name).path).write_bytes(b"something else")
    with pytest.raises(UserError, match="other bytes") as caught:
        datasets.fetch(name)
    assert "MATBENCH_SEGVAE_DATA" in one_line(caught)
    assert [path for path in no_data.rglob("*") if path.is_file()] == []


def test_missing_on_the_server(server, published):
    (published / datasets.lookup(NAME).path).unlink()
    with pytest.raises(UserError, match="HTTPError") as caught:
        datasets.fetch(NAME)
    one_line(caught)


def test_dead_server(published, no_data, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MATBENCH_SEGVAE_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match=r"cannot download.*ConnectionError") as caught:
        datasets.fetch(NAME)
    assert "connect to the network, or set MATBENCH_SEGVAE_DATA" in one_line(caught)


def test_mirror_comes_first_and_stays_untouched(server, published, no_data, monkeypatch):
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(published))
    before = sorted(published.rglob("*"))
    assert datasets.fetch(NAME) == published / datasets.lookup(NAME).path
    assert server.requested == []
    assert sorted(published.rglob("*")) == before
    assert not no_data.exists()


def test_file_that_the_mirror_lacks_is_downloaded(server, no_data, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(tmp_path / "empty"))
    assert datasets.fetch(NAME).is_relative_to(no_data)


def test_mirror_with_wrong_bytes(published, monkeypatch):
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(published))
    (published / datasets.lookup(NAME).path).write_bytes(b"wrong")
    with pytest.raises(UserError, match=r"MoS2\.cif does not have the catalogue's sha256 .*: put"):
        datasets.fetch(NAME)
    assert datasets.status([NAME])[0].intact is False


@pytest.mark.parametrize(("make", "what"), [(False, "does not exist"), (True, "is not a folder")])
def test_unusable_mirror(tmp_path, monkeypatch, make, what):
    mirror = tmp_path / "mirror"
    if make:
        mirror.write_text("a file")
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(mirror))
    for use in (lambda: datasets.fetch(NAME), datasets.status, lambda: datasets.verify(NAME)):
        with pytest.raises(UserError, match=what) as caught:
            use()
        assert one_line(caught).startswith("MATBENCH_SEGVAE_DATA=")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_mirror_without_permission(published, monkeypatch):
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(published))
    published.chmod(0)
    try:
        with pytest.raises(UserError, match="cannot be read"):
            datasets.fetch(NAME)
    finally:
        published.chmod(0o755)


def test_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="MATBENCH_SEGVAE_CACHE"):
        datasets.fetch(NAME)


def test_unknown_name():
    with pytest.raises(UserError, match=r"unknown data file 'v3_table'.*did you mean v3-table"):
        datasets.fetch("v3_table")


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("place", ["mirror", "cache", "server"])
def test_planted_pickle_is_not_executed(place, server, published, no_data, tmp_path, monkeypatch):
    mark = tmp_path / "executed"
    file = datasets.lookup("v2-table")
    target = (no_data if place == "cache" else published) / file.path
    if place == "cache":
        target.parent.mkdir(parents=True)
        (published / file.path).unlink()
    target.write_bytes(pickle.dumps(Trap(mark)))
    if place == "mirror":
        monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(published))
    with pytest.raises(UserError):
        datasets.read_pickle_verified("v2-table")
    assert not mark.exists()
    # The trap does work, so the test would notice.
    pickle.loads(pickle.dumps(Trap(mark)))  # noqa: S301
    assert mark.exists()


def test_bytes_changed_between_check_and_reading(published, tmp_path, monkeypatch):
    mark = tmp_path / "executed"
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(published))
    target = published / datasets.lookup("v2-table").path
    assert datasets.read_pickle_verified("v2-table")["formE"].tolist() == [4.2]

    def fetch_then_swap(name):
        target.write_bytes(pickle.dumps(Trap(mark)))
        return target

    monkeypatch.setattr(datasets, "fetch", fetch_then_swap)
    with pytest.raises(UserError, match="sha256"):
        datasets.read_pickle_verified("v2-table")
    assert not mark.exists()
