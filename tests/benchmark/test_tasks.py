"""Our tasks behave like Matbench's own, and a little more carefully."""

import copy
import gzip
import json
import logging
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matbench.bench import MatbenchBenchmark
from matbench.task import MatbenchTask
from pymatgen.core import Structure
from sklearn.model_selection import KFold

from matbench_segvae.benchmark import BENCHMARK_NAME, DefectBenchmark, DefectTask, folds
from matbench_segvae.defects import HOSTS, sparse_defects
from matbench_segvae.errors import UserError

XTB = "defects2d_xtb_mos2"
HBN = "defects2d_xtb_hbn"
LOW = "defects2d_mos2_low"
LOW_TRANSFER = "defects2d_mos2_low_transfer"
LOW_FAMILIES = "defects2d_mos2_low_families"
GAP = "defects2d_mos2_low_gap"
HOMO = "defects2d_mos2_low_homo"
TESTED = {"defects2d_mos2_transfer": 743, LOW_TRANSFER: 5802}  # all samples of other tasks
SIZES = {
    "defects2d_mos2_v3": 743,
    "defects2d_mos2_v2": 15,
    "defects2d_mos2_x2": 19,
    "defects2d_mos2_transfer": 779,
    LOW: 5933,
    LOW_TRANSFER: 5933,
    LOW_FAMILIES: 5802,
    GAP: 5933,
    HOMO: 5933,
    XTB: 71,
    HBN: 682,
}

FIRST_TEST_IDS = ["defects2d-mos2-v3-005", "defects2d-mos2-v3-007", "defects2d-mos2-v3-009"]
LAST_XTB_ID = "defects2d-xtb-mos2-67"
LAST_HBN_ID = "defects2d-xtb-hbn-675"


@pytest.fixture
def task():
    return DefectTask(XTB)


def defects_in(structure):
    return sparse_defects(structure, [HOSTS["MoS2"]]).defects


def record_all(task, **kwargs):
    for fold in task.folds:
        _, outputs = task.get_train_and_val_data(fold)
        n = len(task.get_test_data(fold))
        task.record(fold, np.full(n, outputs.mean()), params={"mean": outputs.mean()}, **kwargs)


@pytest.fixture
def recorded(task):
    record_all(task)
    return task


@pytest.fixture
def benchmark():
    bench = DefectBenchmark(subset=[XTB], autoload=True)
    record_all(bench.defects2d_xtb_mos2)
    bench.add_metadata({"algorithm": "mean", "numbers": [1, 2]})
    return bench


def refused(maker, path, match):
    with pytest.raises(UserError, match=match) as caught:
        maker.from_file(path)
    assert "\n" not in str(caught.value)


# Folds and ids.


def test_committed_folds_are_matbenchs_kfold():
    assert set(folds.committed_splits()) == set(SIZES)
    for name, n in SIZES.items():
        if name in TESTED or name == LOW_FAMILIES:
            continue
        prefix = name.replace("_", "-")
        ids = np.array([f"{prefix}-{i + 1:0{len(str(n))}d}" for i in range(n)])
        kfold = KFold(n_splits=5, shuffle=True, random_state=18012019)
        for number, (train, test) in enumerate(kfold.split(ids)):
            fold = folds.committed_splits()[name][f"fold_{number}"]
            assert fold == {"train": ids[train].tolist(), "test": ids[test].tolist()}


def test_committed_folds_have_not_changed():
    """Written out once: nothing may change folds within a version of the benchmark."""
    first = folds.committed_splits()["defects2d_mos2_v3"]["fold_0"]["test"]
    assert len(first) == 149
    assert first[:3] == FIRST_TEST_IDS
    assert folds.committed_splits()[XTB]["fold_4"]["test"][-1] == LAST_XTB_ID
    assert folds.committed_splits()[HBN]["fold_4"]["test"][-1] == LAST_HBN_ID
    low = folds.committed_splits()[LOW]["fold_0"]["test"]
    assert (len(low), low[0], low[-1]) == (
        1187,
        "defects2d-mos2-low-0003",
        "defects2d-mos2-low-5924",
    )
    families = folds.committed_splits()[LOW_FAMILIES].values()
    assert [len(fold["test"]) for fold in families] == [743, 743, 1415, 1415, 743, 743]


