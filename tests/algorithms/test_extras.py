"""Algorithms whose optional dependencies are not installed."""

import re
import sys

import pytest

from matbench_segvae import algorithms
from matbench_segvae.algorithms import registry
from matbench_segvae.cli import main, run

FAMILY = "matbench_segvae.algorithms.megnet"


@pytest.fixture
def without_graph_packages(monkeypatch):
    """An environment without matgl and torch_geometric, into which nothing was imported yet."""
    hidden = {"matgl", "torch_geometric"}
    loaded = {name for name in sys.modules if name.split(".")[0] in hidden}
    for name in hidden | loaded:
        # Python treats a None in here as a package that cannot be imported.
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{FAMILY}.")]:
        monkeypatch.delitem(sys.modules, name)
    # Importing the family again sets this attribute; it is set back with the rest.
    monkeypatch.setattr(algorithms, "megnet", None, raising=False)


@pytest.mark.parametrize(
    ("algorithm", "extra"),
    [
        ("megnet", "megnet"),
        ("megnet_dense", "megnet"),
        ("megnet_keras", "keras"),
        ("megnet_keras_dense", "keras"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(
    algorithm, extra, without_graph_packages, capsys, tmp_path
):
    arguments = ["run", "--algorithm", algorithm, "--fold", "0", "--out", str(tmp_path)]
    assert main(arguments) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1
    assert re.search(rf"{algorithm} needs .*\((matgl|torch_geometric)\)", complaint)
    assert f'pip install "matbench_segvae[{extra}]"' in complaint
    assert list(tmp_path.iterdir()) == []


def test_other_algorithms_do_not_need_the_extra(without_graph_packages):
    for name in ("dummy", "paper_formula", "segvae"):
        assert algorithms.create_algorithm(name).card.algorithm == name


def test_a_light_installation_runs_what_it_has(
    without_graph_packages, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "DEFAULT_ALGORITHMS", ("megnet", "dummy"))
    assert main(["run", "--fold", "0", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(r"warning: left out: megnet needs .*\[megnet\]\"\n", printed.err)
    assert [path.name for path in tmp_path.iterdir()] == ["defects2d_v0.1_dummy"]


def test_an_algorithm_that_cannot_be_loaded_is_one_line_and_the_others_run(
    capsys, tmp_path, monkeypatch
):
    class Point:
        value = "their_package:Broken"

        def load(self):
            raise AttributeError("no such class")

    points = registry._entry_points()
    monkeypatch.setattr(registry, "_entry_points", lambda: points | {"broken": Point()})
    arguments = ["run", "--algorithm", "broken", "--algorithm", "dummy", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["defects2d_v0.1_dummy"]
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert (
        "'broken' cannot be loaded from their_package:Broken: AttributeError: no such" in complaint
    )
