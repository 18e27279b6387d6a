"""Formulas of features: selection, limits, links, and what must not reach selection."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from matbench_segvae.algorithms.feature_formulas.algorithm import FeatureFormula, search_rows
from matbench_segvae.algorithms.feature_formulas.cross_validation import CrossValidation
from matbench_segvae.algorithms.feature_formulas.error_model import ErrorModel
from matbench_segvae.algorithms.feature_formulas.feature_selection import FeatureRows
from matbench_segvae.algorithms.feature_formulas.final_refit import final_refit
from matbench_segvae.algorithms.feature_formulas.metrics import AbsoluteError, LogLoss, fit_linear
from matbench_segvae.algorithms.feature_formulas.search import (
    choose_formula,
    final_choice,
    search_formula,
)
from matbench_segvae.algorithms.feature_formulas.settings import FeatureFormulaSettings
from matbench_segvae.algorithms.feature_formulas.term_search import quotients_stand_alone
from matbench_segvae.algorithms.feature_formulas.terms import (
    Term,
    centred_design,
    linked,
    scaled,
    sum_of,
)
from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.segvae import SEGVAE
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import parse


@pytest.fixture(scope="session")
def quick(quick_search):
    return FeatureFormulaSettings(
        max_terms=3,
        selected_features=3,
        searches=1,
        generation_rounds=1,
        terms_per_length=4,
        search=replace(quick_search, epochs=2, samples=80),
        validation_folds=3,
        validation_repeats=1,
        shortlisted_terms=4,
        beam_width=2,
    )


def alloys(n=60, seed=0):
    """Compositions of Fe, Ni and Cr, and their shares."""
    rng = np.random.default_rng(seed)
    shares = pd.DataFrame({"Ni": rng.uniform(0.05, 0.3, n), "Cr": rng.uniform(0.05, 0.3, n)})
    text = [f"Fe{1 - a - b:.5f}Ni{a:.5f}Cr{b:.5f}" for a, b in shares.to_numpy()]
    ids = [f"s{i}" for i in range(n)]
    return pd.Series(text, index=ids), shares.set_axis(ids)


@pytest.fixture(scope="module")
def context(fold_context):
    """Makes contexts of a fold of compositions."""
    facts = {"benchmark": "matbench_v0.1", "task": "matbench_steels", "input_type": "composition"}

    def make(task_type="regression", **changes):
        return fold_context(**(facts | changes), task_type=task_type)

    return make


@pytest.fixture(scope="module")
def regression(context, quick):
    inputs, shares = alloys()
    target = 500 + 3000 * shares["Ni"] + 20 * np.random.default_rng(1).normal(size=60)
    algorithm = FeatureFormula(quick)
    algorithm.fit(inputs[:45], target[:45], context())
    return algorithm, inputs, target


def test_a_planted_law_is_found(regression):
    algorithm, inputs, target = regression
    error = np.abs(algorithm.predict(inputs[45:]) - target[45:]).mean()
    assert error < 30
    assert np.abs(target[45:] - target[:45].mean()).mean() > 100


def test_the_description_is_json_and_its_formula_is_what_predicts(regression):
    algorithm, inputs, _ = regression
    facts = json.loads(json.dumps(dict(algorithm.describe())))
    assert facts["nodes"] <= 40 and 1 <= len(facts["features"]) <= 8
    formula = parse(facts["formula"], list(facts["features"]))
    assert formula.complexity == facts["complexity"] and len(formula.tokens) == facts["nodes"]
    assert formula.n_constants == facts["parameters"]
    table = algorithm._features(inputs, tuple(facts["features"]))
    low, high = facts["predictions_between"]
    expected = np.clip(formula({n: table[n].to_numpy() for n in table}), low, high)
    np.testing.assert_allclose(algorithm.predict(inputs), expected, rtol=1e-9)
    assert {"latex", "candidates", "settings", "seconds", "screened"} <= facts.keys()


def test_standard_deviations_are_those_of_held_out_errors(regression):
    algorithm, inputs, target = regression
    std = algorithm.predict_std(inputs)
    assert std.shape == (60,) and (std > 0).all()
    errors = algorithm.predict(inputs[45:]) - target[45:]
    assert 0.5 < np.sqrt(np.mean((errors / std[45:]) ** 2)) < 2


def test_errors_that_grow_are_seen_to_grow():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 10, 400))
    target = 10 * x + x * rng.normal(size=400)
    validation = CrossValidation.repeated(target, AbsoluteError(), 5, 1, 0)
    model = ErrorModel.cross_validated(centred_design(x[:, None]).columns, validation)
    small, large = model.std(np.array([20.0, 90.0]))
    assert 1.3 < small < 3 and 6.5 < large < 12


def test_the_same_seed_gives_the_same_formula_whatever_the_test_part(regression, context, quick):
    """Nothing but the training part reaches selection: a planted leak would show."""
    algorithm, inputs, target = regression
    again = FeatureFormula(quick)
    fold = context()
    again.fit(inputs[:45].copy(), target[:45].copy(), fold)
    assert again.describe()["formula"] == algorithm.describe()["formula"]
    before = again.describe()
    # Of the test part nothing is learned when it is predicted, all at once or one by one.
    odd = inputs[45:].map(lambda text: text.replace("Ni", "Co"))
    together = again.predict(pd.concat([inputs[45:], odd]))[:15]
    alone = [again.predict(inputs[i : i + 1])[0] for i in range(45, 60)]
    np.testing.assert_array_equal(together, alone)
    assert again.describe() == before
    assert list(fold.scratch.iterdir()) == []


def test_a_feature_that_predicts_the_test_part_only_is_not_used(monkeypatch, context, quick):
    """A planted leak: a feature equal to the target on test rows, and noise on the others."""
    from matbench_segvae.algorithms.feature_formulas import algorithm as feature_formula

    inputs, shares = alloys()
    target = 500 + 3000 * shares["Ni"]
    original, requested = feature_formula.feature_table, []
    noise = np.random.default_rng(2).normal(size=60)
    leak = pd.Series(np.where(np.arange(60) < 45, noise, target), index=inputs.index)

    def leaky(part, *args, **options):
        requested.extend(part.index)
        wanted = options.get("columns")
        kept = None if wanted is None else [n for n in wanted if n != "norm_10"]
        table = original(part, *args, **{**options, "columns": kept} if wanted else options)
        return table.assign(norm_10=leak[part.index]) if kept != wanted or not wanted else table

    monkeypatch.setattr(feature_formula, "feature_table", leaky)
    algorithm = FeatureFormula(quick)
    algorithm.fit(inputs[:45], target[:45], context())
    assert set(requested) == set(inputs.index[:45])
    assert "norm_10" not in algorithm.describe()["features"]


def test_a_classification_gives_probabilities_through_a_logistic_link(context, quick):
    from sklearn.metrics import roc_auc_score

    inputs, shares = alloys(90)
    noise = np.random.default_rng(3).normal(size=90)
    target = shares["Ni"] - shares["Cr"] + 0.03 * noise > 0
    algorithm = FeatureFormula(quick)
    algorithm.fit(inputs[:60], target[:60], context("classification"))
    probability = algorithm.predict(inputs[60:])
    assert ((probability >= 0) & (probability <= 1)).all()
    assert roc_auc_score(target[60:], probability) > 0.9
    facts = algorithm.describe()
    assert facts["link"] == "logistic" and facts["formula"].startswith("inv(1 + exp(neg(")
    assert facts["nodes"] <= 40
    with pytest.raises(RuntimeError, match="regression"):
        algorithm.predict_std(inputs)


def test_one_class_or_a_constant_target_gives_a_constant(context, quick):
    inputs, _ = alloys(20)
    for kind, values in (("classification", [True] * 20), ("regression", [7.0] * 20)):
        algorithm = FeatureFormula(quick)
        algorithm.fit(inputs, pd.Series(values, index=inputs.index), context(kind))
        predicted = algorithm.predict(inputs)
        assert np.ptp(predicted) == 0 and predicted[0] > 0.9
        assert algorithm.describe()["features"] == {}


def test_a_positive_target_with_a_long_tail_gets_an_exponential_link(quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.uniform(1, 3, (80, 3)), columns=["row_mean", "column_mean", "norm_2"])
    target = np.exp(2 * table["row_mean"].to_numpy() + 0.1 * rng.normal(size=80))
    choice = search_formula(FeatureRows(table, target, False), quick, 0, lambda _: None)
    assert choice.metric.name == "exponential"
    terms = choice.chosen.terms
    assert any("row_mean" in term.features for term in terms)
    formula = linked(final_refit(terms, table, target, choice.metric), choice.metric)
    error = np.abs(formula({n: table[n].to_numpy() for n in table}) - target).mean()
    assert error < 0.15 * np.abs(target - np.median(target)).mean()


def test_a_target_of_one_magnitude_is_not_put_through_an_exponential(quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.uniform(1, 3, (80, 3)), columns=["row_mean", "column_mean", "norm_2"])
    target = np.exp(table["row_mean"].to_numpy())
    choice = search_formula(FeatureRows(table, target, False), quick, 0, lambda _: None)
    assert target.max() < 10 * target.min()
    assert choice.metric.name == "identity"


def test_features_are_selected_only_where_there_are_many(quick):
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 2, (60, 20))
    target = 10 + values[:, 0] + values[:, 3]
    endings = ("mean", "min", "max", "dev", "range")
    names = [f"{p}_{s}" for p in ("row", "column", "d_holes", "s_holes") for s in endings]
    for n_features, kept in ((8, 8), (20, quick.selected_features)):
        table = pd.DataFrame(values[:, :n_features], columns=names[:n_features])
        choice = search_formula(FeatureRows(table, target, False), quick, 0, lambda _: None)
        assert len(choice.selected_features) == kept
        assert {"row_mean", "row_dev"} <= set(choice.selected_features)


def test_only_whole_terms_are_quotients():
    assert quotients_stand_alone(("mul", "x_Ni", "square", "x_Ti"))
    assert quotients_stand_alone(("div", "x_Ni", "x_Ti"))
    assert not quotients_stand_alone(("mul", "x_C", "div", "x_Ni", "x_Ti"))
    assert not quotients_stand_alone(("div", "x_Ni", "square", "x_Ti"))


def test_limits_on_nodes_and_features_hold(quick):
    rng = np.random.default_rng(0)
    names = [f"{p}_mean" for p in ("row", "column", "d_electrons", "p_electrons", "s_holes")]
    table = pd.DataFrame(rng.uniform(1, 2, (80, 5)), columns=names)
    target = table.sum(axis=1).to_numpy()
    for nodes, features in ((40, 2), (12, 8), (7, 8)):
        limited = replace(quick, max_terms=6, max_nodes=nodes, max_features=features)
        choice = search_formula(FeatureRows(table, target, False), limited, 0, lambda _: None)
        for candidate in choice.candidates:
            assert candidate.nodes <= nodes
            formula = final_refit(candidate.terms, table, target, choice.metric)
            assert len(linked(formula, choice.metric).tokens) == candidate.nodes
            assert len(formula.variables) <= features


def test_many_rows_are_sampled_and_constants_fitted_to_all(monkeypatch, context, quick):
    from matbench_segvae.algorithms.feature_formulas import algorithm as feature_formula

    inputs, shares = alloys(400)
    target = 500 + 3000 * shares["Ni"] + np.random.default_rng(1).normal(size=400)
    tables = []
    original = feature_formula.feature_table

    def watched(part, *args, **options):
        tables.append((len(part), options.get("columns")))
        return original(part, *args, **options)

    monkeypatch.setattr(feature_formula, "feature_table", watched)
    fitted_to = []
    refit = feature_formula.final_refit
    monkeypatch.setattr(
        feature_formula,
        "final_refit",
        lambda terms, table, *rest: fitted_to.append(len(table)) or refit(terms, table, *rest),
    )
    algorithm = FeatureFormula(replace(quick, max_search_rows=50))
    algorithm.fit(inputs, target, context())
    assert fitted_to == [400]
    # All features of the sample, and of all rows those that are in the formula.
    assert tables[0] == (50, None)
    assert tables[1][0] == 400 and set(tables[1][1]) == set(algorithm.describe()["features"])
    assert np.abs(algorithm.predict(inputs) - target).mean() < 20


def test_samples_keep_both_classes_and_the_seed():
    target = np.zeros(1000)
    target[:5] = 1
    rows = search_rows(target, 100, True, 0)
    assert len(rows) == 100 and 1 <= target[rows].sum() <= 5
    assert np.array_equal(rows, search_rows(target, 100, True, 0))
    assert not np.array_equal(rows, search_rows(target, 100, True, 1))
    assert len(np.unique(search_rows(target, 300, False, 0))) == 300
    assert np.array_equal(search_rows(target, 1000, False, 0), np.arange(1000))


def test_metrics_are_fitted_to_their_minimum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    design = np.column_stack([np.ones(300), x])
    outliers = np.where(rng.random(300) < 0.1, 50.0, 0.0)
    found, _ = fit_linear(design, 1 + 2 * x + outliers, AbsoluteError(), 50)
    np.testing.assert_allclose(found, [1, 2], atol=0.05)
    found, _ = fit_linear(design, np.exp(1 + 2 * x) + outliers, AbsoluteError(True), 100)
    np.testing.assert_allclose(found, [1, 2], atol=0.05)
    from sklearn.linear_model import LogisticRegression

    target = (rng.random(300) < 1 / (1 + np.exp(-1 - 2 * x))).astype(float)
    found, _ = fit_linear(design, target, LogLoss(), 50)
    model = LogisticRegression(C=1e9).fit(x[:, None], target)
    np.testing.assert_allclose(found, [model.intercept_[0], model.coef_[0, 0]], rtol=1e-3)


def test_terms_are_scaled_and_added_up():
    assert scaled(("inv", "a")) == ("div", "c", "a")
    assert scaled(("div", "mul", "a", "b", "d")) == ("div", "mul", "mul", "c", "a", "b", "d")
    terms = [Term(("inv", "row_mean")), Term(("mul", "row_mean", "sqrt", "norm_2"))]
    formula = sum_of(terms, np.array([1.5, -2.0, 3.0]))
    assert str(formula) == "1.5 - 2.0/row_mean + 3.0*row_mean*sqrt(norm_2)"
    assert len(formula.tokens) == 1 + sum(term.nodes for term in terms)


@pytest.mark.parametrize(
    ("targets", "kind", "words"),
    [
        (["hard", "soft"] * 5, "regression", "not numbers"),
        ([np.nan] + [1.0] * 9, "regression", "finite"),
        ([0.5] * 10, "classification", "True and False"),
        ([1.0, 2.0], "regression", "at least 4"),
    ],
)
def test_bad_targets_are_one_line(targets, kind, words, context, quick):
    inputs, _ = alloys(len(targets))
    with pytest.raises(UserError, match=words) as caught:
        FeatureFormula(quick).fit(inputs, pd.Series(targets, index=inputs.index), context(kind))
    assert "\n" not in str(caught.value)


def test_segvae_is_one_algorithm_of_two_searches():
    assert {"matminer", "torch"} <= set(SEGVAE.card.packages)
    assert SEGVAE.card.algorithm == SEGVAEPairLaw.card.algorithm == "segvae"
    with pytest.raises(RuntimeError, match="fit"):
        SEGVAE().describe()


def test_the_final_comparison_uses_new_splits(quick):
    """Of noise the best formula owes its loss to the splits that it was selected by."""
    rng = np.random.default_rng(0)
    settings = replace(quick, finalists_per_search=1, final_repeats=10)
    gains = []
    for seed in range(6):
        table = pd.DataFrame(rng.uniform(1, 2, (40, 6)), columns=list("uvwxyz"))
        target = rng.normal(size=40)
        choice = search_formula(FeatureRows(table, target, False), settings, seed, lambda _: None)
        judged = final_choice([choice], FeatureRows(table, target, False), settings, seed)
        assert judged.chosen.terms == choice.chosen.terms
        gains.append(judged.chosen.loss / choice.chosen.loss)
    assert np.mean(gains) > 1.02


def test_the_best_of_several_searches_wins(quick):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.uniform(1, 2, (60, 4)), columns=list("wxyz"))
    target = (3 * table["x"] * table["y"] + 0.05 * rng.normal(size=60)).to_numpy()
    settings = replace(quick, searches=2, finalists_per_search=2)
    data, lines = FeatureRows(table, target, False), []
    chosen = choose_formula(data, settings, 0, lines.append)
    again = choose_formula(data, settings, 0, lambda _: None)
    assert chosen.chosen == again.chosen
    assert len(chosen.candidates) == 4
    assert chosen.chosen.loss == min(candidate.loss for candidate in chosen.candidates)
    assert sum("search 2" in line for line in lines) == 1


def test_coefficients_of_a_centred_design_become_those_of_the_terms():
    values = np.random.default_rng(0).normal([5.0, -200.0], [0.1, 30.0], (20, 2))
    design = centred_design(values)
    coefficients = np.array([1.0, 2.0, -3.0])
    offset, *factors = design.original_units(coefficients)
    np.testing.assert_allclose(design.columns @ coefficients, offset + values @ factors)
    assert np.array_equal(centred_design(np.empty((3, 0))).columns, np.ones((3, 1)))


@pytest.mark.parametrize("metric", [AbsoluteError(), AbsoluteError(exponential=True)])
def test_hold_out_predictions_stay_within_the_targets_of_the_other_rows(metric):
    x = np.append(np.linspace(0.1, 1.0, 20), np.linspace(5.0, 9.0, 10))
    target = np.exp(2 * x)
    validation = CrossValidation(target, metric, [(np.arange(20), np.arange(20, 30))])
    design = centred_design(x[:, None]).columns
    predicted = metric.predict(validation.hold_out_values(design, validation.splits[0]))
    np.testing.assert_allclose(predicted, target[19])
