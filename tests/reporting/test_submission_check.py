"""Submissions: every rule broken once, and folders that pass."""

import gzip
import importlib.util
import json
import math
import shutil
import unittest
from importlib.metadata import distribution
from pathlib import Path

import pytest
from matbench.bench import MatbenchBenchmark
from matbench.util import hash_dictionary
from matbench_repository import read_as_the_repository

from matbench_segvae.cli import main
from matbench_segvae.files import read_json, write_json
from matbench_segvae.reporting import write_submissions
from matbench_segvae.reporting.submission.check import check_submissions
from matbench_segvae.running import run

EMBEDDED = "defects2d_xtb_mos2"
NAME = "defects2d_v0.1_dummy"
STEELS = "matbench_steels"
LEADERBOARD = Path(__file__).parents[2] / "leaderboard"


def submit(out, task, algorithm="dummy"):
    report = run([task], [algorithm], out=out)
    return write_submissions(out, [algorithm], report.tasks)[0].folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return submit(tmp_path_factory.mktemp("results"), EMBEDDED)


@pytest.fixture
def folder(finished, tmp_path):
    """A good submission to be broken."""
    return shutil.copytree(finished, tmp_path / NAME, ignore=shutil.ignore_patterns("folds"))


def change_info(folder, **changes):
    info = json.loads((folder / "info.json").read_text())
    for key, value in changes.items():
        if value is ...:
            del info[key]
        else:
            info[key] = value
    (folder / "info.json").write_text(json.dumps(info))


def change_results(folder, change, rehash=True):
    """Edit the results, as someone who knows how Matbench seals them."""
    path = folder / "results.json.gz"
    content = read_json(path)
    change(content)
    if rehash:
        del content["hash"]
        content["hash"] = hash_dictionary(content)
    write_json(path, content)


def lines(folder):
    return [str(violation) for violation in check_submissions([folder])]


