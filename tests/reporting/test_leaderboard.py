"""The committed leaderboard: submissions that pass the check and state how they were made."""

import json
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
