"""Training under Lightning: checkpoints and resume, loggers, limits, the cache of networks."""

import csv
import dataclasses
import signal

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, OnExceptionCheckpoint
from lightning.pytorch.loggers import CSVLogger

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression, Grammar, no_nesting_of
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.segvae import (
    AdditiveObjective,
    Criteria,
    FitSettings,
    NetworkSettings,
    Scored,
    Search,
    SearchSettings,
    SEGVAEModule,
    TrainingSettings,
    paper_grammar,
    preset,
    pretrain,
    pretrained,
    pretraining,
)
from matbench_segvae.segvae.lstm import LSTM, Packing
from matbench_segvae.segvae.network import ExpressionVAE
from matbench_segvae.segvae.random_formulas import complete_rows, random_formulas
from matbench_segvae.segvae.scoring import DirectObjective
from matbench_segvae.segvae.training import Batches

GRAMMAR = Grammar(("x",), ("add", "mul", "exp", "cos"), constants=("2",), max_length=9)
SETTINGS = SearchSettings(
    corpus_size=300,
    validation_size=100,
    pretraining_epochs=1,
    epochs=5,
    samples=100,
    elite_passes=2,
    hall_of_fame=20,
    local_share=0.3,
    network=NetworkSettings(embedding=16, hidden=24, latent=8),
    training=TrainingSettings(batch_size=16),
)
X = np.linspace(-1, 1, 20)
Y = X**2 + np.exp(-1.5 * X)


class GuessingObjective:
    """Guesses constants at random, so that a lost generator state would show."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.rounds = []  # what was scored in each, with the losses

    def score(self, formulas, hints=None):
        scored = [self._one(tokens) for tokens in formulas]
        self.rounds.append([(s.tokens, s.loss) for s in scored])
        return scored

    def _one(self, tokens):
        expression = Expression(tokens)
        constants = self.rng.normal(size=expression.n_constants)
        values = expression.with_constants(constants)({"x": X})
        loss = float(np.sqrt(np.mean((values - Y) ** 2)))
        return Scored(tokens, loss if np.isfinite(loss) else np.inf, constants[None])

    def state_dict(self):
        state = self.rng.bit_generator.state
        words = [str(state["state"][name]) for name in ("state", "inc")]
        return {"words": words, "cached": [state["has_uint32"], state["uinteger"]]}

    def load_state_dict(self, state):
        full = self.rng.bit_generator.state
        full["state"] = dict(zip(("state", "inc"), map(int, state["words"]), strict=True))
        full["has_uint32"], full["uinteger"] = state["cached"]
        self.rng.bit_generator.state = full


@pytest.fixture(scope="module")
def weights():
    return pretrain(GRAMMAR, SETTINGS, 0).state_dict()


@pytest.fixture
def run(weights):
    """Search from the same pretrained weights each time; gives the front."""

    def run(settings=SETTINGS, objective=None, **more):
        module = SEGVAEModule(len(GRAMMAR.tokens), settings.network, settings.training)
        module.load_state_dict(weights)
        search = Search(GRAMMAR, objective or GuessingObjective(), module, settings, 7)
        return as_tuples(search.run(**more).front())

    return run


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache on disk, and none in the process."""
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pretraining, "_in_process", {})
    return tmp_path / "cache" / "networks"


def as_tuples(front):
    return [(s.tokens, s.loss, np.asarray(s.constants).tolist()) for s in front]


def every_epoch(folder):
    return ModelCheckpoint(folder, save_top_k=-1, filename="{epoch}")


class Stop(Callback):
    """Ends a search at an epoch or a step, in one way or another."""

    def __init__(self, how, epoch=None, step=None):
        self.how, self.epoch, self.step = how, epoch, step

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            self.how(trainer)

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            self.how(trainer)


def interrupt(trainer):
    raise KeyboardInterrupt


def stop_after_epoch(trainer):
    trainer.should_stop = True


@pytest.fixture
def assert_resumes(run):
    """Check that a resumed search is what it would have been without the stop."""

    def check(checkpoint):
        uninterrupted, resumed = GuessingObjective(), GuessingObjective(seed=99)
        front = run(objective=uninterrupted)
        assert run(objective=resumed, checkpoint=checkpoint) == front
        assert 0 < len(resumed.rounds) < len(uninterrupted.rounds) == SETTINGS.epochs
        assert resumed.rounds == uninterrupted.rounds[-len(resumed.rounds) :]

    return check


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_search_resumed_after_fewer_epochs_ends_the_same(run, tmp_path, epochs, assert_resumes):
    part = dataclasses.replace(SETTINGS, epochs=epochs)
    run(part, trainer_options={"callbacks": every_epoch(tmp_path)})
    assert_resumes(tmp_path / f"epoch={epochs - 1}.ckpt")