def test_every_id_is_tested_once():
    for name, n in SIZES.items():
        splits = folds.committed_splits()[name].values()
        tested = [label for fold in splits for label in fold["test"]]
        everything = {label for fold in splits for label in (*fold["train"], *fold["test"])}
        assert len(tested) == len(set(tested))
        assert len(everything) == n
        assert all(not set(fold["train"]) & set(fold["test"]) for fold in splits)
        assert len(tested) == TESTED.get(name, n)


def test_committed_files_can_be_made_again(dft_data, tmp_path):
    folds.write_committed(tmp_path)
    for path in (folds.VALIDATION_FILE, folds.METADATA_FILE):
        assert json.loads((tmp_path / path.name).read_text()) == json.loads(path.read_text())


def test_transfer_trains_on_singles_and_pairs(dft_data):
    task = DefectTask("defects2d_mos2_transfer")
    inputs, outputs = task.get_train_and_val_data(0)
    assert task.folds == [0]
    assert len(inputs) == 36
    vacancies = [192 - len(structure) for structure in inputs]
    assert vacancies == [1, 1] + [2] * 34
    assert outputs.iloc[0] == pytest.approx(7.12148, abs=1e-5)
    tested = task.get_test_data(0)
    assert len(tested) == 743
    assert {len(structure) for structure in tested} == {189}


def test_the_whole_set_trains_on_singles_and_pairs_to_predict_triples(dft_data):
    task = DefectTask(LOW_TRANSFER)
    inputs, _ = task.get_train_and_val_data(0)
    tested = task.get_test_data(0)
    assert task.folds == [0] and (len(inputs), len(tested)) == (131, 5802)
    assert {len(defects_in(structure)) for structure in inputs} == {1, 2}
    assert {len(defects_in(structure)) for structure in tested.iloc[::97]} == {3}


def test_every_fold_of_families_leaves_out_one_family_of_triples(dft_data):
    task = DefectTask(LOW_FAMILIES)
    formulas = task.df["structure"].map(lambda structure: structure.composition.formula)
    left_out = []
    for fold in task.folds:
        inputs, tested = task.get_train_and_val_data(fold)[0], task.get_test_data(fold)
        (family,) = set(formulas[tested.index])
        assert family not in set(formulas[inputs.index])
        assert len(inputs) + len(tested) == 5802
        left_out.append(family)
    assert len(set(left_out)) == 6


def test_levels_of_training_structures_come_with_the_gap_and_those_of_test_parts_never(dft_data):
    task = DefectTask(GAP)
    inputs, gaps = task.get_train_and_val_data(3)
    levels = task.training_properties(3)
    assert set(levels.columns) == {"homo", "lumo"} and levels.index.equals(inputs.index)
    np.testing.assert_allclose(levels["lumo"] - levels["homo"], gaps, atol=1e-6)
    assert not set(levels.index) & set(task.get_test_data(3).index)
    assert list(task.get_test_data(3, as_type="df")) == ["structure"]
    assert list(task.get_test_data(3, as_type="df", include_target=True)) == [
        "structure",
        "band_gap",
    ]
    assert list(task.df) == ["structure", "band_gap"]
    with pytest.raises(UserError, match="fold 5"):
        task.training_properties(5)


def test_other_tasks_have_no_further_properties(task, dft_data):
    assert task.training_properties(0) is None
    assert DefectTask(HOMO).training_properties(0) is None
    assert DefectTask(LOW_FAMILIES).training_properties(0) is None
    with pytest.raises(ValueError, match="not loaded"):
        DefectTask(GAP, autoload=False).training_properties(0)


# The Matbench API.


def test_metadata_and_info(task):
    metadata = task.metadata
    assert (metadata.target, metadata.unit) == ("formation_energy_per_site", "eV")
    assert (metadata.task_type, metadata.input_type) == ("regression", "structure")
    assert metadata.n_samples == len(task.df) == 71
    deviation = (task.df[metadata.target] - task.df[metadata.target].mean()).abs().mean()
    assert metadata.mad == pytest.approx(deviation)
    assert metadata.bibtex_refs
    assert "GFN1" in task.info
    assert "DefectTask(" in repr(task)


def test_data_of_a_fold(task):
    inputs, outputs = task.get_train_and_val_data(0)
    assert isinstance(inputs.iloc[0], Structure)
    assert outputs.index.equals(inputs.index)
    assert outputs.index.name == "mbid"
    assert task.get_train_and_val_data(0, as_type="df").shape == (56, 2)
    assert task.get_test_data(0, as_type="df").shape == (15, 1)
    tested, truth = task.get_test_data(0, include_target=True)
    assert len(tested) == len(truth) == 15
    assert task.df.index[0] == "defects2d-xtb-mos2-01"


