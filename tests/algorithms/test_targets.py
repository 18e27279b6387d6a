"""Energies add up over pairs, levels do not: the target decides which model an algorithm is."""

import json

import numpy as np
import pandas as pd
import pytest

from matbench_segvae.algorithms import Algorithm, create_algorithm, segvae
from matbench_segvae.algorithms.interaction_table import InteractionTable
from matbench_segvae.algorithms.level_laws.elimination import EliminationSettings
from matbench_segvae.algorithms.level_laws.level_law import LevelLaw
from matbench_segvae.algorithms.pair_laws.pair_table import PairTable
from matbench_segvae.algorithms.protocol import PredictsStd
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies
from matbench_segvae.expressions import parse

CELL = Supercell(HOSTS["MoS2"], 6, 6)
SITES = [(0, site) for site in range(36, 60)] + [(36, site) for site in range(37, 60)]
LEVELS = np.linspace(-0.1, 0.1, len(SITES))


@pytest.fixture(scope="module")
def inputs():
    structures = [defective_structure(CELL, vacancies(CELL, sites)) for sites in SITES]
    return pd.Series(structures, index=[f"s{number}" for number in range(len(SITES))])


@pytest.fixture
def quick_levels(monkeypatch):
    """A law of levels with two shapes and hardly any elimination."""
    shapes = (parse("1", ("r",)), parse("exp(-r/2.0)", ("r",)))
    settings = EliminationSettings(fewest=4, folds=2, share=0.5)
    monkeypatch.setattr(segvae, "LevelLaw", lambda: LevelLaw(shapes, settings))


@pytest.fixture
def related(inputs):
    return pd.DataFrame({"homo": LEVELS, "lumo": 1.0 - LEVELS}, index=inputs.index)


def fitted(algorithm, inputs, targets, context):
    algorithm.fit(inputs, pd.Series(targets, index=inputs.index), context)
    return algorithm


def test_the_table_is_found_by_its_name():
    algorithm = create_algorithm("pair_table")
    assert isinstance(algorithm, Algorithm) and isinstance(algorithm, InteractionTable)
    assert algorithm.card.algorithm == "pair_table"
    assert "soft maximum" in algorithm.card.algorithm_long
    with pytest.raises(RuntimeError, match="fit"):
        algorithm.predict(pd.Series(dtype=object))


@pytest.mark.parametrize(("target", "edges"), [("homo", ["homo"]), ("band_gap", ["lumo", "homo"])])
def test_the_table_of_a_level_is_one_of_shifts(target, edges, inputs, related, fold_context):
    context = fold_context(target=target, related=related)
    values = LEVELS if target == "homo" else 1.0 - 2 * LEVELS
    table = fitted(InteractionTable(), inputs, values, context)
    described = json.loads(json.dumps(table.describe()))
    assert list(described["edges"]) == edges and described["parameters"] > len(SITES) / 2
    assert np.abs(table.predict(inputs) - values).mean() < np.abs(values - np.median(values)).mean()


def test_the_table_of_an_energy_is_one_of_pairs(inputs, fold_context):
    table = fitted(InteractionTable(), inputs, LEVELS, fold_context())
    alone = fitted(PairTable(), inputs, LEVELS, fold_context())
    np.testing.assert_array_equal(table.predict(inputs), alone.predict(inputs))
    assert table.describe() == alone.describe()


@pytest.mark.parametrize("target", ["homo", "band_gap"])
def test_segvae_on_levels_is_a_readable_law_of_them(
    target, inputs, related, quick_levels, fold_context
):
    context = fold_context(target=target, related=related)
    values = LEVELS if target == "homo" else 1.0 - 2 * LEVELS
    algorithm = fitted(segvae.SEGVAE(), inputs, values, context)
    assert isinstance(algorithm, PredictsStd)
    described = json.loads(json.dumps(algorithm.describe()))
    assert described["formula"].startswith("HOMO = T*log" if target == "homo" else "LUMO = -T*log")
    assert 0 < described["parameters"] <= described["complexity"]
    errors = np.abs(algorithm.predict(inputs) - values)
    stds = algorithm.predict_std(inputs)
    assert stds.shape == errors.shape and len(set(stds)) == 1
    # Validation errors are no smaller than those of the fit, by and large.
    assert 0.5 * errors.mean() < stds[0] < 1.0