@pytest.mark.parametrize(("how", "epoch"), [(interrupt, 1), (interrupt, 3), (stop_after_epoch, 2)])
def test_a_search_stopped_from_outside_and_resumed_ends_the_same(
    run, tmp_path, how, epoch, assert_resumes
):
    options = {"callbacks": [every_epoch(tmp_path), Stop(how, epoch)]}
    if how is interrupt:
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run(trainer_options=options)
        assert signal.getsignal(signal.SIGINT) is handler
    else:
        assert run(trainer_options=options)  # what was found is not lost
    assert_resumes(sorted(tmp_path.glob("*.ckpt"))[-1])


def test_a_search_resumed_inside_an_epoch_ends_the_same(run, tmp_path, assert_resumes):
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    with pytest.raises(KeyboardInterrupt):
        run(trainer_options={"callbacks": [saver, Stop(interrupt, step=11)]})
    resumed = 0
    for step in (7, 8, 9, 10):  # of epochs with three steps
        try:
            assert_resumes(tmp_path / f"step={step}.ckpt")
            resumed += 1
        except UserError as error:
            assert "after the last step of an epoch" in str(error)
    assert resumed >= 2


def test_a_search_interrupted_while_scoring_resumes_from_before(run, tmp_path, assert_resumes):
    class Interrupted(GuessingObjective):
        def score(self, formulas, hints=None):
            scored = super().score(formulas)
            if len(self.rounds) == 3:
                raise KeyboardInterrupt
            return scored

    saver = OnExceptionCheckpoint(tmp_path, filename="last")
    with pytest.raises(KeyboardInterrupt):
        run(objective=Interrupted(), trainer_options={"callbacks": saver})
    assert_resumes(tmp_path / "last.ckpt")


def test_formulas_sampled_in_an_interrupted_round_are_counted_once():
    class Interrupted:
        def score(self, formulas, hints=None):
            raise KeyboardInterrupt

    module = SEGVAEModule(len(GRAMMAR.tokens), SETTINGS.network, SETTINGS.training)
    search = Search(GRAMMAR, Interrupted(), module, SETTINGS, 0)
    with pytest.raises(KeyboardInterrupt):
        search.round()
    assert search.state_dict()["n_sampled"] == 0
    resumed = Search(GRAMMAR, GuessingObjective(), module, SETTINGS, 0)
    resumed.load_state_dict(search.state_dict())
    resumed.round()
    assert resumed.n_sampled == SETTINGS.samples
    assert resumed.metrics["sampled"] == SETTINGS.samples


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_search_of_a_law_resumed_ends_with_the_same_front(
    tmp_path, epoch, planted_grammar, planted_problem
):
    settings = dataclasses.replace(SETTINGS, epochs=4)
    net = pretrain(planted_grammar, settings, 0).state_dict()

    def law_search(seed, **more):
        module = SEGVAEModule(len(planted_grammar.tokens), settings.network, settings.training)
        module.load_state_dict(net)
        objective = AdditiveObjective(planted_problem, ("r",), FitSettings(), seed)
        search = Search(planted_grammar, objective, module, settings, 0)
        return as_tuples(search.run(**more).front())

    whole = law_search(0)
    with pytest.raises(KeyboardInterrupt):
        callbacks = [every_epoch(tmp_path), Stop(interrupt, epoch + 1)]
        law_search(0, trainer_options={"callbacks": callbacks})
    assert law_search(99, checkpoint=tmp_path / f"epoch={epoch}.ckpt") == whole


def test_a_search_of_a_table_resumed_ends_with_the_same_fronts(weights, tmp_path):
    target = 2 * np.exp(X) + 3

    def table_search(seed, **more):
        module = SEGVAEModule(len(GRAMMAR.tokens), SETTINGS.network, SETTINGS.training)
        module.load_state_dict(weights)
        problem = AdditiveProblem.table(X[:, None], target, np.ones(len(X)))
        criteria = Criteria(constant_free_target=target)
        objective = AdditiveObjective(problem, ("x",), FitSettings(), seed, criteria)
        population = Search(GRAMMAR, objective, module, SETTINGS, 7).run(**more)
        constant_free = [(s.tokens, s.constant_free_loss) for s in population.constant_free_front()]
        parents = [[s.tokens for s in pool] for pool in population.parents()]
        return as_tuples(population.fronts()), constant_free, parents, set(population.best)

    whole = table_search(0)
    assert whole[1][-1] == (("exp", "x"), pytest.approx(0, abs=1e-12))
    with pytest.raises(KeyboardInterrupt):
        callbacks = [every_epoch(tmp_path), Stop(interrupt, 2)]
        table_search(0, trainer_options={"callbacks": callbacks})
    assert table_search(99, checkpoint=tmp_path / "epoch=1.ckpt") == whole