def test_record_score_and_validate(recorded):
    assert recorded.is_recorded == dict.fromkeys(range(5), True)
    before = copy.deepcopy(recorded.as_dict())
    recorded.validate()
    assert recorded.as_dict() == before, "validation leaves the results alone"
    truth = recorded.df.loc[recorded.validation.fold_0.test, recorded.metadata.target]
    predicted = recorded.results.fold_0.parameters["mean"]
    assert recorded.results.fold_0.scores.mae == pytest.approx((truth - predicted).abs().mean())
    assert set(recorded.scores) == {"mae", "rmse", "mape", "max_error"}


def test_uncertainty_survives_validation_and_file(task, tmp_path):
    for fold in task.folds:
        n = len(task.get_test_data(fold))
        task.record(fold, np.ones(n), std=np.full(n, 0.1))
    task.validate()
    task.to_file(tmp_path / "task.json")
    again = DefectTask.from_file(tmp_path / "task.json")
    assert len(again.results.fold_0.uncertainty) == 15


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda x: np.array(x, dtype=np.float32)])
def test_predictions_of_any_kind(task, kind):
    task.record(0, kind([1.0] * 15))
    assert all(type(value) is float for value in task.results.fold_0.data.values())


def test_predictions_in_another_order_find_their_samples(task):
    truth = task.get_test_data(0, include_target=True)[1]
    shuffled = truth.sample(frac=1, random_state=1)
    deviations = pd.Series(np.arange(15.0), truth.index).loc[shuffled.index]
    task.record(0, shuffled, std=deviations)
    assert task.results.fold_0.scores.mae == 0
    recorded = [one["std"] for one in task.results.fold_0.uncertainty.values()]
    assert recorded == list(range(15))
    exact = task.results.fold_0.uncertainty[truth.index[0]]
    assert exact["ci_lower"] == exact["ci_upper"] == truth.iloc[0]


def test_predictions_without_ids_are_taken_as_they_stand(task):
    truth = task.get_test_data(0, include_target=True)[1]
    task.record(0, truth.reset_index(drop=True), ci=np.column_stack([truth - 1, truth + 1]))
    assert task.results.fold_0.scores.mae == 0
    first = task.results.fold_0.uncertainty[truth.index[0]]
    assert (first["ci_lower"], first["ci_upper"]) == (truth.iloc[0] - 1, truth.iloc[0] + 1)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"predictions": pd.Series(1.0, [f"z{i}" for i in range(15)])}, "'z0' is none of the test"),
        ({"predictions": np.ma.masked_array(np.ones(15), [1] + [0] * 14)}, "1 of 15 .* masked"),
        ({"predictions": np.ones(15) + 1j}, "complex"),
        ({"predictions": []}, "same length"),
        ({"std": np.full(15, np.nan)}, "15 of 15 standard deviations .* not finite"),
        ({"std": [-1.0] * 15}, "is -1: none may be below 0"),
        ({"std": [0.1] * 14}, "14 standard deviations .* for 15 samples"),
        ({"std": ["wide"] * 15}, "no numbers"),
        ({"ci": np.ones((15, 3))}, r"the shape \(15, 3\): give 2"),
        ({"ci": [(1.0, 0.5)] * 15}, "1 to 0.5: the lower end comes first"),
        ({"ci": [(0.0, np.inf)] * 15}, "15 of 15 intervals .* not finite"),
        ({"ci": [(0.0, 1.0)] * 16}, "16 intervals .* for 15 samples"),
    ],
)
def test_values_that_cannot_be_recorded_are_refused(task, values, match):
    with pytest.raises(ValueError, match=match):
        task.record(0, **{"predictions": [1.0] * 15, **values})
    assert not any(task.is_recorded.values())


def test_predictions_of_some_samples_twice_or_missing_are_refused(task):
    truth = task.get_test_data(0, include_target=True)[1]
    with pytest.raises(UserError, match="twice"):
        task.record(0, pd.concat([truth, truth.iloc[:1]]))
    with pytest.raises(UserError, match="lack 2 samples"):
        task.record(0, truth.iloc[2:])


def test_what_is_done_to_structures_stays_out_of_other_folds(task):
    inputs, targets = task.get_train_and_val_data(0)
    first = inputs.index[0]
    before = inputs[first].copy()
    inputs[first].remove_sites([0])
    inputs[first].translate_sites([0], [0.5, 0, 0])
    targets[first] = -1.0
    for fold in (0, 1, 2):
        again, others = task.get_train_and_val_data(fold)
        if first in again.index:
            assert again[first] == before
            assert others[first] != -1.0


