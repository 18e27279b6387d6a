"""Fitting constants: against data made from known laws."""

import os
import subprocess
import sys

import numpy as np
import pytest

from matbench_segvae.expressions import Expression, parse
from matbench_segvae.fitting import robust
from matbench_segvae.fitting.additive_problem import AdditiveProblem, fit_constants
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.joint_fit import fit_law
from matbench_segvae.fitting.robust import fit_table_absolutely, robust_weights

TRUE_CONSTANTS = np.array([[-0.7, 2.0], [-0.4, 1.2]])
SKELETON = parse("exp(0.5*r)*cos(0.5*r)").tokens  # one formula, constants of its own per group


def compiled(*formulas):
    return Program.compile(formulas, ("r",))


def made_problem(n_observations=200, noise=0.0, seed=0):
    """Observations that are sums of a known law over a few of 24 distances in two groups."""
    rng = np.random.default_rng(seed)
    points = np.sort(rng.uniform(1, 9, 24))[:, None]
    group = np.arange(24) % 2
    incidence = rng.integers(0, 3, (n_observations, 24)).astype(float)
    base = rng.integers(1, 4, (n_observations, 2)).astype(float)
    target = base @ [2.5, 7.0] + noise * rng.normal(size=n_observations)
    problem = AdditiveProblem(points, group, 2, incidence, base, target, np.ones(n_observations))
    values = problem.values(compiled(SKELETON), TRUE_CONSTANTS)
    target += incidence @ (np.array([3.0, -1.5])[group] * values)
    return problem


def with_constants(values):
    return [Expression(SKELETON).with_constants(row) for row in values]


def test_constants_scales_and_energies_of_a_planted_law_come_back():
    problem = made_problem()
    fit = fit_constants(problem, compiled(SKELETON), (TRUE_CONSTANTS + 0.2)[None], 40)
    # cos is even, so the sign of its frequency is open.
    np.testing.assert_allclose(np.abs(fit.constants[0]), np.abs(TRUE_CONSTANTS), rtol=1e-5)
    np.testing.assert_allclose(fit.scale[0], [3.0, -1.5], rtol=1e-5)
    law = fit_law(problem, with_constants(fit.constants[0]), ("r",))
    np.testing.assert_allclose([*law.linear, *law.scales], [2.5, 7.0, 3.0, -1.5], rtol=1e-5)
    assert law.mae < 1e-6


def test_groups_taken_one_by_one_lead_to_the_same_law():
    problem = made_problem()
    starts = [
        fit_constants(alone, compiled(SKELETON), TRUE_CONSTANTS[None, k : k + 1] + 0.2, 40)
        for k, alone in enumerate(problem.one_by_one())
    ]
    found = np.concatenate([fit.constants[0] for fit in starts])
    np.testing.assert_allclose(np.abs(found), np.abs(TRUE_CONSTANTS), rtol=1e-4)


def test_the_condensed_error_is_the_least_squares_error_on_all_observations():
    problem = made_problem(noise=0.5)
    constants = np.full((2, 2, 2), 0.3)
    formulas = compiled(SKELETON, ("inv", "r"))
    reduced = fit_constants(problem, formulas, constants, 0).error
    exact = []
    for row, formula in enumerate((SKELETON, ("inv", "r"))):
        columns = problem.columns(problem.values(compiled(formula), constants[row]))
        design = np.concatenate([problem.linear, columns], axis=1)
        exact.append(np.linalg.lstsq(design, problem.target, rcond=None)[1][0])
    # What no values at the points could describe is left out of the reduced error.
    free = np.concatenate([problem.linear, problem.incidence], axis=1)
    floor = np.linalg.lstsq(free, problem.target, rcond=None)[1][0]
    np.testing.assert_allclose(reduced, np.array(exact) - floor, rtol=1e-8)


def test_a_table_is_fitted_with_its_weights():
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 4, (80, 1))
    y = 3 - 2 * np.exp(-0.8 * x[:, 0])
    weights = np.ones(80)
    y[:5] += 100
    weights[:5] = 0
    problem = AdditiveProblem.table(x, y, weights)
    formula = compiled(("exp", "mul", "c", "r"))
    fit = fit_constants(problem, formula, np.full((1, 1, 1), -0.3), 40)
    assert fit.constants[0, 0, 0] == pytest.approx(-0.8, rel=1e-6)
    columns = problem.columns(problem.values(formula, fit.constants[0]))
    np.testing.assert_allclose(problem.linear_part(columns), [3, -2], rtol=1e-6)
    half = problem.subset(np.arange(40))
    assert len(half.points) == len(half.target) == 40


def test_formulas_undefined_on_the_data_lose_and_leave_the_others_alone():
    problem = made_problem()
    formulas = [parse("log(r - 5.5)").tokens, SKELETON]
    start = np.zeros((2, 2, 2))
    start[0, :, 0] = 5.5
    start[1] = TRUE_CONSTANTS
    fit = fit_constants(problem, compiled(*formulas), start, 3)
    assert np.isinf(fit.loss[0])
    assert fit.loss[1] < 1e-12
    with pytest.raises(ValueError, match="no admissible fit"):
        fit_law(problem, [parse("log(r - 5.5)")] * 2, ("r",))


