"""Runs: resuming, refusing, and what is kept of a fold."""

import json
import os
import signal
import sys
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback

from matbench_segvae.algorithms import AlgorithmCard, registry
from matbench_segvae.bench.known_formulas import NGUYEN
from matbench_segvae.bench.search_problems import known_formula
from matbench_segvae.cli import main
from matbench_segvae.cli.app import ended_on_request
from matbench_segvae.errors import UserError
from matbench_segvae.running import FoldResult, FoldStore, Problem, RunOptions, problem_lines, run
from matbench_segvae.running.store import BrokenFoldFile, to_json_types
from matbench_segvae.segvae import Search, pretrained

TASK = "defects2d_xtb_mos2"
GAP = "defects2d_mos2_low_gap"
BENCHMARK = "defects2d_v0.1"


class Counting:
    """A third party's algorithm that remembers where it was run."""

    card = AlgorithmCard("counting", "Counts.", "A third party", packages=("numpy", "nowhere"))
    fitted: ClassVar[list] = []
    scratches: ClassVar[list] = []
    related: ClassVar = None

    def fit(self, inputs, targets, context):
        assert list(context.scratch.iterdir()) == []
        (context.scratch / "note").write_text("x")
        Counting.scratches.append(context.scratch)
        Counting.fitted.append((context.task, context.fold, context.seed))
        Counting.related = context.related
        context.report("half way")
        self.value = float(np.median(targets)) + 0.001 * context.seed

    def predict(self, inputs):
        return np.full(len(inputs), self.value)

    def describe(self):
        return {"formula": "c_0", "complexity": np.int64(1), "constants": np.array([self.value])}


class GivingUp(Counting):
    def fit(self, inputs, targets, context):
        if context.fold == 1:
            raise UserError("no idea what to do here")
        super().fit(inputs, targets, context)


class Failing(Counting):
    """Has a bug that shows on one fold, in the method that `where` names."""

    where: ClassVar = "fit"

    def fit(self, inputs, targets, context):
        super().fit(inputs, targets, context)
        self.fails = context.fold == 1
        self.fail("fit")

    def predict(self, inputs):
        self.fail("predict")
        return super().predict(inputs)

    def describe(self):
        self.fail("describe")
        return super().describe()

    def fail(self, method):
        if self.fails and self.where == method:
            raise ValueError("cannot broadcast\n  these shapes")


class Wrong(Counting):
    def predict(self, inputs):
        return np.array([1.0, np.nan])


@pytest.fixture
def third_party(monkeypatch):
    """Installs algorithms of another package, by entry point."""
    group = registry.ENTRY_POINT_GROUP
    extra = [
        EntryPoint(name, f"{__name__}:{kind}", group)
        for name, kind in [
            ("counting", "Counting"),
            ("failing", "Failing"),
            ("giving_up", "GivingUp"),
            ("wrong", "Wrong"),
        ]
    ]
    real = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda group: [*real(group=group), *extra])
    Counting.fitted, Counting.scratches = [], []


def folds_run():
    return [fold for _, fold, _ in Counting.fitted]


def test_a_third_party_algorithm_is_found_and_run(third_party, tmp_path):
    assert "counting" in registry.algorithm_names()
    report = run([TASK], ["counting"], RunOptions([0, 3], seed=7), out=tmp_path)
    assert [(r.fold, r.seed) for r in report.results] == [(0, 7), (3, 7)]
    assert Counting.fitted == [(TASK, 0, 7), (TASK, 3, 7)]
    assert not any(path.exists() for path in Counting.scratches)


def test_further_properties_of_the_training_part_reach_the_algorithm(
    third_party, dft_data, tmp_path
):
    report = run([TASK], ["counting"], RunOptions([0]), out=tmp_path)
    assert report.problems == () and Counting.related is None
    task = run([GAP], ["counting"], RunOptions([2]), out=tmp_path).tasks[GAP]
    inputs, _ = task.get_train_and_val_data(2)
    assert set(Counting.related.columns) == {"homo", "lumo"}
    assert Counting.related.index.equals(inputs.index)


