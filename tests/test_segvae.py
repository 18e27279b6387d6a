"""The generator and the search: what they write, that they learn, that they repeat."""

import numpy as np
import pytest
import torch

from matbench_segvae.expressions import Expression, Grammar
from matbench_segvae.expressions.compiled import Program
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.segvae import (
    AdditiveObjective,
    FitSettings,
    SearchSettings,
    pretrain,
    search,
)
from matbench_segvae.segvae.corpus import FormulaMask, random_formulas
from matbench_segvae.segvae.module import TrainingSettings
from matbench_segvae.segvae.network import ExpressionVAE, NetworkSettings

GRAMMAR = Grammar(("r",), ("add", "mul", "div", "exp", "cos"), constants=("2",), max_length=9)
QUICK = SearchSettings(
    corpus_size=600,
    pretraining_epochs=2,
    epochs=4,
    samples=150,
    network=NetworkSettings(embedding=16, hidden=32, latent=8),
)


def planted_problem():
    """Energies that are sums of -2 exp(-r/2) over pairs."""
    rng = np.random.default_rng(1)
    points = np.linspace(1, 8, 15)[:, None]
    mixing = rng.integers(0, 2, (60, 15)).astype(float)
    target = 4 + mixing @ (-2 * np.exp(-0.5 * points[:, 0]))
    group = np.zeros(15, dtype=np.int64)
    return AdditiveProblem(points, group, 1, mixing, np.ones((60, 1)), target, np.ones(60))


def quick_search(seed=0):
    objective = AdditiveObjective(planted_problem(), ("r",), FitSettings(), seed)
    return search(GRAMMAR, objective, pretrain(GRAMMAR, QUICK, seed), QUICK, seed).front()


def test_random_formulas_are_valid_different_and_repeatable():
    ids = random_formulas(GRAMMAR, 500, seed=3)
    assert np.array_equal(ids, random_formulas(GRAMMAR, 500, seed=3))
    assert not np.array_equal(ids, random_formulas(GRAMMAR, 500, seed=4))
    formulas = [GRAMMAR.decode(row) for row in ids]
    assert len(set(formulas)) == 500
    for tokens in formulas:
        Expression(tokens)  # raises if it is not one complete formula
        assert GRAMMAR.keeps(tokens)
        assert np.array_equal(
            GRAMMAR.encode(tokens)[: len(tokens)], [GRAMMAR.ids[t] for t in tokens]
        )


def test_a_small_language_gives_all_it_has():
    tiny = Grammar(("r",), ("exp",), constants=(), fitted_constants=False, max_length=3)
    formulas = {tiny.decode(row) for row in random_formulas(tiny, 50, seed=0, max_rounds=20)}
    assert formulas == {("r",), ("exp", "r")}  # exp inside exp is not kept


def test_every_sample_is_a_formula_even_from_an_untrained_network():
    torch.manual_seed(0)
    network = ExpressionVAE(len(GRAMMAR.tokens), QUICK.network).eval()
    ids = network.sample(torch.randn(300, 8), GRAMMAR.max_length, FormulaMask(GRAMMAR))
    assert ids.shape == (300, GRAMMAR.max_length)
    for row in ids.tolist():
        expression = Expression(GRAMMAR.decode(row))
        assert expression.n_constants <= GRAMMAR.max_fitted


def test_pretraining_teaches_the_network_to_give_formulas_back():
    settings = SearchSettings(
        corpus_size=300,
        pretraining_epochs=60,
        network=QUICK.network,
        training=TrainingSettings(learning_rate=5e-3, batch_size=50),
    )
    ids = torch.from_numpy(random_formulas(GRAMMAR, 300, seed=0))

    def share_given_back(module):
        network = module.network.eval()
        with torch.no_grad():
            logits = network.decode(ids, network.encode(ids)[0])
        return float((logits.argmax(2) == ids)[ids != 0].float().mean())

    untrained = share_given_back(
        pretrain(GRAMMAR, SearchSettings(300, 0, network=QUICK.network), 0)
    )
    assert share_given_back(pretrain(GRAMMAR, settings, 0)) > untrained + 0.3


def test_the_search_finds_a_planted_law_and_keeps_a_front():
    front = quick_search()
    losses = [scored.loss for scored in front]
    sizes = [Expression(scored.tokens).complexity for scored in front]
    assert losses == sorted(losses, reverse=True)
    assert sizes == sorted(set(sizes))
    best = front[-1]
    assert best.loss < 1e-2 * losses[0]
    values = Program.compile([best.tokens], ("r",)).values(planted_problem().points, best.constants)
    assert np.isfinite(values).all()


def test_the_same_seed_gives_the_same_front_whatever_the_global_state():
    torch.manual_seed(123)
    first = [(s.tokens, s.loss) for s in quick_search(seed=5)]
    torch.manual_seed(321)
    assert [(s.tokens, s.loss) for s in quick_search(seed=5)] == first


def test_a_search_leaves_no_files_and_no_global_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    quick_search()
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_formulas_that_are_not_admissible_never_win():
    objective = AdditiveObjective(
        planted_problem(),
        ("r",),
        FitSettings(),
        0,
        admissible=lambda program, constants, group: np.arange(len(program)) % 2 != 0,
    )
    refused, kept = objective.score([("exp", "r"), ("inv", "r")])
    assert refused.loss == float("inf")
    assert kept.loss < float("inf")


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_scores_come_in_the_order_of_the_formulas(share):
    formulas = [("r",), ("mul", "c", "r"), ("exp", "mul", "c", "r"), ("inv", "r")]
    settings = FitSettings(polished_share=share)
    scored = AdditiveObjective(planted_problem(), ("r",), settings, 0).score(formulas)
    assert [s.tokens for s in scored] == formulas
    assert scored[2].loss == min(s.loss for s in scored)
    assert scored[2].constants.shape == (1, 1)
