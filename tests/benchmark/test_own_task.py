"""A task of a user's own is a folder, and behaves like every other task."""

import copy
import gzip
import json
import pickle
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from matbench_segvae.benchmark import (
    OwnBenchmark,
    OwnMatbenchTask,
    benchmark_name_of,
    folds_of,
    load_task,
    make_benchmark,
    make_task,
    read_task,
    register_task,
    task_name_of,
    task_names,
    task_summary,
    write_task,
)
from matbench_segvae.benchmark.registered import registered_tasks, unregister
from matbench_segvae.errors import UserError


def changed(task, **changes):
    """The task with other samples or words; folds follow the ids."""
    if "structures" in changes and "folds" not in changes:
        changes["folds"] = folds_of(list(changes["structures"].index))
    return replace(task, **changes)


@pytest.fixture
def folder(own_task, tmp_path):
    write_task(own_task, tmp_path / "my_task")
    return tmp_path / "my_task"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The folder


def test_a_task_is_read_as_it_was_written(own_task, folder):
    again = read_task(folder)
    assert again.folds == own_task.folds
    assert list(again.targets.items()) == list(own_task.targets.items())
    assert again.card == own_task.card
    for sample, structure in own_task.structures.items():
        other = again.structures[sample]
        assert np.array_equal(other.frac_coords, structure.frac_coords)
        assert np.array_equal(other.lattice.matrix, structure.lattice.matrix)
        assert [str(s) for s in other.species] == [str(s) for s in structure.species]


def test_the_same_task_gives_the_same_bytes(own_task, folder, tmp_path):
    write_task(read_task(folder), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)
    write_task(own_task, folder)  # nothing to do
    assert contents(tmp_path / "again") == contents(folder)


def test_structures_are_json_that_pymatgen_reads(own_task, folder):
    lines = gzip.decompress((folder / "structures.jsonl.gz").read_bytes()).splitlines()
    content = json.loads(lines[3])
    found = Structure.from_str(content["structure"], fmt="json")
    assert found == own_task.structures[content["id"]]


def test_checksums_are_those_of_sha256sum(folder):
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": OK") == len(list(folder.iterdir())) - 1


def test_oxidation_states_and_site_properties_are_left_out(own_task, folder, tmp_path):
    structures = own_task.structures.copy()
    decorated = structures.iloc[0].copy()
    decorated.add_oxidation_state_by_element({"Mo": 4, "S": -2})
    decorated.add_site_property("magmom", [1.0] * len(decorated))
    structures.iloc[0] = decorated
    write_task(changed(own_task, structures=structures), tmp_path / "decorated")
    assert contents(tmp_path / "decorated") == contents(folder)


@pytest.mark.parametrize("name", ["structures.jsonl.gz", "samples.csv", "task.json"])
def test_a_changed_file_is_refused_by_name(name, folder):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    with pytest.raises(UserError, match=rf"{name}' was changed"):
        read_task(folder)
    path.unlink()
    with pytest.raises(UserError, match=rf"cannot read .*{name}"):
        read_task(folder)


