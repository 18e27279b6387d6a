"""Standard deviations of predictions: from an algorithm to Matbench's results file."""

import gzip
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from matbench_segvae.algorithms import AlgorithmCard, registry
from matbench_segvae.algorithms.protocol import Algorithm, PredictsStd
from matbench_segvae.benchmark import read_benchmark
from matbench_segvae.files import read_json
from matbench_segvae.reporting import rank, read_results, write_submissions
from matbench_segvae.running import FoldResult, FoldStore, RunOptions, run

EMBEDDED = "defects2d_xtb_mos2"
STEELS = "matbench_steels"
JDFT2D = "matbench_jdft2d"


class Sure:
    """Knows the mean and how far to trust it."""

    card = AlgorithmCard("sure", "Is sure.", "A third party", ("@misc{x}",), "None.")
    std = 0.25

    def fit(self, inputs, targets, context):
        self.mean = float(np.mean(targets))

    def predict(self, inputs):
        return np.full(len(inputs), self.mean)

    def predict_std(self, inputs):
        return np.full(len(inputs), self.std)

    def describe(self):
        return {}


@pytest.fixture
def sure(monkeypatch):
    point = EntryPoint("sure", f"{__name__}:Sure", registry.ENTRY_POINT_GROUP)
    real = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda group: [*real(group=group), point])


def submit(out, task, algorithm):
    report = run([task], [algorithm], out=out)
    assert report.problems == ()
    return write_submissions(out, [algorithm], report.tasks)[0].folder / "results.json.gz"


def uncertainties(path, task):
    results = read_json(path)["tasks"][task]["results"]
    return [fold["uncertainty"] for fold in results.values()]


def test_an_algorithm_with_the_method_predicts_deviations(sure):
    assert isinstance(registry.create_algorithm("dummy"), PredictsStd)
    assert isinstance(registry.create_algorithm("sure"), Algorithm)
    assert not isinstance(registry.create_algorithm("pair_table"), PredictsStd)


def test_deviations_are_stored_with_the_fold(sure, tmp_path):
    result = run([EMBEDDED], ["sure"], RunOptions([0]), tmp_path).results[0]
    assert list(result.stds) == list(result.predictions)
    assert set(result.stds.values()) == {0.25}
    assert FoldStore(tmp_path, "defects2d_v0.1", "sure").load(EMBEDDED, 0) == result
    assert run([EMBEDDED], ["pair_table"], RunOptions([0]), tmp_path).results[0].stds is None


def test_fold_files_from_before_there_were_deviations_are_read(sure, tmp_path):
    result = run([EMBEDDED], ["sure"], RunOptions([0]), tmp_path).results[0].as_dict()
    del result["stds"]
    assert FoldResult.from_dict(result).stds is None
    with pytest.raises(ValueError, match="standard deviations"):
        FoldResult.from_dict(result | {"stds": {"somebody": 1.0}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda n: np.full((n, 1), 0.1), r"standard deviations of shape \(\d+, 1\).*fold 0"),
        (lambda n: np.full(n, np.nan), r"\d+ standard deviations that are not finite"),
        (lambda n: -np.ones(n), r"\d+ standard deviations below 0 on .* fold 0"),
    ],
)
def test_wrong_deviations_are_refused(sure, monkeypatch, tmp_path, values, message):
    monkeypatch.setattr(Sure, "predict_std", lambda self, inputs: values(len(inputs)))
    report = run([EMBEDDED], ["sure"], RunOptions([0]), tmp_path)
    assert not report.results
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(report.problems[0].message)


def test_deviations_are_recorded_in_matbench_s_way(sure, tmp_path):
    path = submit(tmp_path, EMBEDDED, "sure")
    predictions = read_json(path)["tasks"][EMBEDDED]["results"]["fold_0"]["data"]
    first = uncertainties(path, EMBEDDED)[0]
    assert first.keys() == predictions.keys()
    for sample, value in first.items():
        assert value["std"] == 0.25
        assert value["ci_lower"] == pytest.approx(predictions[sample] - 1.959964 * 0.25)
        assert value["ci_upper"] == pytest.approx(predictions[sample] + 1.959964 * 0.25)
    assert read_benchmark(path).is_valid
    assert rank(read_results(tmp_path))[EMBEDDED][0].algorithm == "sure"


def test_a_deviation_of_nothing_gives_an_interval_without_width(sure, monkeypatch, tmp_path):
    monkeypatch.setattr(Sure, "std", 0.0)
    path = submit(tmp_path, EMBEDDED, "sure")
    assert b"NaN" not in gzip.decompress(path.read_bytes())
    value = next(iter(uncertainties(path, EMBEDDED)[0].values()))
    assert value["std"] == pytest.approx(0)
    assert value["ci_lower"] == value["ci_upper"]


def test_stock_matbench_reads_deviations_and_they_survive_another_run(matminer_data, tmp_path):
    path = submit(tmp_path, STEELS, "dummy")
    before = uncertainties(path, STEELS)
    assert all(value["std"] > 0 for fold in before for value in fold.values())
    assert submit(tmp_path, JDFT2D, "dummy") == path
    assert uncertainties(path, STEELS) == before
    loaded = read_benchmark(path)
    assert loaded.is_valid
    assert loaded.scores[STEELS].mae.mean == pytest.approx(229.7445, abs=5e-5)


def test_classifications_have_no_deviations(sure):
    from matbench_segvae.running.fold import _stds

    context = type("Context", (), {"task_type": "classification"})
    assert _stds(Sure(), [1, 2], context) is None
