"""The README is short, and its examples run as they stand."""

import re
import tomllib
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from matbench_segvae.algorithms import registry
from matbench_segvae.algorithms.pair_laws import fit_law as pair_laws_fit
from matbench_segvae.algorithms.protocol import Algorithm
from matbench_segvae.running import RunOptions, run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_BYTES = 10_000

# What a reader waits for and a test need not: the same code, with a shorter search.
SHORTER = {
    "time_limit=10": "epochs=2, search_settings=QUICK.search",
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def executed(monkeypatch, tmp_path, quick_pair_laws):
    """Runs the example that holds a text in an empty folder, and gives its names."""
    monkeypatch.chdir(tmp_path)
    quick = replace(
        quick_pair_laws,
        max_nodes=16,
        extra_searches=0,
        combinations_fitted=1,
        candidates=1,
        bootstrap_samples=2,
    )

    monkeypatch.setattr(pair_laws_fit, "PairLawSettings", lambda: quick)

    def execute(text):
        (code,) = [block for block in blocks("python") if text in block]
        for long, short in SHORTER.items():
            code = code.replace(long, short)
        names = {"QUICK": quick, "__name__": "example"}
        exec(compile(code, text, "exec"), names)  # noqa: S102 - the project's own README
        return names

    return execute


def test_the_readme_is_short():
    assert len(README.encode()) <= MAX_BYTES


def test_there_are_three_examples_and_what_the_test_shortens_is_in_them():
    code = blocks("python")
    assert len(code) == 3
    assert all(sum(block.count(text) for block in code) == 1 for text in SHORTER)
    assert all(len(block.strip().splitlines()) <= 20 for block in code)


def test_the_example_of_a_table_finds_the_law_behind_it(executed, tmp_path, capsys):
    names = executed("SEGVAERegressor")
    model, table, truth = names["model"], names["table"], names["log_rate"]
    assert model.predict(table) == pytest.approx(truth.to_numpy(), abs=1e-6)
    assert type(model).load(tmp_path / "model.json").predict(table) == pytest.approx(truth)
    assert "complexity" in capsys.readouterr().out


def test_the_example_of_a_law_predicts_a_structure(executed, capsys):
    names = executed("fit_law")
    law, energies = names["law"], names["energies"]
    predictions = [law.predict(structure).energy_per_site for structure in names["structures"]]
    assert abs(predictions - energies).mean() < 0.5 * abs(energies - energies.mean()).mean()
    printed = capsys.readouterr().out
    assert "K[V_Mo-V_S] = " in printed
    assert f"energy_per_site={predictions[-1]!r}" in printed


def test_the_example_of_an_algorithm_is_found_by_its_entry_point_and_run(
    executed, monkeypatch, tmp_path
):
    kind = executed("class Composition")["Composition"]
    (text,) = blocks("toml")
    group = registry.ENTRY_POINT_GROUP
    ((name, target),) = tomllib.loads(text)["project"]["entry-points"][group].items()
    assert target.partition(":")[2] == kind.__name__
    assert f"matbench-segvae run --algorithm {name}" in README
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [EntryPoint(name, f"{__name__}:found", group)]
    )
    monkeypatch.setattr(EntryPoint, "load", lambda _: kind)
    assert isinstance(kind(), Algorithm)
    assert kind.card.algorithm == name
    options = RunOptions(folds=[1])
    (result,) = run(["defects2d_xtb_mos2"], [name], options, out=tmp_path).results
    assert 0 < result.score < 0.2  # eV per site; the mean of the training part errs by 0.2
