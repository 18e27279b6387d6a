"""The command line as a user meets it."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from matbench_segvae.algorithms import AlgorithmCard, registry
from matbench_segvae.cli import main
from matbench_segvae.running import FoldStore

TASK = "defects2d_xtb_mos2"


def complaint(capsys):
    """The one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(autouse=True)
def wide(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


def test_run_prints_the_table_and_writes_a_submission(capsys, tmp_path):
    assert main(["run", "--algorithm", "dummy"]) == 0
    out = capsys.readouterr().out
    assert f"[1/5] {TASK} fold 0: dummy  MAE" in out
    assert f"{TASK}: MAE in meV" in out
    assert "submission: results/defects2d_v0.1_dummy" in out
    assert "INFO" not in out and "Loading" not in out
    assert json.loads((tmp_path / "results/defects2d_v0.1_dummy/info.json").read_text())
    assert main(["run", "--algorithm", "dummy"]) == 0
    assert capsys.readouterr().out.count("already finished") == 5
    assert main(["leaderboard", "results"]) == 0
    assert f"{TASK}: MAE in meV" in capsys.readouterr().out


def test_a_partial_run_says_that_it_is_partial(capsys):
    assert main(["run", "--algorithm", "dummy", "--fold", "1", "--fold", "1"]) == 0
    out = capsys.readouterr().out
    assert "[1/1]" in out
    assert "not complete" in out and "fold 0, 2, 3, 4" in out
    assert "MAE in meV" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--task", "nope"], ["nope", TASK]),
        (["run", "--algorithm", "nope"], ["nope", "dummy", "megnet", "segvae"]),
        (["run", "--algorithm", "dummy", "--fold", "9"], ["no fold 9", "0, 1, 2, 3, 4"]),
        (["run", "--fold", "one"], ["--fold", "one"]),
        (["run", "--seed", "-1"], ["--seed"]),
        (["run", "--colour"], ["--colour"]),
        (["dance"], ["dance"]),
        (["leaderboard", "."], ["no submission"]),
        (["leaderboard", "missing"], ["missing"]),
        (["data", "fetch", "nope"], ["nope"]),
        (["data", "verify", "nope"], ["nope"]),
        (["data", "build", "nope"], ["nope", "xtb-mos2"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, capsys, tmp_path):
    assert main(arguments) == 2
    line = complaint(capsys)
    assert all(word in line for word in words)
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_mirror_is_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(tmp_path / "gone"))
    assert main(["run", "--task", "defects2d_mos2_v3", "--algorithm", "dummy"]) == 2
    assert "MATBENCH_SEGVAE_DATA" in complaint(capsys)
    assert list(tmp_path.iterdir()) == []


def test_another_seed_is_one_line_and_nothing_is_lost(capsys, tmp_path):
    main(["run", "--algorithm", "dummy", "--fold", "0"])
    capsys.readouterr()
    before = FoldStore(tmp_path / "results", "defects2d_v0.1", "dummy").load(TASK, 0)
    assert main(["run", "--algorithm", "dummy", "--seed", "1"]) == 2
    assert "--overwrite" in complaint(capsys)
    assert FoldStore(tmp_path / "results", "defects2d_v0.1", "dummy").load(TASK, 0) == before


def test_an_algorithm_without_inputs_fails_after_the_others_are_written(
    matminer_data, capsys, tmp_path
):
    arguments = ["run", "--task", "matbench_steels", "--algorithm", "megnet"]
    assert main([*arguments, "--algorithm", "dummy"]) == 2
    assert "megnet on matbench_steels: megnet needs structures" in complaint(capsys)
    assert (tmp_path / "results/matbench_v0.1_dummy/results.json.gz").is_file()


class Buggy:
    """A third party's algorithm that cannot be fitted."""

    card = AlgorithmCard("buggy", "Has a bug.", "A third party")

    def fit(self, inputs, targets, context):
        raise ValueError("operands could not\nbe broadcast")


def test_a_bug_of_a_third_party_is_one_line_after_the_others_are_written(
    monkeypatch, capsys, tmp_path
):
    real = registry.entry_points
    extra = EntryPoint("buggy", f"{__name__}:Buggy", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [*real(group=group), extra])
    assert main(["run", "--algorithm", "buggy", "--algorithm", "dummy"]) == 2
    line = complaint(capsys)
    assert line == (
        f"error: buggy on {TASK}, folds 0, 1, 2, 3, 4: ValueError: operands could not be "
        f"broadcast (traceback in results/defects2d_v0.1_buggy/errors/{TASK}-fold_0.txt)"
    )
    dummy = tmp_path / "results/defects2d_v0.1_dummy"
    assert (dummy / "results.json.gz").is_file()
    assert len(list((dummy / "folds").iterdir())) == 5
    # The run by default has no algorithm that the user named; a bug is an error there too.
    monkeypatch.setattr("matbench_segvae.cli.run.DEFAULT_ALGORITHMS", ("dummy", "buggy"))
    assert main(["run", "--fold", "2"]) == 2
    assert complaint(capsys).startswith(f"error: buggy on {TASK}, fold 2: ValueError: operands")


def test_lists(capsys):
    assert main(["tasks"]) == 0
    assert TASK in capsys.readouterr().out
    assert main(["algorithms"]) == 0
    out = capsys.readouterr().out
    assert "megnet" in out and "matbench_segvae" in out
    assert main(["data", "list"]) == 0
    assert "v3-table" in capsys.readouterr().out


def test_help_and_version(capsys):
    for arguments in [], ["--help"], ["data"], ["run", "--help"]:
        assert main(arguments) == 0
        assert "Usage" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("matbench-segvae 0.")


def test_the_installed_program_exits_with_2():
    done = subprocess.run(
        [sys.executable, "-m", "matbench_segvae.cli", "run", "--task", "nope"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert done.stdout == ""