def test_a_search_that_has_ended_runs_no_further_round_when_resumed(run, tmp_path):
    whole = run(trainer_options={"callbacks": every_epoch(tmp_path)})
    objective = GuessingObjective()
    assert run(objective=objective, checkpoint=tmp_path / "epoch=4.ckpt") == whole
    assert objective.rounds == []


def test_checkpoints_hold_plain_types_only(run, tmp_path):
    run(trainer_options={"callbacks": every_epoch(tmp_path)})
    content = torch.load(tmp_path / "epoch=2.ckpt", weights_only=True)
    assert content["EliteData"]["population"]["rounds"] == 3


def test_checkpoints_of_another_search_or_none_are_refused(run, tmp_path):
    run(trainer_options={"callbacks": every_epoch(tmp_path)})
    other = dataclasses.replace(SETTINGS, samples=99)
    with pytest.raises(UserError, match="another grammar, other settings or another seed"):
        run(other, checkpoint=tmp_path / "epoch=1.ckpt")
    (tmp_path / "noise.ckpt").write_bytes(b"noise")
    with pytest.raises(UserError, match=r"noise\.ckpt is not a checkpoint of a search"):
        run(checkpoint=tmp_path / "noise.ckpt")


def test_loggers_get_the_figures_of_each_epoch(run, tmp_path):
    run(trainer_options={"logger": CSVLogger(tmp_path, name="", version="")})
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    losses = [float(row["best_loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    for row in rows:
        assert float(row["valid_share"]) == 1
        assert 0 < float(row["unique_share"]) <= 1
        assert float(row["front_size"]) >= 1
        assert float(row["reconstruction"]) > 0
        assert float(row["divergence"]) >= 0


def test_pretraining_logs_the_loss_on_its_hold_out(tmp_path):
    pretrain(GRAMMAR, SETTINGS, 0, {"logger": CSVLogger(tmp_path, name="", version="")})
    with (tmp_path / "metrics.csv").open() as file:
        logged = {name for row in csv.DictReader(file) for name, value in row.items() if value}
    assert {"loss", "validation_loss", "validation_reconstruction"} <= logged


def test_options_that_the_search_needs_for_itself_are_refused(run):
    with pytest.raises(UserError, match="reload_dataloaders_every_n_epochs"):
        run(trainer_options={"reload_dataloaders_every_n_epochs": 2})


def test_a_search_ends_when_patience_or_time_runs_out(run):
    def rounds(**settings):
        objective = GuessingObjective()
        front = run(dataclasses.replace(SETTINGS, **settings), objective)
        assert front
        return len(objective.rounds)

    assert rounds(max_seconds=1e-6) <= 1
    assert rounds(epochs=40, patience=1) < 40


def test_at_its_target_a_search_has_three_rounds_to_make_the_formula_simpler():
    settings = dataclasses.replace(SETTINGS, target_loss=0.1)
    module = SEGVAEModule(len(GRAMMAR.tokens), settings.network, settings.training)
    search = Search(GRAMMAR, GuessingObjective(), module, settings, 0)

    def finished_after(*found):
        search.population.add([s.tokens for s in found], found)
        return search.finished

    def scored(loss, *tokens):
        return Scored(tokens, loss, np.zeros((1, 0)))

    assert not finished_after(scored(0.2, "x"))
    assert [finished_after() for _ in range(3)] == [False] * 3
    assert not finished_after(scored(0.05, "add", "x", "cos", "x"))
    assert [finished_after() for _ in range(2)] == [False] * 2
    # Good enough is good enough: the shorter formula leads although its loss is larger.
    assert not finished_after(scored(0.09, "cos", "x"))
    assert search.population.leader.tokens == ("cos", "x")
    assert [finished_after() for _ in range(3)] == [False, False, True]


def test_a_search_stops_once_its_target_is_reached(run):
    objective = GuessingObjective()
    front = run(dataclasses.replace(SETTINGS, epochs=40, target_loss=1e3), objective)
    assert 4 <= len(objective.rounds) < 10
    assert len(front) == 1  # nothing can be better than good enough


def test_without_formulas_or_without_defined_ones_the_search_still_ends(run):
    class Undefined:
        def score(self, formulas, hints=None):
            return [Scored(t, np.inf, np.zeros((1, t.count("c")))) for t in formulas]

    assert run(objective=Undefined()) == []
    untaught = dataclasses.replace(SETTINGS, epochs=2, samples=3, grammar_mask=False)
    run(untaught)


def test_every_round_has_a_sample_of_the_network_however_few_formulas_it_has(weights):
    settings = dataclasses.replace(SETTINGS, samples=2, mutation_share=0.9)
    module = SEGVAEModule(len(GRAMMAR.tokens), settings.network, settings.training)
    module.load_state_dict(weights)
    search = Search(GRAMMAR, GuessingObjective(), module, settings, 0)
    counts = []
    for _ in range(3):
        search.round()
        counts.append(search.n_sampled)
    assert counts[0] < counts[1] < counts[2]


def test_samples_without_mask_are_checked():
    grammar = Grammar(("x",), ("add", "exp"), constants=("2",), max_length=4, max_fitted=1)
    ids = {token: number for number, token in enumerate(grammar.tokens)}

    def complete(*tokens):
        row = [ids[token] for token in tokens]
        return bool(complete_rows(grammar, np.array([row + [0] * (4 - len(row))]))[0])

    assert complete("x")
    assert complete("add", "x", "exp", "2")
    assert complete("add", "x", "c")
    assert not complete()
    assert not complete("x", "x")
    assert not complete("exp")
    assert not complete("add", "add", "x", "x")
    assert not complete("add", "c", "c")  # one too many


def test_the_loss_is_that_of_the_logits():
    torch.manual_seed(0)
    network = ExpressionVAE(len(GRAMMAR.tokens), SETTINGS.network).eval()
    with torch.no_grad():
        network.to_log_variance.weight.zero_()
        network.to_log_variance.bias.fill_(-100.0)  # no noise
    ids = torch.from_numpy(random_formulas(GRAMMAR, 50, seed=0))
    logits, mean, _ = network(ids)
    entropy = torch.nn.functional.cross_entropy(logits.mT, ids, reduction="none")
    counts = torch.nn.functional.pad(ids[:, :-1], (1, 0), value=1) != 0
    expected = (entropy * counts).sum(1).mean()
    got, got_mean, _ = network.reconstruction(ids)
    assert torch.allclose(got, expected, rtol=1e-4)
    assert torch.allclose(got_mean, mean, atol=1e-5)


def test_batches_hold_every_row_once_and_go_on_where_they_were():
    rows = torch.arange(10)[:, None]
    batches = Batches(rows, 3, seed=1)
    assert len(batches) == 4
    assert sorted(torch.cat(list(batches)).ravel().tolist()) == list(range(10))
    iterator = iter(batches)
    first = next(iterator)
    again = Batches(rows, 3, seed=1)
    again.load_state_dict(batches.state_dict())
    others = torch.cat(list(again))
    assert torch.equal(torch.cat([first, others]), torch.cat(list(Batches(rows, 3, seed=1))))


def test_cached_networks_search_as_fresh_ones_do(cache, monkeypatch):
    fresh = pretrained(GRAMMAR, SETTINGS, 3)
    (file,) = cache.iterdir()
    monkeypatch.setattr(pretraining, "_in_process", {})
    monkeypatch.setattr(pretraining, "pretrain", None)  # must not be called again
    cached = pretrained(GRAMMAR, dataclasses.replace(SETTINGS, epochs=2, samples=10), 3)
    first, second = (
        Search(GRAMMAR, GuessingObjective(), module, SETTINGS, 3).run().front()
        for module in (fresh, cached)
    )
    assert as_tuples(first) == as_tuples(second)
    assert list(cache.iterdir()) == [file]


def test_networks_are_distinguished_by_all_that_they_depend_on(cache):
    quick = dataclasses.replace(SETTINGS, pretraining_epochs=0)
    grammars = [
        GRAMMAR,
        dataclasses.replace(GRAMMAR, max_length=8),
        dataclasses.replace(GRAMMAR, predicates=(no_nesting_of(["exp"]),)),
        dataclasses.replace(GRAMMAR, predicates=(no_nesting_of(["cos"]),)),
    ]
    for grammar in grammars:
        pretrained(grammar, quick, 0)
    pretrained(GRAMMAR, quick, 1)
    pretrained(GRAMMAR, dataclasses.replace(quick, corpus_size=200), 0)
    assert len(list(cache.iterdir())) == 6


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damaged_files_are_written_anew(cache, monkeypatch, damage):
    expected = pretrained(GRAMMAR, SETTINGS, 3).state_dict()
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        content = torch.load(file, weights_only=True)
        if damage == "changed":
            next(iter(content["weights"].values())).flatten()[0] += 1
        else:
            content["identity"] = "{}"
        torch.save(content, file)
    monkeypatch.setattr(pretraining, "_in_process", {})
    got = pretrained(GRAMMAR, SETTINGS, 3).state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    content = torch.load(file, weights_only=True)
    assert all(torch.equal(expected[name], content["weights"][name]) for name in expected)
    assert list(cache.iterdir()) == [file]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(pretraining, "_in_process", {})
    quick = dataclasses.replace(SETTINGS, pretraining_epochs=0)
    assert pretrained(GRAMMAR, quick, 0).network is not None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_presets():
    paper = preset("paper")
    assert (paper.corpus_size, paper.validation_size, paper.pretraining_epochs) == (
        40000,
        10000,
        50,
    )
    assert (paper.samples, paper.elite_share, paper.recent_rounds) == (5000, 0.05, 5)
    assert (paper.grammar_mask, paper.local_share, paper.hall_of_fame) == (False, 0.0, 0)
    assert (paper.linear_scaling, paper.discard_duplicates) == (False, False)
    assert paper.mutation_share == 0.0
    assert paper.network == NetworkSettings(embedding=128, hidden=128, latent=128, dropout=0.1)
    assert preset("paper", latent=8).network.latent == 8
    assert preset() == preset("default") == SearchSettings()
    with pytest.raises(UserError, match="8 to 128"):
        preset("paper", latent=256)
    with pytest.raises(UserError, match="choose from default, paper"):
        preset("papper")
    grammar = paper_grammar(["x", "y"])
    assert not grammar.fitted_constants
    assert grammar.max_length == 30
    assert {"1", "10", "pi", "e"} <= set(grammar.constants)


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match="elite_share is 0"):
        SearchSettings(elite_share=0)
    with pytest.raises(UserError, match="patience is 0"):
        SearchSettings(patience=0)
    with pytest.raises(UserError, match=r"mutation_share is 1\.0"):
        SearchSettings(mutation_share=1.0)  # the network would sample nothing


def test_the_paper_preset_searches(cache):
    small = dataclasses.replace(
        preset("paper", latent=8),
        corpus_size=400,
        validation_size=100,
        pretraining_epochs=2,
        epochs=2,
        samples=200,
    )
    grammar = paper_grammar(["x"])
    points, target = X[:, None], np.exp(X) + 1
    objective = DirectObjective(AdditiveProblem.table(points, target, np.ones(len(X))), ("x",))
    front = Search(grammar, objective, pretrained(grammar, small, 0), small, 0).run().front()
    assert front
    for scored in front:
        assert scored.constants.shape == (1, 0)
        error = np.sqrt(np.mean((Expression(scored.tokens)({"x": X}) - target) ** 2))
        assert scored.loss == pytest.approx(error)  # neither factor nor offset


def test_the_recurrent_layer_is_that_of_torch():
    torch.manual_seed(0)
    ours = LSTM(3, 4).double()
    theirs = torch.nn.LSTM(3, 4, batch_first=True).double()
    # torch stores input, forget, candidate, output; ours begins with the output.
    order = torch.arange(16).view(4, 4)[[1, 2, 3, 0]].flatten()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.from_input.weight[order])
        theirs.weight_hh_l0.copy_(ours.from_hidden[order])
        theirs.bias_ih_l0.copy_(ours.from_input.bias[order])
        theirs.bias_hh_l0.zero_()
    packing = Packing.of(torch.tensor([2, 5, 1, 5, 3]))
    place = packing.rows, packing.steps
    dense = torch.zeros(5, 5, 3, dtype=torch.double)
    inputs = torch.randn(16, 3, dtype=torch.double, requires_grad=True)
    dense[place] = inputs.detach()
    dense.requires_grad_()
    hidden, expected = ours(inputs, packing.sizes), theirs(dense)[0][place]
    assert torch.allclose(hidden, expected)
    assert torch.equal(packing.rows[packing.last], torch.arange(5))
    state = (hidden.new_zeros(5, 4), hidden.new_zeros(5, 4))
    assert torch.allclose(ours.step(ours.from_input(dense[:, 0]), state)[0], theirs(dense)[0][:, 0])
    some = torch.randn_like(hidden)
    (hidden * some).sum().backward()
    (expected * some).sum().backward()
    assert torch.allclose(inputs.grad, dense.grad[place])
    assert torch.allclose(ours.from_hidden.grad[order], theirs.weight_hh_l0.grad)
    assert torch.allclose(ours.from_input.weight.grad[order], theirs.weight_ih_l0.grad)
