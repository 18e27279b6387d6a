"""Searches with and without a choice, compared pair by pair at equal budgets."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from matbench_segvae.bench import ablation, search_problems
from matbench_segvae.bench.ablation import run_ablation, search_trials
from matbench_segvae.bench.known_formulas import LIVERMORE, NGUYEN
from matbench_segvae.bench.search_problems import (
    known_formula,
    oscillation,
    pair_problems,
    shape_problem,
)
from matbench_segvae.bench.trials import Trial, compared, written_by
from matbench_segvae.bench.variants import VARIANTS, Budget
from matbench_segvae.cli.app import main
from matbench_segvae.errors import UserError
from matbench_segvae.segvae import FitSettings

SHORT = Budget(cpu=0.3, formulas=300)


@pytest.fixture(scope="module")
def quick(quick_search):
    """Two known formulas, searched by a small network."""
    each = [known_formula(LIVERMORE[13]), known_formula(NGUYEN[3])]
    return {p.name: replace(p, search=quick_search, floor=0.0) for p in each}


@pytest.mark.parametrize("name", [*VARIANTS])
def test_every_variant_is_searched_up_to_both_budgets(name, quick):
    problem = quick["Nguyen-4"]
    cpu, formulas = search_trials(problem, "quick", name, 0, SHORT)
    assert (cpu.budget, formulas.budget) == ("cpu", "formulas")
    assert 0 < cpu.loss < 1 and 0 < formulas.loss < 1
    within = formulas.formulas <= SHORT.formulas
    assert within or formulas.leaders_by_source.keys() <= {"network", "random"}  # the first round
    writers = formulas.leaders_by_source.keys() | formulas.front_by_source.keys()
    assert "network" not in writers or VARIANTS[name].search.get("generator") != "random"


def test_nothing_but_mutations_follows_the_first_round_without_a_network(quick):
    long = Budget(cpu=0.1, formulas=2000)
    _, trial = search_trials(quick["Nguyen-4"], "quick", "no-network", 0, long)
    assert trial.leaders_by_source["random"] == 1
    assert trial.leaders_by_source["mutation"] >= 1


@pytest.fixture
def quick_suite(quick, monkeypatch):
    monkeypatch.setattr(ablation, "problems", lambda suite: quick)
    return "nguyen"


def test_an_ablation_goes_on_where_it_stopped(quick_suite, tmp_path, monkeypatch):
    def run(variants, seeds):
        return run_ablation(quick_suite, variants, seeds, tmp_path / "a.jsonl", budget=SHORT)

    first = run(["default"], [1])
    assert [(t.problem, t.seed, t.budget) for t in first] == [
        (problem, 1, budget)
        for problem in ("Livermore-14", "Nguyen-4")
        for budget in ("cpu", "formulas")
    ]
    both = run(["default", "no-network"], [1])
    assert [t for t in both if t.variant == "default"] == first
    with monkeypatch.context() as broken:
        broken.setattr(ablation, "_search", None)
        assert run(["default"], [1]) == first
    # A search that was killed between its two lines, and in the middle of one, is done again.
    store = tmp_path / "a.jsonl"
    lines = store.read_text().splitlines(keepends=True)
    store.write_text("".join(lines[:3]) + lines[3][:20])
    assert [(t.problem, t.budget) for t in run(["default"], [1])] == [
        (problem, budget)
        for problem in ("Livermore-14", "Nguyen-4")
        for budget in ("cpu", "formulas")
    ]


def test_another_budget_is_another_search(quick_suite, tmp_path):
    def run(budget):
        return run_ablation(quick_suite, ["default"], [0], tmp_path / "a.jsonl", budget=budget)

    assert len(run(SHORT)) == len(run(Budget(cpu=0.4, formulas=300))) == 4


@pytest.mark.parametrize(
    "change", [{"budget": "memory"}, {"budget": ["a"]}, {"loss": "x"}, {"leaders_by_source": 3}]
)
def test_damaged_records_are_refused(change, tmp_path):
    record = asdict(trial(0.1, "default", 0)) | change
    store = tmp_path / "a.jsonl"
    for text in (json.dumps(record) + "\n", "[" * 200_000 + "\n", "nonsense"):
        store.write_text(text)
        with pytest.raises(UserError, match=r"a\.jsonl' holds no searches to go on from"):
            run_ablation("nguyen", ["default"], [0], store)
        assert store.read_text() == text


def test_a_file_that_cannot_be_written_is_found_before_the_search(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        run_ablation("nguyen", ["default"], [0], tmp_path / "no" / "a.jsonl")


def test_the_same_seed_finds_the_same(quick):
    def loss():
        return search_trials(quick["Nguyen-4"], "quick", "default", 3, SHORT)[1].loss

    assert loss() == loss()


def trial(loss, variant, seed, leaders=None):
    return Trial(
        "nguyen", "Nguyen-1", seed, variant, "cpu", 6.0, loss, 1e-4, 10, 6.0, leaders or {}, {}
    )


def trials(variant, *losses):
    return [trial(loss, variant, seed) for seed, loss in enumerate(losses)]


def test_losses_are_compared_search_by_search():
    every = [*trials("a", 0.02, 0.08, math.inf, 0.5), *trials("b", 0.04, 0.04, 0.04)]
    found = compared(every, "a", "b", "cpu")
    assert (found.searches, found.wins, found.losses) == (2, 1, 1)
    assert found.ratio == pytest.approx(1.0)
    assert found.factor == pytest.approx(2.0)  # standard error of the logarithms of 1/2 and 2
    assert compared(every, "a", "b", "formulas").searches == 0


def test_formulas_below_the_floor_are_equally_good():
    found = compared([*trials("a", 1e-12, 0.1), *trials("b", 1e-5, 0.1)], "a", "b", "cpu")
    assert (found.ratio, found.median, found.wins, found.losses) == (1.0, 1.0, 0, 0)
    assert found.found == (1, 1)


def test_leaders_are_counted_by_who_wrote_them():
    every = [
        trial(0.1, "a", 0, {"network": 1, "mutation": 3}),
        trial(0.1, "a", 1, {"mutation": 2}),
        trial(0.1, "b", 0, {"network": 9}),
    ]
    assert list(written_by(every, "a", "cpu").items()) == [("mutation", 5), ("network", 1)]


def test_oscillations_are_the_same_every_time_and_different_from_each_other():
    def scored(number):
        objective = oscillation(number).objective(FitSettings(), 5)
        return objective.score([("inv", "x0")])[0].loss

    assert scored(3) == scored(3)
    assert scored(3) != scored(4)


def test_losses_of_real_pairs_and_shapes_are_shares_of_the_spread(xtb_task, quick_pair_laws):
    part = xtb_task.get_train_and_val_data(0)
    pairs = list(pair_problems(part, "fold 0", quick_pair_laws))
    assert [problem.name for problem in pairs] == [
        "fold 0 V_Mo-V_S",
        "fold 0 V_S-V_S same plane",
        "fold 0 V_S-V_S across",
    ]
    for problem in [*pairs, shape_problem(part, "fold 0", quick_pair_laws)]:
        cpu, formulas = search_trials(problem, "quick", "no-network", 0, SHORT)
        assert 0 < formulas.loss < 1
        assert np.isfinite(cpu.loss)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--suite", "nguyen", "--suite", "nope"], "unknown suite 'nope'"),
        (["--suite", "nope"], "unknown suite 'nope': choose from nguyen"),
        (["--suite", "nguyen", "--variant", "nope"], "unknown variant 'nope': choose from default"),
        (["--suite", "nguyen", "--reference", "nope"], "unknown variant 'nope'"),
    ],
)
def test_bad_words_give_one_line(words, message, capsys, tmp_path):
    assert main(["bench", "ablation", *words, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_table_for_each_budget(quick_suite, tmp_path, capsys):
    words = ["--suite", quick_suite, "--variant", "no-network", "--seeds", "1"]
    budget = ["--cpu", "0.3", "--formulas", "300"]
    out = tmp_path / "records.jsonl"
    assert main(["bench", "ablation", *words, *budget, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "after 300 formulas" in shown and "after 0.3 CPU s" in shown
    assert len(out.read_text().splitlines()) == 8
    out.write_text("{}\n")
    assert main(["bench", "ablation", *words, *budget, "--out", str(out)]) == 2
    assert out.read_text() == "{}\n"
    assert search_problems.SEARCH_SUITES.keys() >= {"pairs", "shapes"}
