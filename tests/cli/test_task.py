"""Tasks of the user's own on the command line, from files to a checked submission."""

import json
from dataclasses import replace

import pytest
from pymatgen.io.vasp import Poscar

from matbench_segvae.benchmark import read_task, task_names, write_task
from matbench_segvae.cli import main


@pytest.fixture(autouse=True)
def wide(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)


def complaint(capsys):
    """The one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture
def files(own_task, tmp_path):
    """Thirty structures as files, their energies, groups and parts in a table."""
    folder = tmp_path / "structures"
    folder.mkdir()
    rows = ["file,energy,cell,part"]
    for number, structure in enumerate(own_task.structures):
        Poscar(structure).write_file(folder / f"{number:02d}.vasp")
        part = "train" if number < 20 else "test"
        rows.append(f"{number:02d}.vasp,{own_task.targets.iloc[number]:.9f},{number % 3},{part}")
    (tmp_path / "energies.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


NEW = ["task", "new", "my_task", "structures", "--energies", "energies.csv", "--out", "made"]


def test_from_files_to_a_checked_submission(files, own_task, capsys):
    assert main([*NEW, "--licence", "CC-BY-4.0"]) == 0
    out = capsys.readouterr().out
    assert "task my_task, 30 structures in MoS2, 5 folds" in out
    made = read_task(files / "made")
    assert made.targets.tolist() == pytest.approx(own_task.targets.tolist(), abs=1e-9)
    assert (
        main(["run", "--task", "my_task", "--algorithm", "dummy", "--algorithm", "pair_table"]) == 0
    )
    assert "submission: results/own_tasks_pair_table" in capsys.readouterr().out
    assert main(["leaderboard", "results", "--plot", "parity.svg"]) == 0
    assert "my_task: MAE in meV" in capsys.readouterr().out
    assert main(["submission", "check", "results/own_tasks_dummy"]) == 0
    assert (files / "parity.svg").stat().st_size > 0


def test_columns_make_the_folds(files, capsys):
    assert main([*NEW, "--group", "cell"]) == 0
    assert len(read_task(files / "made").folds) == 3
    assert main(["task", "remove", "my_task"]) == 0
    assert main([*NEW[:-1], "other", "--split", "part"]) == 0
    assert len(read_task(files / "other").folds["fold_0"]["test"]) == 10
    capsys.readouterr()
    assert main([*NEW[:-1], "third"]) == 2
    assert "already the name of your task" in complaint(capsys)
    assert not (files / "third").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["../x"], "'../x' cannot be the name of a task"),
        (["[red]"], "'[red]' cannot be the name of a task"),
        (["defects2d_xtb_mos2"], "built in"),
        (["my_task", "--per", "atom"], "--per 'atom'"),
        (["my_task", "--folds", "ten"], "--folds 'ten'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, message, files, capsys):
    before = sorted(files.iterdir())
    assert main(["task", "new", *words, *NEW[3:]]) == 2
    assert message in complaint(capsys)
    assert sorted(files.iterdir()) == before


def test_a_folder_of_somebody_else_is_added_listed_and_removed(own_task, tmp_path, capsys):
    write_task(own_task, tmp_path / "theirs")
    assert main(["task", "list"]) == 0
    assert "no task of your own" in capsys.readouterr().out
    assert main(["task", "add", "theirs"]) == 0
    for command in (["task", "list"], ["tasks"]):
        assert main(command) == 0
        assert "my_task" in capsys.readouterr().out
    assert main(["task", "remove", "my_task"]) == 0
    assert "stays" in capsys.readouterr().out
    assert "my_task" not in task_names()
    assert (tmp_path / "theirs" / "task.json").is_file()
    assert main(["task", "remove", "my_task"]) == 2
    assert "'my_task' is not one of your tasks" in complaint(capsys)
    assert main(["task", "add", "."]) == 2
    assert "is no folder of a task" in complaint(capsys)


def test_lists_survive_a_folder_that_is_gone(own_task, tmp_path, capsys):
    write_task(own_task, tmp_path / "mine")
    assert main(["task", "add", "mine"]) == 0
    (tmp_path / "mine").rename(tmp_path / "moved")
    for command in (["task", "list"], ["tasks"]):
        capsys.readouterr()
        assert main(command) == 0
        captured = capsys.readouterr()
        assert "is gone" in captured.err
        assert "defects2d_xtb_mos2" in captured.out or "my_task" in captured.out
    assert main(["run", "--task", "my_task", "--algorithm", "dummy"]) == 2
    assert "is gone" in complaint(capsys)
    assert main(["run", "--task", "moved", "--algorithm", "dummy", "--fold", "0"]) == 0


def test_results_can_be_read_where_the_task_is_not(own_task, tmp_path, capsys, monkeypatch):
    write_task(own_task, tmp_path / "mine")
    assert main(["run", "--task", "mine", "--algorithm", "dummy"]) == 0
    monkeypatch.setenv("MATBENCH_SEGVAE_TASKS", str(tmp_path / "nobody"))
    capsys.readouterr()
    assert main(["leaderboard", "results"]) == 0
    assert "my_task: MAE in meV" in capsys.readouterr().out
    assert main(["submission", "check", "results/own_tasks_dummy"]) == 2
    assert "task add FOLDER" in capsys.readouterr().out


def test_results_of_other_data_under_the_same_name_are_not_used(own_task, tmp_path, capsys):
    write_task(own_task, tmp_path / "mine")
    assert main(["run", "--task", "mine", "--algorithm", "dummy"]) == 0
    assert main(["task", "remove", "my_task"]) == 0
    write_task(replace(own_task, targets=own_task.targets * 2), tmp_path / "corrected")
    capsys.readouterr()
    assert main(["run", "--task", "corrected", "--algorithm", "dummy"]) == 0
    captured = capsys.readouterr()
    assert "made for other data" in captured.out + captured.err
    assert "already finished" not in captured.out


def test_a_submission_is_made_with_its_notebook(own_task, tmp_path, capsys):
    write_task(own_task, tmp_path / "mine")
    assert main(["run", "--task", "mine", "--algorithm", "dummy"]) == 0
    assert (
        main(["submission", "make", "results/own_tasks_dummy", "--out", "sub/own_tasks_dummy"]) == 0
    )
    notebook = json.loads((tmp_path / "sub/own_tasks_dummy/notebook.ipynb").read_text())
    assert any("read_benchmark" in "".join(cell["source"]) for cell in notebook["cells"])
    assert "--task my_task" in (tmp_path / "sub/own_tasks_dummy/run.py").read_text()
