"""The generator and the search: what they make, that they learn, that they repeat."""

import dataclasses

import numpy as np
import pytest
import torch

from matbench_segvae.expressions import Expression, Grammar, canonical, parse
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.segvae import (
    AdditiveObjective,
    Criteria,
    FitSettings,
    Scored,
    Search,
    SearchSettings,
    pretrain,
    pretrained,
)
from matbench_segvae.segvae.duplicates import Duplicates
from matbench_segvae.segvae.mutations import Mutations
from matbench_segvae.segvae.network import ExpressionVAE
from matbench_segvae.segvae.population import Population
from matbench_segvae.segvae.random_formulas import FormulaMask, random_formulas
from matbench_segvae.segvae.scoring import DirectObjective
from matbench_segvae.segvae.settings import TrainingSettings


@pytest.fixture
def searched(planted_grammar, planted_problem, quick_search):
    """Searches for the planted law with a seed; gives the front."""

    def front(seed=0):
        objective = AdditiveObjective(planted_problem, ("r",), FitSettings(), seed)
        network = pretrain(planted_grammar, quick_search, seed)
        return Search(planted_grammar, objective, network, quick_search, seed).run().front()

    return front


def test_random_formulas_are_valid_different_and_repeatable(planted_grammar):
    ids = random_formulas(planted_grammar, 500, seed=3)
    assert np.array_equal(ids, random_formulas(planted_grammar, 500, seed=3))
    assert not np.array_equal(ids, random_formulas(planted_grammar, 500, seed=4))
    formulas = [planted_grammar.decode(row) for row in ids]
    assert len(set(formulas)) == 500
    for tokens in formulas:
        Expression(tokens)  # raises if it is not one complete formula
        assert planted_grammar.keeps(tokens)
        assert np.array_equal(
            planted_grammar.encode(tokens)[: len(tokens)], [planted_grammar.ids[t] for t in tokens]
        )


def test_a_small_language_gives_all_it_has():
    tiny = Grammar(("r",), ("exp",), constants=(), fitted_constants=False, max_length=3)
    formulas = {tiny.decode(row) for row in random_formulas(tiny, 50, seed=0, max_rounds=20)}
    assert formulas == {("r",), ("exp", "r")}  # exp inside exp is not kept


def test_every_sample_is_a_formula_even_from_an_untrained_network(planted_grammar, quick_search):
    torch.manual_seed(0)
    network = ExpressionVAE(len(planted_grammar.tokens), quick_search.network).eval()
    ids = network.sample(
        torch.randn(300, 8), planted_grammar.max_length, FormulaMask(planted_grammar)
    )
    assert ids.shape == (300, planted_grammar.max_length)
    for row in ids.tolist():
        expression = Expression(planted_grammar.decode(row))
        assert expression.n_constants <= planted_grammar.max_fitted


def test_pretraining_teaches_the_network_to_give_formulas_back(planted_grammar, quick_search):
    settings = SearchSettings(
        corpus_size=300,
        validation_size=0,
        pretraining_epochs=40,
        network=quick_search.network,
        training=TrainingSettings(learning_rate=1e-2, batch_size=50),
    )
    ids = torch.from_numpy(random_formulas(planted_grammar, 300, seed=0))

    def share_given_back(module):
        network = module.network.eval()
        with torch.no_grad():
            logits = network.decode(ids, network.encode(ids)[0])
        return float((logits.argmax(2) == ids)[ids != 0].float().mean())

    untrained = share_given_back(
        pretrain(
            planted_grammar,
            SearchSettings(corpus_size=300, pretraining_epochs=0, network=quick_search.network),
            0,
        )
    )
    assert share_given_back(pretrain(planted_grammar, settings, 0)) > untrained + 0.3


def test_the_search_finds_a_planted_law_and_keeps_a_front(planted_problem, searched):
    front = searched()
    losses = [scored.loss for scored in front]
    sizes = [Expression(scored.tokens).complexity for scored in front]
    assert losses == sorted(losses, reverse=True)
    assert sizes == sorted(set(sizes))
    best = front[-1]
    assert best.loss < 1e-2 * losses[0]
    values = Program.compile([best.tokens], ("r",)).values(planted_problem.points, best.constants)
    assert np.isfinite(values).all()


def test_the_same_seed_gives_the_same_front_whatever_the_global_state(searched):
    torch.manual_seed(123)
    first = [(s.tokens, s.loss) for s in searched(seed=5)]
    torch.manual_seed(321)
    assert [(s.tokens, s.loss) for s in searched(seed=5)] == first


