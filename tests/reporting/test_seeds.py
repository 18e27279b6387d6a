"""Several seeds of one run: stored in separate folders, reported together."""

import csv

import pytest

from matbench_segvae.algorithms.dummy import MeanPredictor
from matbench_segvae.cli import main
from matbench_segvae.errors import UserError
from matbench_segvae.reporting.seeds import SeedScore, read_seeds, spread_of, write_seeds

TASK = "defects2d_xtb_mos2"


def run(out, *options):
    return main(["run", "--algorithm", "dummy", "--out", str(out), *options])


def test_further_seeds_are_told_beside_the_submission_of_the_first(tmp_path, capsys):
    assert run(tmp_path, "--seed", "3", "--seeds", "2") == 0
    folder = tmp_path / "defects2d_v0.1_dummy"
    with (folder / "seeds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["fold"]) for row in rows] == [
        (str(seed), str(fold)) for seed in (3, 4) for fold in range(5)
    ]
    assert "--seed 3 --seeds 2" in (folder / "run.py").read_text(encoding="utf-8")
    assert "over seeds" in capsys.readouterr().out
    assert main(["leaderboard", str(tmp_path)]) == 0
    # The mean does not depend on a seed.
    line = next(li for li in capsys.readouterr().out.splitlines() if "3,4" in li)
    assert "± 0.0" in line and "meV" in line


def test_one_seed_needs_no_table(tmp_path):
    assert run(tmp_path) == 0
    assert not (tmp_path / "defects2d_v0.1_dummy" / "seeds.csv").exists()


def test_a_seed_that_is_not_finished_is_left_out(tmp_path):
    assert run(tmp_path, "--seeds", "3") == 0
    folds = tmp_path / "seed-2" / "defects2d_v0.1_dummy" / "folds"
    (folds / f"{TASK}-fold_4.json").unlink()
    assert run(tmp_path) == 0
    scores = read_seeds(tmp_path / "defects2d_v0.1_dummy")
    assert {score.seed for score in scores} == {0, 1}


def test_the_spread_is_that_of_the_means_over_folds(tmp_path):
    scores = [SeedScore(TASK, s, f, "mae", s + f / 10, 1.0) for s in range(3) for f in range(2)]
    write_seeds(tmp_path, scores)
    other = [SeedScore("other", 0, 0, "mae", 1.0, 1.0)]
    write_seeds(tmp_path, other)
    spread = spread_of(read_seeds(tmp_path), TASK)
    assert spread.seeds == (0, 1, 2)
    assert (spread.mean, spread.std) == pytest.approx((1.05, 1.0))
    assert spread_of(read_seeds(tmp_path), "other") is None


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "seeds.csv").write_text("task,seed\nx,zero\n")
    with pytest.raises(UserError, match=r"seeds.csv.*is no table of seeds"):
        read_seeds(tmp_path)


def test_an_algorithm_that_gives_up_for_a_later_seed_is_complained_of(
    tmp_path, capsys, monkeypatch
):
    def fit(self, inputs, targets, context):
        if context.seed == 4:
            raise UserError("no idea what to do here")
        original(self, inputs, targets, context)

    original = MeanPredictor.fit
    monkeypatch.setattr(MeanPredictor, "fit", fit)
    assert run(tmp_path, "--seed", "3", "--seeds", "2") == 2
    assert capsys.readouterr().err.count("no idea what to do here") >= 1
    assert (tmp_path / "defects2d_v0.1_dummy" / "results.json.gz").exists()
