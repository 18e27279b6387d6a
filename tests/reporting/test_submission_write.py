"""Submission folders, and the leaderboard made of them."""

import gzip
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matbench_repository import read_as_the_repository
from rich.console import Console

from matbench_segvae.benchmark import read_benchmark
from matbench_segvae.cli import main
from matbench_segvae.errors import UserError
from matbench_segvae.files import read_json
from matbench_segvae.reporting import (
    FoldScore,
    best_formula,
    print_leaderboard,
    rank,
    read_results,
    write_submissions,
)
from matbench_segvae.reporting.plots.parity import draw_parity
from matbench_segvae.running import RunOptions, run

EMBEDDED = "defects2d_xtb_mos2"
STEELS = "matbench_steels"
LEADERBOARD = Path(__file__).parents[2] / "leaderboard"


def submit(out, task, **options):
    report = run([task], ["dummy"], RunOptions(**options), out)
    return write_submissions(out, ["dummy"], report.tasks)[0]


def test_a_v01_submission_is_valid_in_the_repository_of_matbench(matminer_data, tmp_path):
    submission = submit(tmp_path, STEELS)
    assert submission.folder == tmp_path / "matbench_v0.1_dummy"
    assert sorted(path.name for path in submission.folder.iterdir() if path.is_file()) == [
        "info.json",
        "results.json.gz",
        "run.py",
    ]
    loaded = read_as_the_repository(submission.folder / "results.json.gz")
    assert loaded.is_recorded and loaded.is_valid
    assert loaded.scores[STEELS].mae.mean == pytest.approx(229.7445, abs=5e-5)
    assert loaded.tasks_map[STEELS].results.fold_0.parameters["seed"] == 0


def test_info_has_what_matbench_asks_for(tmp_path):
    info = json.loads((submit(tmp_path, EMBEDDED).folder / "info.json").read_text())
    assert set(info) == {
        "authors",
        "algorithm",
        "algorithm_long",
        "bibtex_refs",
        "notes",
        "requirements",
    }
    assert all(info.values())
    assert any(r.startswith("numpy==") for r in info["requirements"]["python"])
    assert any(r.startswith("matbench_segvae==") for r in info["requirements"]["python"])


def test_an_unfinished_task_is_not_submitted(tmp_path):
    submission = submit(tmp_path, EMBEDDED, folds=[0, 2])
    assert submission.tasks == ()
    assert submission.missing == {EMBEDDED: (1, 3, 4)}
    assert not (submission.folder / "results.json.gz").exists()
    assert submit(tmp_path, EMBEDDED).tasks == (EMBEDDED,)