def test_what_is_kept_of_a_fold(third_party, tmp_path):
    result = run([TASK], ["counting"], RunOptions([0]), out=tmp_path).results[0]
    task = run([TASK], ["counting"], RunOptions([0]), out=tmp_path).tasks[TASK]
    inputs, truth = task.get_test_data(0, include_target=True)
    assert list(result.predictions) == list(inputs.index)
    errors = np.abs(np.array(list(result.predictions.values())) - truth.to_numpy())
    assert result.score == pytest.approx(errors.mean())
    assert result.scores["max_error"] == pytest.approx(errors.max())
    assert result.unit == "eV"
    params = result.params
    assert params["median_error"] == pytest.approx(np.median(errors))
    assert params["within_20_meV"] == pytest.approx((errors < 0.02).mean())
    assert params["formula"] == "c_0"
    assert params["complexity"] == 1
    assert isinstance(params["constants"], list)
    assert params["seed"] == 0
    assert {"python", "matbench_segvae", "matbench", "numpy"} == set(params["versions"])
    assert set(params["hardware"]) == {"cpu", "cores", "accelerator"}
    assert params["seconds_fit"] >= 0 and params["seconds_predict"] >= 0
    assert params["finished_utc"].endswith("+00:00")
    stored = FoldStore(tmp_path, BENCHMARK, "counting").load(TASK, 0)
    assert stored == result


def test_finished_folds_are_not_run_again(third_party, tmp_path):
    first = run([TASK], ["counting"], RunOptions([0, 1]), out=tmp_path)
    again = run([TASK], ["counting"], out=tmp_path)
    assert folds_run() == [0, 1, 2, 3, 4]
    assert again.results[:2] == first.results


def test_overwrite_runs_them_again(third_party, tmp_path):
    run([TASK], ["counting"], RunOptions([0]), out=tmp_path)
    report = run([TASK], ["counting"], RunOptions([0], seed=5, overwrite=True), tmp_path)
    assert folds_run() == [0, 0]
    assert report.results[0].seed == 5


def test_another_seed_is_refused_before_anything_is_run(third_party, tmp_path):
    run([TASK], ["counting"], RunOptions([4]), out=tmp_path)
    with pytest.raises(UserError, match=r"seed 0, not 1.*--out.*--overwrite"):
        run([TASK], ["counting"], RunOptions(seed=1), out=tmp_path)
    assert folds_run() == [4]


class Listening:
    def __init__(self):
        self.lines = []

    def started(self, task, algorithm, fold):
        self.lines.append(f"start {fold}")

    def progress(self, task, algorithm, fold, line):
        self.lines.append(line)

    def finished(self, result, resumed):
        self.lines.append(f"{'old' if resumed else 'new'} {result.fold}")

    def warning(self, line):
        self.lines.append(f"warning {line}")


@pytest.mark.parametrize("damage", ["cut", "empty", "binary", "other version", "other data"])
def test_a_broken_fold_file_is_run_again_with_a_warning(third_party, tmp_path, damage):
    run([TASK], ["counting"], RunOptions([0, 1]), out=tmp_path)
    path = FoldStore(tmp_path, BENCHMARK, "counting").path(TASK, 0)
    content = json.loads(path.read_text())
    if damage == "cut":
        path.write_text(path.read_text()[:200])
    elif damage == "empty":
        path.write_text("")
    elif damage == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    elif damage == "other version":
        path.write_text(json.dumps(content | {"format": 0}))
    else:
        path.write_text(json.dumps(content | {"predictions": {"somebody": 1.0}}))
    notified = Listening()
    report = run([TASK], ["counting"], RunOptions([0, 1]), out=tmp_path, observer=notified)
    assert folds_run() == [0, 1, 0]
    assert len(report.results) == 2
    assert notified.lines[0].startswith(f"warning {path.name}")
    assert notified.lines[1:] == ["old 1", "start 0", "half way", "new 0"]
    assert json.loads(path.read_text())["predictions"] == content["predictions"]


def test_an_algorithm_that_gives_up_does_not_take_the_others_along(third_party, tmp_path):
    report = run([TASK], ["giving_up", "counting"], out=tmp_path)
    assert [p.message for p in report.problems] == ["no idea what to do here"]
    assert [(r.algorithm, r.fold) for r in report.results] == [
        ("giving_up", 0),
        *(("counting", fold) for fold in range(5)),
    ]