def with_new_checksums(folder, name, change):
    """Edit a file and its checksum, as somebody who means it would."""
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    lines = subprocess.run(
        ["sha256sum", *sorted(p.name for p in folder.iterdir() if p.name != "SHA256SUMS")],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    (folder / "SHA256SUMS").write_bytes(lines.stdout)


def edited(old, new):
    return lambda content: content.replace(old, new, 1)


def lines_edited(change):
    return lambda content: gzip.compress(change(gzip.decompress(content)))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("task.json", edited(b'"format": 1', b'"format": 2'), "format 2"),
        ("task.json", edited(b'"my_task"', b'"../my_task"'), "cannot be the name of a task"),
        ("task.json", edited(b'"my_task"', b'"[red]x"'), "cannot be the name of a task"),
        ("task.json", edited(b'"unit": "eV"', b'"unit": "[red]"'), "unit"),
        ("task.json", edited(b'"hosts"', b'"guests"'), "hosts"),
        ("task.json", lambda content: b"[]", "no JSON object"),
        ("samples.csv", edited(b"id,", b"name,"), "has the columns name"),
        ("samples.csv", lambda content: content + b"x.cif,nan,,,,,\n", "line 32 is x.cif,nan"),
        ("samples.csv", lambda content: content + b"x.cif\n", "line 32 is x.cif"),
        ("samples.csv", lambda content: content + b"x.cif,1.0,,,,,\n", "different samples"),
        (
            "samples.csv",
            lambda content: content + content.splitlines()[1] + b"\n",
            "line 32 is defects2d-xtb-mos2-01.cif",
        ),
        ("samples.csv", edited(b",train", b",both"), "line 2 is .*both"),
        ("samples.csv", edited(b"fold_0", b"fold_7"), "name them fold_0"),
        ("structures.jsonl.gz", lambda content: content[:500], "damaged in line"),
        ("structures.jsonl.gz", lines_edited(edited(rb"\"Mo\"", rb"\"Mx\"")), "damaged in line 1"),
        (
            "structures.jsonl.gz",
            lines_edited(edited(rb"\"abc\": [", rb"\"abc\": [NaN, ")),
            "in line 1",
        ),
    ],
)
def test_a_damaged_folder_is_one_line(name, change, message, folder):
    with_new_checksums(folder, name, change)
    with pytest.raises(UserError, match="(?s)" + message.replace("[", r"\[")) as caught:
        read_task(folder)
    assert "\n" not in str(caught.value)


def test_no_class_is_loaded_that_a_file_names(folder):
    marked = edited(b"pymatgen.core.structure", b"antigravity")
    with_new_checksums(folder, "structures.jsonl.gz", lines_edited(marked))
    assert len(read_task(folder).structures) == 30
    import sys

    assert "antigravity" not in sys.modules


def test_a_folder_with_something_else_is_left_alone(own_task, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_task(own_task, other)  # an empty one is used
    before = contents(other)
    with pytest.raises(UserError, match="not the same task"):
        write_task(changed(own_task, description="another"), other)
    assert contents(other) == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="not the same task"):
        write_task(own_task, tmp_path / "notes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "other"]


def test_a_failure_in_the_middle_leaves_nothing(own_task, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matbench_segvae.benchmark.own_task.samples_text", fail)
    with pytest.raises(UserError, match="No space left"):
        write_task(own_task, tmp_path / "my_task")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_task_is_one_line(tmp_path):
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="is no folder of a task"):
            read_task(place)


# What can be a task


@pytest.mark.parametrize("name", ["../x", "[red]", "x y", "1st", "", "a" * 65, "x\n", "ä"])
def test_hostile_names_are_refused(name, own_task):
    with pytest.raises(UserError, match="cannot be the name of a task"):
        changed(own_task, name=name)


@pytest.mark.parametrize("name", ["defects2d_xtb_mos2", "matbench_steels", "Matbench_Steels"])
def test_names_of_other_tasks_are_refused(name, own_task):
    with pytest.raises(UserError, match="built in"):
        changed(own_task, name=name)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "a", "b", "c", "d"], "has the id 'a' twice"),
        (["a", "", "b", "c", "d"], "'' cannot be the id"),
        (["a", "b\n", "c", "d", "e"], "cannot be the id"),
        (["a", 1, "c", "d", "e"], "1 cannot be the id"),
    ],
)
def test_ids_are_different_and_printable(ids, message, own_task):
    structures = own_task.structures.iloc[:5].set_axis(ids)
    targets = own_task.targets.iloc[:5].set_axis(ids)
    with pytest.raises(UserError, match=message):
        replace(own_task, structures=structures, targets=targets)


def test_targets_are_finite_and_belong_to_the_structures(own_task):
    for value in (np.nan, np.inf):
        targets = own_task.targets.copy()
        targets.iloc[3] = value
        with pytest.raises(UserError, match=rf"'{targets.index[3]}' of my_task is not finite"):
            changed(own_task, targets=targets)
    with pytest.raises(UserError, match="different ids or order"):
        changed(own_task, targets=own_task.targets.iloc[::-1])
    with pytest.raises(UserError, match="no numbers"):
        changed(
            own_task, targets=own_task.targets.astype(object).replace(own_task.targets.iloc[0], "x")
        )


