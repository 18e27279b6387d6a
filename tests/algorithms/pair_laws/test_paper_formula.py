"""The published formulas: the numbers of the paper, and a clear no for all else."""

import json

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from matbench_segvae.algorithms import Algorithm, create_algorithm
from matbench_segvae.algorithms.pair_laws.paper_formula import FORMULAS, PublishedFormula
from matbench_segvae.benchmark.datasets import read_pickle_verified
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import parse

HOST = HOSTS["MoS2"]
DFT_TASKS = (
    "defects2d_mos2_v2",
    "defects2d_mos2_x2",
    "defects2d_mos2_v3",
    "defects2d_mos2_transfer",
)


def cells(*site_lists):
    cell = Supercell(HOST, 8, 8)
    structures = [defective_structure(cell, vacancies(cell, sites)) for sites in site_lists]
    return pd.Series(structures, index=[f"s{number}" for number in range(len(structures))])


def f(x):
    return (np.cos(0.5) * np.cos(8 - 2 * x) - 1) * x**2 * np.exp(-x)


def same_plane(x):
    return np.cos(x - 1) / (np.exp(x) - (4 - x))


def across(x):
    return np.cos(5 - x) / (2**x + 1 + x)


def test_is_found_by_its_name():
    algorithm = create_algorithm("paper_formula")
    assert isinstance(algorithm, Algorithm) and isinstance(algorithm, PublishedFormula)


def test_every_formula_is_the_published_one():
    x = np.linspace(2.4, 15.0, 50)
    y, z = x + 1.0, x + 0.5
    sites = 2 / 3 * (f(x) + f(y) - 0.086) + 4.207
    expected = [
        4.895091 + f(x),
        2.661751 + same_plane(x),
        2.663782 + across(x),
        sites + same_plane(z),
        sites + across(z),
    ]
    for formula, values in zip(FORMULAS, expected, strict=True):
        got = formula.formula({"x": x, "x1": x, "x2": y, "x3": z})
        np.testing.assert_allclose(got, values, rtol=1e-12)


def test_distances_enter_where_they_belong():
    # Mo at 0; S at 64 below and at 128 above the same spot, 3.13 Å apart across the plane.
    structures = cells([0, 64], [64, 128], [64, 65], [0, 64, 128], [0, 64, 65])
    a, height = HOST.a, (0.355174 - 0.144826) * HOST.c
    neighbour = np.hypot(a / np.sqrt(3), height / 2)
    second = np.hypot(2 * a / np.sqrt(3), height / 2)
    predicted = PublishedFormula().predict(structures)
    assert predicted[0] == pytest.approx(4.895091 + f(neighbour))
    assert predicted[1] == pytest.approx(2.663782 + across(height))
    assert predicted[2] == pytest.approx(2.661751 + same_plane(a))
    triple = 4.207 + 2 / 3 * (2 * f(neighbour) - 0.086) + across(height)
    assert predicted[3] == pytest.approx(triple)
    options = [
        4.207 + 2 / 3 * (f(neighbour) + f(x) - 0.086) + same_plane(a) for x in (neighbour, second)
    ]
    assert min(abs(predicted[4] - option) for option in options) < 1e-9


def test_neither_the_order_of_atoms_nor_of_structures_matters():
    structures = cells([0, 64], [0, 64, 128], [64, 70], [0, 70, 90])
    rng = np.random.default_rng(0)
    shuffled = structures.map(
        lambda s: Structure.from_sites([s[int(i)] for i in rng.permutation(len(s))])
    )
    expected = PublishedFormula().predict(structures)
    np.testing.assert_allclose(PublishedFormula().predict(shuffled), expected, atol=1e-12)
    np.testing.assert_allclose(PublishedFormula().predict(structures[::-1])[::-1], expected)


@pytest.mark.parametrize(
    ("sites", "defects"),
    [([0], "1 V_Mo"), ([64], "1 V_S"), ([0, 1], "2 V_Mo"), ([64, 65, 66], "3 V_S")],
)
def test_other_defects_are_refused_in_one_line(sites, defects):
    with pytest.raises(UserError, match=rf"no formula for s1 with {defects}: .*V2.*X2.*V3"):
        PublishedFormula().predict(cells([0, 64], sites))


