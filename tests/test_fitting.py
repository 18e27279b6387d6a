"""Fitting constants: against data made from known laws."""

import numpy as np
import pytest
import torch

from matbench_segvae.expressions import parse
from matbench_segvae.expressions.evaluate import Batch
from matbench_segvae.expressions.fitting import AdditiveProblem, fit_constants, group_columns
from matbench_segvae.expressions.robust import fit_absolute, robust_weights

TRUE_CONSTANTS = torch.tensor([[-0.7, 2.0], [-0.4, 1.2]], dtype=torch.float64)
SKELETON = parse("exp(0.5*r)*cos(0.5*r)").tokens  # one formula, constants of its own per group


def made_problem(n_observations=200, noise=0.0, seed=0):
    """Observations that are sums of a known law over a few of 24 distances in two groups."""
    rng = np.random.default_rng(seed)
    points = torch.tensor(np.sort(rng.uniform(1, 9, 24)))[:, None]
    group = torch.arange(24) % 2
    mixing = torch.tensor(rng.integers(0, 3, (n_observations, 24)), dtype=torch.float64)
    base = torch.tensor(rng.integers(1, 4, (n_observations, 2)), dtype=torch.float64)
    values = Batch([SKELETON], ("r",)).values(points, TRUE_CONSTANTS[None][:, group])[0]
    scale = torch.tensor([3.0, -1.5], dtype=torch.float64)[group]
    target = base @ torch.tensor([2.5, 7.0], dtype=torch.float64) + mixing @ (scale * values)
    target += noise * torch.tensor(rng.normal(size=n_observations))
    return AdditiveProblem(
        points, group, 2, mixing, base, target, torch.ones(n_observations).double()
    )


def test_constants_scales_and_energies_of_a_planted_law_come_back():
    problem = made_problem()
    start = (TRUE_CONSTANTS + 0.2)[None]
    fit = fit_constants(problem, Batch([SKELETON], ("r",)), start, 40)
    torch.testing.assert_close(fit.constants[0].abs(), TRUE_CONSTANTS.abs(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(fit.scale[0], torch.tensor([3.0, -1.5], dtype=torch.float64))
    law = fit_absolute(problem, SKELETON, ("r",), fit.constants[0])
    expected = torch.tensor([2.5, 7.0, 3.0, -1.5], dtype=torch.float64)
    torch.testing.assert_close(law.coefficients, expected, rtol=1e-5, atol=1e-5)
    assert law.mae < 1e-6


def test_the_condensed_loss_is_the_least_squares_loss_on_all_observations():
    problem = made_problem(noise=0.5)
    batch = Batch([SKELETON, ("inv", "r")], ("r",))
    constants = torch.ones(2, 2, 2, dtype=torch.float64) * 0.3
    condensed = fit_constants(problem, batch, constants, 0).loss
    values = batch.values(problem.points, constants[:, problem.group])
    columns = group_columns(problem, problem.mixing, values)
    exact = []
    for row in range(2):
        design = torch.cat([problem.base, columns[row]], dim=1).numpy()
        residual = np.linalg.lstsq(design, problem.target.numpy(), rcond=None)[1][0]
        exact.append(residual)
    # What no values at the points could describe is left out of the condensed loss.
    free = torch.cat([problem.base, problem.mixing], dim=1).numpy()
    floor = np.linalg.lstsq(free, problem.target.numpy(), rcond=None)[1][0]
    np.testing.assert_allclose(condensed.numpy(), np.array(exact) - floor, rtol=1e-8)


def test_formulas_undefined_on_the_data_lose_and_leave_the_others_alone():
    problem = made_problem()
    formulas = [parse("log(r - 5.5)").tokens, SKELETON]
    start = torch.zeros(2, 2, 2, dtype=torch.float64)
    start[0, :, 0] = 5.5
    start[1] = TRUE_CONSTANTS
    fit = fit_constants(problem, Batch(formulas, ("r",)), start, 3)
    assert torch.isinf(fit.loss[0])
    assert fit.loss[1] < 1e-12
    with pytest.raises(ValueError, match="no admissible fit"):
        fit_absolute(problem, formulas[0], ("r",), torch.full((2, 1), 5.5, dtype=torch.float64))


def test_absolute_error_is_not_led_astray_by_a_few_wild_observations():
    problem = made_problem(noise=1e-3)
    problem.target[:15] += 50.0
    start = TRUE_CONSTANTS * 1.05
    squared = fit_constants(problem, Batch([SKELETON], ("r",)), start[None], 30).constants[0]
    robust = problem.reweighted(robust_weights(problem))
    absolute = fit_absolute(robust, SKELETON, ("r",), start).constants
    error = (absolute.abs() - TRUE_CONSTANTS.abs()).abs().max()
    assert error < 1e-3
    assert error < 0.1 * (squared.abs() - TRUE_CONSTANTS.abs()).abs().max()


def test_weights_stay_even_when_free_values_describe_the_data():
    problem = made_problem(n_observations=12)
    assert torch.equal(robust_weights(problem), torch.ones(12, dtype=torch.float64))