@pytest.mark.parametrize("target", ["structure", "id", "fold_0", "a b", "[red]"])
def test_the_target_is_named_as_no_other_column(target, own_task):
    with pytest.raises(UserError, match="cannot be a column's name"):
        changed(own_task, target=target)


def test_sites_have_one_element_each(own_task):
    structures = own_task.structures.copy()
    mixed = structures.iloc[1].copy()
    mixed.replace_species({"Mo": {"Mo": 0.5, "W": 0.5}})
    structures.iloc[1] = mixed
    with pytest.raises(UserError, match="every site needs one element"):
        changed(own_task, structures=structures)


# Folds


def test_shuffled_folds_are_those_of_every_task(xtb_task):
    ids = list(xtb_task.df.index)
    assert folds_of(ids) == {key: dict(fold) for key, fold in xtb_task.validation.items()}


def test_one_group_is_left_out_of_each_fold():
    table = pd.DataFrame({"cell": [4, 5, 4, 6.0]}, index=list("abcd"))
    assert folds_of(list("abcd"), table, group="cell") == {
        "fold_0": {"train": ["b", "d"], "test": ["a", "c"]},
        "fold_1": {"train": ["a", "c", "d"], "test": ["b"]},
        "fold_2": {"train": ["a", "b", "c"], "test": ["d"]},
    }


def test_a_column_says_train_or_test():
    table = pd.DataFrame({"part": ["Train", "test", None, "train "]}, index=list("abcd"))
    expected = {"fold_0": {"train": ["a", "d"], "test": ["b"]}}
    assert folds_of(list("abcd"), table, split="part") == expected


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        (["x", "x", "x"], "group", "has 1 group:"),
        (["x", None, "y"], "group", "has no group for 'b'"),
        (["train", "train", "train"], "split", "says test for no sample"),
        (["train", "test", "valid"], "split", "says 'valid' for 'c'"),
    ],
)
def test_columns_without_folds_are_refused(column, kind, message):
    table = pd.DataFrame({"part": column}, index=list("abc"))
    with pytest.raises(UserError, match=message):
        folds_of(list("abc"), table, **{kind: "part"})


def test_folds_need_samples_and_a_column_that_exists():
    table = pd.DataFrame({"part": ["x", "y"]}, index=list("ab"))
    with pytest.raises(UserError, match="4 samples are too few for 5 folds"):
        folds_of(list("abcd"))
    with pytest.raises(UserError, match="no column 'cell': choose from part"):
        folds_of(list("ab"), table, group="cell")
    with pytest.raises(UserError, match="no row for 'c'"):
        folds_of(list("abc"), table, group="part")
    with pytest.raises(UserError, match="choose one"):
        folds_of(list("ab"), table, group="part", split="part")


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({}, "named nothing"),
        ({"fold_0": {"train": ["x.cif"], "test": []}}, "others to test on"),
        ({"fold_0": {"train": ["nobody"], "test": ["FIRST"]}}, "does not: 'nobody'"),
        ({"fold_0": {"train": ["FIRST"], "test": ["FIRST"]}}, "twice"),
    ],
)
def test_folds_of_somebody_else_are_checked(folds, message, own_task):
    text = json.dumps(folds).replace("FIRST", own_task.structures.index[0])
    with pytest.raises(UserError, match=message):
        changed(own_task, folds=json.loads(text))


# The data card


def test_the_data_card_has_what_croissant_asks_for(own_task, tmp_path):
    words = {"description": "Vacancies.", "licence": "CC-BY-4.0", "citation": "Nobody et al."}
    write_task(changed(own_task, **words), tmp_path / "task")
    card = json.loads((tmp_path / "task" / "croissant.json").read_text())
    assert card["@type"] == "sc:Dataset"
    assert card["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (card["name"], card["license"], card["citeAs"]) == (
        "my_task",
        "CC-BY-4.0",
        "Nobody et al.",
    )
    listed = (tmp_path / "task" / "SHA256SUMS").read_text()
    for file in card["distribution"]:
        assert f"{file['sha256']}  {file['contentUrl']}\n" in listed
    fields = {field["name"] for field in card["recordSet"][1]["field"]}
    assert {"id", "structure", "formation_energy_per_site", "fold_0", "fold_4"} <= fields