def test_bad_records_leave_nothing_behind(task):
    attempts = [
        (7, [1.0] * 15, UserError, "fold 7 of defects2d_xtb_mos2 does not exist: .* 0, 1, 2, 3, 4"),
        (0, [1.0] * 14, ValueError, "same length"),
        (0, [1.0] * 14 + [float("nan")], UserError, "1 of 15 predictions .* not finite"),
        (0, ["one"] * 15, UserError, "no numbers"),
    ]
    for fold, predictions, error, match in attempts:
        with pytest.raises(error, match=match):
            task.record(fold, predictions)
    unloaded = DefectTask(XTB, autoload=False)
    with pytest.raises(ValueError, match="not loaded"):
        unloaded.record(0, [1.0] * 15)
    assert not any(task.is_recorded.values())
    assert not any(unloaded.is_recorded.values())


def test_folds_that_do_not_exist(task):
    for read in (task.get_test_data, task.get_train_and_val_data):
        with pytest.raises(UserError, match="fold -1"):
            read(-1)


def test_incomplete_results_are_not_valid(task):
    task.record(0, [1.0] * 15)
    with pytest.raises(ValueError, match="not recorded"):
        task.validate()
    with pytest.raises(ValueError, match="not recorded"):
        _ = task.scores


def test_unknown_names():
    with pytest.raises(UserError, match="unknown tasks 'defects2d'"):
        DefectTask("defects2d")
    with pytest.raises(UserError, match="matbench_jdft2d"):
        DefectBenchmark(subset=["matbench_jdft2d"])
    for maker in (lambda b: DefectTask(XTB, benchmark=b), lambda b: DefectBenchmark(b)):
        with pytest.raises(UserError, match=r"'matbench_v0\.1' is not 'defects2d_v0\.1'"):
            maker("matbench_v0.1")


def through_pickle(instance):
    return pickle.loads(pickle.dumps(instance))  # noqa: S301


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, through_pickle])
def test_instances_copy_and_pickle(recorded, benchmark, duplicate):
    other = duplicate(recorded)
    assert other.as_dict() == recorded.as_dict()
    assert other.metadata.target == "formation_energy_per_site"
    assert other.df.index.equals(recorded.df.index)
    other.validate()
    bench = duplicate(benchmark)
    assert bench.is_valid
    assert bench.scores == benchmark.scores
    assert bench.defects2d_xtb_mos2.metadata.unit == "eV"
    assert bench.user_metadata == benchmark.user_metadata


def test_copies_are_independent(task):
    other = copy.deepcopy(task)
    other.record(0, [1.0] * 15)
    assert not task.is_recorded[0]


# The benchmark.


@pytest.mark.parametrize(
    ("preset", "n"), [("all", 11), ("structure", 11), ("regression", 11), ("dft", 9), ("xtb", 2)]
)
def test_presets(preset, n):
    bench = DefectBenchmark.from_preset(BENCHMARK_NAME, preset)
    assert len(bench.tasks_map) == n
    assert bench.is_complete == (n == 11)
    assert not bench.is_recorded


def test_empty_and_unknown_presets():
    for preset in ("composition", "classification"):
        with pytest.raises(UserError, match=f"no task in preset '{preset}'"):
            DefectBenchmark.from_preset(BENCHMARK_NAME, preset)
    with pytest.raises(UserError, match=r"unknown preset 'alloys'.*xtb"):
        DefectBenchmark.from_preset(BENCHMARK_NAME, "alloys")
    with pytest.raises(UserError, match="is not 'defects2d"):
        DefectBenchmark.from_preset("matbench_v0.1", "all")


def test_the_way_of_matbenchs_tutorial():
    bench = DefectBenchmark.from_preset("defects2d_v0.1", "xtb", autoload=False)
    for task in bench.tasks:
        task.load()
        for fold in task.folds:
            _, outputs = task.get_train_and_val_data(fold)
            inputs = task.get_test_data(fold, include_target=False)
            task.record(fold, [outputs.mean()] * len(inputs))
    assert bench.is_recorded
    assert bench.is_valid
    assert bench.scores.defects2d_xtb_mos2.mae.mean > 0
    assert "recorded: True" in bench.info
    assert bench.is_structure_complete is False


def test_attributes_that_are_no_tasks(benchmark):
    with pytest.raises(AttributeError, match="no attribute or task 'defects2d_mos2_v3'"):
        _ = benchmark.defects2d_mos2_v3
    assert not hasattr(benchmark, "something")


