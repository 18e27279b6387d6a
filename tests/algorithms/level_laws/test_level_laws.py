"""Levels that neighbours shift: planted ones are recovered, and nothing else is promised."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from matbench_segvae.algorithms import Algorithm
from matbench_segvae.algorithms.level_laws.elimination import EliminationSettings, fit_level_law
from matbench_segvae.algorithms.level_laws.level_data import LevelData
from matbench_segvae.algorithms.level_laws.level_fit import fit_levels
from matbench_segvae.algorithms.level_laws.level_law import LevelLaw
from matbench_segvae.algorithms.level_laws.level_table import LevelTable
from matbench_segvae.algorithms.level_laws.shift_table import fit_level_table
from matbench_segvae.algorithms.level_laws.shifts import ShapeShifts, TableShifts
from matbench_segvae.algorithms.level_laws.soft_extremum import SoftMaximum
from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    Supercell,
    defective_structure,
    defects_on,
)
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import parse

CELL = Supercell(HOSTS["MoS2"], 6, 6)
OCCUPANTS = {"V_Mo": (None, range(36)), "W_Mo": ("W", range(36)), "V_S": (None, range(36, 108))}
SHAPES = (parse("1", ("r",)), parse("exp(-r/2.0)", ("r",)))
TEMPERATURE = 0.02
LEVELS = {"V_Mo": 0.3, "W_Mo": 0.0, "V_S": 0.15}
SLOPES = {"V_Mo": 0.4, "W_Mo": -0.2, "V_S": -0.5}  # of exp(-r/3), by the defect that is shifted


def random_cells(n, seed=0):
    rng = np.random.default_rng(seed)
    cells = []
    while len(cells) < n:
        kinds = rng.choice(list(OCCUPANTS), size=rng.integers(1, 4))
        sites = {int(rng.choice(OCCUPANTS[kind][1])): OCCUPANTS[kind][0] for kind in kinds}
        cells.append(DefectiveCell(CELL, defects_on(CELL, sites)))
    return cells


def planted_shifts(data):
    slopes = np.array([SLOPES[data.pair_kinds[kind].defect] for kind in data.kind])
    return 0.05 + slopes * np.exp(-data.distance / 3.0)


def planted_levels(data):
    alone = np.array([LEVELS[kind] for kind in data.defect_kinds])[data.of_defect]
    return alone + data.neighbours @ planted_shifts(data)


def planted_homo(data):
    return SoftMaximum.of(planted_levels(data), data.starts, TEMPERATURE).values


def planted_lumo(data):
    return 1.0 - planted_homo(data)


@pytest.fixture(scope="module")
def data():
    return LevelData.of_cells(random_cells(400))


@pytest.fixture(scope="module")
def held_out(data):
    return LevelData.of_cells(random_cells(150, seed=1), like=data)


@pytest.fixture(scope="module")
def table(data):
    """A table fitted to the planted levels."""
    return fit_level_table(data, planted_homo(data), seed=0)


def structures(cells):
    built = [defective_structure(CELL, cell.defects) for cell in cells]
    return pd.Series(built, index=[f"s{number}" for number in range(len(built))])


def quick_law():
    return LevelLaw(SHAPES, EliminationSettings(fewest=2, folds=2, share=0.2))


def test_a_soft_maximum_lies_above_all_levels_and_sharpens_to_the_highest():
    levels, starts = np.array([0.1, 0.3, 0.25, -1.0]), np.array([0, 3])
    soft = SoftMaximum.of(levels, starts, 0.05)
    assert soft.values[0] > 0.3 and soft.values[1] == pytest.approx(-1.0)
    np.testing.assert_allclose(SoftMaximum.of(levels, starts, 1e-4).values, [0.3, -1.0])


def test_derivatives_of_the_soft_maximum_are_those_of_its_values():
    levels, starts, step = np.array([0.1, 0.3, 0.25, -1.0, -1.01]), np.array([0, 3]), 1e-6
    soft = SoftMaximum.of(levels, starts, 0.05)
    for number in range(len(levels)):
        moved = levels + step * np.eye(len(levels))[number]
        change = (SoftMaximum.of(moved, starts, 0.05).values - soft.values).sum() / step
        assert change == pytest.approx(soft.shares[number], abs=1e-4)
    hotter = SoftMaximum.of(levels, starts, 0.05 * np.exp(step)).values
    np.testing.assert_allclose((hotter - soft.values) / step, soft.slopes, atol=1e-5)


def test_classes_are_directed_and_split_by_symmetry(data):
    labels = [str(kind) for kind in data.pair_kinds]
    assert "V_Mo <- V_S" in labels and "V_S <- V_Mo" in labels
    assert "V_S <- V_S same plane" in labels and "V_S <- V_S across" in labels
    rows = data.kind == labels.index("V_S <- V_S same plane")
    # R and -R are not the same on the sulfur lattice, whose sites have no mirror across R.
    assert len(set(data.distance[rows].round(3))) < rows.sum()
    sizes = data.ends - data.starts
    assert data.neighbours.sum() == (sizes * (sizes - 1)).sum()


def test_derivatives_of_shifts_by_constants_are_those_of_their_values(data):
    used = np.ones((len(data.pair_kinds), 2), dtype=bool)
    shifts = ShapeShifts(data, SHAPES, used)
    coefficients = np.random.default_rng(0).normal(size=used.sum())
    change = shifts.columns(shifts.start + 1e-6) - shifts.columns(shifts.start)
    slopes = shifts.slopes(shifts.start, coefficients)
    assert slopes.shape == (len(data.kind), 1)
    np.testing.assert_allclose(change @ coefficients / 1e-6, slopes[:, 0], atol=1e-5)


def test_planted_levels_are_found_again_by_the_table(table, data, held_out):
    found = dict(zip(data.defect_kinds, table.fit.levels, strict=True))
    assert found == pytest.approx(LEVELS, abs=2e-3)
    errors = np.abs(table.predict(held_out) - planted_homo(held_out))
    assert np.median(errors) < 2e-3 and errors.mean() < 8e-3


def test_planted_levels_are_found_again_by_formulas(data, held_out):
    settings = EliminationSettings(stiffness=1e-4, folds=2, fewest=12)
    law = fit_level_law(data, planted_homo(data), SHAPES, settings)
    assert law.shapes[1].constants == pytest.approx((3.0,), rel=0.05)
    assert law.fit.temperature == pytest.approx(TEMPERATURE, rel=0.1)
    errors = np.abs(law.predict(held_out) - planted_homo(held_out))
    # Levels that are never the highest in training stay unknown.
    assert np.median(errors) < 1e-4 and errors.mean() < 3e-3


def test_a_soft_extremum_predicts_better_than_a_sum_over_pairs(data):
    training, rest = data.subset(np.arange(300)), data.subset(np.arange(300, 400))

    def sums(part):
        by_kind = part.composition.toarray(), part.neighbours.toarray()
        columns = [np.add.reduceat(values, part.starts, axis=0) for values in by_kind]
        return np.concatenate([np.ones((len(part), 1)), *columns], axis=1)

    additive = np.linalg.lstsq(sums(training), planted_homo(training), rcond=None)[0]
    missed = np.abs(sums(rest) @ additive - planted_homo(rest)).mean()
    table = fit_level_table(training, planted_homo(training), seed=0)
    assert np.abs(table.predict(rest) - planted_homo(rest)).mean() < missed / 3


def test_shifts_that_the_data_do_not_need_leave_the_law(data):
    labels = [str(kind) for kind in data.pair_kinds]
    slopes = np.where(data.kind == labels.index("V_Mo <- V_S"), 0.4, 0.0)
    levels = data.composition @ np.array([0.3, 0.0, 0.15])
    levels = levels + data.neighbours @ (slopes * np.exp(-data.distance / 3.0))
    target = SoftMaximum.of(levels, data.starts, TEMPERATURE).values
    law = fit_level_law(data, target, SHAPES, EliminationSettings(fewest=1, folds=2, share=0.3))
    assert len(law.fit.coefficients) < len(labels)
    assert law.shifts.used[labels.index("V_Mo <- V_S"), 1]


def test_all_formulas_are_validated_on_structures_they_were_not_fitted_to(data):
    noise = np.random.default_rng(0).normal(0, 0.1, len(data))
    settings = EliminationSettings(folds=2, fewest=4, share=0.3)
    law = fit_level_law(data, noise, SHAPES, settings)
    # Where there is nothing to learn, long laws fit noise better and predict it worse.
    errors = [error for _, error in law.validation]
    assert errors[-1] <= errors[0] and len(law.fit.coefficients) == law.validation[-1][0]


def test_the_same_data_give_the_same_numbers(data):
    part = data.subset(np.arange(90))
    first, second = (fit_level_table(part, planted_homo(part), seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.shifts, second.shifts)
    assert first.fit.temperature == second.fit.temperature


def test_one_wrong_value_hardly_changes_the_levels(data):
    wrong = planted_homo(data)
    wrong[5] += 3.0
    shifts = TableShifts(data, 3.0)
    right = fit_levels(data, planted_homo(data), shifts, (0.03,))
    np.testing.assert_allclose(
        fit_levels(data, wrong, shifts, (0.03,)).levels, right.levels, atol=2e-3
    )


def test_unseen_classes_are_interpolated_by_distance(table, data):
    kind = next(k for k, label in enumerate(data.pair_kinds) if str(label) == "V_Mo <- V_S")
    shells = np.unique(data.distance[data.kind == kind])
    between = [table._shift(kind, distance, 9.0) for distance in shells]
    assert table._shift(kind, shells[0] - 1, 0.5) == between[0]
    assert table._shift(kind, shells[1] / 2 + shells[2] / 2, 0.5) == pytest.approx(
        (between[1] + between[2]) / 2
    )


@pytest.mark.parametrize("algorithm", [LevelTable, quick_law])
def test_the_gap_is_the_lumo_less_the_homo(algorithm, data, fold_context):
    cells = random_cells(60, seed=2)
    inputs = structures(cells)
    known = LevelData.of(inputs, (HOSTS["MoS2"],))
    homo, lumo = planted_homo(known), planted_lumo(known) + 0.3
    related = pd.DataFrame({"homo": homo, "lumo": lumo}, index=inputs.index)
    context = fold_context(target="band_gap", related=related, hosts=(HOSTS["MoS2"],))
    gap = pd.Series(lumo - homo, index=inputs.index)
    fitted = algorithm()
    assert isinstance(fitted, Algorithm)
    fitted.fit(inputs, gap, context)
    described = json.loads(json.dumps(fitted.describe()))
    assert set(described["edges"]) == {"homo", "lumo"}
    assert described["edges"]["homo"]["levels_eV"] == pytest.approx(LEVELS, abs=0.05)
    for edge in described["edges"].values():
        assert edge["training_mae"] < 0.02
    assert np.abs(fitted.predict(inputs) - gap).mean() < 0.03


def test_a_gap_without_homo_and_lumo_is_fitted_itself(fold_context):
    inputs = structures(random_cells(60, seed=2))
    targets = pd.Series(planted_lumo(LevelData.of(inputs)), index=inputs.index)
    fitted = LevelTable()
    fitted.fit(inputs, targets, fold_context(target="band_gap"))
    assert set(fitted.describe()["edges"]) == {"band_gap"}
    assert np.abs(fitted.predict(inputs) - targets).mean() < 5e-3


def test_the_written_law_is_the_one_that_predicts(fold_context):
    inputs = structures(random_cells(60, seed=2))
    known = LevelData.of(inputs)
    law = quick_law()
    law.fit(inputs, pd.Series(planted_lumo(known)), fold_context(target="lumo"))
    described = law.describe()
    edge = described["edges"]["lumo"]
    shapes = {name: parse(text, ("r",)) for name, text in edge["shapes"].items()}
    shifts = np.zeros(len(known.kind))
    for row, (kind, distance) in enumerate(zip(known.kind, known.distance, strict=True)):
        terms = edge["coefficients_eV"].get(str(known.pair_kinds[kind]), {})
        shifts[row] = sum(a * shapes[name]({"r": distance}) for name, a in terms.items())
    levels = np.array([edge["levels_eV"][kind] for kind in known.defect_kinds])
    levels = levels[known.of_defect] + known.neighbours @ shifts
    by_hand = -SoftMaximum.of(-levels, known.starts, edge["temperature_eV"]).values
    np.testing.assert_allclose(law.predict(inputs), by_hand, atol=1e-10)
    n_coefficients = sum(map(len, edge["coefficients_eV"].values()))
    assert described["parameters"] == n_coefficients + 3 + 1 + ("f2" in shapes)
    assert "LUMO = -T*log(sum_i exp(-e_i/T))" in described["formula"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"target": "formation_energy_per_site"}, "formation_energy_per_site"),
        ({"target": "homo", "input_type": "composition"}, "composition"),
        ({"target": "homo", "task_type": "classification"}, "classification"),
    ],
)
def test_other_tasks_are_refused(facts, message, fold_context):
    for algorithm in (LevelTable(), LevelLaw()):
        with pytest.raises(UserError, match=message):
            algorithm.fit(pd.Series(dtype=object), pd.Series(dtype=float), fold_context(**facts))


def test_missing_values_and_pristine_cells_are_named(fold_context):
    inputs = structures(random_cells(3))
    with pytest.raises(UserError, match="homo of s1 is nan"):
        targets = pd.Series([0.1, np.nan, 0.2], index=inputs.index)
        LevelTable().fit(inputs, targets, fold_context(target="homo"))
    with pytest.raises(UserError, match="s7 has no defect"):
        LevelData.of(pd.Series([CELL.structure()], index=["s7"]))


def test_kinds_that_were_not_in_training_are_refused(data):
    cell = DefectiveCell(CELL, defects_on(CELL, {40: "Se"}))
    with pytest.raises(UserError, match="defect kinds Se_S do not occur"):
        LevelData.of_cells([cell], like=data)
    singles = LevelData.of_cells([DefectiveCell(CELL, defects_on(CELL, {0: None}))])
    pair = DefectiveCell(CELL, defects_on(CELL, dict.fromkeys((0, 1))))
    with pytest.raises(UserError, match="V_Mo <- V_Mo"):
        LevelData.of_cells([pair], like=singles)


def test_single_defects_alone_have_levels_and_no_shifts(fold_context):
    inputs = structures([DefectiveCell(CELL, defects_on(CELL, {site: None})) for site in (0, 40)])
    for algorithm in (LevelTable(), LevelLaw()):
        algorithm.fit(inputs, pd.Series([0.3, 0.1], inputs.index), fold_context(target="homo"))
        np.testing.assert_allclose(algorithm.predict(inputs), [0.3, 0.1], atol=2e-3)


def test_symmetric_images_of_a_structure_have_the_same_prediction(table, data):
    cell = random_cells(20, seed=5)
    cell = next(c for c in cell if len(c.defects) == 3)
    images = [
        DefectiveCell(
            CELL,
            defects_on(CELL, {int(CELL.permutations[g, d.site]): d.placed for d in cell.defects}),
        )
        for g in range(0, len(CELL.permutations), 17)
    ]
    values = table.predict(LevelData.of_cells(images, like=data))
    for one, two in itertools.pairwise(values):
        assert one == pytest.approx(two, abs=1e-12)
