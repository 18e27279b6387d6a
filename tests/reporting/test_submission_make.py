"""Submission folders made from the results of a run, notebook included."""

import json
import shutil
import sys

import pytest

from matbench_segvae.cli import main
from matbench_segvae.errors import UserError
from matbench_segvae.files import read_json, write_json
from matbench_segvae.reporting import rank, read_results, write_submissions
from matbench_segvae.reporting.submission import notebook as submission_notebook
from matbench_segvae.reporting.submission.check import check_submissions
from matbench_segvae.reporting.submission.make import make_submission
from matbench_segvae.running import run

EMBEDDED = "defects2d_xtb_mos2"
NAME = "defects2d_v0.1_pair_table"


def submit(out, task, algorithm):
    report = run([task], [algorithm], out=out)
    return write_submissions(out, [algorithm], report.tasks)[0].folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return submit(tmp_path_factory.mktemp("results"), EMBEDDED, "pair_table")


@pytest.fixture
def no_kernel(monkeypatch):
    """Make everything but the outputs of the notebook."""
    monkeypatch.setattr(
        "matbench_segvae.reporting.submission.make.executed_notebook", lambda *_: "{}"
    )


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("submissions") / NAME
    options = ["--out", str(folder), "--authors", "A. Nonymous"]
    assert main(["submission", "make", str(finished.parent), *options]) == 0
    return folder


def test_a_made_folder_can_be_submitted(made):
    assert check_submissions([made]) == []
    names = ["info.json", "notebook.ipynb", "results.json.gz", "run.py"]
    assert sorted(path.name for path in made.iterdir()) == names


def test_results_and_script_are_those_of_the_run(made, finished):
    for name in ("results.json.gz", "run.py"):
        assert (made / name).read_bytes() == (finished / name).read_bytes()


def test_info_names_authors_and_exact_versions(made, finished):
    info = json.loads((made / "info.json").read_text())
    assert info["authors"] == "A. Nonymous"
    content = read_json(finished / "results.json.gz")
    fold = content["tasks"][EMBEDDED]["results"]["fold_0"]
    versions = fold["parameters"]["versions"]
    expected = {f"{n}=={v.partition('+')[0]}" for n, v in versions.items() if n != "python"}
    assert set(info["requirements"]["python"]) == expected


def test_the_notebook_was_executed(made):
    text = (made / "notebook.ipynb").read_text()
    cells = json.loads(text)["cells"]
    assert cells[0]["source"][0].startswith("# A submission to defects2d_v0.1")
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not any(output["output_type"] == "error" for output in outputs)
    (row,) = rank(read_results(made))[EMBEDDED]
    assert "valid: True" in text and f"{row.mean:.4g}"[:6] in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "site-packages" not in text and str(made.parent) not in text


def test_folds_of_different_versions_are_reported(finished, no_kernel, tmp_path):
    source = shutil.copytree(finished, tmp_path / "a" / NAME)
    path = source / "results.json.gz"
    content = read_json(path)
    fold = content["tasks"][EMBEDDED]["results"]["fold_4"]
    fold["parameters"]["versions"]["scipy"] = "9.9+local"
    write_json(path, content)
    result = make_submission(source, tmp_path / "b" / NAME)
    assert "different versions of scipy" in result.warnings[0]
    assert "scipy==9.9" in (result.folder / "info.json").read_text()
    # The results were edited: the check says so.
    assert "ash" in result.violations[0].message


def test_a_folder_of_matbench_can_be_made(matminer_data, no_kernel, tmp_path):
    source = submit(tmp_path / "results", "matbench_steels", "dummy")
    result = make_submission(source, tmp_path / "matbench_v0.1_dummy")
    assert result.violations == ()


def test_the_notebook_of_any_benchmark_reads_what_is_written(matminer_data):
    info = {"algorithm": "dummy"}
    fold = {"parameters": {"formula": "x"}}
    tasks = {"matbench_steels": {"results": {"fold_0": fold}}}
    recorded = {"benchmark_name": "matbench_v0.1", "tasks": tasks}
    cells = submission_notebook._cells("dummy", info, recorded)
    code = "\n".join(text for kind, text in cells if kind == "code")
    assert 'read_benchmark("results.json.gz")' in code
    assert "['matbench_steels']" in code and "run_again('dummy')" in code
    compile(code, "notebook", "exec")


