"""The estimator as a user of scikit-learn meets it."""

import dataclasses
import json
import pickle
import time
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
import sympy as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from matbench_segvae import SEGVAERegressor, UserError
from matbench_segvae.expressions import OPERATORS, Expression, parse
from matbench_segvae.expressions.operators import FITTED
from matbench_segvae.expressions.rewriting import linear_forms
from matbench_segvae.regressor.front import make_fronts
from matbench_segvae.regressor.linear_fit import fit_candidates
from matbench_segvae.regressor.table import Table
from matbench_segvae.segvae import FitSettings, NetworkSettings, SearchSettings, preset

TINY = SearchSettings(
    corpus_size=100,
    validation_size=10,
    pretraining_epochs=1,
    epochs=1,
    samples=60,
    network=NetworkSettings(embedding=8, hidden=16, latent=4),
)
BRIEF = FitSettings(
    screening_starts=1, screening_steps=2, polished_share=0.1, polishing_starts=1, polishing_steps=2
)
LANGUAGE = {"operators": ("add", "sub", "mul", "square", "exp"), "max_length": 9}


@pytest.fixture(scope="module")
def quick(quick_search):
    """Makes estimators whose search takes a second."""

    def make(**options):
        defaults = {"search_settings": quick_search, "constants": (), **LANGUAGE}
        return SEGVAERegressor(**(defaults | options))

    return make


