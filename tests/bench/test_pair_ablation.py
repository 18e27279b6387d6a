"""Searches for pair formulas with and without a choice, compared one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from matbench_segvae.bench import pair_ablation as pair_searches
from matbench_segvae.bench.ablation import variant
from matbench_segvae.bench.pair_ablation import (
    PairTrial,
    compared,
    pair_variants,
    search_pairs,
    varied,
)
from matbench_segvae.cli.app import main
from matbench_segvae.errors import UserError


@pytest.fixture(scope="module")
def part(xtb_task):
    return xtb_task.get_train_and_val_data(0)


def test_searches_are_kept_and_the_same_again(part, tmp_path, monkeypatch, quick_pair_laws):
    def found(store):
        trials = search_pairs([part], varied(variant("default"), 2, quick_pair_laws), 1, store)
        return [replace(trial, seconds=0) for trial in trials]

    first = found(tmp_path / "a.jsonl")
    assert [(t.part, t.kind, t.seed) for t in first] == [(0, kind, 0) for kind in range(3)]
    assert all(0 < trial.any_length <= trial.short for trial in first)
    assert found(tmp_path / "b.jsonl") == first  # the same seed
    monkeypatch.setattr(pair_searches, "_trial", None)
    assert found(tmp_path / "a.jsonl") == first  # nothing searched again


def test_a_variant_changes_the_search(part, tmp_path, quick_pair_laws):
    stores = {name: tmp_path / name for name in ("default", "no-mutations")}
    losses = {
        name: [
            trial.any_length
            for trial in search_pairs([part], varied(variant(name), 3, quick_pair_laws), 1, store)
        ]
        for name, store in stores.items()
    }
    assert losses["default"] != losses["no-mutations"]


def trials(*losses):
    return [PairTrial(0, 0, seed, loss, loss, 1.0) for seed, loss in enumerate(losses)]


def test_losses_are_compared_search_by_search():
    found = compared(trials(0.02, 0.08, math.inf), trials(0.04, 0.04, 0.04), lambda t: t.short)
    assert (found.searches, found.better, found.worse) == (2, 1, 1)
    assert found.ratio == pytest.approx(1.0)
    assert found.error == pytest.approx(math.log(2))  # standard error of two opposite halves


def test_exact_formulas_are_alike_however_exact():
    found = compared(trials(1e-9), trials(1e-5), lambda t: t.short)
    assert (found.ratio, found.better, found.worse) == (1.0, 0, 0)


def test_variants_of_tables_are_refused():
    assert list(pair_variants(["duplicates-kept"])) == ["default", "duplicates-kept"]
    assert "huber-loss" not in pair_variants()
    with pytest.raises(UserError, match="no variant 'huber-loss' of searches for pairs: choose"):
        pair_variants(["huber-loss"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--suite", "nope"], "nope"),
        (["--suite", "matbench_steels"], "matbench_steels has no pairs of defects"),
        (["--suite", "defects2d_xtb_mos2", "--workers", "2"], "for the suite nguyen"),
        (["--suite", "defects2d_xtb_mos2", "--variant", "nope"], "no variant 'nope'"),
    ],
)
def test_bad_words_give_one_line(words, message, capsys, tmp_path):
    assert main(["bench", "ablation", *words, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not (tmp_path / "out").exists()
