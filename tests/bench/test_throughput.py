"""Speed of the engine, and of Operon where it is installed."""

import sys
from types import ModuleType

import pytest

from matbench_segvae.bench import throughput
from matbench_segvae.bench.operon import has_operon, measure_operon
from matbench_segvae.bench.throughput import artificial_table, measure_throughput
from matbench_segvae.cli.app import main


def test_shares_of_the_time_add_up(quick_search):
    found = measure_throughput(quick_search, rounds=2)
    assert found.scored > 100
    assert 0 < found.scored_per_cpu_second < 1e6
    assert found.sampling_share + found.scoring_share + found.training_share == pytest.approx(1)


@pytest.fixture
def operon(monkeypatch):
    """A package that scores 1,000 formulas at once, in place of pyoperon."""

    class Regressor:
        def __init__(self, **options):
            assert options["n_threads"] == 1

        def fit(self, points, values):
            sum(range(10**6))  # some CPU time
            self.stats_ = {"evaluation_count": 1000}

    package, module = ModuleType("pyoperon"), ModuleType("pyoperon.sklearn")
    package.__spec__ = ""
    module.SymbolicRegressor = Regressor
    monkeypatch.setitem(sys.modules, "pyoperon", package)
    monkeypatch.setitem(sys.modules, "pyoperon.sklearn", module)


def test_operon_is_measured_where_it_is_installed(operon, quick_search, monkeypatch, capsys):
    assert measure_operon(*artificial_table(0), 0, 1).scored == 1000
    quick = measure_throughput(quick_search, rounds=1)
    monkeypatch.setattr(throughput, "measure_preset", lambda *_: quick)
    assert main(["bench", "throughput"]) == 0
    assert "ratio to Operon" in capsys.readouterr().out


def test_nothing_is_missing_without_it(quick_search, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyoperon", None)
    assert not has_operon()
    quick = measure_throughput(quick_search, rounds=1)
    monkeypatch.setattr(throughput, "measure_preset", lambda *_: quick)
    assert main(["bench", "throughput"]) == 0
    shown = capsys.readouterr().out
    assert "scored per CPU second" in shown and "Operon" not in shown