def test_tasks_of_earlier_runs_stay_in_the_results(dft_data, tmp_path):
    submit(tmp_path, EMBEDDED)
    submission = submit(tmp_path, "defects2d_mos2_x2", seed=3)
    assert set(submission.tasks) == {EMBEDDED, "defects2d_mos2_x2"}
    assert read_benchmark(submission.folder / "results.json.gz").is_valid
    script = (submission.folder / "run.py").read_text()
    assert f"--task {EMBEDDED} --algorithm dummy --seed 0" in script
    assert "--task defects2d_mos2_x2 --algorithm dummy --seed 3" in script


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x1f\x8bxx", b'{"benchmark_name": "nope"}'])
def test_results_that_cannot_be_read_stop_a_run_before_it_begins(damage, tmp_path, capsys):
    results = submit(tmp_path, EMBEDDED).folder / "results.json.gz"
    results.write_bytes(damage)
    folds = results.parent / "folds"
    shutil.rmtree(folds)
    words = ["--task", EMBEDDED, "--algorithm", "dummy", "--out", str(tmp_path)]
    assert main(["run", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(results) in error and "it is kept as it is" in error
    assert results.read_bytes() == damage
    assert not folds.exists()


def test_results_of_another_benchmark_are_kept(tmp_path, capsys):
    results = submit(tmp_path, EMBEDDED).folder / "results.json.gz"
    other = LEADERBOARD / "matbench_v0.1_segvae" / "results.json.gz"
    results.write_bytes(other.read_bytes())
    assert main(["run", "--algorithm", "dummy", "--out", str(tmp_path)]) == 2
    assert "holds results of matbench_v0.1; it is kept as it is" in capsys.readouterr().err
    assert results.read_bytes() == other.read_bytes()


def test_the_same_results_give_the_same_bytes(tmp_path):
    folder = submit(tmp_path, EMBEDDED).folder
    before = (folder / "results.json.gz").read_bytes()
    assert before.startswith(b"\x1f\x8b")
    assert before[4:8] == bytes(4)  # no time
    time.sleep(1.1)  # Matbench writes the second into the content
    submit(tmp_path, EMBEDDED)
    assert (folder / "results.json.gz").read_bytes() == before


def test_the_script_makes_the_results_again(tmp_path):
    submission = submit(tmp_path / "first", EMBEDDED)
    again = tmp_path / "again"
    done = subprocess.run(
        [sys.executable, submission.folder / "run.py", again], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = (
        read_json(folder / "results.json.gz")["tasks"][EMBEDDED]["results"]
        for folder in (submission.folder, again / submission.folder.name)
    )
    assert first.keys() == second.keys() and len(first) == 5
    for fold in first:
        assert first[fold]["data"] == second[fold]["data"]
        assert first[fold]["scores"] == second[fold]["scores"]


def score(algorithm, fold, mae, formula=None, task="t"):
    params = {"seconds_fit": 2.0}
    if formula:
        params |= {"formula": formula, "complexity": len(formula)}
    return FoldScore(task, algorithm, fold, {"mae": mae, "max_error": 3 * mae}, params, {})


def board():
    folds = [score("net", fold, 0.02) for fold in range(3)]
    formulas = [(0.010, "a"), (0.015, "bb [x]"), (0.011, "ccc")]
    folds += [score("law", fold, *pair) for fold, pair in enumerate(formulas)]
    return rank(folds)


def test_rows_are_ranked_and_show_the_formula_closest_to_the_mean():
    law, net = board()["t"]
    assert (law.algorithm, net.algorithm) == ("law", "net")
    assert law.mean == pytest.approx(0.012)
    assert law.std == pytest.approx(0.00216, abs=1e-5)
    assert law.max_error == pytest.approx(0.045)
    assert (law.formula, law.formula_fold, law.complexity) == ("ccc", 2, 3)
    assert law.seconds == 2.0
    assert net.formula is None
    assert best_formula([net, law]) is law


def test_classifications_are_ranked_by_larger_roc_auc():
    scores = [
        FoldScore("t", name, 0, {"rocauc": v}, {}, {}) for name, v in [("a", 0.5), ("b", 0.9)]
    ]
    assert [row.algorithm for row in rank(scores)["t"]] == ["b", "a"]


@pytest.mark.parametrize("width", [40, 60, 120])
def test_the_table_is_readable_at_any_width(width, capsys):
    print_leaderboard(Console(width=width), board(), {"t": "eV"})
    text = capsys.readouterr().out
    assert "MAE in meV" in text
    assert "12.0 ± 2.2" in text and "20.0 ± 0.0" in text
    assert "ccc" in text
    assert max(map(len, text.splitlines())) <= width
    assert ("max error" in text) == (width >= 60)


def test_brackets_in_a_formula_are_printed(capsys):
    print_leaderboard(Console(width=80), rank([score("law", 0, 1.0, "exp[r] + [bold]")]), {})
    assert "exp[r] + [bold]" in capsys.readouterr().out


def test_reads_submissions_of_either_form_and_unfinished_ones(tmp_path):
    folder = submit(tmp_path / "a", EMBEDDED).folder
    packed = read_results(tmp_path / "a")
    assert len(packed) == 5
    assert read_results(folder) == packed
    results = folder / "results.json.gz"
    results.write_bytes(gzip.decompress(results.read_bytes()))
    assert read_results(tmp_path / "a") == packed
    submit(tmp_path / "b", EMBEDDED, folds=[1])
    assert [s.fold for s in read_results(tmp_path / "b")] == [1]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x1f\x8bxx", b'{"tasks": 3}'])
def test_damaged_results_are_named(tmp_path, content):
    (tmp_path / "results.json.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"results\.json\.gz"):
        read_results(tmp_path)


def test_a_folder_without_submission_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no submission in"):
        read_results(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        read_results(tmp_path / "missing")


def test_the_picture_is_the_same_for_the_same_results(tmp_path):
    run([EMBEDDED], ["dummy"], out=tmp_path)
    scores = read_results(tmp_path)
    first = draw_parity(scores, tmp_path / "a.svg").read_bytes()
    assert first == draw_parity(scores, tmp_path / "b.svg").read_bytes()
    assert b"<svg" in first
    assert draw_parity(scores, tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_is_an_error(tmp_path):
    run([EMBEDDED], ["dummy"], out=tmp_path)
    scores = read_results(tmp_path)
    with pytest.raises(UserError, match="has to end with"):
        draw_parity(scores, tmp_path / "a.bmp")
    with pytest.raises(UserError, match="cannot write"):
        draw_parity(scores, tmp_path / "missing" / "a.svg")
