"""The embedded data sets are what they say, and can be made again."""

import json
from collections import Counter

import numpy as np
import pytest

from matbench_segvae.benchmark import xtb, xtb_recipes
from matbench_segvae.benchmark.xtb_file import read_xtb_file, write_xtb_file
from matbench_segvae.benchmark.xtb_recipes import RECIPES
from matbench_segvae.defects import HOSTS, Supercell
from matbench_segvae.errors import UserError

MOS2, HBN = RECIPES["xtb-mos2"], RECIPES["xtb-hbn"]
TOLERANCE = 2e-4  # eV; symmetry-equivalent cells differ by up to 3e-5 eV


@pytest.fixture(scope="module")
def dataset():
    return read_xtb_file(MOS2.file)


def test_every_inequivalent_configuration_is_there(dataset):
    found = [(entry.kind, entry.sites) for entry in dataset.entries]
    assert found == MOS2.configurations()
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
    assert MOS2.file.stat().st_size < 20_000


def test_s8_is_a_crown(dataset):
    positions = np.array(dataset.references["s8_positions"])
    bonds = np.linalg.norm(positions - np.roll(positions, 1, axis=0), axis=1)
    assert np.allclose(bonds, bonds[0], atol=1e-3)
    assert 2.0 < bonds[0] < 2.1  # 2.05 Å measured


def test_three_random_entries_are_recomputed(dataset):
    pytest.importorskip("tblite", reason="the extra xtb is not installed")
    pytest.importorskip("ase", reason="the extra xtb is not installed")
    for index in np.random.default_rng(20261122).integers(len(dataset.entries), size=3):
        assert xtb.recompute("xtb-mos2", int(index)) == pytest.approx(
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

    def point(structure, settings):
        done.append(structure.composition.formula)
        return -10.0 * len(structure), 1.0

    for module in (xtb, xtb_recipes):
        monkeypatch.setattr(module, "single_point", point)
    monkeypatch.setattr(xtb_recipes, "relaxed_s8", lambda settings: (-80.0, [[0.0] * 3] * 8))
    monkeypatch.setattr(xtb, "chemistry", lambda: (None, None))
    monkeypatch.setattr(xtb, "version", lambda name: "1")
    return done


def test_build_resumes(toy, tmp_path):
    settings = xtb.XtbSettings(repeats=2)
    n = len(MOS2.configurations(settings))
    lines = []
    target = xtb.build(MOS2, tmp_path / "out", lines.append, settings)
    assert len(toy) == n + 1
    assert any(line.startswith(f"{n}/{n} V3_") for line in lines)
    content = target.read_bytes()
    assert len(read_xtb_file(target).entries) == n

    spoilt = tmp_path / "out" / "X1_4.json"
    spoilt.write_text("{")
    toy.clear()
    assert xtb.build(MOS2, tmp_path / "out", settings=settings).read_bytes() == content
    assert toy == ["Mo4 S7"]

    toy.clear()
    xtb.build(MOS2, tmp_path / "out", settings=xtb.XtbSettings(repeats=2, accuracy=1.0))
    assert len(toy) == n + 1, "other settings start afresh"
    assert json.loads(spoilt.read_text())["settings"]["accuracy"] == 1.0


def test_build_into_a_file_is_refused(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        xtb.build(MOS2, tmp_path / "file" / "out")


def test_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tblite.ase", None)
    with pytest.raises(UserError, match=r"needs the extra xtb, run .*matbench_segvae\[xtb\]"):
        xtb.build(MOS2, tmp_path)


def test_entries_that_do_not_exist():
    with pytest.raises(UserError, match="give 0 to 70"):
        xtb.recompute("xtb-mos2", 71)


@pytest.mark.parametrize("content", [None, b"", b"\x1f\x8b", b"{}"])
def test_unreadable_file(tmp_path, content):
    path = tmp_path / "xtb_mos2.json.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="data build xtb-mos2"):
        read_xtb_file(path)


@pytest.fixture(scope="module")
def hbn():
    return read_xtb_file(HBN.file)


def test_every_combination_of_up_to_three_defects_of_hbn_is_there(hbn):
    found = [(entry.kind, entry.sites) for entry in (*hbn.entries, *hbn.failures)]
    assert sorted(found) == sorted(HBN.configurations())
    assert len(HBN.families) == 4 + 10 + 20
    sizes = Counter(kind for kind, _ in found)
    assert sizes.keys() == HBN.families.keys()
    assert all(n == 1 for kind, n in sizes.items() if "+" not in kind)
    assert all(n == 30 for kind, n in sizes.items() if kind.count("+") == 2)


def test_formation_energies_of_hbn_follow_from_the_energies(hbn):
    mu = {x: hbn.references[f"mu_{x}"] for x in "BNC"}
    assert mu["N"] == hbn.references["n2_energy"] / 2
    assert mu["B"] + mu["N"] == pytest.approx(hbn.references["pristine_energy"] / 36)
    for entry in hbn.entries:
        kinds = entry.kind.split("+")
        exchanged = sum(mu[k[-1]] - (mu["C"] if k[0] == "C" else 0) for k in kinds)
        expected = entry.energy - hbn.references["pristine_energy"] + exchanged
        assert entry.formation_energy == pytest.approx(expected, abs=1e-7)
        assert entry.formation_energy_per_site == pytest.approx(expected / len(kinds), abs=1e-7)


def test_the_sample_of_triples_is_fixed_and_drawn_from_all(hbn):
    triples = [sites for kind, sites in HBN.configurations() if kind == "V_B+V_B+V_B"]
    assert len(triples) == len(set(triples)) == 30
    assert triples == [sites for kind, sites in HBN.configurations() if kind == "V_B+V_B+V_B"]
    assert max(max(sites) for sites in triples) > 20, "not only compact ones"


def test_an_entry_of_hbn_is_recomputed(hbn):
    pytest.importorskip("tblite", reason="the extra xtb is not installed")
    pytest.importorskip("ase", reason="the extra xtb is not installed")
    index = next(i for i, entry in enumerate(hbn.entries) if entry.kind == "C_B+V_N")
    assert xtb.recompute("xtb-hbn", index) == pytest.approx(
        hbn.entries[index].energy, abs=TOLERANCE
    )


def test_what_does_not_converge_is_listed(toy, tmp_path, monkeypatch):
    def point(structure, settings):
        if structure.composition.formula == "Mo4 S7":
            raise RuntimeError("SCF not converged in 250 cycles")
        return -10.0 * len(structure), 1.0

    monkeypatch.setattr(xtb, "single_point", point)
    settings = xtb.XtbSettings(repeats=2)
    lines = []
    dataset = read_xtb_file(xtb.build(MOS2, tmp_path / "out", lines.append, settings))
    (failure,) = dataset.failures
    assert (failure.kind, failure.message) == ("X1", "SCF not converged in 250 cycles")
    assert "X1" not in {entry.kind for entry in dataset.entries}
    assert any("SCF not converged" in line for line in lines)


def test_an_unknown_data_set_names_those_that_can_be_computed():
    with pytest.raises(UserError, match=r"unknown data set 'gold': .* xtb-mos2, xtb-hbn"):
        xtb.recipe_named("gold")
