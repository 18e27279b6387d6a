"""The training mean, and Matbench's official scores for it."""

import numpy as np
import pandas as pd
import pytest

from matbench_segvae.algorithms import Algorithm, create_algorithm
from matbench_segvae.algorithms.dummy import MeanPredictor


def test_is_an_algorithm():
    assert isinstance(create_algorithm("dummy"), Algorithm)


def test_predicts_the_training_mean(fold_context):
    dummy = MeanPredictor()
    dummy.fit(pd.Series(["A", "B"]), pd.Series([1.0, 4.0]), fold_context())
    assert np.array_equal(dummy.predict(pd.Series(["C", "D", "E"])), [2.5, 2.5, 2.5])
    assert np.array_equal(dummy.predict_std(pd.Series(["C", "D"])), [1.5, 1.5])
    assert dummy.describe() == {"mean": 2.5, "parameters": 1}


def test_predicts_the_share_of_the_positive_class(fold_context):
    dummy = MeanPredictor()
    labels = pd.Series([True, False, True, True])
    dummy.fit(pd.Series(list("ABCD")), labels, fold_context(task_type="classification"))
    assert np.array_equal(dummy.predict(pd.Series(["C"])), [0.75])


def test_predicting_before_fitting_is_a_mistake():
    with pytest.raises(RuntimeError, match="fit"):
        MeanPredictor().predict(pd.Series(["A"]))
    with pytest.raises(RuntimeError, match="fit"):
        MeanPredictor().predict_std(pd.Series(["A"]))


@pytest.mark.parametrize(
    ("name", "official"), [("matbench_steels", 229.7445), ("matbench_jdft2d", 67.2851)]
)
def test_official_scores(name, official, matminer_data, tmp_path):
    from matbench_segvae.running import run

    report = run([name], ["dummy"], out=tmp_path)
    assert np.mean([result.score for result in report.results]) == pytest.approx(official, abs=5e-5)
