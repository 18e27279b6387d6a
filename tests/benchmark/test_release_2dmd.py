"""A release in the layout of its authors becomes tasks; what does not fit is listed."""

import csv
import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import release_maker as maker

from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.benchmark import make_task
from matbench_segvae.benchmark.release_2dmd import REPORT, import_release
from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    Supercell,
    count_pairs,
    defects_on,
    sparse_defects,
)
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import parse
from matbench_segvae.fitting.joint_fit import fit_law

LOW = "low_density_defects/MoS2"
HIGH = {"BN": "hBN_spin_500", "GaSe": "GaSe_spin_500", "InSe": "InSe_spin_500", "P": "BP_spin_500",
        "WSe2": "WSe2_500"}  # fmt: skip
NAMES = {"BN": "hbn", "GaSe": "gase", "InSe": "inse", "P": "bp", "WSe2": "wse2"}


@pytest.fixture(autouse=True)
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("MATBENCH_SEGVAE_TASKS", str(tmp_path / "registry"))


def low_rows(mirror, n):
    """Rows of the low-density set of MoS2, from the compact table."""
    table = pd.read_csv(mirror / "2dmd" / "mos2_low" / "mos2_low_density_5933.csv.gz", nrows=n)
    supercell = Supercell(HOSTS["MoS2"], 8, 8)
    for row in table.to_dict("records"):
        occupants = {}
        for kind, *xyz in json.loads(row["defects"]):
            near = np.abs(supercell.coords - xyz)
            site = int(np.minimum(near, 1 - near).sum(axis=1).argmin())
            occupants[site] = None if kind.startswith("V_") else kind.partition("_")[0]
        cell = DefectiveCell(supercell, defects_on(supercell, occupants))
        formation, gap = row["dft_formation_energy"], row["dft_band_gap"]
        yield maker.Row(row["_id"], row["kinds"], cell, formation, gap)


def law(kind, r):
    """A law of pairs: a Yukawa repulsion or attraction by the kind of pair."""
    strength = 1.0 if kind.count("V_") == 1 else -0.6
    return strength * np.exp(-r / 3) / r


def small_release(path, n=12):
    """A release of one set: vacancies and carbon in h-BN."""
    supercell = Supercell(HOSTS["BN"], 8, 8)
    rows = []
    for number in range(n):
        occupants = {0: None, 64 + number: "C"}
        cell = DefectiveCell(supercell, defects_on(supercell, occupants))
        rows.append(maker.Row(f"id{number:02d}", "pair", cell, maker.planted(cell, law)))
    maker.write_set(path / "high_density_defects" / HIGH["BN"], rows)
    return rows


def reported(out):
    with (out / REPORT).open(newline="") as file:
        return {row["id"]: row["problem"] for row in csv.DictReader(file)}


@pytest.fixture
def release(tmp_path):
    small_release(tmp_path / "release")
    return tmp_path / "release"


def part_of(release):
    return release / "high_density_defects" / HIGH["BN"]


@pytest.mark.parametrize("packed", ["folder", "zip", "one folder down"])
def test_a_release_becomes_two_tasks(tmp_path, release, packed):
    path = release
    if packed == "zip":
        path = Path(shutil.make_archive(str(tmp_path / "2dmd"), "zip", tmp_path, "release"))
    elif packed == "one folder down":
        path = tmp_path
    (found,) = import_release(path, tmp_path / "out")
    assert found.tasks == ("defects2d_2dmd_hbn_high_energy", "defects2d_2dmd_hbn_high_gap")
    assert (found.structures, found.problems) == (12, ())
    task = make_task(found.tasks[0])
    task.load()
    assert task.df.index[0] == "id00"
    assert task.df["formation_energy_per_site"].iloc[3] == pytest.approx(
        small_law_energy(3), abs=1e-6
    )
    gaps = make_task(found.tasks[1])
    gaps.load()
    assert gaps.df["homo_lumo_gap"].tolist() == [1.0] * 12


def small_law_energy(number):
    supercell = Supercell(HOSTS["BN"], 8, 8)
    cell = DefectiveCell(supercell, defects_on(supercell, {0: None, 64 + number: "C"}))
    return maker.planted(cell, law) / 2


def test_importing_again_changes_nothing(tmp_path, release):
    import_release(release, tmp_path / "out")
    before = (tmp_path / "out" / "defects2d_2dmd_hbn_high_energy" / "SHA256SUMS").read_bytes()
    import_release(release, tmp_path / "out")
    after = (tmp_path / "out" / "defects2d_2dmd_hbn_high_energy" / "SHA256SUMS").read_bytes()
    assert before == after


