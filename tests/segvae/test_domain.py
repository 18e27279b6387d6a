"""Which formulas a search admits for what they are between the data."""

import numpy as np

from matbench_segvae.expressions import parse
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.segvae.domain import defined_between


def admitted(texts, points, **options):
    program = Program.compile([parse(text).tokens for text in texts], ("x", "y"))
    admissible = defined_between(points, 128, 0, **options)
    return admissible(program, np.empty((len(texts), 0)), 0).tolist()


def test_formulas_have_to_be_defined_between_the_rows():
    points = np.array([[-1.0, 1.0], [-0.5, 2.0], [0.5, 3.0], [1.0, 4.0]])
    texts = ["log(x*x)", "log(x)", "log(y)", "sqrt(x + y - 2)", "x + y"]
    assert admitted(texts, points) == [True, False, True, False, True]


def test_values_that_are_only_rounding_are_refused_on_request():
    points = np.random.default_rng(0).uniform(0.5, 2, (20, 2))
    texts = ["x + y - y - x", "x - y"]
    assert admitted(texts, points) == [True, True]
    assert admitted(texts, points, beyond_rounding=True) == [False, True]
