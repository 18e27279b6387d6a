import gzip
import hashlib
import json
import os
import subprocess
import sys

import pytest
from matbench.bench import MatbenchBenchmark
from matbench.task import MatbenchTask

from matbench_segvae.benchmark import (
    DefectBenchmark,
    DefectTask,
    MatbenchData,
    benchmark_name_of,
    data_file_of,
    load_task,
    make_benchmark,
    make_task,
    task_names,
    task_summary,
)
from matbench_segvae.errors import UserError

STEELS = "matbench_steels"


def test_ours_come_first():
    names = task_names()
    assert len(names) == 11 + 13
    assert names[0] == "defects2d_mos2_v3"
    assert names[11].startswith("matbench_")


def test_every_task_has_a_summary_and_can_be_made():
    for name in task_names():
        summary = task_summary(name)
        task = make_task(name)
        assert task.df is None
        assert summary.benchmark == task.benchmark_name == benchmark_name_of(name)
        assert summary.n_samples == task.metadata.n_samples
        assert summary.as_row()["task"] == name
        assert isinstance(task, DefectTask) == (summary.benchmark == "defects2d_v0.1")
    assert type(make_task(STEELS)) is MatbenchTask


def test_unknown_task_names_ours_and_near_ones():
    for use in (make_task, task_summary, benchmark_name_of):
        with pytest.raises(
            UserError,
            match=r"unknown task 'matbench_steel'.*defects2d_mos2_v3.*did you mean matbench_steels",
        ):
            use("matbench_steel")
    assert "matbench_steel" not in task_names()


def test_benchmarks():
    assert type(make_benchmark("defects2d_v0.1")) is DefectBenchmark
    stock = make_benchmark("matbench_v0.1", [STEELS])
    assert type(stock) is MatbenchBenchmark
    assert list(stock.tasks_map) == [STEELS]
    with pytest.raises(UserError, match="unknown benchmark 'matbench'"):
        make_benchmark("matbench")
    with pytest.raises(UserError, match=r"belongs to matbench_v0\.1"):
        make_benchmark("defects2d_v0.1", [STEELS])


def test_stock_task_is_read_from_matminer_data(mirror, monkeypatch):
    monkeypatch.setenv("MATMINER_DATA", str(mirror / "matbench_v0.1"))
    task = make_task(STEELS)
    load_task(task)
    assert len(task.df) == 312
    means = []
    for fold in task.folds:
        _, outputs = task.get_train_and_val_data(fold)
        truth = task.get_test_data(fold, include_target=True)[1]
        means.append((truth - outputs.mean()).abs().mean())
    assert sum(means) / 5 == pytest.approx(229.7445, abs=1e-4)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        gzip.compress(b"{}"),
        gzip.compress(b'{"columns": ["a"], "index": [0], "data": [[1]]}'),
        gzip.compress(b"[" * 100_000),
        gzip.compress(b"\xff\xfe"),
        b"not compressed",
        gzip.compress(b"{}")[:-4],
    ],
    ids=["empty", "nothing", "foreign", "nested", "no text", "plain", "cut"],
)
def test_an_unusable_file_of_matbench_is_one_line(content, tmp_path, monkeypatch):
    import requests

    def dead(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", dead)
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path))
    (tmp_path / f"{STEELS}.json.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot load matbench_steels.*MATMINER_DATA") as caught:
        load_task(make_task(STEELS))
    assert "\n" not in str(caught.value)


def test_a_pipe_or_a_device_in_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path))
    path = tmp_path / f"{STEELS}.json.gz"
    for make in (os.mkfifo, lambda place: place.symlink_to("/dev/zero")):
        make(path)
        task = make_task(STEELS)
        assert data_file_of(task) is None
        with pytest.raises(UserError, match="cannot load matbench_steels"):
            load_task(task)
        path.unlink()


def shortened(mirror, folder, n_rows):
    """Matbench's steels with some of its rows only."""
    with gzip.open(mirror / "matbench_v0.1" / f"{STEELS}.json.gz") as file:
        content = json.load(file)
    content = {key: rows[:n_rows] if key != "columns" else rows for key, rows in content.items()}
    (folder / f"{STEELS}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))


def test_a_file_with_other_samples_is_refused(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path))
    shortened(mirror, tmp_path, 300)
    with pytest.raises(UserError, match="has 300 samples, and the task has 312"):
        load_task(make_task(STEELS))


def test_only_matbenchs_own_file_is_official(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path))
    task = make_task(STEELS)
    assert data_file_of(task) is None, "no file yet"
    assert data_file_of(make_task("defects2d_xtb_mos2")) is None
    shortened(mirror, tmp_path, 312)
    data = data_file_of(task)
    assert not data.is_official
    assert data.sha256 == hashlib.sha256((tmp_path / f"{STEELS}.json.gz").read_bytes()).hexdigest()
    assert data.sha256[:12] in data.warning and "473bc4957b2e" in data.warning
    official = MatbenchData(STEELS, data.official_sha256, data.official_sha256)
    assert official.is_official and official.warning is None


def test_stock_task_without_data_and_network(no_data, monkeypatch):
    import requests

    def dead(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", dead)
    monkeypatch.delenv("MATMINER_DATA", raising=False)
    with pytest.raises(UserError, match=r"cannot load matbench_steels.*MATMINER_DATA") as caught:
        load_task(make_task(STEELS))
    assert "\n" not in str(caught.value)
    assert str(no_data) in str(caught.value)
    assert "MATMINER_DATA" not in os.environ


def test_our_task_is_loaded_like_any(no_data):
    task = make_task("defects2d_xtb_mos2")
    load_task(task)
    assert len(task.df) == 71


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_missing_matbench_is_explained_and_data_files_still_work():
    result = run_python(
        "import sys; sys.modules['matbench'] = None\n"
        "from matbench_segvae.benchmark import datasets, CATALOGUE, status\n"
        "try:\n"
        "    from matbench_segvae.benchmark import make_task\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert result.stdout.strip() == (
        'matbench is not installed: run "pip install --no-deps matbench==0.6"'
    ), result.stderr


def test_benchmark_needs_neither_torch_nor_tensorflow():
    result = run_python(
        "import sys\n"
        "from matbench_segvae.benchmark import make_task, DefectBenchmark, status\n"
        "make_task('defects2d_xtb_mos2').load()\n"
        "print([m for m in ('torch', 'tensorflow', 'ase.optimize', 'tblite') if m in sys.modules])"
    )
    assert result.stdout.strip() == "[]", result.stderr