def test_a_good_folder_passes(folder, capsys):
    assert lines(folder) == []
    assert main(["submission", "check", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: can be submitted\n"


def test_a_run_on_another_data_file_says_so(mirror, tmp_path, monkeypatch, capsys):
    """The mirror's file is rebuilt from an export: its bytes are not those of Matbench's."""
    monkeypatch.setenv("MATMINER_DATA", str(mirror / "matbench_v0.1"))
    out = tmp_path / "results"
    assert main(["run", "--task", STEELS, "--algorithm", "dummy", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "matbench_steels: the data are not Matbench's own (sha256 " in printed
    folder = out / "matbench_v0.1_dummy"
    fold = read_json(folder / "results.json.gz")["tasks"][STEELS]["results"]["fold_0"]
    assert fold["parameters"]["official"] is False
    assert len(fold["parameters"]["data_sha256"]) == 64
    assert main(["submission", "check", str(folder)]) == 0
    note, verdict = capsys.readouterr().out.splitlines()
    assert note.startswith(f"{folder}: note: matbench_steels was run on a data file that is not")
    assert verdict == f"{folder}: can be submitted"


INFO_RULES = [
    ({"authors": ...}, "'authors' is missing: it has to be the names"),
    ({"authors": ""}, "'authors' is empty"),
    ({"authors": 3}, "'authors' holds something else than texts"),
    ({"algorithm": ...}, "'algorithm' is missing"),
    ({"algorithm": "abc"}, "'algorithm' is 'abc', 3 characters: 5 to 15 are allowed"),
    ({"algorithm": ["dummy"]}, "'algorithm' is a list: it has to be a short name"),
    ({"algorithm_long": ""}, "'algorithm_long' is empty"),
    ({"algorithm_long": {}}, "'algorithm_long' is empty"),
    ({"algorithm_long": "a " * 1001}, "'algorithm_long' has 1001 words: up to 1000"),
    ({"bibtex_refs": []}, "'bibtex_refs' is empty"),
    ({"bibtex_refs": "Dunn et al."}, "'bibtex_refs' holds 'Dunn et al.': .* BibTeX"),
    ({"bibtex_refs": ["@article{a}", 1]}, "'bibtex_refs' holds something else than texts"),
    ({"notes": ...}, "'notes' is missing"),
    ({"notes": None}, "'notes' is nothing: it has to be a text"),
    ({"requirements": {}}, "'requirements' is empty"),
    ({"requirements": ["matbench==0.6"]}, "no list under 'python'"),
    ({"requirements": {"python": "matbench"}}, "no list under 'python'"),
    ({"requirements": {"python": ["numpy==2.1.0"]}}, "does not name matbench"),
    ({"requirements": {"python": ["matbench==0.6", 1]}}, "holds 1: requirements are texts"),
]


@pytest.mark.parametrize(("changes", "message"), INFO_RULES)
def test_every_rule_of_the_info_file(folder, changes, message):
    change_info(folder, **changes)
    (line,) = lines(folder)
    with pytest.raises(AssertionError, match=rf"info\.json: .*{message}"):
        raise AssertionError(line)


def test_what_is_allowed_in_the_info_file(folder):
    change_info(folder, notes="", authors=["A. Nonymous", "B. Nonymous"])
    change_info(folder, bibtex_refs="@Article{Dunn2020,\n doi = {x}}")
    assert lines(folder) == []


def no_fold(content):
    del content["tasks"][EMBEDDED]["results"]["fold_2"]


def no_sample(content):
    content["tasks"][EMBEDDED]["results"]["fold_1"]["data"].popitem()


def not_a_number(content):
    data = content["tasks"][EMBEDDED]["results"]["fold_3"]["data"]
    data[next(iter(data))] = math.nan


def no_score(content):
    del content["tasks"][EMBEDDED]["results"]["fold_0"]["scores"]["mae"]


def better_score(content):
    content["tasks"][EMBEDDED]["results"]["fold_0"]["scores"]["mae"] = 0.0


def other_benchmark(content):
    content["benchmark_name"] = "matbench_v9"


RESULTS_RULES = [
    (no_fold, True, "does not load it: .*all folds recorded"),
    (no_sample, True, "does not load it: .*required indices"),
    (not_a_number, True, f"{EMBEDDED} fold_3: 1 predictions are not finite"),
    (no_score, True, "does not load it: .*mae"),
    (better_score, False, "does not load it: .*[Hh]ash"),
    (lambda content: content["tasks"].clear(), True, "no task"),
    (other_benchmark, True, "benchmark is 'matbench_v9': it has to be defects2d_v0.1 or"),
]


@pytest.mark.parametrize(("change", "rehash", "message"), RESULTS_RULES)
def test_every_rule_of_the_results_file(folder, change, rehash, message):
    change_results(folder, change, rehash)
    (line,) = lines(folder)
    with pytest.raises(AssertionError, match=rf"results\.json\.gz: .*{message}"):
        raise AssertionError(line)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("info.json", "there is no info.json: it is required under this very name"),
        ("results.json.gz", "there is no results.json.gz"),
        ("run.py", "there is no source: at least one .py or .ipynb is required"),
    ],
)
def test_every_required_file(folder, name, message):
    (folder / name).unlink()
    (line,) = lines(folder)
    assert line.startswith(f"{folder}: {message}")


@pytest.mark.parametrize("name", ["info.json", "results.json.gz"])
def test_files_that_cannot_be_read(folder, name):
    (folder / name).write_text("[1")
    (line,) = lines(folder)
    assert line.startswith(f"{folder / name}: is not JSON")


def test_a_notebook_is_a_source_too(folder):
    (folder / "run.py").rename(folder / "model.ipynb")
    assert lines(folder) == []


def test_large_files_are_refused_wherever_they_are(folder):
    (folder / "model").mkdir()
    large = folder / "model" / "weights.bin"
    large.write_bytes(bytes(10_000_001))
    assert lines(folder) == [f"{large}: it has 10.0 MB: up to 10 MB are allowed"]
    large.write_bytes(bytes(10_000_000))
    assert lines(folder) == []


def test_checkpoints_of_notebooks_are_refused(folder):
    (folder / ".ipynb_checkpoints").mkdir()
    (line,) = lines(folder)
    assert line.startswith(f"{folder / '.ipynb_checkpoints'}: ")


def test_the_folder_has_to_be_named_after_its_benchmark(folder):
    (line,) = lines(folder.rename(folder.with_name("dummy")))
    assert "name has to be defects2d_v0.1_<algorithm> or matbench_v0.1_<algorithm>" in line
    (line,) = lines(folder.with_name("dummy").rename(folder.with_name("matbench_v0.1_dummy")))
    assert "its benchmark is defects2d_v0.1, but the folder is named for matbench_v0.1" in line


@pytest.mark.parametrize("name", ['defects2d_v0.1_a"); import os #', "defects2d_v0.1_a b", "x"])
def test_names_have_a_pattern(folder, name):
    (line,) = lines(folder.rename(folder.with_name(name)))
    assert "name has to be defects2d_v0.1_<algorithm> or" in line


@pytest.mark.parametrize("folder", sorted(LEADERBOARD.glob("*_v0.1_*")), ids=lambda f: f.name)
def test_committed_folders_are_accepted_as_they_are(folder):
    assert lines(folder) == []
    if folder.name.startswith("matbench_v0.1"):
        assert read_as_the_repository(folder / "results.json.gz").is_valid


def test_a_name_can_be_taken_once(folder):
    other = shutil.copytree(folder, folder.with_name("defects2d_v0.1_other"))
    (line,) = lines(folder)
    assert "'algorithm' is 'dummy' in defects2d_v0.1_other too" in line
    change_info(other, algorithm="other")
    # Another benchmark has another leaderboard.
    shutil.copytree(folder, folder.with_name("matbench_v0.1_dummy"))
    assert lines(folder) == []


def test_the_command_lists_every_violation_and_fails(folder, capsys):
    change_info(folder, authors="", notes=...)
    (folder / "run.py").unlink()
    missing = folder.with_name("nowhere")
    assert main(["submission", "check", str(folder), str(missing)]) == 2
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert printed[-1].startswith(f"{missing}: there is no such folder")


def the_checker(benchmarks, monkeypatch):
    """Matbench's own test of its folder of submissions, as its wheel brings it."""
    source = Path(distribution("matbench").locate_file("scripts/test_submission.py"))
    if not source.is_file():
        pytest.skip("this matbench comes without its test of submissions")
    # It looks for the folder `benchmarks` beside its own.
    copy = benchmarks.parent / "scripts" / source.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, copy)
    spec = importlib.util.spec_from_file_location("matbench_checker", copy)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The main branch reads gzip; the wheel still reads plain text.
    monkeypatch.setattr(MatbenchBenchmark, "from_file", staticmethod(read_as_the_repository))
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    assert result.testsRun == 2
    return result


def test_a_matbench_folder_passes_the_checker_unchanged(matminer_data, tmp_path, monkeypatch):
    folder = submit(tmp_path / "benchmarks", STEELS)
    assert lines(folder) == []
    assert the_checker(folder.parent, monkeypatch).wasSuccessful()
    loaded = read_as_the_repository(folder / "results.json.gz")
    assert loaded.is_valid
    assert loaded.scores[STEELS].mae.mean == pytest.approx(229.7445, abs=5e-5)
    change_info(folder, notes=...)
    assert len(lines(folder)) == 1
    assert not the_checker(folder.parent, monkeypatch).wasSuccessful()


def test_matbench_reads_gzip_only(matminer_data, tmp_path, monkeypatch):
    folder = submit(tmp_path / "benchmarks", STEELS)
    path = folder / "results.json.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    (line,) = lines(folder)
    assert "it is plain text, and Matbench's repository reads it with gzip" in line
    assert not the_checker(folder.parent, monkeypatch).wasSuccessful()
