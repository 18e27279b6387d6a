"""Mean, median, largest error and the share of small ones."""

import pytest

from matbench_segvae.benchmark.error_figures import ErrorFigures

TRUTH = [1.0, 2.0, 3.0, 4.0]
PREDICTED = [1.01, 1.985, 3.03, 5.0]


def test_one_large_error_moves_the_mean_and_not_the_median():
    figures = ErrorFigures.of(TRUTH, PREDICTED, "eV")
    assert figures.mean == pytest.approx(1.055 / 4)
    assert figures.median == pytest.approx(0.0225)
    assert figures.largest == pytest.approx(1.0)


def test_errors_of_20_mev_and_more_are_not_within_the_threshold():
    assert ErrorFigures.of(TRUTH, PREDICTED, "eV").within_20_mev == 0.5
    assert ErrorFigures.of([0.0], [0.02], "eV").within_20_mev == 0.0


@pytest.mark.parametrize("unit", ["MPa", "eV/atom", ""])
def test_a_threshold_in_mev_is_for_energies_alone(unit):
    assert ErrorFigures.of(TRUTH, PREDICTED, unit).within_20_mev is None