def rewrite(path, change):
    """Change the text of a gzipped table."""
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))


def cif_texts(release):
    with tarfile.open(part_of(release) / "initial.tar.gz") as tar:
        return {m.name[:-4]: tar.extractfile(m).read().decode() for m in tar.getmembers()}


def break_structures(release, change):
    texts = cif_texts(release)
    change(texts)
    maker.write_structures(part_of(release) / "initial.tar.gz", texts)


def cut_short(texts):
    texts["id04"] = "\n".join(texts["id04"].rstrip().split("\n")[:-3]) + "\n"


def other_defect(texts):
    texts["id04"] = texts["id05"].replace("C  C", "S  S")


BROKEN = {
    "no CIF": (lambda r: break_structures(r, lambda t: t.pop("id04")), "no CIF file"),
    "CIF of no row": (
        lambda r: break_structures(r, lambda t: t.update(id99=t["id04"])), "in no table"),
    "CIF cut short": (lambda r: break_structures(r, cut_short), "formula"),
    "no CIF at all": (
        lambda r: break_structures(r, lambda t: t.update(id04="hello")), "atoms"),
    "another energy": (
        lambda r: rewrite(part_of(r) / "targets.csv.gz", lambda t: shifted(t, "id04")),
        "follows from its total energy"),
    "no energy": (
        lambda r: rewrite(part_of(r) / "defects.csv.gz", lambda t: emptied(t, "id04")),
        "no finite total energy"),
    "energy of words": (
        lambda r: rewrite(part_of(r) / "defects.csv.gz", lambda t: emptied(t, "id04", "many")),
        "no number"),
    "unknown descriptor": (
        lambda r: rewrite(part_of(r) / "defects.csv.gz", lambda t: t.replace("04,pair", "04,x")),
        "not in descriptors.csv"),
    "doubled row": (
        lambda r: rewrite(part_of(r) / "defects.csv.gz", lambda t: t + line_of(t, "id04")),
        "twice"),
    "row of no structure": (
        lambda r: rewrite(part_of(r) / "targets.csv.gz", lambda t: t + "id99,1,2\r\n"),
        "not in defects.csv.gz"),
}  # fmt: skip


def line_of(text, sample):
    return next(line for line in text.splitlines(keepends=True) if line.startswith(sample))


def shifted(text, sample):
    line = line_of(text, sample)
    name, total, per_site = line.strip().split(",")
    return text.replace(line, f"{name},{float(total) + 0.01},{per_site}\r\n")


def emptied(text, sample, value=""):
    line = line_of(text, sample)
    cells = line.strip().split(",")
    cells[2] = value
    return text.replace(line, ",".join(cells) + "\r\n")


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_fit_is_left_out_and_listed(tmp_path, release, what):
    spoil, complaint = BROKEN[what]
    spoil(release)
    (found,) = import_release(release, tmp_path / "out")
    assert len(found.problems) == 1
    problem = found.problems[0]
    assert complaint in problem.what
    assert reported(tmp_path / "out") == {problem.sample: problem.what}
    task = make_task(found.tasks[0])
    task.load()
    assert problem.sample not in task.df.index
    assert len(task.df) == found.structures == (12 if problem.sample == "id99" else 11)


def test_a_structure_with_other_defects_than_its_descriptor_is_left_out(tmp_path, release):
    rows = (part_of(release) / "descriptors.csv").read_text()
    (part_of(release) / "descriptors.csv").write_text(rows.replace("'to': 'C'", "'to': 'O'"))
    with pytest.raises(UserError, match=r"no structure of .* can be used"):
        import_release(release, tmp_path / "out")
    problems = reported(tmp_path / "out")
    assert "its structure has 1 C_N, 1 V_B, its descriptor 1 O_N, 1 V_B" in problems["id00"]


def test_members_outside_of_the_layout_are_not_read_and_nothing_is_written(tmp_path, release):
    path = Path(shutil.make_archive(str(tmp_path / "2dmd"), "zip", release))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.txt", "evil")
        archive.writestr("high_density_defects/../../evil.txt", "evil")
    before = set(tmp_path.parent.rglob("*evil*"))
    (found,) = import_release(path, tmp_path / "out")
    assert found.structures == 12
    assert set(tmp_path.parent.rglob("*evil*")) == before


