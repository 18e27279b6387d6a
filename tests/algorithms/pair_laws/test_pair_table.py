"""The table of pair energies: exact, unique and never worse than a formula in training."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from matbench_segvae.algorithms import Algorithm, create_algorithm
from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.algorithms.pair_laws.pair_table import PairTable
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, pairs_of, vacancies
from matbench_segvae.errors import UserError
from matbench_segvae.fitting.robust import least_absolute

HOST = HOSTS["MoS2"]


@pytest.fixture
def fitted(fold_context):
    """Fits a table to structures and their energies."""

    def fit(inputs, targets):
        algorithm = PairTable()
        algorithm.fit(inputs, targets, fold_context())
        return algorithm

    return fit


def cells(*site_lists, n=8):
    cell = Supercell(HOST, n, n)
    structures = [defective_structure(cell, vacancies(cell, sites)) for sites in site_lists]
    return pd.Series(structures, index=[f"s{number}" for number in range(len(structures))])


def test_is_found_by_its_name():
    algorithm = create_algorithm("pair_table")
    assert isinstance(algorithm, Algorithm)


def test_energies_that_are_sums_over_pairs_are_described_without_error(xtb_task, fitted):
    inputs, _ = xtb_task.get_train_and_val_data(0)
    table = pairs_of(inputs)
    energies = table.composition @ [7.0, 2.5] + table.counts @ (np.cos(table.distance))
    targets = pd.Series(energies / table.n_sites, index=inputs.index)
    algorithm = fitted(inputs, targets)
    np.testing.assert_allclose(algorithm.predict(inputs), targets, atol=1e-7)
    assert algorithm.describe()["training_mae"] < 1e-7


def test_no_other_table_has_a_smaller_error_in_training(xtb_task):
    inputs, targets = xtb_task.get_train_and_val_data(0)
    table, energies = pairs_of(inputs), targets.to_numpy()
    best = fit_pair_energies(table, energies)
    assert best.training_mae == pytest.approx(np.abs(best.predict(table) - energies).mean())
    rng = np.random.default_rng(0)
    for size in np.geomspace(1e-6, 1e-1, 200):
        other = replace(
            best,
            defect_energies=best.defect_energies + size * rng.normal(size=2),
            pair_energies=best.pair_energies + size * rng.normal(size=len(best.pair_energies)),
        )
        error = np.abs(other.predict(table) - energies).mean()
        assert error >= best.training_mae - 1e-7
    squares = np.concatenate([table.composition, table.counts], axis=1) / table.n_sites[:, None]
    residuals = energies - squares @ np.linalg.lstsq(squares, energies, rcond=None)[0]
    assert best.training_mae < np.abs(residuals).mean()


def test_one_wrong_energy_changes_nothing_else(xtb_task, fitted):
    inputs, _ = xtb_task.get_train_and_val_data(0)
    table = pairs_of(inputs)
    right = (table.composition @ [7.0, 2.5] + table.counts @ np.cos(table.distance)) / table.n_sites
    triple = int(np.flatnonzero(table.n_sites == 3)[5])
    wrong = right.copy()
    wrong[triple] += 10.0
    predicted = fitted(inputs, pd.Series(wrong)).predict(inputs)
    np.testing.assert_allclose(predicted, right, atol=1e-6)


def test_it_beats_the_mean_on_unseen_structures_ten_times(xtb_task, fitted):
    errors, spread = [], []
    for fold in xtb_task.folds:
        inputs, targets = xtb_task.get_train_and_val_data(fold)
        unseen, truth = xtb_task.get_test_data(fold, include_target=True)
        errors.append(np.abs(fitted(inputs, targets).predict(unseen) - truth).mean())
        spread.append(np.abs(targets.mean() - truth).mean())
    assert np.mean(errors) < np.mean(spread) / 10


def test_the_order_of_training_structures_does_not_matter(xtb_task, fitted):
    inputs, targets = xtb_task.get_train_and_val_data(0)
    first = fitted(inputs, targets).describe()
    again = fitted(inputs[::-1], targets[::-1]).describe()
    values = [[row["value_eV"] for row in described["pair_values"]] for described in (first, again)]
    np.testing.assert_allclose(values[0], values[1], atol=1e-7)
    assert first["defect_energies_eV"] == pytest.approx(again["defect_energies_eV"], abs=1e-7)


def test_the_description_is_a_table_to_read_and_json(xtb_task, fitted):
    described = json.loads(json.dumps(dict(fitted(*xtb_task.get_train_and_val_data(0)).describe())))
    rows, energies = described["pair_values"], described["defect_energies_eV"]
    has_constant = described["energy_per_structure_eV"] != 0
    n_terms = len(described["many_body"])
    assert described["complexity"] == len(rows) + len(energies) + n_terms + has_constant
    assert described["parameters"] == described["complexity"]
    assert list(energies) == ["V_Mo", "V_S"]
    assert rows[0] == {
        "kind": "V_Mo-V_S",
        "distance_A": 2.417,
        "direction": 1.0,
        "value_eV": rows[0]["value_eV"],
    }
    assert {row["kind"] for row in rows} == {"V_Mo-V_S", "V_S-V_S same plane", "V_S-V_S across"}
    # Defects hold together when they are neighbours.
    assert rows[0]["value_eV"] < -0.1


def test_unseen_distances_are_interpolated_and_constant_beyond_the_ends(fitted):
    sites = [64, 65, 66, 67, 68, 74]  # S vacancies in one plane
    inputs = cells(*([64, site] for site in sites[1:]))
    table = pairs_of(inputs)
    distances = table.counts @ table.distance
    order = np.argsort(distances)
    inputs, distances = inputs.iloc[order], distances[order]
    assert all(b - a > 0.1 for a, b in pairwise(distances))
    energies = pd.Series([2.0, 2.3, 2.4, 2.5, 2.6], index=inputs.index)
    kept = [1, 3]
    algorithm = fitted(inputs.iloc[kept], energies.iloc[kept])
    share = (distances[2] - distances[1]) / (distances[3] - distances[1])
    expected = [2.3, 2.3, 2.3 + share * 0.2, 2.5, 2.5]
    np.testing.assert_allclose(algorithm.predict(inputs), expected, atol=1e-7)


def test_open_values_are_zero_and_open_shares_equal(fitted):
    pair = cells([0, 64])
    described = fitted(pair, pd.Series([3.0], index=pair.index)).describe()
    assert described["defect_energies_eV"] == pytest.approx({"V_Mo": 3.0, "V_S": 3.0})
    assert [row["value_eV"] for row in described["pair_values"]] == pytest.approx([0.0])


def test_single_defects_have_no_pairs(fitted):
    inputs = cells([0], [64], [65])
    algorithm = fitted(inputs, pd.Series([7.0, 2.0, 2.0], index=inputs.index))
    np.testing.assert_allclose(algorithm.predict(inputs), [7.0, 2.0, 2.0])
    assert algorithm.describe()["pair_values"] == []
    assert algorithm.describe()["complexity"] == 2
    with pytest.raises(UserError, match="V_Mo-V_S do not occur in the training data"):
        algorithm.predict(cells([0, 64]))


def test_least_absolute_is_the_median():
    values = least_absolute(np.ones((5, 1)), np.array([1.0, 2.0, 3.0, 50.0, -70.0]), np.zeros(1))
    assert values == pytest.approx([2.0])


def test_what_it_cannot_read_is_refused_in_one_line(fold_context):
    steel = fold_context(task="matbench_steels", input_type="composition")
    with pytest.raises(
        UserError, match=r"pair_table cannot run on matbench_steels: .* composition"
    ):
        PairTable().fit(pd.Series(["Fe"]), pd.Series([1.0]), steel)
    with pytest.raises(RuntimeError, match="fit"):
        PairTable().predict(cells([0]))


def test_triples_are_superposed_of_singles_and_pairs_and_a_constant(dft_task, fitted):
    task = dft_task("defects2d_mos2_transfer")
    algorithm = fitted(*task.get_train_and_val_data(0))
    described = algorithm.describe()
    # The single vacancies are in the data, so that only the share of the constant is open.
    constant = described["energy_per_structure_eV"]
    assert -0.03 < constant < -0.01
    assert described["defect_energies_eV"] == pytest.approx(
        {"V_Mo": 7.12148 - constant, "V_S": 2.64569 - constant}, abs=1e-5
    )
    unseen, truth = task.get_test_data(0, include_target=True)
    # Without the constant it would be 10 meV.
    assert np.abs(algorithm.predict(unseen) - truth).mean() < 0.007


@pytest.mark.parametrize("name", ["defects2d_mos2_v2", "defects2d_mos2_x2"])
def test_few_structures_are_described_whole(dft_task, name, fitted):
    task = dft_task(name)
    for fold in task.folds:
        inputs, targets = task.get_train_and_val_data(fold)
        algorithm = fitted(inputs, targets)
        # Only the two V2 structures of equal distance contradict each other.
        assert algorithm.describe()["training_mae"] < 1e-3
        assert np.isfinite(algorithm.predict(task.get_test_data(fold))).all()


def test_triples_come_out_as_well_as_least_absolute_shells_can(dft_data, v3_table):
    table = pairs_of(v3_table["structure"])
    values = fit_pair_energies(table, v3_table["formation_energy_per_site"].to_numpy())
    assert len(values.pair_energies) == 34  # 33 distances, one of them in two directions
    assert 0.004 < values.training_mae < 0.0056