def test_a_search_leaves_no_files_and_no_global_state(two_threads, tmp_path, monkeypatch, searched):
    monkeypatch.chdir(tmp_path)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    searched()
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_formulas_that_are_not_admissible_never_win(planted_problem):
    objective = AdditiveObjective(
        planted_problem,
        ("r",),
        FitSettings(),
        0,
        Criteria(admissible=lambda program, constants, group: np.arange(len(program)) % 2 != 0),
    )
    refused, kept = objective.score([("exp", "r"), ("inv", "r")])
    assert refused.loss == float("inf")
    assert kept.loss < float("inf")


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_scores_come_in_the_order_of_the_formulas(share, planted_problem):
    formulas = [("r",), ("mul", "c", "r"), ("exp", "mul", "c", "r"), ("inv", "r")]
    settings = FitSettings(polished_share=share)
    scored = AdditiveObjective(planted_problem, ("r",), settings, 0).score(formulas)
    assert [s.tokens for s in scored] == formulas
    assert scored[2].loss == min(s.loss for s in scored)
    assert scored[2].constants.shape == (1, 1)


def sampled_table(n_rows: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, target and weights of a table with noise."""
    rng = np.random.default_rng(4)
    points = rng.uniform(0.5, 3, (n_rows, 1))
    target = 3 - 2 * np.exp(-0.8 * points[:, 0]) + 0.01 * rng.normal(size=n_rows)
    weights = rng.uniform(0.2, 2, n_rows)
    return points, target, weights / weights.mean()


def test_losses_are_those_of_all_rows_however_few_starts_are_tried_on():
    points, target, weights = sampled_table()
    problem = AdditiveProblem.table(points, target, weights)
    settings = FitSettings(screening_rows=20, polished_share=0.01)
    formulas = [("exp", "mul", "c", "r"), ("r",), ("cos", "r"), ("div", "r", "add", "c", "r")]
    scores = AdditiveObjective(problem, ("r",), settings, 0).score(formulas)
    for scored in scores:
        values = Expression(scored.tokens, tuple(scored.constants[0]))({"r": points[:, 0]})
        design = np.stack([np.ones_like(values), values], axis=1)
        root = np.sqrt(weights)
        squares = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[1]
        assert scored.loss == pytest.approx(np.sqrt(squares[0] / len(target)), rel=1e-6)
    assert scores[0].loss == pytest.approx(0.01, rel=0.2)
    assert scores[0].constants[0, 0] == pytest.approx(-0.8, abs=0.05)


def test_hints_are_where_a_fit_begins():
    points = np.linspace(0, 10, 60)[:, None]
    target = np.cos(23.7 * points[:, 0])  # out of reach of random starts
    problem = AdditiveProblem.table(points, target, np.ones(60))
    tokens = ("cos", "mul", "c", "r")
    settings = FitSettings(screening_starts=1, polishing_starts=1)

    def loss(hints):
        return AdditiveObjective(problem, ("r",), settings, 0).score([tokens], hints)[0].loss

    assert loss(None) > 0.5
    assert loss({tokens: np.array([[23.69]])}) < 1e-6
    assert loss({tokens: np.array([[np.nan]])}) == loss(None)


def test_formulas_without_fitted_numbers_are_scored_with_whole_numbers_too():
    points = np.linspace(1, 2, 30)[:, None]
    r = points[:, 0]
    target = 3 - 2 * np.exp(r)
    problem = AdditiveProblem.table(points, target, np.ones(30))
    criteria = Criteria(constant_free_target=target)
    objective = AdditiveObjective(problem, ("r",), FitSettings(), 0, criteria)
    law, line, fitted = objective.score([("exp", "r"), ("r",), ("exp", "mul", "c", "r")])
    assert law.constant_free_loss == pytest.approx(0, abs=1e-12)
    assert 0.01 < line.constant_free_loss < 10
    assert fitted.constant_free_loss == np.inf


def test_formulas_taken_as_they_stand_get_no_help():
    points, target, weights = sampled_table()
    problem = AdditiveProblem.table(points, target, weights)
    objective = DirectObjective(problem, ("r",))
    (scored, undefined) = objective.score([("mul", "2", "r"), ("log", "sub", "r", "2")])
    error = np.sqrt(np.average((2 * points[:, 0] - target) ** 2, weights=weights))
    assert scored.loss == scored.constant_free_loss == pytest.approx(error)
    assert undefined.loss == np.inf
    with pytest.raises(ValueError, match="fitted constants"):
        objective.score([("mul", "c", "r")])


WIDE = Grammar(("x", "y"), max_length=12, max_fitted=3)


def fitted_sum() -> Scored:
    """``cos(c*y) + exp(c*x)`` with constants in two groups."""
    tokens = canonical(parse("exp(0.5*x) + cos(0.5*y)", ("x", "y")).tokens)
    assert tokens == ("add", "cos", "mul", "c", "y", "exp", "mul", "c", "x")
    return Scored(tokens, 0.1, np.array([[1.5, -0.25], [7.0, 8.0]]))


def after(tokens: tuple[str, ...], pattern: tuple[str, ...], token: str) -> list[int]:
    """Numbers of the fitted constants that stand for ``c`` in a pattern such as exp(c*x)."""
    shape = tuple("c" if t == token else t for t in pattern)
    found = []
    for start in range(len(tokens)):
        if tokens[start : start + len(shape)] == shape:
            found.append(tokens[:start].count("c"))
    return found


def test_mutated_formulas_keep_the_grammar_and_are_new():
    parents = [
        fitted_sum(),
        Scored(("mul", "c", "x"), 0.3, np.array([[2.0], [3.0]])),
        Scored(("x",), 0.5, np.empty((2, 0))),
    ]
    known = {parent.tokens: parent for parent in parents}
    mutations = Mutations(WIDE, known)
    drawn = mutations.draw([parents, parents[1:]], 500, np.random.default_rng(0))
    assert 250 < len(drawn) <= 500  # fewer where little is new
    for tokens, hint in {**mutations.simplify(parents), **drawn}.items():
        Expression(tokens)  # raises if it is not one complete formula
        assert len(tokens) <= WIDE.max_length
        assert tokens.count("c") <= WIDE.max_fitted
        assert WIDE.keeps(tokens)
        assert canonical(tokens) == tokens
        assert tokens not in known
        assert hint.shape == (2, tokens.count("c"))


def test_what_remains_of_a_mutated_formula_keeps_its_constants():
    parent = fitted_sum()
    of_cos, of_exp = parent.constants.T
    mutations = Mutations(WIDE, {parent.tokens: parent})
    drawn = mutations.draw([[parent]], 1000, np.random.default_rng(1))
    turned = 0
    for tokens, hint in drawn.items():
        cos = after(tokens, ("cos", "mul", "?", "y"), "?")
        exp = after(tokens, ("exp", "mul", "?", "x"), "?")
        for places, value in ((cos, of_cos), (exp, of_exp)):
            for place in places:
                known = np.isfinite(hint[:, place])
                assert known.all() or not known.any()
                assert (hint[known, place] == value[known]).all()
        turned += bool(cos and exp and cos[0] > exp[0])
    assert turned > 10  # where the longer argument is now the other one


def test_simplified_formulas_start_from_the_constants_that_are_left():
    tokens = canonical(parse("exp(0.5*x) + 0.5*cos(0.5*y)", ("x", "y")).tokens)
    assert tokens == ("add", "exp", "mul", "c", "x", "mul", "c", "cos", "mul", "c", "y")
    parent = Scored(tokens, 0.1, np.array([[1.0, 2.0, 3.0]]))
    simplified = Mutations(WIDE, {}).simplify([parent])
    expected = {
        ("exp", "mul", "c", "x"): [1.0],
        ("mul", "c", "cos", "mul", "c", "y"): [2.0, 3.0],
        # Without its factor the cosine is no longer than the exponential and comes first.
        ("add", "cos", "mul", "c", "y", "exp", "mul", "c", "x"): [3.0, 1.0],
        ("add", "exp", "x", "mul", "c", "cos", "mul", "c", "y"): [2.0, 3.0],
        ("add", "mul", "c", "x", "mul", "c", "cos", "mul", "c", "y"): [1.0, 2.0, 3.0],
        ("add", "c", "mul", "c", "cos", "mul", "c", "y"): [np.nan, 2.0, 3.0],
    }
    for formula, constants in expected.items():
        np.testing.assert_array_equal(simplified[formula], [constants])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_search_gives_the_fit_the_constants_of_mutated_formulas(
    share, planted_grammar, planted_problem, quick_search
):
    class Listening(AdditiveObjective):
        def score(self, formulas, hints=None):
            rounds.append(hints)
            return super().score(formulas, hints)

    rounds = []
    settings = dataclasses.replace(quick_search, mutation_share=share)
    objective = Listening(planted_problem, ("r",), FitSettings(), 0)
    Search(planted_grammar, objective, pretrained(planted_grammar, settings, 0), settings, 0).run()
    assert not rounds[0]  # there is nothing to mutate yet
    given = [np.isfinite(hint).any() for hints in rounds[1:] for hint in hints.values()]
    assert sum(given) > 20 if share else not given


def test_a_language_without_fitted_constants_gets_none_by_mutations():
    grammar = Grammar(("x",), fitted_constants=False)
    parent = Scored(("add", "x", "sin", "x"), 0.1, np.empty((1, 0)))
    mutations = Mutations(grammar, {})
    mutated = [*mutations.simplify([parent])]
    mutated += mutations.draw([[parent]], 50, np.random.default_rng(0))
    assert {token for tokens in mutated for token in tokens} <= set(grammar.tokens)


def test_duplicates_are_recognised_by_their_values():
    def new(*texts):
        duplicates = Duplicates(("x", "y"))
        formulas = [canonical(parse(text, ("x", "y")).tokens) for text in texts]
        return [
            text
            for text, tokens in zip(texts, formulas, strict=True)
            if duplicates.discard_from([tokens])
        ]

    # x + x*x is x*(1 + x) with as many tokens: whichever comes first stays.
    assert new("x*(1 + x)", "x + x*x") == ["x*(1 + x)"]
    assert new("x + x*x", "x*(1 + x)") == ["x + x*x"]
    # A factor is free in every fit; a shorter equivalent is welcome, a longer one is not.
    assert new("2*x - 2*y", "x - y", "y - x", "3*(x - y)") == ["2*x - 2*y", "x - y"]
    assert new("x*(1 + x)", "x + x**2", "x*(1 + x)") == ["x*(1 + x)", "x + x**2"]
    assert new("exp(x + y)", "exp(x)*exp(y)") == ["exp(x + y)"]
    # Alike on one side of zero only, or up to an offset, is not alike.
    different = ["x", "sqrt(x**2)", "x + 1", "exp(x)", "x*y", "x/y", "x**2", "cos(x)"]
    assert new(*different) == different


def test_duplicates_are_recognised_where_they_are_undefined_in_places():
    duplicates = Duplicates(("x",))
    assert duplicates.discard_from([("log", "x"), ("neg", "log", "x")]) == [("log", "x")]


def test_duplicates_within_a_batch_leave_one():
    duplicates = Duplicates(("x",))
    batch = [("mul", "x", "x"), ("square", "x"), ("mul", "2", "square", "x"), ("log", "x")]
    assert duplicates.discard_from(batch) == [("mul", "x", "x"), ("square", "x"), ("log", "x")]
    assert duplicates.discard_from(batch) == []
    assert duplicates.discard_from([]) == []


def population_of(*scores: tuple[str, float], floor: float = 0.0) -> Population:
    """A population of one round; every ``0.5`` in a formula is a fitted constant."""
    population = Population(Grammar(("x", "y")), n_recent=5, hall_of_fame_size=3, floor=floor)
    found = [
        Scored(tokens, loss, np.full((1, tokens.count("c")), 0.5))
        for tokens, loss in (
            (canonical(parse(text, ("x", "y")).tokens), loss) for text, loss in scores
        )
    ]
    population.add([scored.tokens for scored in found], found)
    return population


def texts(scores: list[Scored]) -> list[str]:
    return [str(Expression(scored.tokens)) for scored in scores]


def test_formulas_with_fewer_constants_keep_a_front_of_their_own():
    population = population_of(("x", 1.0), ("cos(x)", 0.9), ("x*y", 0.6), ("0.5 + x", 0.5))
    assert texts(population.front()) == ["x", "cos(x)", "x*y", "c0 + x"]
    # Better by its constant, and no more complex than a formula without one.
    population = population_of(("x", 1.0), ("cos(x*y)", 0.6), ("0.5 + x", 0.5))
    assert texts(population.front()) == ["x", "c0 + x"]
    assert texts(population.fronts()) == ["x", "cos(x*y)", "c0 + x"]
    assert population.constant_free_front() == []


def test_below_the_floor_only_complexity_counts():
    population = population_of(("x", 1.0), ("x*y", 0.01), ("cos(x)*y", 0.001), floor=0.02)
    assert texts(population.front()) == ["x", "x*y"]
    assert texts([population.leader]) == ["x*y"]
    assert texts([population_of(("x*y", 0.01), ("cos(x)*y", 0.001)).leader]) == ["y*cos(x)"]
