"""The embedded data set is what it says, and can be made again."""

import json
from collections import Counter

import numpy as np
import pytest

from matbench_segvae.benchmark import xtb
from matbench_segvae.benchmark.xtb_file import XTB_FILE, read_xtb_file, write_xtb_file
from matbench_segvae.defects import HOSTS, Supercell
from matbench_segvae.errors import UserError

TOLERANCE = 2e-4  # eV; symmetry-equivalent cells differ by up to 3e-5 eV


@pytest.fixture(scope="module")
def dataset():
    return read_xtb_file()


def test_every_inequivalent_configuration_is_there(dataset):
    found = [(entry.kind, entry.sites) for entry in dataset.entries]
    assert found == xtb.configurations()
    assert Counter(kind for kind, _ in found) == {"X1": 1, "V1": 1, "X2": 7, "V2": 5, "V3": 57}
    permutations = Supercell(HOSTS["MoS2"], 4, 4).permutations
    canonical = {
        min(map(tuple, np.sort(permutations[:, list(sites)], axis=1).tolist()))
        for _, sites in found
    }
    assert len(canonical) == 71


def test_formation_energies_follow_from_the_energies(dataset):
    references = dataset.references
    mu = {"Mo": references["mu_Mo"], "S": references["mu_S"]}
    assert mu["S"] == references["s8_energy"] / 8
    assert mu["Mo"] + 2 * mu["S"] == pytest.approx(references["pristine_energy"] / 16)
    elements = Supercell(HOSTS["MoS2"], 4, 4).elements
    for entry in dataset.entries:
        removed = sum(mu[elements[site]] for site in entry.sites)
        expected = entry.energy - references["pristine_energy"] + removed
        assert entry.formation_energy == pytest.approx(expected, abs=1e-7)
        per_site = entry.formation_energy / len(entry.sites)
        assert entry.formation_energy_per_site == pytest.approx(per_site, abs=1e-7)
        assert 0 < entry.gap < references["pristine_gap"]


def test_settings_are_told(dataset):
    settings = dataset.settings
    assert settings["method"] == "GFN1-xTB"
    for name in ("tblite", "ase", "accuracy", "electronic_temperature", "repeats", "host"):
        assert name in settings
    assert settings["host"]["a"] == HOSTS["MoS2"].a
    assert XTB_FILE.stat().st_size < 20_000


def test_s8_is_a_crown(dataset):
    positions = np.array(dataset.references["s8_positions"])
    bonds = np.linalg.norm(positions - np.roll(positions, 1, axis=0), axis=1)
    assert np.allclose(bonds, bonds[0], atol=1e-3)
    assert 2.0 < bonds[0] < 2.1  # 2.05 Å measured


def test_three_random_entries_are_recomputed(dataset):
    pytest.importorskip("tblite", reason="the extra xtb is not installed")
    pytest.importorskip("ase", reason="the extra xtb is not installed")
    for index in np.random.default_rng(20261122).integers(len(dataset.entries), size=3):
        assert xtb.recompute(int(index)) == pytest.approx(
            dataset.entries[index].energy, abs=TOLERANCE
        )


def test_writing_gives_the_same_bytes(dataset, tmp_path):
    write_xtb_file(dataset, tmp_path / "again.json.gz")
    assert read_xtb_file(tmp_path / "again.json.gz") == dataset
    assert (tmp_path / "again.json.gz").read_bytes()[4:8] == bytes(4), "no time stamp"


@pytest.fixture
def toy(monkeypatch):
    """Replace the calculations by a count of them; a 2 x 2 cell has few configurations."""
    done = []

    def point(sites, settings):
        done.append(sites)
        return -10.0 * (12 - len(sites)), 1.0

    monkeypatch.setattr(xtb, "single_point", point)
    monkeypatch.setattr(xtb, "relaxed_s8", lambda settings: (-80.0, [[0.0] * 3] * 8))
    monkeypatch.setattr(xtb, "chemistry", lambda: (None, None))
    monkeypatch.setattr(xtb, "version", lambda name: "1")
    return done


def test_build_resumes(toy, tmp_path):
    settings = xtb.XtbSettings(repeats=2)
    n = len(xtb.configurations(settings))
    lines = []
    target = xtb.build(tmp_path / "out", lines.append, settings)
    assert len(toy) == n + 1
    assert any(line.startswith(f"{n}/{n} V3_") for line in lines)
    content = target.read_bytes()
    assert len(read_xtb_file(target).entries) == n

    spoilt = tmp_path / "out" / "X1_4.json"
    spoilt.write_text("{")
    toy.clear()
    assert xtb.build(tmp_path / "out", settings=settings).read_bytes() == content
    assert toy == [(4,)]

    toy.clear()
    xtb.build(tmp_path / "out", settings=xtb.XtbSettings(repeats=2, accuracy=1.0))
    assert len(toy) == n + 1, "other settings start afresh"
    assert json.loads(spoilt.read_text())["settings"]["accuracy"] == 1.0


def test_build_into_a_file_is_refused(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        xtb.build(tmp_path / "file" / "out")


def test_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tblite.ase", None)
    with pytest.raises(UserError, match=r"needs the extra xtb, run .*matbench_segvae\[xtb\]"):
        xtb.build(tmp_path)


def test_entries_that_do_not_exist():
    with pytest.raises(UserError, match="give 0 to 70"):
        xtb.recompute(71)


@pytest.mark.parametrize("content", [None, b"", b"\x1f\x8b", b"{}"])
def test_unreadable_file(tmp_path, content):
    path = tmp_path / "xtb.json.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="data build xtb-mos2"):
        read_xtb_file(path)