@pytest.mark.parametrize("where", ["fit", "predict", "describe"])
def test_any_other_exception_costs_one_fold_of_one_algorithm(
    third_party, tmp_path, monkeypatch, where
):
    monkeypatch.setattr(Failing, "where", where)
    notified = Listening()
    report = run([TASK], ["failing", "counting"], out=tmp_path, observer=notified)
    assert [(r.algorithm, r.fold) for r in report.results] == [
        *(("failing", fold) for fold in (0, 2, 3, 4)),
        *(("counting", fold) for fold in range(5)),
    ]
    (problem,) = report.problems
    assert problem.message == "ValueError: cannot broadcast these shapes"
    assert (problem.algorithm, problem.task, problem.fold) == ("failing", TASK, 1)
    traceback = FoldStore(tmp_path, BENCHMARK, "failing").error_path(TASK, 1)
    line = f"failing on {TASK}, fold 1: {problem.message} (traceback in {traceback})"
    assert problem_lines(report.problems) == [line]
    assert f"warning {line}" in notified.lines
    assert f"in {where}" in traceback.read_text() and __file__ in traceback.read_text()


def test_the_traceback_of_a_fold_goes_once_the_fold_is_finished(third_party, tmp_path, monkeypatch):
    run([TASK], ["failing"], out=tmp_path)
    traceback = FoldStore(tmp_path, BENCHMARK, "failing").error_path(TASK, 1)
    assert traceback.is_file()
    monkeypatch.setattr(Failing, "where", "nowhere")
    report = run([TASK], ["failing"], out=tmp_path)
    assert not report.problems and len(report.results) == 5
    assert folds_run() == [0, 1, 2, 3, 4, 1]
    assert not traceback.exists()


def test_a_problem_that_recurs_is_one_line():
    folds = [Problem(TASK, "bad", "ValueError: no", fold, f"see {fold}") for fold in (3, 0, 3)]
    other = Problem(TASK, "other", "needs structures")
    assert problem_lines([*folds, other, other]) == [
        f"bad on {TASK}, folds 0, 3: ValueError: no (see 3)",
        f"other on {TASK}: needs structures",
    ]


def failing(monkeypatch, error):
    def fail(self, inputs):
        raise error

    monkeypatch.setattr(Counting, "predict", fail)


def test_an_interrupt_by_the_user_ends_a_run(third_party, tmp_path, monkeypatch):
    failing(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run([TASK], ["counting", "dummy"], out=tmp_path)


def test_an_interrupt_that_lightning_made_an_exit_ends_a_run(third_party, tmp_path, monkeypatch):
    def interrupted(self, inputs):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(Counting, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([TASK], ["counting", "dummy"], out=tmp_path)


class Unreadable(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (Unreadable(), "Unreadable: its message cannot be read"),
        (ValueError("\udc80 bad\n\x1b[31m"), r"ValueError: \udc80 bad \x1b[31m"),
        (ValueError("x" * 5000), f"ValueError: {'x' * 300}"),
    ],
)
def test_whatever_an_algorithm_raises_the_others_are_run(
    third_party, tmp_path, monkeypatch, error, message
):
    failing(monkeypatch, error)
    report = run([TASK], ["counting", "dummy"], RunOptions([0, 1]), tmp_path)
    assert [result.algorithm for result in report.results] == ["dummy", "dummy"]
    assert [problem.message for problem in report.problems] == [message, message]
    assert FoldStore(tmp_path, BENCHMARK, "counting").error_path(TASK, 0).stat().st_size


def test_predictions_that_cannot_be_used_cost_one_fold(third_party, tmp_path, monkeypatch):
    real = Counting.predict

    def predict(self, inputs):
        values = real(self, inputs)
        return values * float("nan") if len(Counting.fitted) == 2 else values

    monkeypatch.setattr(Counting, "predict", predict)
    report = run([TASK], ["counting"], out=tmp_path)
    assert [result.fold for result in report.results] == [0, 2, 3, 4]
    (problem,) = report.problems
    assert problem.fold == 1
    assert "not finite" in problem.message


def test_predictions_of_a_wrong_shape_are_refused(third_party, tmp_path):
    report = run([TASK], ["wrong"], RunOptions([0]), out=tmp_path)
    assert "shape" in report.problems[0].message
    assert not FoldStore(tmp_path, BENCHMARK, "wrong").path(TASK, 0).exists()


def test_a_request_to_end_is_an_interrupt_with_its_own_status(
    third_party, tmp_path, monkeypatch, capsys
):
    real = Counting.predict
    before = signal.getsignal(signal.SIGTERM)

    def ended(self, inputs):
        if len(Counting.fitted) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, inputs)

    monkeypatch.setattr(Counting, "predict", ended)
    words = ["run", "--task", TASK, "--algorithm", "counting", "--out", str(tmp_path)]
    assert main(words) == 143
    assert capsys.readouterr().err.count("finished folds are kept") == 1
    store = FoldStore(tmp_path, BENCHMARK, "counting")
    assert [store.load(TASK, fold) is not None for fold in (0, 1)] == [True, False]
    assert signal.getsignal(signal.SIGTERM) == before


