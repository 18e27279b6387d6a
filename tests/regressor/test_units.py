"""Formulas of scaled features in the units of the table."""

import numpy as np
import pytest

from matbench_segvae.expressions import parse
from matbench_segvae.regressor.units import in_original_units

SIZES = [1e-300, 1e-160, 1e-44, 1e-34, 1e-27, 1e-3, 1.0, 1e8, 1e14, 1e44, 1e160]


@pytest.mark.parametrize("one", SIZES)
@pytest.mark.parametrize("other", SIZES)
@pytest.mark.parametrize(
    "text",
    [
        "((x0**2)**3)**2",
        "x0*x1**2/2",
        "1/x0**3/x1**3",
        "(x0 + x1)/(x0 - 2.5)",
        "exp(-x0)*x1**3",
        "(x0**3*x1**3)**3",
        "sqrt(1/x0)*x1",
        "2.5/(x0*x1)**2 + 1",
    ],
)
def test_any_scales_give_the_same_values(text, one, other):
    expression = parse(text, ["x0", "x1"])
    scaled = {"x0": np.array([0.7, 1.9]), "x1": np.array([1.3, 0.4])}
    scales = {"x0": one, "x1": other}
    formula, factor = in_original_units(expression, scales)
    assert np.isfinite(factor) and factor != 0
    assert np.isfinite(formula.constants).all()
    original = {name: values * scales[name] for name, values in scaled.items()}
    np.testing.assert_allclose(factor * formula(original), expression(scaled), rtol=1e-9)