def test_nothing_of_info_is_rendered():
    info = {
        "algorithm": "x\n===",
        "algorithm_long": "<script>alert(1)</script> [a](javascript:x) $x$ ```` b",
        "notes": "",
        "bibtex_refs": ["@misc{x}\n```\n# heading"],
        "requirements": {"python": ["numpy"]},
    }
    text = submission_notebook._introduction("defects2d_v0.1", info)
    before, about, after = text.split("`````")
    assert before == "# A submission to defects2d_v0.1\n\n"
    assert about.startswith("\nx ===\n\n<script>") and about.endswith("```` b\n")
    assert after.startswith("\n\n## References")
    assert "````bibtex\n@misc{x}\n```\n# heading\n````" in text


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.pop("tasks"),
        lambda c: c.update(tasks=None),
        lambda c: c["tasks"].update({EMBEDDED: {}}),
        lambda c: c["tasks"][EMBEDDED].update(results=[1]),
        lambda c: c["tasks"][EMBEDDED]["results"].update(fold_0={"parameters": [1]}),
    ],
)
def test_results_of_another_shape_are_refused_in_one_line(
    finished, no_kernel, damage, tmp_path, capsys
):
    source = shutil.copytree(finished, tmp_path / "a" / NAME)
    content = read_json(source / "results.json.gz")
    damage(content)
    write_json(source / "results.json.gz", content)
    assert main(["submission", "make", str(source), "--out", str(tmp_path / NAME)]) == 2
    error = capsys.readouterr().err
    assert "no results of Matbench" in error and error.count("\n") == 1
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("wrong", [{"requirements": ["numpy"]}, {"authors": 3}, {"notes": None}])
def test_an_info_that_breaks_a_rule_is_refused(finished, no_kernel, wrong, tmp_path):
    source = shutil.copytree(finished, tmp_path / "a" / NAME)
    info = json.loads((source / "info.json").read_text())
    (source / "info.json").write_text(json.dumps(info | wrong))
    content = read_json(source / "results.json.gz")
    for fold in content["tasks"][EMBEDDED]["results"].values():
        fold["parameters"]["versions"] = {"numpy": 2}
    write_json(source / "results.json.gz", content)
    with pytest.raises(UserError, match=r"info\.json: '"):
        make_submission(source, tmp_path / NAME)


def test_targets_that_cannot_be_replaced_are_refused_first(finished, monkeypatch, tmp_path):
    file = tmp_path / "a" / NAME
    file.parent.mkdir()
    file.write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        make_submission(finished, file)
    inside = tmp_path / "b" / NAME
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    with pytest.raises(UserError, match="from another folder"):
        make_submission(finished, inside)


def test_a_link_to_a_folder_stays_a_link(finished, no_kernel, tmp_path):
    folder = tmp_path / "real" / NAME
    folder.mkdir(parents=True)
    link = tmp_path / NAME
    link.symlink_to(folder)
    make_submission(finished, link)
    assert link.is_symlink() and (folder / "results.json.gz").is_file()


def test_names_of_results_folders_are_never_code(finished, no_kernel, tmp_path):
    hostile = shutil.copytree(finished, tmp_path / 'defects2d_v0.1_x"); open("hacked", "w"); ("')
    with pytest.raises(UserError, match="cannot be a submission: its name has to be"):
        make_submission(hostile, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


def test_a_submission_is_replaced_whole_or_not_at_all(finished, no_kernel, monkeypatch, tmp_path):
    out = tmp_path / NAME
    make_submission(finished, out)
    (out / "mine.py").write_text("x = 1")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with monkeypatch.context() as broken:
        # The third file to be put there is missing.
        name = "matbench_segvae.reporting.submission.make._copy"
        broken.setattr(name, lambda files, folder: shutil.copy(files[0], folder))
        with pytest.raises(UserError, match=r"cannot write to .*No such file"):
            make_submission(finished, out, authors="Another")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    make_submission(finished, out, authors="Another")
    assert "Another" in (out / "info.json").read_text()
    assert (out / "mine.py").read_text() == "x = 1"


def test_only_data_at_hand_are_drawn(no_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path))
    small = ["matbench_steels", "matbench_jdft2d"]
    for name in (*small, "matbench_mp_gap"):
        (tmp_path / f"{name}.json.gz").touch()
    # The one in the middle is too large, the last one is not there.
    tasks = [small[0], "matbench_mp_gap", small[1], "matbench_phonons"]
    assert submission_notebook._drawn(tasks) == small
    assert submission_notebook._drawn([EMBEDDED, "defects2d_mos2_v3"]) == [EMBEDDED]


def test_a_missing_package_is_named(finished, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "nbclient", None)
    assert main(["submission", "make", str(finished), "--out", str(tmp_path / NAME)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: nbclient is not installed") and error.count("\n") == 1
    assert not (tmp_path / NAME).exists()


def test_a_cell_that_fails_is_reported_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(submission_notebook, "_cells", lambda *_: [("code", "1 / 0")])
    with pytest.raises(UserError, match="does not run: ZeroDivisionError: division by zero"):
        submission_notebook.executed_notebook("x", {}, {}, tmp_path)


def test_what_cannot_be_made(finished, no_kernel, tmp_path):
    with pytest.raises(UserError, match=r"its name has to be defects2d_v0\.1_<algorithm>"):
        make_submission(finished, tmp_path / "pair_table")
    with pytest.raises(UserError, match=r"is of defects2d_v0\.1, so 'matbench_v0\.1_x'"):
        make_submission(finished, tmp_path / "matbench_v0.1_x")
    with pytest.raises(UserError, match="there is no folder"):
        make_submission(tmp_path / "nowhere", tmp_path / NAME)
    (tmp_path / "results").mkdir()
    with pytest.raises(UserError, match="no finished results"):
        make_submission(tmp_path / "results", tmp_path / NAME)
    for name in (NAME, "defects2d_v0.1_other"):
        shutil.copytree(finished, tmp_path / "results" / name)
    with pytest.raises(UserError, match=f"several results: .*_other, {NAME}"):
        make_submission(tmp_path / "results", tmp_path / NAME)
    (tmp_path / "results" / NAME / "run.py").unlink()
    with pytest.raises(UserError, match=r"run\.py.*`matbench-segvae run` writes it"):
        make_submission(tmp_path / "results" / NAME, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()