def test_lightning_does_not_swallow_a_request_to_end(quick_search):
    class Ended(Callback):
        def on_train_epoch_start(self, trainer, module):
            os.kill(os.getpid(), signal.SIGTERM)

    problem = known_formula(NGUYEN[0])
    search = Search(
        problem.grammar,
        problem.objective(problem.fitting, 0),
        pretrained(problem.grammar, quick_search),
        quick_search,
        0,
    )
    with ended_on_request() as requests, pytest.raises(KeyboardInterrupt):
        search.run(trainer_options={"callbacks": [Ended()]})
    assert requests == [signal.SIGTERM]


def test_an_interrupted_run_keeps_what_was_finished(third_party, tmp_path, monkeypatch):
    real = Counting.predict

    def interrupted(self, inputs):
        if len(Counting.fitted) == 3:
            raise KeyboardInterrupt
        return real(self, inputs)

    monkeypatch.setattr(Counting, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([TASK], ["counting"], out=tmp_path)
    store = FoldStore(tmp_path, BENCHMARK, "counting")
    assert [store.load(TASK, fold) is not None for fold in range(5)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not list(store.folder.rglob("*.part")) and not list(store.folder.rglob(".*"))


@pytest.mark.parametrize(
    ("tasks", "algorithms", "folds", "message"),
    [
        (["nope"], ["counting"], None, "nope"),
        ([TASK], ["nope"], None, "unknown algorithm 'nope'.*counting"),
        ([TASK], ["counting"], [0, 5], "no fold 5.*0, 1, 2, 3, 4"),
    ],
)
def test_bad_names_are_refused_before_anything_is_run(
    third_party, tmp_path, tasks, algorithms, folds, message
):
    with pytest.raises(UserError, match=message):
        run(tasks, algorithms, RunOptions(folds), out=tmp_path)
    assert Counting.fitted == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/inside", "a" * 300])
def test_an_output_that_cannot_be_written_ends_a_run_before_it_begins(third_party, tmp_path, name):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write to '"):
        run([TASK], ["counting"], RunOptions([0]), out=tmp_path / name)
    assert Counting.fitted == []


def test_finished_results_are_shown_where_nothing_can_be_written(
    third_party, tmp_path, monkeypatch
):
    run([TASK], ["counting"], RunOptions([0]), out=tmp_path)

    def refused(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert len(run([TASK], ["counting"], RunOptions([0]), out=tmp_path).results) == 1
    with pytest.raises(UserError, match="Read-only file system"):
        run([TASK], ["counting"], RunOptions([0, 1]), out=tmp_path)


def test_values_without_json_name_become_null():
    value = {
        1: (np.float64("nan"), float("inf"), np.bool_(True)),
        "b": {"c": np.arange(2)},
        "d": {3},
    }
    assert to_json_types(value) == {"1": [None, None, True], "b": {"c": [0, 1]}, "d": [3]}


def test_incomplete_results_are_not_taken():
    with pytest.raises(ValueError, match="not a complete fold result"):
        FoldResult.from_dict({"format": 1, "task": "t"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"fold": "0"},
        {"fold": None},
        {"fold": [1]},
        {"fold": -1},
        {"seed": {}},
        {"predictions": {"a": float("nan")}},
        {"scores": {"mae": float("inf")}},
        {"scores": {"mae": 0.1, "max_error": "x"}},
        {"scores": {}},
        {"scores": [0.1]},
        {"params": []},
    ],
)
def test_fields_of_another_type_make_a_broken_fold_file(tmp_path, wrong):
    fields = ("b", "t", "a", 0, 0, "eV", {"a": 0.5}, {"rocauc": 0.5}, {})
    stored = FoldResult(*fields).as_dict()
    assert FoldResult.from_dict(stored).score == 0.5
    path = tmp_path / "t-fold_0.json"
    path.write_text(json.dumps(stored | wrong))
    with pytest.raises(BrokenFoldFile, match=r"t-fold_0\.json is broken"):
        FoldStore.read(path)
