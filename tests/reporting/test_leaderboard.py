"""The committed leaderboard: submissions that pass the check and state how they were made."""

import json
import math
from pathlib import Path

import pytest

from matbench_segvae.cli import main
from matbench_segvae.reporting import rank, read_results
from matbench_segvae.reporting.submission.check import check_submissions

LEADERBOARD = Path(__file__).parents[2] / "leaderboard"
FOLDERS = sorted(path for path in LEADERBOARD.iterdir() if path.is_dir())


def test_submissions_pass_the_check():
    assert FOLDERS
    assert check_submissions(FOLDERS) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_result_stands_next_to_the_command_that_makes_it(folder):
    script = (folder / "run.py").read_text(encoding="utf-8")
    for score in read_results(folder):
        assert f"--task {score.task} --algorithm {score.algorithm}" in script
        assert {"seed", "versions", "hardware", "seconds_fit"} <= score.params.keys()


def test_formulas_are_closer_than_graph_networks_where_both_are_committed():
    """The claim of the project, as far as the committed results bear it out."""
    board = rank(read_results(LEADERBOARD))
    compared = 0
    for task in ("defects2d_mos2_v3", "defects2d_mos2_transfer", "defects2d_xtb_mos2"):
        means = {row.algorithm: row.mean for row in board[task]}
        networks = {name for name in means if name.startswith("megnet")}
        assert all(means["segvae"] < means[name] for name in networks)
        compared += len(networks)
    assert compared >= 9


def test_names_out_of_the_files_of_others_are_no_markup(tmp_path, capsys):
    fold = {"scores": {"mae": 0.1}, "data": {"a": 0.5}, "parameters": {"unit": "[bold]eV"}}
    tasks = {"[red]task": {"results": {"fold_0": fold}}}
    content = {"benchmark_name": "own_tasks", "tasks": tasks}
    folder = tmp_path / "own_tasks_[blue]"
    folder.mkdir()
    (folder / "results.json.gz").write_text(json.dumps(content))
    assert main(["leaderboard", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "[red]task: MAE in [bold]eV" in out
    assert "[blue]" in out


def results_with(tmp_path, folds, task="task"):
    """A folder of one submission, each fold an update of a plain one."""
    plain = {"scores": {"mae": 0.1}, "data": {"a": 0.5}, "parameters": {}}
    content = {
        "benchmark_name": "own_tasks",
        "tasks": {task: {"results": {name: plain | new for name, new in folds.items()}}},
    }
    folder = tmp_path / "own_tasks_law"
    folder.mkdir()
    (folder / "results.json.gz").write_text(json.dumps(content))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"fold_0": {}, "0": {}}, "a fold is '0'"),
        ({"fold_-1": {}}, "a fold is 'fold_-1'"),
        ({"fold_0": {"data": {"a": "0.5"}}}, "a prediction is '0.5'"),
        ({"fold_0": {"data": {"a": math.nan}}}, "a prediction is 'nan'"),
        ({"fold_0": {"scores": {"mae": 1e308}}}, "a score is '1e+308'"),
        ({"fold_0": {}, "fold_1": {"scores": {}}}, "task fold 1 of 'law' has no score 'mae'"),
        ({"fold_0": {"scores": {"rmse": 1.0}}}, "task fold 0 of 'law' has no score 'mae' or"),
    ],
)
def test_results_that_cannot_be_ranked_are_one_error(tmp_path, capsys, folds, message):
    assert main(["leaderboard", results_with(tmp_path, folds)]) == 2
    assert message in capsys.readouterr().err


def test_costs_without_a_meaning_are_left_out(tmp_path, capsys):
    parameters = {"seconds_fit": 1e308, "median_error": 1e308, "seconds_predict": 1, "n_test": 1}
    huge = {"parameters": parameters | {"n_test": 10**400}}
    assert main(["leaderboard", results_with(tmp_path, {"fold_0": huge, "fold_1": huge})]) == 0
    assert "fit s/fold" not in capsys.readouterr().out


def test_classes_may_be_predicted_as_true_and_false(tmp_path):
    fold = {"scores": {"rocauc": 0.5}, "data": {"a": True, "b": 0.25}}
    (score,) = read_results(Path(results_with(tmp_path, {"fold_0": fold})))
    assert score.predictions == {"a": 1.0, "b": 0.25}


def test_an_unknown_sample_cannot_be_drawn(tmp_path, capsys):
    results = results_with(tmp_path, {"fold_0": {}}, task="defects2d_xtb_mos2")
    assert main(["leaderboard", results, "--plot", str(tmp_path / "p.svg")]) == 2
    assert "fold 0 of 'law' predicts samples such as 'a' that" in capsys.readouterr().err


def test_escapes_of_a_terminal_are_printed_as_text(tmp_path, capsys):
    escape = "\x1b]0;title\x07\x1b[31m\x9b"
    parameters = {"formula": f"K = 1{escape}; K = 2{escape}", "unit": escape, "device": escape}
    folds = {"fold_0": {"parameters": parameters}}
    results = results_with(tmp_path, folds, task=f"t{escape}")
    folder = tmp_path / "own_tasks_law"
    (folder / "info.json").write_text(json.dumps({"algorithm": f"a{escape}"}))
    assert main(["leaderboard", results]) == 0
    (folder / "results.json.gz").write_text(json.dumps({"benchmark_name": escape}))
    assert main(["submission", "check", str(folder)]) == 2
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert r"t\x1b]0;title" in out and r"K = 2\x1b]0" in out