def planted(n_rows=80, noise=0.0, seed=0):
    """Rows of y = 2.5*x0**2 - 3 and a feature that does not matter."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-2, 2, (n_rows, 2))
    return points, 2.5 * points[:, 0] ** 2 - 3 + noise * rng.normal(size=n_rows)


@pytest.fixture(scope="module")
def fitted(quick):
    frame = pd.DataFrame(planted(noise=0.3)[0], columns=["gap", "exp"])
    return quick(max_fitted=2).fit(frame, planted(noise=0.3)[1]), frame


@parametrize_with_checks([SEGVAERegressor(search_settings=TINY, fit_settings=BRIEF, max_length=5)])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


def test_it_finds_a_planted_formula_with_two_terms():
    rng = np.random.default_rng(3)
    points = rng.uniform(-2, 2, (120, 2))
    target = 2.5 * points[:, 0] ** 2 - np.exp(-points[:, 1]) + 0.02 * rng.normal(size=120)
    settings = SearchSettings(
        corpus_size=2000,
        validation_size=10,
        pretraining_epochs=4,
        epochs=15,
        samples=600,
        network=NetworkSettings(embedding=32, hidden=64, latent=16),
    )
    model = SEGVAERegressor(
        ("sub", "mul", "square", "exp", "neg"),
        (),
        max_length=8,
        max_fitted=2,
        search_settings=settings,
    ).fit(points, target)
    fresh = rng.uniform(-2, 2, (200, 2))
    truth = 2.5 * fresh[:, 0] ** 2 - np.exp(-fresh[:, 1])
    assert np.std(model.predict(fresh) - truth) < 0.02
    assert model.score(points, target) > 0.999


def test_without_noise_the_formula_is_exact_and_short(quick):
    points, target = planted()
    best = quick().fit(points, target).get_best()
    assert best.loss < 1e-18
    assert best.formula == "2.5*x0**2 - 3"  # -3 is a whole number, 2.5 is not
    assert best.complexity == 7
    expected = parse("2.5*x0**2 - 3.0").sympy()
    difference = sp.Poly(best.sympy - expected, *expected.free_symbols)
    assert max(abs(c) for c in difference.coeffs()) < 1e-9


def fronts_of(target, candidates, **columns):
    """Both fronts that candidates give, with columns in ordinary units."""
    table = Table(
        np.stack(list(columns.values()), axis=1), target, np.ones(len(target)), tuple(columns)
    )
    scales = np.ones(len(columns))
    scaled = table.scaled(scales)
    names = dict(zip(columns, scaled.variables, strict=True))
    formulas = [
        Expression(tuple(names.get(t, t) for t in parse(text).tokens), constants)
        for text, constants in candidates.items()
    ]
    fits, loss = fit_candidates(scaled, formulas, "squared", linear_scaling=True)
    return make_fronts(table, scales, fits, loss, linear_scaling=True)


def texts_of(target, candidates, **columns):
    """Texts of both fronts that candidates give."""
    return [
        [str(e.expression) for e in front] for front in fronts_of(target, candidates, **columns)
    ]


def test_numbers_next_to_whole_ones_are_written_as_such():
    x, y = np.random.default_rng(0).uniform(0, 1, (2, 30))
    front, constant_free = texts_of(2 * np.sin(x) * np.cos(y), {"sin(x)*cos(y)": ()}, x=x, y=y)
    assert front[-1] == constant_free[-1] == "2*sin(x)*cos(y)"
    front, constant_free = texts_of(3 - x, {"x": ()}, x=x)
    assert front[-1] == constant_free[-1] == "3 - x"
    front, constant_free = texts_of(np.exp(2 * x) + y, {"exp(0.5*x) + y": (1.9,)}, x=x, y=y)
    assert front[-1] == constant_free[-1] == "exp(2*x) + y"
    front, constant_free = texts_of(1 / (x + 3) ** 2, {"1/(x + 0.5)**2": (2.5,)}, x=x)
    assert front[-1] == constant_free[-1] == "1/(x + 3)**2"


def test_other_numbers_stay_as_they_are():
    x, y = np.random.default_rng(0).uniform(0, 1, (2, 30))
    front, constant_free = texts_of(2.3 * np.sin(x) * np.cos(y), {"sin(x)*cos(y)": ()}, x=x, y=y)
    assert front[-1] == "2.3*sin(x)*cos(y)"
    assert "2*sin(x)*cos(y)" in constant_free  # the best that can be had without
    front, _ = texts_of(np.exp(1.9 * x) + y, {"exp(0.5*x) + y": (1.7,)}, x=x, y=y)
    assert front[-1] == "exp(1.9*x) + y"
    front, _ = texts_of(20 * np.sin(x), {"sin(x)": ()}, x=x)
    assert front[-1] == "20.0*sin(x)"  # there is a whole number up to 10 only


def test_under_noise_whole_numbers_win_only_where_they_describe_the_data():
    x = np.linspace(0, 3, 400)
    noise = 0.1 * np.random.default_rng(0).normal(size=400)
    front, _ = fronts_of(2 * np.sin(x) + noise, {"sin(x)": ()}, x=x)
    by_size = {e.complexity: e for e in front}
    assert str(by_size[4].expression) == "2*sin(x)"
    fitted = [e for e in front if FITTED in e.expression.tokens and e.complexity > 4]
    assert all(e.loss < by_size[4].loss for e in fitted)


OFFSETS = (0.0, 3.0, -3.0, 0.2, -7.7, 4e5)
FACTORS = (1.0, -1.0, 2.0, -2.0, 2.6, -0.3, 40.0)


def is_whole(number):
    return number == round(number) and abs(number) <= 10


@pytest.mark.parametrize("text", ["sin(x)", "x/y", "x - y", "1/y", "2/y", "inv(y)", "x*exp(y)"])
def test_all_ways_to_write_offset_and_factor_keep_the_formula(text):
    columns = dict(zip("xy", np.random.default_rng(0).uniform(0.5, 2, (2, 20)), strict=True))
    formula = parse(text)
    inner = formula(columns)
    for offset, factor in product(OFFSETS, FACTORS):
        values = offset + factor * inner
        forms = list(linear_forms(formula.tokens, (), offset, factor, values.mean()))
        np.testing.assert_allclose(forms[-1](columns), values, rtol=1e-12)
        for form in forms:
            slope, shift = np.polyfit(inner, form(columns), 1)
            np.testing.assert_allclose(form(columns), shift + slope * inner, rtol=1e-9)
            assert slope * factor > 0


@pytest.mark.parametrize(
    "text",
    [
        *("sin(x)", "x/y", "x - y", "inv(y)", "x*exp(y)"),
        "1/y",
        "2/y",
    ],
)
def test_whole_offsets_and_factors_can_be_written_without_fitted_numbers(text):
    columns = dict(zip("xy", np.random.default_rng(0).uniform(0.5, 2, (2, 20)), strict=True))
    formula = parse(text)
    for offset, factor in product(filter(is_whole, OFFSETS), filter(is_whole, FACTORS)):
        values = offset + factor * formula(columns)
        forms = linear_forms(formula.tokens, (), offset, factor, values.mean())
        constant_free = [form for form in forms if FITTED not in form.tokens]
        assert any(np.allclose(form(columns), values, rtol=1e-12) for form in constant_free)


def test_whole_numbers_come_out_of_a_search(quick_search):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 3, (40, 2))
    target = 2 * np.sin(points[:, 0]) * np.cos(points[:, 1]) - 4
    settings = dataclasses.replace(quick_search, epochs=10, samples=300)
    model = SEGVAERegressor(
        ("add", "mul", "sin", "cos"), ("1", "2"), max_length=7, search_settings=settings
    ).fit(points, target)
    for front in (model.front_, model.constant_free_front_):
        tokens = sorted(front[-1].expression.tokens)
        assert tokens == ["2", "4", "cos", "mul", "mul", "sin", "sub", "x0", "x1"]
        assert front[-1].loss < 1e-25
    assert model.predict([[1.0, 2.0]])[0] == pytest.approx(2 * np.sin(1) * np.cos(2) - 4)


def test_the_constant_free_front_holds_formulas_without_fitted_numbers(fitted):
    model, frame = fitted
    constant_free = model.constant_free_front_
    assert constant_free and not any(FITTED in e.expression.tokens for e in constant_free)
    assert all(one.complexity < other.complexity for one, other in pairwise(constant_free))
    assert all(one.loss > other.loss for one, other in pairwise(constant_free))
    target = planted(noise=0.3)[1]
    columns = {name: frame[column].to_numpy() for name, column in model.variables_.items()}
    for equation in constant_free:
        assert equation.loss == pytest.approx(np.mean((equation.expression(columns) - target) ** 2))
    # The front may be ahead by its numbers, but not behind.
    for equation in constant_free:
        assert min(e.loss for e in model.front_ if e.complexity <= equation.complexity) <= (
            equation.loss * (1 + 1e-3)
        )


@pytest.fixture(scope="module")
def paper(quick_search):
    return dataclasses.replace(
        preset("paper", latent=8),
        corpus_size=quick_search.corpus_size,
        validation_size=quick_search.validation_size,
        pretraining_epochs=quick_search.pretraining_epochs,
        epochs=3,
        samples=300,
        network=quick_search.network,
        grammar_mask=True,  # so small a network writes hardly any formula unaided
    )


def test_the_published_method_takes_formulas_as_they_stand(paper):
    points, _ = planted()
    target = 2.5 * points[:, 0] ** 2 + 0.7
    model = SEGVAERegressor(
        ("add", "mul"), ("1", "2"), preset="paper", search_settings=paper, max_length=9
    ).fit(points, target)
    assert model.score(points, target) > 0.5
    columns = {"x0": points[:, 0], "x1": points[:, 1]}
    fitted = [e for e in model.front_ if FITTED in e.expression.tokens]
    assert fitted == []
    for equation in model.front_:
        error = np.mean((equation.expression(columns) - target) ** 2)
        assert equation.loss == pytest.approx(error)
    with pytest.raises(UserError, match=r"max_fitted=2.*linear_scaling=True"):
        SEGVAERegressor(preset="paper", search_settings=paper, max_fitted=2).fit(points, target)


def test_the_front_is_a_table_from_the_simplest_to_the_closest(fitted):
    model, _ = fitted
    front = model.equations_
    assert list(front.columns) == [
        "complexity",
        "loss",
        "score",
        "formula",
        "sympy",
        "constants",
    ]
    assert front.complexity.is_monotonic_increasing and front.complexity.is_unique
    assert front.loss.is_monotonic_decreasing
    assert front.complexity[0] == 1
    step = -np.diff(np.log(front.loss)) / np.diff(front.complexity)
    assert front.score[0] == 0 and np.allclose(front.score[1:], step)


def test_formulas_read_back_predict_the_same(fitted):
    model, frame = fitted
    columns = {name: frame[column].to_numpy() for name, column in model.variables_.items()}
    for index, row in model.equations_.iterrows():
        expected = model.predict(frame, index=index)
        read = parse(row.formula, list(model.variables_))
        assert np.array_equal(np.broadcast_to(read(columns), 80), expected)
        assert read.complexity == row.complexity
        symbols = {s.name: s for s in row.sympy.free_symbols}
        at = {symbols[n]: columns[n][5] for n in symbols}
        assert float(row.sympy.evalf(subs=at)) == pytest.approx(expected[5], rel=1e-9)
        target = planted(noise=0.3)[1]
        assert row.loss == pytest.approx(np.mean((target - expected) ** 2))


def test_names_that_formulas_cannot_hold_are_mapped(fitted, quick):
    model, frame = fitted
    assert list(model.feature_names_in_) == ["gap", "exp"]
    assert model.variables_ == {"gap": "gap", "x1": "exp"}
    assert "gap**2" in model.get_best().formula
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["exp", "gap"]])
    odd = pd.DataFrame(planted()[0], columns=["band gap (eV)", "x0"])
    model = quick().fit(odd, planted()[1])
    assert model.variables_ == {"x0_": "band gap (eV)", "x0": "x0"}
    assert "x0_**2" in model.get_best().formula
    assert "band gap (eV)" in model.latex_table()


def test_latex(fitted):
    model, _ = fitted
    assert "gap^{2}" in model.latex()
    assert model.latex(0) != model.latex()
    table = model.latex_table()
    assert table.count(r"\\") == 1 + len(model.equations_)
    assert r"\toprule" in table


def test_a_torch_module_computes_in_floating_point_and_knows_its_columns(fitted):
    model, frame = fitted
    module = model.torch()
    whole = torch.arange(1, 1 + 2 * frame.shape[1]).reshape(2, -1)
    np.testing.assert_allclose(module(whole).detach(), module(whole.double()).detach())
    for wrong in (whole[:, :-1].double(), whole[0].double(), whole[None].double()):
        with pytest.raises(ValueError, match=r"it has to be \(N, "):
            module(wrong)


def test_a_torch_module_predicts_the_same_and_learns(fitted):
    model, frame = fitted
    inputs = torch.tensor(frame.to_numpy())
    for index in range(len(model.equations_)):
        module = model.torch(index)
        assert np.allclose(module(inputs).detach().numpy(), model.predict(frame, index), rtol=1e-12)
    module = model.torch()
    assert module(inputs.float()).dtype == torch.float32
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
        target = module(inputs)
    module = model.torch()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = (module(inputs) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_save_and_load_predict_the_same(fitted, tmp_path):
    model, frame = fitted
    path = tmp_path / "model.json"
    model.save(path)
    again = SEGVAERegressor.load(path)
    for index in range(len(model.equations_)):
        assert np.array_equal(again.predict(frame, index), model.predict(frame, index))
    for one, other in zip(
        again.predict(frame, return_std=True), model.predict(frame, return_std=True), strict=True
    ):
        assert np.array_equal(one, other)
    assert again.constant_free_front_ == model.constant_free_front_ != ()
    assert again.get_params() == model.get_params()
    pd.testing.assert_frame_equal(again.equations_, model.equations_)
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame.rename(columns={"gap": "other"}))
    content = json.loads(path.read_text())
    assert list(content) == [
        *("format", "format_version", "columns", "variables", "chosen", "front", "plain_front"),
        *("loss", "floor", "uncertainty", "search", "parameters"),
    ]
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert np.array_equal(copied.predict(frame), model.predict(frame))


def damaged(text, **changes):
    return json.dumps({**json.loads(text), **changes})


def test_settings_that_an_older_version_saved_are_read(fitted, tmp_path):
    saved, old = tmp_path / "model.json", tmp_path / "old.json"
    fitted[0].save(saved)
    content = json.loads(saved.read_text())
    settings = content["parameters"]["search_settings"]
    assert settings["linear_scaling"] is True
    settings["scaled"] = settings.pop("linear_scaling")
    settings["champions"] = settings.pop("hall_of_fame")
    old.write_text(json.dumps(content))
    model = SEGVAERegressor.load(old)
    assert model.search_settings == SEGVAERegressor.load(saved).search_settings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "", "no JSON"),
        (lambda text: text[:200], "no JSON"),
        (lambda text: "[1, 2]", "not a model"),
        (lambda text: '{"format": "pickle"}', "not a model"),
        (lambda text: damaged(text, format_version=99), "version 99"),
        (lambda text: damaged(text, front=[]), "no formula"),
        (lambda text: damaged(text, chosen=77), "no formula 77"),
        (lambda text: damaged(text, front=[{"formula": "open('x')", "loss": 1}]), "open"),
        (lambda text: damaged(text, front=[{"formula": "1.5*z", "loss": 1}]), "'z'"),
        (lambda text: damaged(text, front=[{"loss": 1}]), "formula"),
        (lambda text: damaged(text, plain_front=[{"formula": "z", "loss": 1}]), "'z'"),
        (lambda text: damaged(text, plain_front=None), "damaged"),
        (lambda text: damaged(text, uncertainty=3), "damaged"),
        (lambda text: damaged(text, parameters={"colour": 1}), "colour"),
        (lambda text: damaged(text, parameters={"search_settings": {"x": 1}}), "damaged"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_line(fitted, tmp_path, change, words):
    path = tmp_path / "model.json"
    fitted[0].save(path)
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=r"model\.json") as caught:
        SEGVAERegressor.load(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="absent"):
        SEGVAERegressor.load(tmp_path / "absent.json")
    with pytest.raises(UserError, match="cannot write"):
        fitted[0].save(tmp_path / "no" / "folder.json")


def test_the_same_seed_gives_the_same_front_in_any_order_of_the_rows(quick):
    points, target = planted(noise=0.3)
    one = quick(random_state=5).fit(points, target).equations_
    two = quick(random_state=5).fit(points[::-1], target[::-1]).equations_
    pd.testing.assert_frame_equal(one, two)
    other = quick(random_state=6).fit(points, target).equations_
    assert not one.equals(other)


def test_rows_without_weight_do_not_count(quick):
    points, target = planted(noise=0.3)
    rows = np.arange(len(target)) % 3 > 0
    spoiled = np.where(rows, target, 1e6)
    weighted = quick().fit(points, spoiled, sample_weight=rows.astype(float))
    dropped = quick().fit(points[rows], target[rows])
    pd.testing.assert_frame_equal(weighted.equations_, dropped.equations_)
    for bad in (np.zeros(len(target)), -np.ones(len(target))):
        with pytest.raises(UserError, match="sample_weight"):
            quick().fit(points, target, sample_weight=bad)


@pytest.mark.parametrize("loss", ["absolute", "huber"])
def test_robust_losses_are_not_led_astray(loss, quick):
    points, target = planted(noise=0.05)
    rng = np.random.default_rng(1)
    target[rng.choice(80, 8, replace=False)] += 60 * points[:8, 1]
    model = quick(loss=loss, epochs=4, model_selection="accuracy").fit(points, target)
    truth = planted()[1]
    assert np.median(np.abs(model.predict(points) - truth)) < 0.1
    squared = quick(epochs=4, model_selection="accuracy").fit(points, target)
    assert np.median(np.abs(squared.predict(points) - truth)) > 0.1


@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e9])
def test_features_and_targets_of_any_size(scale, quick):
    points, target = planted()
    model = quick().fit(points * scale, target / scale)
    assert model.score(points * scale, target / scale) > 1 - 1e-9
    best = model.front_[model.best_index_].expression
    assert sorted(best.tokens) == ["c", "c", "mul", "square", "sub", "x0"]


def test_model_selection(quick):
    points, target = planted(noise=0.3)
    models = {
        how: quick(model_selection=how).fit(points, target) for how in ("best", "accuracy", "score")
    }
    front = models["best"].equations_
    assert models["accuracy"].best_index_ == len(front) - 1
    assert models["score"].best_index_ == front.score.argmax()
    close = front[front.loss <= 1.5 * front.loss.min()]
    assert models["best"].best_index_ == close.score.idxmax()
    assert models["best"].get_best().equals(front.iloc[models["best"].best_index_])


def test_uncertainty_is_calibrated_and_grows_away_from_the_data(quick):
    points, target = planted(200, noise=0.5)
    model = quick(max_fitted=2).fit(points, target)
    fresh, truth = planted(400, noise=0.5, seed=1)
    values, std = model.predict(fresh, return_std=True)
    assert 0.75 < np.std((truth - values) / std) < 1.3
    if len(model.uncertainty_.members) > 1:
        far = model.predict(fresh * 10, return_std=True)[1]
        assert far.mean() > std.mean()


def test_warm_start_keeps_what_was_found(quick):
    points, target = planted(noise=0.3)
    model = quick(warm_start=True, epochs=1, random_state=1).fit(points, target)
    first = model.equations_
    model.fit(points, target)
    for _, row in first.iterrows():
        known = model.equations_[model.equations_.complexity <= row.complexity]
        assert known.loss.min() <= row.loss * 1.001


def test_a_warm_start_goes_on_from_a_file(quick, tmp_path):
    points, target = planted(noise=0.3)
    model = quick(warm_start=True, random_state=1).fit(points * [1, 1e4], target)
    model.save(tmp_path / "model.json")
    loaded = SEGVAERegressor.load(tmp_path / "model.json").set_params(epochs=1)
    loaded.fit(points * [1, 1e4], target)
    assert loaded.equations_.loss.min() <= model.equations_.loss.min() * (1 + 1e-6)


def test_a_warm_start_without_a_search_in_the_file_says_so(quick, tmp_path):
    points, target = planted(noise=0.3)
    path = tmp_path / "model.json"
    quick(epochs=1).fit(points, target).save(path)
    content = json.loads(path.read_text())
    del content["search"]
    path.write_text(json.dumps(content))
    loaded = SEGVAERegressor.load(path).set_params(warm_start=True)
    with pytest.warns(UserWarning, match="starting anew"):
        loaded.fit(points, target)


@pytest.mark.parametrize(
    "narrower",
    [{"max_length": 6}, {"max_fitted": 1}, {"operators": ("add", "mul")}, {"predicates": ["few"]}],
    ids=str,
)
def test_a_warm_start_keeps_no_formula_that_is_outside_of_the_language_now(quick, narrower):
    points, target = planted(noise=0.3)
    model = quick(warm_start=True).fit(points, target)

    def few(tokens):
        return len(set(tokens)) <= 3

    narrower = {**narrower, **({"predicates": [few]} if "predicates" in narrower else {})}
    model.set_params(**narrower, epochs=1).fit(points, target)
    grammar = {"operators": ("add", "sub", "mul", "div", "square", "exp", "log", "sin", "cos")}
    for formula in model._previous.formulas:
        assert len(formula.tokens) <= narrower.get("max_length", 30)
        assert formula.n_constants <= narrower.get("max_fitted", 6)
        allowed = {*narrower.get("operators", grammar["operators"]), "1", "2", "c", "x0", "x1"}
        assert set(formula.tokens) <= allowed
        assert few(formula.tokens) or "predicates" not in narrower


@pytest.mark.parametrize(
    ("target", "formula"),
    [
        (lambda x: 1 / x[:, 0], "1/x0"),
        (lambda x: 3 / x[:, 0], "3/x0"),
        (lambda x: 0.3 * x[:, 0] * x[:, 1], "0.3*x0*x1"),
    ],
)
def test_an_exact_formula_is_written_without_rounding_errors(target, formula):
    points = np.random.default_rng(0).uniform(1, 3, (40, 2))
    model = SEGVAERegressor(time_limit=3).fit(points, target(points))
    assert model.get_best().formula == formula


def test_the_size_of_a_feature_is_no_constant_of_a_logarithm():
    points = np.random.default_rng(0).uniform(5e4, 2e5, (40, 1))
    model = SEGVAERegressor(time_limit=3).fit(points, np.log(points[:, 0]))
    assert model.get_best().formula == "log(x0)"


def test_predicates_by_name_or_of_the_users_own(quick):
    frame = pd.DataFrame(planted(noise=0.3)[0], columns=["gap", "mass"])

    def no_square_of_gap(tokens):
        return not any(a == "square" and b == "gap" for a, b in pairwise(tokens))

    target = planted(noise=0.3)[1]
    model = quick(predicates=["no_pointless_pair", no_square_of_gap]).fit(frame, target)
    assert not any("gap**2" in formula for formula in model.equations_.formula)
    assert any("gap" in formula for formula in model.equations_.formula)


@pytest.mark.parametrize(
    ("points", "target"),
    [
        (np.arange(6.0)[:, None], np.full(6, 2.5)),
        (np.ones((5, 2)), np.arange(5.0)),
        (np.array([[1.0, 2.0]]), np.array([3.0])),
        (np.array([[1.0], [2.0]]), np.array([3.0, 5.0])),
        (np.random.default_rng(0).normal(size=(25, 30)), np.arange(25.0)),
        (np.arange(1.0, 9.0)[:, None], 1e-9 * np.arange(1.0, 9.0)),
    ],
    ids=["constant target", "constant features", "one row", "two rows", "wide", "small target"],
)
def test_unusual_tables(points, target, quick):
    model = quick().fit(points, target)
    assert np.isfinite(model.predict(points)).all()
    if np.ptp(target) == 0 or np.ptp(points) == 0:
        assert len(model.equations_) == 1
        assert np.allclose(model.predict(points), target.mean())


def test_formulas_hold_inside_the_box_of_the_data(quick):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (40, 2))
    points = points[np.abs(points[:, 0]) > 0.3]
    target = points[:, 1] ** 2
    model = quick(operators=("add", "mul", "log", "sqrt", "square")).fit(points, target)
    for index in range(len(model.equations_)):
        assert np.isfinite(model.predict(rng.uniform(-0.9, 0.9, (50, 2)), index)).all()


def test_rounding_is_not_taken_for_a_formula(quick):
    rng = np.random.default_rng(2)
    points, target = rng.uniform(-1, 1, (40, 1)), rng.normal(size=40)
    model = quick(operators=("add", "sub", "mul"), epochs=4).fit(points, target)
    front = model.equations_
    assert max(abs(c) for constants in front.constants for c in constants) < 1e6


def test_signs_stand_where_a_reader_expects_them(quick):
    points, target = planted(noise=0.1)
    for formula in quick().fit(points, -target).equations_.formula:
        assert "+ -" not in formula and "- -" not in formula


def test_rows_outside_the_domain_are_nan_with_a_warning(tmp_path, quick):
    points = np.linspace(1, 4, 30)[:, None]
    model = quick(operators=("log",), max_length=2, max_fitted=0).fit(points, np.log(points[:, 0]))
    with pytest.warns(UserWarning, match=r"log\(x0\) is not defined on 1 of 2 rows"):
        values, std = model.predict([[2.0], [-1.0]], return_std=True)
    assert values[0] == pytest.approx(np.log(2)) and np.isnan(values[1]) and np.isfinite(std[0])
    assert model.get_best().formula == "log(x0)"  # neither factor nor offset is needed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"operators": ("add", "tan")}, "'tan'"),
        ({"operators": "add"}, "list of names"),
        ({"operators": ()}, "operators"),
        ({"constants": ("42",)}, "'42'"),
        ({"predicates": ("always",)}, "no_pointless_pair"),
        ({"loss": "cubic"}, "squared, absolute, huber"),
        ({"model_selection": "luck"}, "best, accuracy, score"),
        ({"preset": "slow"}, "default, paper"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_length": 2.5}, "max_length=2.5"),
        ({"max_fitted": -1}, "max_fitted=-1"),
        ({"epochs": 0}, "epochs=0"),
        ({"time_limit": 0}, "time_limit=0"),
        ({"time_limit": "1h"}, "'1h'"),
        ({"search_settings": {}}, "SearchSettings"),
        ({"fit_settings": 3}, "FitSettings"),
    ],
)
def test_bad_parameters_are_named(options, words, quick):
    with pytest.raises(UserError) as caught:
        quick(**options).fit(*planted(10))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_before_fit_and_beyond_the_front(fitted):
    for ask in ("predict", "save"):
        with pytest.raises(NotFittedError):
            getattr(SEGVAERegressor(), ask)([[1.0]])
    with pytest.raises(NotFittedError):
        _ = SEGVAERegressor().equations_
    with pytest.raises(UserError, match="no formula 99"):
        fitted[0].predict(fitted[1], index=99)


def test_the_time_limit_holds(quick):
    points, target = planted(noise=0.3)
    quick().fit(points, target)  # so that pretraining does not count
    begin = time.monotonic()
    quick(epochs=10_000, time_limit=1.5).fit(points, target)
    assert time.monotonic() - begin < 8


def test_it_joins_pipelines_and_cross_validation(quick):
    points, target = planted(60, noise=0.1)
    model = make_pipeline(StandardScaler(), quick())
    assert cross_val_score(model, points, target, cv=2).min() > 0.9
    assert clone(quick(loss="huber")).loss == "huber"


def test_every_operator_can_be_asked_for():
    points = np.random.default_rng(0).uniform(0.5, 2, (30, 1))
    model = SEGVAERegressor(tuple(OPERATORS), search_settings=TINY, max_length=6)
    assert model.fit(points, np.tanh(points[:, 0])).score(points, np.tanh(points[:, 0])) > 0.5
    assert len(model.get_params()) <= 20