def test_links_in_the_archive_of_structures_are_not_followed(tmp_path, release):
    with tarfile.open(part_of(release) / "initial.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("id00.cif")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(member)
    with pytest.raises(UserError, match=r"no structure of .* can be used"):
        import_release(release, tmp_path / "out")
    assert reported(tmp_path / "out")["id00"] == "it has no CIF file in initial.tar.gz"


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 nonsense", b"text"])
def test_what_is_no_release_is_refused(tmp_path, content):
    path = tmp_path / "2dmd.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"2dmd\.zip"):
        import_release(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no 2DMD release: it has no folder low_density_defects"):
        import_release(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["defects.csv.gz", "initial.tar.gz", "elements.csv"])
def test_a_damaged_file_is_named(tmp_path, release, name):
    (part_of(release) / name).write_bytes(b"\x1f\x8b\x08damaged")
    with pytest.raises(UserError, match="no structure of"):
        import_release(release, tmp_path / "out")
    assert name in reported(tmp_path / "out")[""]


def test_part_of_the_real_set_keeps_its_energies(tmp_path, mirror):
    rows = list(low_rows(mirror, 60))
    maker.write_set(tmp_path / "release" / LOW, rows)
    (found,) = import_release(tmp_path / "release", tmp_path / "out")
    assert (found.structures, found.problems) == (60, ())
    task = make_task("defects2d_2dmd_mos2_low_energy")
    task.load()
    for row in rows:
        expected = row.formation / len(row.cell.defects)
        assert task.df.loc[row.sample, "formation_energy_per_site"] == pytest.approx(expected)


def imported_task(tmp_path, mirror, host, n):
    """A task of structures as the recipe of a high-density set makes them, by a planted law."""
    recipe = (mirror / "2dmd" / "tables" / f"gen_{host}.yaml").read_text()
    rows = maker.random_rows(recipe, law, n)
    maker.write_set(tmp_path / "release" / "high_density_defects" / HIGH[host], rows)
    (found,) = import_release(tmp_path / "release", tmp_path / "out")
    assert (found.structures, found.problems) == (len(rows), ())
    task = make_task(f"defects2d_2dmd_{NAMES[host]}_high_energy")
    task.load()
    return task


def test_a_generated_set_is_read_right_and_one_formula_explains_it(tmp_path, mirror):
    task = imported_task(tmp_path, mirror, "BN", 12)
    cells = [sparse_defects(structure, [HOSTS["BN"]]) for structure in task.df["structure"]]
    table = count_pairs(cells)
    classes = zip(table.kind, table.distance, strict=True)
    values = np.array([law(str(table.pair_kinds[kind]), r) for kind, r in classes])
    vacancies = np.array([kind.startswith("V_") for kind in table.defect_kinds])
    planted = (table.composition @ (2.0 + 0.5 * vacancies) + table.counts @ values) / table.n_sites
    energies = task.df["formation_energy_per_site"].to_numpy()
    assert energies == pytest.approx(planted, abs=1e-6)
    problem = TrainingPairs(table, energies, (HOSTS["BN"],)).problem()
    formula = parse("exp(-r/2.5)/r", ["r"])
    assert fit_law(problem, [formula] * len(table.pair_kinds), ["r"]).mae < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("host", HIGH)
def test_the_search_finds_the_planted_law_of_every_host_again(tmp_path, mirror, host, fold_context):
    task = imported_task(tmp_path, mirror, host, 20)
    settings = PairLawSettings()
    short = replace(
        settings,
        search=replace(settings.search, epochs=5),
        many_body=False,
        extra_searches=0,
        combinations_fitted=3,
        candidates=2,
        bootstrap_samples=2,
    )
    algorithm = SEGVAEPairLaw(short)
    algorithm.fit(*task.get_train_and_val_data(0), fold_context())
    inputs, truth = task.get_test_data(0, include_target=True)
    errors = np.abs(algorithm.predict(inputs) - truth)
    assert errors.mean() < 0.15 * np.abs(truth - truth.mean()).mean()


@pytest.mark.slow
def test_all_low_density_structures_and_twenty_thousand_within_two_gigabytes(tmp_path, mirror):
    """In a process of its own, whose memory can be measured."""
    rows = list(low_rows(mirror, None))
    assert len(rows) == 5933
    copies = [replace(row, sample=f"{row.sample}{n}") for n in range(4) for row in rows][:20_000]
    maker.write_set(tmp_path / "release" / LOW, copies)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from matbench_segvae.benchmark.release_2dmd import import_release\n"
        "(found,) = import_release(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(found.structures, len(found.problems))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    arguments = [sys.executable, "-c", script, tmp_path / "release", tmp_path / "out"]
    shown = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
    assert shown[:2] == ["20000", "0"]
    assert int(shown[2]) < 2048  # MiB