# Files.


@pytest.mark.parametrize("packed", [False, True])
def test_benchmark_file_round_trip(benchmark, tmp_path, packed):
    path = tmp_path / "results.json.gz"
    benchmark.to_file(path)
    if not packed:  # as matbench 0.6 writes it
        path.write_bytes(gzip.decompress(path.read_bytes()))
    again = DefectBenchmark.from_file(path)
    assert again.scores == benchmark.scores
    assert again.user_metadata["algorithm"] == "mean"
    assert again.is_valid
    again.load()
    assert len(again.defects2d_xtb_mos2.df) == 71


def test_task_file_round_trip(recorded, tmp_path):
    recorded.to_file(tmp_path / "task.json")
    again = DefectTask.from_file(tmp_path / "task.json")
    assert again.df is None
    assert again.scores == recorded.scores


def edit(benchmark, path, change):
    content = json.loads(json.dumps(benchmark.as_dict()))
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_edited_files_are_refused(benchmark, tmp_path):
    def better(content):
        content["tasks"][XTB]["results"]["fold_0"]["scores"]["mae"] = 0.001

    def extra(content):
        content["prize"] = 1

    def renamed(content):
        content["tasks"][XTB]["benchmark_name"] = "matbench_v0.1"

    for change, match in ((better, "Hash"), (extra, "Extra keys"), (renamed, "benchmark name")):
        refused(DefectBenchmark, edit(benchmark, tmp_path / "edited.json", change), match)


def test_edited_task_files_are_refused(recorded, tmp_path):
    def stranger(content):
        content["benchmark_name"] = "matbench_v0.1"

    def unknown(content):
        content["dataset_name"] = "matbench_jdft2d"

    label = next(iter(recorded.results.fold_0.data))

    def drop_first(content):
        del content["results"]["fold_0"]["data"][label]

    for change, match in (
        (drop_first, "1 required indices"),
        (stranger, "is not 'defects2d"),
        (unknown, "unknown tasks"),
    ):
        refused(DefectTask, edit(recorded, tmp_path / "task.json", change), match)


def test_files_of_another_version_are_warned_about(benchmark, tmp_path, caplog):
    from matbench.util import hash_dictionary

    def older(content):
        content["version"] = "0.1"
        del content["hash"]
        content["hash"] = hash_dictionary(content)

    path = edit(benchmark, tmp_path / "old.json", older)
    with caplog.at_level(logging.WARNING, logger="matbench"):
        assert DefectBenchmark.from_file(path).is_valid
    assert "Versions not matching" in caplog.text


def test_files_of_another_benchmark_are_refused(benchmark, tmp_path):
    stock = MatbenchBenchmark(subset=["matbench_steels"], autoload=False)
    stock.to_file(tmp_path / "stock.json")
    refused(DefectBenchmark, tmp_path / "stock.json", r"'matbench_v0\.1'")
    benchmark.to_file(tmp_path / "ours.json")
    with pytest.raises(ValueError, match="No other benchmarks defined"):
        MatbenchBenchmark.from_file(tmp_path / "ours.json")


def test_files_that_are_no_results(tmp_path):
    contents = {
        "absent": None,
        "empty": b"",
        "list": b"[]",
        "text": b"hello",
        "cut": b"\x1f\x8b\x08",
    }
    for name, content in contents.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        for maker in (DefectBenchmark, DefectTask):
            refused(maker, tmp_path / name, "cannot read results from")
    (tmp_path / "object").write_text("{}")
    refused(DefectBenchmark, tmp_path / "object", "refused: Required keys|refused: Missing")
    refused(DefectTask, tmp_path / "object", "refused: Required key")


def test_our_classes_are_matbenchs():
    assert issubclass(DefectTask, MatbenchTask)
    assert issubclass(DefectBenchmark, MatbenchBenchmark)


def test_nothing_is_printed(tmp_path):
    code = (
        "from matbench_segvae.benchmark import DefectBenchmark\n"
        f"bench = DefectBenchmark(subset=[{XTB!r}], autoload=True)\n"
        "for task in bench.tasks:\n"
        "    for fold in task.folds:\n"
        "        task.record(fold, [1.0] * len(task.get_test_data(fold)))\n"
        "bench.add_metadata({'a': 1})\n"
        "bench.to_file('results.json.gz')\n"
        "assert DefectBenchmark.from_file('results.json.gz').is_valid\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["results.json.gz"]
