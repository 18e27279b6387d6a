"""Cost beside accuracy, and published predictions below the ranks."""

from dataclasses import replace

import pytest
from rich.console import Console

from matbench_segvae.benchmark.published import published_scores
from matbench_segvae.cli import main
from matbench_segvae.reporting import FoldScore, print_leaderboard, rank
from matbench_segvae.running import RunOptions, run

V3 = "defects2d_mos2_v3"


def score(algorithm, mae, task="t", **params):
    return FoldScore(task, algorithm, 0, {"mae": mae, "max_error": 3 * mae}, params, {})


def printed(scores, capsys, published=None, width=160):
    print_leaderboard(Console(width=width), rank(scores), {"t": "eV", V3: "eV"}, published)
    return capsys.readouterr().out


def test_cost_is_shown_where_it_was_recorded(capsys):
    hardware = {"cpu": "some", "cores": 2, "accelerator": None}
    net = score(
        "net",
        0.01,
        parameters=165432,
        seconds_fit=64.25,
        seconds_predict=0.25,
        n_test=100,
        device="cuda",
        hardware=hardware | {"accelerator": "H"},
    )
    law = score("law", 0.02, seconds_fit=2, seconds_predict=0.001, n_test=100, hardware=hardware)
    text = printed([net, law, score("foreign", 0.03)], capsys)
    for header in ("parameters", "fit s/fold", "predict s/1000", "device"):
        assert header in text
    lines = {line.split()[1]: line for line in text.splitlines() if "±" in line and "│" in line}
    assert all(word in lines["net"] for word in ("165,432", "64.2", "2.5", "cuda"))
    assert all(word in lines["law"] for word in ("2.0", "0.01", "cpu"))
    assert "cpu" not in lines["foreign"] and "cuda" not in lines["foreign"]


def test_cost_that_nobody_recorded_has_no_column(capsys):
    text = printed([score("a", 0.01)], capsys)
    assert "device" not in text and "parameters" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_costs_give_way_on_a_narrow_terminal(width, capsys):
    full = score("net", 0.01, parameters=1, seconds_fit=1.0, seconds_predict=1.0, n_test=9)
    text = printed([full], capsys, width=width)
    assert "10.0 ± 0.0" in text
    assert max(map(len, text.splitlines())) <= width


def test_medians_and_shares_of_small_errors_are_shown_where_they_were_recorded(capsys):
    folds = [
        replace(score("law", 0.01, median_error=0.002, within_20_meV=0.9), fold=0),
        replace(score("law", 0.01, median_error=0.004, within_20_meV=0.8), fold=1),
        replace(score("half", 0.02, median_error=0.002, within_20_meV=0.9), fold=0),
        replace(score("half", 0.02), fold=1),
        *(replace(score("older", 0.03), fold=fold) for fold in (0, 1)),
    ]
    lines = {line.split()[1]: line for line in printed(folds, capsys).splitlines() if "│" in line}
    assert " 3.00 │" in lines["law"] and " 85.0 % │" in lines["law"]
    assert lines["half"].count("–") == lines["older"].count("–") == 2
    text = printed(folds[-2:], capsys)
    assert "median" not in text and "EwT" not in text and "–" not in text


@pytest.mark.parametrize(
    ("task", "model", "mean", "median", "within"),
    [
        ("defects2d_mos2_low", "CatBoost + matminer", 7.7, 1.7, 0.946),
        ("defects2d_mos2_low_gap", "MEGNet-sparse", 6.9, 3.5, 0.929),
        ("defects2d_mos2_low_homo", "MEGNet-sparse", 4.7, 1.8, 0.952),
    ],
)
def test_six_published_models_stand_beside_ours_on_the_whole_set(
    task, model, mean, median, within, dft_data
):
    scores = [s for s in published_scores(task) if s.structures]
    assert len(scores) == 6 and {s.structures for s in scores} == {5933}
    assert scores[0].model == model and scores == sorted(scores, key=lambda s: s.mae)
    found = (round(1000 * scores[0].mae, 1), round(1000 * scores[0].median, 1))
    assert found == (mean, median) and scores[0].within_20_mev == pytest.approx(within, abs=5e-4)


def test_triples_alone_are_scored_where_triples_alone_are_tested(dft_data):
    for task in ("defects2d_mos2_low_transfer", "defects2d_mos2_low_families"):
        assert {s.structures for s in published_scores(task)} == {5802}


def test_figures_that_cannot_be_scored_again_say_so(dft_data, capsys):
    task = "defects2d_mos2_low"
    stated = {s.model: s for s in published_scores(task) if s.structures is None}
    assert {round(1000 * s.mae, 1): round(1000 * s.spread, 1) for s in stated.values()} == {
        3.9: 1.1,
        2.6: 0.5,
    }
    print_leaderboard(
        Console(width=160), rank([score("ours", 0.01, task)]), {task: "eV"}, {task: stated.values()}
    )
    text = " ".join(capsys.readouterr().out.split())
    assert "3.90 ± 1.10" in text and "their own test part" in text


def test_published_predictions_are_scored_as_the_data_files_have_them(dft_data):
    scores = {s.model: s for s in published_scores(V3)}
    found = {name: round(1000 * s.mae, 1) for name, s in scores.items()}
    assert found["MEGNet"] == 87.9
    assert found["MEGNet-sparse"] == 17.2
    assert found["GemNet"] == 15.9
    assert {"SchNet", "CatBoost + matminer"} < set(found)
    assert all(s.structures == 743 for s in scores.values())
    assert published_scores("defects2d_mos2_transfer")[0].mae == scores["GemNet"].mae
    assert published_scores("defects2d_xtb_mos2") == []


def test_published_rows_stand_below_the_ranks_and_say_what_they_are(dft_data, capsys):
    ours = [score("ours", 0.05, task=V3), score("worse", 0.2, task=V3)]
    text = printed(ours, capsys, {V3: published_scores(V3)})
    assert "published, trained elsewhere on other splits" in " ".join(text.split())
    order = [text.index(name) for name in ("ours", "worse", "GemNet", "MEGNet-sparse", "SchNet")]
    assert order == sorted(order)


def test_official_scores_stand_beside_ours_on_the_same_folds(capsys):
    task = "matbench_jdft2d"
    rows = rank([score("segvae", 41.0, task=task)])
    print_leaderboard(Console(width=160), rows, {task: "meV/atom"}, {task: published_scores(task)})
    text = " ".join(capsys.readouterr().out.split())
    assert "MODNet │ 33.2 │" in text and "MEGNet │ 54.2 │" in text and "67.3" in text
    assert "published on Matbench's leaderboard, the same folds" in text
    assert "trained elsewhere" not in text


def test_the_command_shows_them_when_asked_to(dft_data, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    run([V3], ["dummy"], RunOptions([0]), tmp_path)
    assert main(["leaderboard", str(tmp_path)]) == 0
    assert "published" not in capsys.readouterr().out
    assert main(["leaderboard", str(tmp_path), "--published"]) == 0
    out = capsys.readouterr().out
    assert "GemNet" in out and "15.9" in out and "trained elsewhere" in out
