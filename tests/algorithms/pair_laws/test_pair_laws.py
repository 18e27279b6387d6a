"""The pair law and the algorithm that finds it, on the embedded task."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure

from matbench_segvae.algorithms import create_algorithm
from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings, PairConstraints
from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.law_json import law_from_json
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.algorithms.segvae import SEGVAE
from matbench_segvae.defects import (
    HOSTS,
    PairKind,
    Supercell,
    defective_structure,
    pairs_of,
    vacancies,
)
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression, parse
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.joint_fit import LawFit, fit_law


def without(sites, n):
    cell = Supercell(HOSTS["MoS2"], n, n)
    return defective_structure(cell, vacancies(cell, sites))


@pytest.fixture(scope="module")
def fitted(xtb_task, fold_context, quick_own_formulas):
    algorithm = SEGVAEPairLaw(quick_own_formulas)
    algorithm.fit(*xtb_task.get_train_and_val_data(1), fold_context(fold=1))
    return algorithm


def test_a_short_search_beats_the_mean_five_times(xtb_task, fitted):
    inputs, truth = xtb_task.get_test_data(1, include_target=True)
    error = np.abs(fitted.predict(inputs) - truth).mean()
    mean = xtb_task.get_train_and_val_data(1)[1].mean()
    assert error < np.abs(mean - truth).mean() / 5


def test_the_description_holds_the_law_and_is_json(xtb_task, fitted, quick_pair_laws):
    described = json.loads(json.dumps(dict(fitted.describe())))
    assert described["formula"].startswith("K[V_Mo-V_S] = ")
    assert described["formula"].count("K[") == 3
    assert r"K_{\mathrm{V\_Mo-V\_S}}(r) = " in described["latex"]
    assert {"complexity", "distances_A", "candidates", "settings"} <= described.keys()
    assert described["hosts"] == ["MoS2"]
    assert described["complexity"] <= quick_pair_laws.max_nodes
    # The law can be put together again from the description, and predicts the same.
    law = law_from_json(described["constants"])
    inputs, _ = xtb_task.get_train_and_val_data(1)
    np.testing.assert_allclose(law.predict(pairs_of(inputs)), fitted.predict(inputs), rtol=1e-12)


def test_standard_deviations_cover_refits_and_validation_error(xtb_task, fitted):
    inputs, _ = xtb_task.get_test_data(1, include_target=True)
    std = fitted.predict_std(inputs)
    error = fitted.describe()["validation_mae"]
    assert std.shape == (len(inputs),)
    assert (std >= 1.25 * error * (1 - 1e-12)).all() and np.isfinite(std).all()


def test_every_number_comes_with_an_interval_of_its_refits(fitted):
    described = fitted.describe()
    intervals = described["constants_90_percent"]
    assert len(described["resampled"]) > 0
    for kind, formula in described["constants"]["pair_formulas"].items():
        constants = parse(formula, ["r"]).constants
        assert len(intervals["pair_constants"][kind]) == len(constants)
    for kind, (low, high) in intervals["defect_energies_eV"].items():
        assert low <= high
        # Refits differ, but not by more than the energies of defects do.
        assert abs(described["constants"]["defect_energies_eV"][kind] - low) < 1


def test_the_same_seed_gives_the_same_law(xtb_task, fitted, fold_context, quick_own_formulas):
    again = SEGVAEPairLaw(quick_own_formulas)
    torch.manual_seed(99)
    context = fold_context(fold=1)
    again.fit(*xtb_task.get_train_and_val_data(1), context)
    assert again.describe()["formula"] == fitted.describe()["formula"]
    assert list(context.scratch.iterdir()) == []


def test_predictions_do_not_depend_on_the_order_of_atoms_or_of_structures(xtb_task, fitted):
    inputs, _ = xtb_task.get_test_data(1, include_target=True)
    rng = np.random.default_rng(0)
    shuffled = inputs.map(
        lambda s: Structure.from_sites([s[int(i)] for i in rng.permutation(len(s))])
    )
    expected = fitted.predict(inputs)
    np.testing.assert_allclose(fitted.predict(shuffled), expected, atol=1e-12)
    np.testing.assert_allclose(fitted.predict(inputs[::-1])[::-1], expected, atol=1e-12)


def test_energies_are_sums_over_defects_and_pairs():
    structure = without([0, 70], 8)
    table = pairs_of(pd.Series([structure]))
    kind = PairKind("V_Mo", "V_S")
    law = PairLaw({"V_Mo": 7.0, "V_S": 2.0}, {kind: -3.0}, {kind: parse("1.5/r")})
    expected = (7.0 + 2.0 - 3.0 * 1.5 / table.distance[0]) / 2
    assert law.predict(table)[0] == pytest.approx(expected)
    assert law.complexity == 3 + 2 + 2


def test_a_law_with_a_pole_between_lattice_distances_is_not_smooth(xtb_task):
    problem = TrainingPairs.of(*xtb_task.get_train_and_val_data(1)).problem()
    distances = problem.points[problem.members[0]]
    smooth = PairConstraints(distances, ConstraintSettings(vanishes=False))
    between = np.sort(problem.points[problem.members[0], 0])[:2].mean()
    formulas = [("inv", "sub", "r", "c"), ("cos", "mul", "c", "r"), ("exp", "mul", "c", "r")]
    program = Program.compile(formulas, ("r",))
    constants = np.array([[between + 1e-3], [40.0], [-1.0]])
    assert smooth(program, constants).tolist() == [False, False, True]


def test_a_fit_is_named_after_the_kinds_of_its_data(xtb_task):
    table = pairs_of(xtb_task.get_train_and_val_data(1)[0])
    formulas = (("div", "c", "r"), ("inv", "r"), ("exp", "mul", "c", "r"))
    constants = (np.array([1.0]), np.array([]), np.array([-0.5]))
    fit = LawFit(formulas, constants, np.arange(2.0), np.arange(2.0, 5.0), 0.0)
    law = PairLaw.from_fit(fit, table)
    assert law.defect_energies == {"V_Mo": 0.0, "V_S": 1.0}
    assert law.pair_scales[PairKind.parse("V_S-V_S across")] == 4.0
    assert law.lines()[0] == "K[V_Mo-V_S] = 2/r"


def test_what_it_has_no_inputs_for_is_refused_in_one_line(fitted, fold_context, quick_pair_laws):
    composition = fold_context(task="matbench_steels", input_type="composition")
    with pytest.raises(UserError, match=r"segvae cannot run on matbench_steels: .* composition"):
        SEGVAEPairLaw().fit(pd.Series(["Fe"]), pd.Series([1.0]), composition)
    rock_salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    with pytest.raises(UserError, match="NaCl is no layer"):
        fitted.predict(pd.Series([rock_salt]))
    lone = without([0], 4)
    with pytest.raises(UserError, match="no training structure holds two defects"):
        SEGVAEPairLaw(quick_pair_laws).fit(pd.Series([lone]), pd.Series([3.2]), fold_context())
    two_metals = without([0, 1], 4)
    with pytest.raises(UserError, match="V_Mo-V_Mo do not occur in the training data"):
        fitted.predict(pd.Series([two_metals]))


def test_the_default_is_found_by_its_name():
    assert isinstance(create_algorithm("segvae"), SEGVAE)


def test_a_peak_on_a_lattice_distance_is_not_smooth(xtb_task):
    problem = TrainingPairs.of(*xtb_task.get_train_and_val_data(1)).problem()
    distances = problem.points[problem.members[0]]
    smooth = PairConstraints(distances, ConstraintSettings(vanishes=False))
    # Narrower than an even grid would see, but on a distance of the data.
    peak = problem.points[problem.members[0], 0].min() + 1e-4
    program = Program.compile([("square", "inv", "sub", "r", "c")], ("r",))
    assert smooth(program, np.array([[peak]])).tolist() == [False]


def test_a_law_has_to_vanish_far_away_unless_set_otherwise(xtb_task):
    problem = TrainingPairs.of(*xtb_task.get_train_and_val_data(1)).problem()
    formulas = [("exp", "mul", "c", "r"), ("div", "r", "add", "c", "r"), ("inv", "r")]
    program = Program.compile(formulas, ("r",))
    constants = np.array([[-1.0], [1.0], [0.0]])
    distances = problem.points[problem.members[0]]
    assert PairConstraints(distances)(program, constants).tolist() == [True, False, True]
    free = PairConstraints(distances, ConstraintSettings(vanishes=False))
    assert free(program, constants).all()


@pytest.mark.parametrize(
    "formula",
    [
        "0.01*(r - 40.7)",  # through 0 where one might look
        "(r - 40.7)**2",
        "cos(0.04*r)",  # as long a wave
        "1/r + 0.1/(1 + 0.01*r)",  # levels off late
        "1/sqrt(r)",
        "1/r - 0.04",
        "1/r + 0.2/(r - 20.0)",  # a pole between the data and where it has to have vanished
        "exp(-r) + 0.2*exp(-(r - 20.0)**2)",
        "exp(-r) + 0.02*exp(-(r - 20.0)**2)",  # smaller than at the data, but not where it is
        "1/r + 0.01/(r - 20.0)",
        "exp(-r) + 1e-3",
    ],
)
def test_a_law_that_comes_back_far_away_has_not_vanished(formula, xtb_task):
    assert not _vanishes(formula, xtb_task)


@pytest.mark.parametrize(
    "formula",
    [
        "1/r",
        "exp(-r/10)",
        "cos(6.2832*r/20 + 1)/r",  # nearly 0 from the longest distance on
        "exp(-r/4)*cos(2*r)",
        "1/r**3",
    ],
)
def test_a_law_that_falls_from_the_outer_half_of_the_data_vanishes(formula, xtb_task):
    assert _vanishes(formula, xtb_task)


def _vanishes(formula, task):
    problem = TrainingPairs.of(*task.get_train_and_val_data(1)).problem()
    expression = parse(formula)
    program = Program.compile([expression.tokens], ("r",))
    constants = np.array([expression.constants])
    only = PairConstraints(problem.points[problem.members[0]], ConstraintSettings(smooth=False))
    return only(program, constants).item()


def test_each_kind_of_pair_gets_back_the_formula_it_was_made_of():
    """Two planted laws, a different one for each group, under large errors in a few rows."""
    rng = np.random.default_rng(0)
    distance = np.linspace(2.5, 12, 10)
    points = np.concatenate([distance, distance])[:, None]
    group = np.repeat([0, 1], 10)
    incidence = rng.multinomial(3, np.full(20, 0.05), size=120).astype(float)
    truth = np.concatenate([3 * np.exp(-0.5 * distance), -2 / distance])
    target = 1.5 + incidence @ truth
    target[:5] += 4
    problem = AdditiveProblem(points, group, 2, incidence, np.ones((120, 1)), target, np.ones(120))
    start = [Expression(("exp", "mul", "c", "r"), (-0.8,)), Expression(("inv", "r"))]
    fit = fit_law(problem, start, ("r",))
    assert fit.constants[0][0] == pytest.approx(-0.5, abs=1e-3)
    assert np.allclose(fit.scales, [3, -2], atol=1e-2)
    assert np.median(np.abs(fit.predict(problem, ("r",)) - target)) < 1e-3