# Registered, on Matbench's classes


@pytest.fixture
def registered(folder):
    assert register_task(folder) == "my_task"
    return make_task("my_task")


def test_a_registered_task_is_one_of_all(registered, own_task):
    assert task_names()[-1] == "my_task"
    assert isinstance(registered, OwnMatbenchTask)
    assert benchmark_name_of("my_task") == registered.benchmark_name == "own_tasks"
    summary = task_summary("my_task")
    assert (summary.n_samples, summary.unit, summary.source) == (30, "eV", "own")
    assert registered.hosts == own_task.hosts


def test_matbench_api(registered, own_task, tmp_path):
    task = registered
    load_task(task)
    for fold in task.folds:
        inputs, targets = task.get_train_and_val_data(fold)
        test = task.get_test_data(fold)
        assert list(inputs.index) == own_task.folds[f"fold_{fold}"]["train"]
        task.record(fold, [float(targets.mean())] * len(test))
    assert task.scores.mae.mean > 0
    task.to_file(tmp_path / "task.json")
    assert OwnMatbenchTask.from_file(tmp_path / "task.json").scores == task.scores
    for other in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):  # noqa: S301
        assert other.scores == task.scores
        assert other.hosts == task.hosts
    with pytest.raises(UserError, match="fold 9 of my_task does not exist"):
        task.get_test_data(9)
    bench = make_benchmark("own_tasks", ["my_task"])
    assert type(bench) is OwnBenchmark
    bench.tasks_map["my_task"] = task
    bench.to_file(tmp_path / "bench.json")
    assert OwnBenchmark.from_file(tmp_path / "bench.json").is_valid
    assert list(OwnBenchmark.from_preset(preset_name="structure").tasks_map) == ["my_task"]
    with pytest.raises(UserError, match="unknown preset"):
        OwnBenchmark.from_preset(preset_name="composition")


def test_a_folder_stands_for_its_task_and_is_registered(folder):
    assert task_name_of(str(folder)) == "my_task"
    assert registered_tasks() == {"my_task": folder}
    assert make_task(str(folder)).dataset_name == "my_task"


def test_two_folders_cannot_have_one_name(registered, own_task, folder, tmp_path):
    for name in ("my_task", "My_Task"):
        write_task(changed(own_task, name=name, description="other"), tmp_path / name / "second")
        with pytest.raises(UserError, match=r"already the name of your task.*task remove my_task"):
            register_task(tmp_path / name / "second")
    assert registered_tasks() == {"my_task": folder}
    register_task(folder)  # again


def test_a_missing_or_moved_folder_is_one_line(registered, folder, tmp_path):
    moved = folder.rename(tmp_path / "moved")
    for use in (make_task, task_summary):
        with pytest.raises(UserError, match=r"'my_task', .* is gone: .*task add FOLDER"):
            use("my_task")
    assert register_task(moved) == "my_task"
    assert make_task("my_task").folder == moved
    assert unregister("my_task") == moved
    assert "my_task" not in task_names()
    with pytest.raises(UserError, match="not one of your tasks"):
        unregister("my_task")


def test_a_folder_that_holds_another_task_now_is_refused(registered, own_task, folder):
    for path in folder.iterdir():
        path.unlink()
    write_task(changed(own_task, name="other"), folder)
    with pytest.raises(UserError, match="holds the task 'other' now"):
        make_task("my_task")


def test_data_that_are_replaced_under_a_task_are_not_loaded(registered, own_task, folder):
    for path in folder.iterdir():
        path.unlink()
    write_task(changed(own_task, targets=own_task.targets + 1), folder)
    with pytest.raises(UserError, match="was replaced"):
        load_task(registered)


def test_a_damaged_list_of_tasks_is_one_line(registered, tmp_path):
    (tmp_path / "user" / "tasks.json").write_text("{")
    with pytest.raises(UserError, match="cannot read the list of your tasks"):
        task_names()
