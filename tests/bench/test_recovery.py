"""The recovery benchmark: what counts as found."""

import numpy as np
import pytest

from matbench_segvae.bench import known_formulas
from matbench_segvae.bench import recovery as suite
from matbench_segvae.bench.known_formulas import LIVERMORE, NGUYEN
from matbench_segvae.bench.recovery import RecoverySettings, attempt, rounded
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Grammar, canonical, parse


@pytest.mark.parametrize(
    ("number", "truth"),
    [
        (4, lambda x: x**6 + x**5 + x**4 + x**3 + x**2 + x),
        (7, lambda x: np.log(x + 1) + np.log(x**2 + 1)),
        (11, lambda x, y: x**y),
        (12, lambda x, y: x**4 - x**3 + y**2 / 2 - y),
    ],
)
def test_the_suite_holds_the_published_formulas(number, truth):
    problem = NGUYEN[number - 1]
    points = problem.points(np.random.default_rng(0))
    assert points.shape == (20, len(problem.variables))
    np.testing.assert_allclose(problem.values(points), truth(*points.T), rtol=1e-12)


@pytest.mark.parametrize(
    ("number", "truth"),
    [
        (7, np.sinh),
        (8, np.cosh),
        (9, lambda x: sum(x**n for n in range(1, 10))),
        (12, lambda x, y: x**5 / y**3),
        (13, np.cbrt),
        (19, lambda x: np.log(x**2 + x) + np.log(x**3 + x)),
        (22, lambda x: sum(x**n for n in range(1, 9))),
    ],
)
def test_livermore_holds_the_published_formulas(number, truth):
    problem = LIVERMORE[number - 1]
    assert problem.name == f"Livermore-{number}"
    points = problem.points(np.random.default_rng(0))
    np.testing.assert_allclose(problem.values(points), truth(*points.T), rtol=1e-12)


def finder(selected, *others):
    expressions = [parse(text) for text in (selected, *others)]
    return lambda points, values, variables, seed: (expressions[0], expressions)


def test_an_equal_formula_counts_however_it_is_written():
    found = attempt(NGUYEN[0], finder("x*(x*(x + 1) + 1)"), noise=0.0, seed=0)
    assert found.strict
    assert found.front


def test_a_formula_on_the_front_that_was_not_selected_counts_for_the_front_only():
    found = attempt(NGUYEN[7], finder("x/2", "sqrt(x)"), noise=0.0, seed=0)
    assert not found.strict
    assert found.front


def test_a_near_miss_counts_only_under_noise_and_only_once_rounded():
    near = finder("2.0004*sin(x)*cos(y)")
    assert not attempt(NGUYEN[9], near, noise=0.0, seed=0).strict
    assert attempt(NGUYEN[9], near, noise=0.1, seed=0).strict
    assert not attempt(NGUYEN[9], finder("2.1*sin(x)*cos(y)"), noise=0.1, seed=0).strict


def test_a_formula_undefined_on_the_range_is_not_found():
    assert not attempt(NGUYEN[0], finder("log(x)"), noise=0.0, seed=0).strict


def test_only_constants_next_to_simple_numbers_are_rounded():
    text = "0.49995*x + 3.1412*y - 0.7123 + 1.3334*x**2"
    constants = rounded(parse(text)).constants
    np.testing.assert_allclose(constants, [0.5, np.pi, 0.7123, 4 / 3])


@pytest.mark.parametrize("problem", NGUYEN, ids=lambda problem: problem.name)
def test_nothing_known_beforehand_forbids_the_truth(problem):
    grammar = Grammar(problem.variables)
    assert grammar.keeps(canonical(parse(problem.truth, problem.variables).tokens))


def test_a_suite_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(known_formulas, "SUITES", {"two": NGUYEN[7:9]})
    store, calls = tmp_path / "store.jsonl", []

    def find(points, values, variables, seed):
        calls.append((variables, seed))
        return finder("sqrt(x)")(points, values, variables, seed)

    first = suite.run_suite("two", find, RecoverySettings(seeds=1), store)
    assert calls == [(("x",), 0), (("x", "y"), 0)]
    calls.clear()
    attempts = suite.run_suite("two", find, RecoverySettings(seeds=2), store)
    assert calls == [(("x",), 1), (("x", "y"), 1)]
    assert [a for a in attempts if a.seed == 0] == first
    rates = [(r.problem, r.attempts, r.strict, r.front) for r in suite.summarise(attempts)]
    assert rates == [("Nguyen-8", 2, 1.0, 1.0), ("Nguyen-9", 2, 0.0, 0.0)]
    with pytest.raises(UserError, match="unknown suite 'three'"):
        suite.run_suite("three", find, RecoverySettings(), store)
    other = RecoverySettings(seeds=1, search="another")
    calls.clear()
    assert all(a.search == "another" for a in suite.run_suite("two", find, other, store))
    assert len(calls) == 2  # those of the other search do not count
    store.write_text("nonsense")
    with pytest.raises(UserError, match=r"store\.jsonl"):
        suite.run_suite("two", find, RecoverySettings(seeds=1), store)


def test_outliers_change_so_many_values_and_nothing_else(tmp_path):
    seen = {}

    def finding(outliers):
        def find(points, values, variables, seed):
            seen[outliers] = points, values
            return finder("sqrt(x)")(points, values, variables, seed)

        return find

    attempts = [attempt(NGUYEN[7], finding(n), 0.0, 3, n) for n in (0, 2)]
    assert all(a.strict for a in attempts)  # compared with the truth, not with the values
    np.testing.assert_array_equal(seen[0][0], seen[2][0])
    shift = np.abs(seen[2][1] - seen[0][1])
    assert sorted(shift)[:-2] == [0.0] * 18
    np.testing.assert_allclose(sorted(shift)[-2:], 3 * np.sqrt(np.mean(seen[0][1] ** 2)))