def test_a_fit_never_ends_worse_than_it_began():
    problem = made_problem(noise=0.3)
    formulas = [parse(t).tokens for t in ("exp(0.5*r)", "cos(r*0.5)/r", "(r - 0.5)**2", "r", "1/r")]
    program = compiled(*formulas)
    start = np.random.default_rng(1).normal(size=(5, 2, program.width))
    losses = [fit_constants(problem, program, start, n, decay=1e-4).loss for n in (0, 3, 30)]
    assert (losses[1] <= losses[0]).all()
    assert (losses[2] <= losses[1] * (1 + 1e-9)).all()


def test_absolute_error_is_not_led_astray_by_a_few_wild_observations():
    problem = made_problem(noise=1e-3)
    problem.target[:15] += 50.0
    start = TRUE_CONSTANTS * 1.05
    squared = fit_constants(problem, compiled(SKELETON), start[None], 30).constants[0]
    robust = problem.reweighted(robust_weights(problem))
    absolute = np.array(fit_law(robust, with_constants(start), ("r",)).constants)
    error = np.abs(np.abs(absolute) - np.abs(TRUE_CONSTANTS)).max()
    assert error < 1e-3
    assert error < 0.1 * np.abs(np.abs(squared) - np.abs(TRUE_CONSTANTS)).max()


def test_observations_that_free_values_pass_through_do_not_count_for_all_others():
    problem = made_problem(noise=0.3)
    weights = np.sort(robust_weights(problem))
    exact = problem.incidence.shape[1] + problem.linear.shape[1]
    assert weights[-exact:].sum() < 3 * exact / len(weights) * weights.sum()


def test_weights_stay_even_when_free_values_describe_the_data():
    assert (robust_weights(made_problem(n_observations=12)) == 1).all()


def table_with_outliers():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (20, 1))
    y = 3 - 2 * np.exp(-0.8 * x[:, 0])
    y[[3, 9]] += [20.0, -20.0]
    return AdditiveProblem.table(x, y, np.ones(20))


def test_many_formulas_for_a_table_are_fitted_under_absolute_error():
    problem = table_with_outliers()
    program = compiled(parse("exp(0.5*r)").tokens, parse("log(r)").tokens)
    start = np.array([-0.3, 0.0]).reshape(2, 1, 1)
    squared = fit_constants(problem, program, start, 30)
    absolute = fit_table_absolutely(problem, program, start, 30)
    assert absolute.constants[0, 0, 0] == pytest.approx(-0.8, abs=1e-3)
    assert absolute.scale[0, 0] == pytest.approx(-2, abs=1e-2)
    assert abs(squared.constants[0, 0, 0] + 0.8) > 0.1
    # Two of twenty values are off by 20, the others by nothing.
    assert np.sqrt(absolute.error[0] / 20) == pytest.approx(2, rel=1e-3)
    assert np.isinf(absolute.loss[1])


def test_a_batch_under_absolute_error_is_fitted_in_parts_that_memory_can_bear(monkeypatch):
    problem = table_with_outliers()
    program = compiled(
        *[parse(t).tokens for t in ("exp(0.5*r)", "cos(r*0.5)", "r", "(r - 0.5)**2")]
    )
    start = np.random.default_rng(1).normal(size=(4, 1, 1))
    whole = fit_table_absolutely(problem, program, start, 10)
    monkeypatch.setattr(robust, "_AT_ONCE", 40)
    parts = fit_table_absolutely(problem, program, start, 10)
    np.testing.assert_allclose(whole.constants, parts.constants, rtol=1e-9)
    np.testing.assert_allclose(whole.loss, parts.loss, rtol=1e-9)


BITS = """
import sys
import numba, numpy as np
from matbench_segvae.expressions import Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem, fit_constants
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.segvae.random_formulas import random_formulas

grammar = Grammar(("x", "y"))
formulas = [grammar.decode(row) for row in random_formulas(grammar, 400, seed=0)]
rng = np.random.default_rng(0)
points, target = rng.uniform(-1, 3, (30, 2)), rng.normal(size=30)
program = Program.compile(formulas, grammar.variables)
start = rng.normal(size=(400, 1, program.width))
problem = AdditiveProblem.table(points, target, np.ones(30))
found = []
for threads in (1, 2):
    numba.set_num_threads(threads)
    fit = fit_constants(problem, program, start, 5)
    arrays = (program.values(points, start[:, 0]), program.derivatives(points, start[:, 0]),
              fit.constants, fit.scale, fit.loss)
    found.append([array.tobytes() for array in arrays])
sys.exit(found[0] != found[1])
"""


def test_the_number_of_threads_does_not_change_a_bit():
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BITS],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