@pytest.mark.parametrize("task", ["defects2d_xtb_mos2", "matbench_steels"])
def test_energies_of_another_kind_are_refused_in_one_line(task, fold_context):
    with pytest.raises(UserError, match=rf"cannot run on {task}: .* DFT energies") as caught:
        PublishedFormula().fit(cells([0]), pd.Series([3.2]), fold_context(task=task))
    assert all(name in str(caught.value) for name in DFT_TASKS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("task", "n_formulas"), list(zip(DFT_TASKS, (1, 2, 2, 2), strict=True)))
def test_the_description_holds_the_formulas_of_the_task(task, n_formulas, fold_context):
    algorithm = PublishedFormula()
    algorithm.fit(cells([0]), pd.Series([7.1]), fold_context(task=task))
    described = json.loads(json.dumps(dict(algorithm.describe())))
    lines = described["formula"].split("; ")
    assert len(lines) == n_formulas
    formulas = [parse(line.partition(" = ")[2]) for line in lines]
    assert described["complexity"] == sum(map(len, formulas))
    assert described["parameters"] == 0
    assert described["latex"].count(r" \\ ") == n_formulas - 1
    # The description holds what is used, to the last digit.
    known = [formula.formula for formula in FORMULAS]
    assert all(formula in known for formula in formulas)


def test_the_constants_are_printed_with_all_their_digits():
    assert str(FORMULAS[0]) == "E[V2] = 4.895091 + (cos(0.5)*cos(8 - 2*x) - 1)*x**2/exp(x)"


def test_the_published_errors_come_out_at_the_published_distances(dft_data):
    errors = {}
    v2, x2, v3 = (read_pickle_verified(f"{name}-table") for name in ("v2", "x2", "v3"))
    by_name = {str(formula).partition(" = ")[0]: formula.formula for formula in FORMULAS}
    errors["V2"] = by_name["E[V2]"]({"x": v2["distance"].to_numpy(float)}) - v2["formE"]
    x, planar = x2["distance"].to_numpy(float), x2["dz"].abs().to_numpy(float) < 0.1
    names = ("E[X2 same plane]", "E[X2 across]")
    errors["X2"] = np.where(planar, *(by_name[name]({"x": x}) for name in names)) - x2["formE"]
    rows = np.array(v3["distance"].tolist())
    values = dict(zip(("x1", "x2", "x3"), rows.T[:3], strict=True))
    names = ("E[V3 same plane]", "E[V3 across]")
    planar = np.abs(rows[:, 3]) < 0.1
    errors["V3"] = np.where(planar, *(by_name[name](values) for name in names)) - v3["formE"]
    found = {name: 1000 * float(np.abs(error).mean()) for name, error in errors.items()}
    assert found["V3"] == pytest.approx(9.60, abs=0.005)
    assert found["V2"] == pytest.approx(7.6, abs=0.05)
    assert found["X2"] == pytest.approx(2.8, abs=0.05)


@pytest.mark.parametrize(
    ("task", "published", "exact"),
    [
        ("defects2d_mos2_v3", 9.60, 9.61),
        ("defects2d_mos2_v2", 7.6, 7.81),
        ("defects2d_mos2_x2", 2.8, 2.80),
    ],
)
def test_exact_distances_give_nearly_the_published_errors(dft_task, task, published, exact):
    task = dft_task(task)
    predicted = PublishedFormula().predict(task.df["structure"])
    error = 1000 * np.abs(predicted - task.df["formation_energy_per_site"]).mean()
    assert error == pytest.approx(exact, abs=0.005)
    assert error == pytest.approx(published, abs=0.25)


def test_pairs_to_triples_needs_no_training(dft_task, fold_context):
    task = dft_task("defects2d_mos2_transfer")
    algorithm = PublishedFormula()
    algorithm.fit(*task.get_train_and_val_data(0), fold_context(task=task.dataset_name))
    unseen, truth = task.get_test_data(0, include_target=True)
    assert 1000 * np.abs(algorithm.predict(unseen) - truth).mean() == pytest.approx(9.61, abs=0.005)
