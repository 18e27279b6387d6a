"""One formula for all kinds of pairs, with a table of coefficients."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings
from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.law_json import law_as_json, law_from_json
from matbench_segvae.algorithms.pair_laws.settings import SHAPE_GRAMMAR
from matbench_segvae.algorithms.pair_laws.shape_objective import (
    ShapeConstraints,
    ShapeObjective,
    ShapeProblem,
)
from matbench_segvae.algorithms.pair_laws.shapes import (
    SHAPE_VARIABLES,
    formula_nodes,
    shape_values,
    shapes_of,
    stands_for_shapes,
)
from matbench_segvae.algorithms.pair_laws.shared_search import SharedSearch
from matbench_segvae.algorithms.pair_laws.shared_shapes import SharedShapes
from matbench_segvae.algorithms.pair_laws.shared_table import SharedTable
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    PairKind,
    Supercell,
    count_pairs,
    defects_on,
)
from matbench_segvae.expressions import Expression, parse
from matbench_segvae.expressions.notation import symbolic
from matbench_segvae.expressions.tree import constants_in
from matbench_segvae.expressions.written import Units
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.shared_fit import fit_shared_law
from matbench_segvae.segvae import FitSettings
from matbench_segvae.segvae.random_formulas import random_formulas

WAVE_AND_POWER = ("add", "mul", "exp", "mul", "c", "r", "cos", "q", "inv", "cube", "r")
TWO_WAVES = (
    "add",
    "mul",
    "exp",
    "mul",
    "c",
    "r",
    "cos",
    "mul",
    "c",
    "r",
    "add",
    "mul",
    "exp",
    "mul",
    "c",
    "r",
    "cos",
    "mul",
    "c",
    "r",
    "inv",
    "cube",
    "r",
)
A = HOSTS["MoS2"].a
CELL = Supercell(HOSTS["MoS2"], 6, 6)


def points(distance):
    return np.column_stack([distance, 2 * np.pi * distance / A])


# Shapes.


def test_a_wave_stands_for_a_cosine_and_a_sine_with_the_same_constants():
    shapes = shapes_of(TWO_WAVES)
    assert [("sin" in s.tokens, s.first, s.n_constants) for s in shapes] == [
        (False, 0, 2),
        (True, 0, 2),
        (False, 2, 2),
        (True, 2, 2),
        (False, 4, 0),
    ]
    r = np.array([2.5, 4.0])
    values = shape_values(WAVE_AND_POWER, np.array([-1.1]), points(r))
    assert values[0] == pytest.approx(np.exp(-1.1 * r) * np.cos(2 * np.pi * r / A))
    assert values[1] == pytest.approx(np.exp(-1.1 * r) * np.sin(2 * np.pi * r / A))
    assert values[2] == pytest.approx(r**-3)


@pytest.mark.parametrize(
    ("formula", "stands"),
    [
        ("inv r", True),
        ("add inv r inv r", False),  # the same term twice
        ("mul c inv r", False),  # a factor that the table has anyway
        ("exp cos r", False),  # a wave that is no factor
        ("exp mul c inv r", False),  # a decay of no simple argument
        ("mul c exp r", False),
        ("add c inv r", False),  # a term without the distance
        ("mul cos r cos q", False),
        ("mul inv r cos square r", False),  # a wave without one wavelength
        ("mul inv r cos mul r r", False),
        ("mul inv r cos add c r", False),  # a phase that the table has anyway
        ("mul inv r cos mul c r", True),
        (" ".join(WAVE_AND_POWER), True),
        (" ".join(TWO_WAVES), True),
    ],
)
def test_only_sums_of_readable_shapes_are_searched(formula, stands):
    assert stands_for_shapes(formula.split()) is stands
    if stands:
        assert SHAPE_GRAMMAR.keeps(formula.split())


def test_a_table_entry_counts_one_node():
    kinds = [PairKind.parse(text) for text in ("V_Mo-V_S", "V_S-V_S across")]
    formula = Expression(WAVE_AND_POWER, (-1.1,))
    tables = [
        {kinds[0]: (1.0, 2.0, None), kinds[1]: (None, None, 0.5)},
        {kinds[0]: (1.0, None, None), kinds[1]: (None, None, None)},
    ]
    many, few = (SharedShapes(formula, A, table).nodes for table in tables)
    assert many - few == 2
    assert few == formula_nodes(WAVE_AND_POWER) + 1


# The compiled fit.


@pytest.fixture
def shape_problem():
    """Three kinds of pairs at ten distances, in a metric that is not diagonal."""
    rng = np.random.default_rng(3)
    distance = np.tile(np.sort(rng.uniform(2.4, 12, 10)), 3)
    kind = np.repeat([0, 1, 2], 10)
    root = rng.normal(size=(40, 30))
    energies = rng.normal(size=30) / distance**2
    return ShapeProblem.of(distance, kind, root.T @ root, energies, A), root, kind, energies


def objective(problem, max_nodes, **settings):
    how = FitSettings(**{"screening_steps": 0, "polishing_steps": 0, **settings})
    free = ShapeConstraints(problem.points, ConstraintSettings(vanishes=False, smooth=False), 2.4)
    return ShapeObjective(problem, 1, max_nodes, how, free, 0)


def squares_left(shape_problem, tokens, constants, kept):
    """By numpy: each kind by itself, with the coefficients that it keeps."""
    problem, root, kind, energies = shape_problem
    total = 0.0
    for number in range(3):
        rows = kind == number
        metric = root[:, rows]
        normal = metric.T @ metric
        values = shape_values(tokens, constants, problem.points)[kept[number]][:, :10].T
        factor = np.linalg.cholesky(normal).T
        target = factor @ energies[rows]
        solution = np.linalg.lstsq(factor @ values, target, rcond=None)[0]
        total += np.square(target - factor @ values @ solution).sum()
    return total


def test_the_best_table_of_a_size_is_found(shape_problem):
    tokens = ("add", "inv", "r", "div", "cos", "q", "square", "r")
    problem = shape_problem[0]
    values = shape_values(tokens, np.empty(0), problem.points)
    for n_entries in (1, 3, 5, 9):
        kept, left = problem.allocated(values, n_entries)
        assert kept.sum() <= n_entries
        masks = itertools.product([False, True], repeat=9)
        best = min(
            squares_left(shape_problem, tokens, np.empty(0), np.reshape(mask, (3, 3)))
            for mask in masks
            if sum(mask) == n_entries
        )
        assert left == pytest.approx(best, rel=1e-6)
        assert left == pytest.approx(squares_left(shape_problem, tokens, np.empty(0), kept))


def test_shapes_that_cancel_are_not_taken_together():
    distance = np.tile(np.linspace(2.4, 12, 10), 2)
    energies = 1 / distance
    problem = ShapeProblem.of(distance, np.repeat([0, 1], 10), np.eye(20), energies, A)
    alike = np.stack([1 / problem.points[:, 0] ** 2, 1 / problem.points[:, 0] ** 2.01])
    kept, left = problem.allocated(alike, 4)
    assert (kept.sum(axis=1) == 1).all()
    assert left > 0


def test_shapes_are_scored_by_the_best_law_within_the_nodes(shape_problem):
    tokens = ("add", "inv", "r", "inv", "square", "r")
    room = formula_nodes(tokens)
    scores = [
        objective(shape_problem[0], room + n).score([tokens])[0].loss for n in (1, 2, 4, 6, 60)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[3] == scores[4]
    values = shape_values(tokens, np.empty(0), shape_problem[0].points)
    assert scores[1] == pytest.approx(np.sqrt(shape_problem[0].allocated(values, 2)[1]))


def test_constants_of_shapes_are_found(shape_problem):
    problem, _, _, _ = shape_problem
    truth = np.array([-0.7, 1.9])
    tokens = ("mul", "exp", "mul", "c", "r", "cos", "mul", "c", "r")
    values = shape_values(tokens, truth, problem.points)
    coefficients = np.array([[1.0, -2.0], [0.5, 0.1], [-3.0, 0.0]])
    energies = np.concatenate([row @ values for row in coefficients])
    distance = np.tile(problem.points[:, 0], 3)
    exact = ShapeProblem.of(distance, np.repeat([0, 1, 2], 10), np.eye(30), energies, A)
    how = {"screening_starts": 20, "screening_steps": 20, "polishing_steps": 60}
    scored = objective(exact, 60, **how).score([tokens])[0]
    assert scored.loss < 1e-6
    assert np.abs(scored.constants[0]) == pytest.approx(np.abs(truth), rel=1e-3)


# Laws.


def structures(n, seed=0):
    """Cells with up to three of four kinds of defects."""
    rng = np.random.default_rng(seed)
    elements = np.array(CELL.elements)
    metal, sulfur = np.flatnonzero(elements == "Mo"), np.flatnonzero(elements == "S")
    cells = []
    for _ in range(n):
        occupants = dict.fromkeys(rng.choice(sulfur, rng.integers(1, 3), replace=False).tolist())
        occupants = {site: rng.choice([None, "Se"]) for site in occupants}
        if rng.random() < 0.7:
            occupants[int(rng.choice(metal))] = rng.choice([None, "W"])
        cells.append(DefectiveCell(CELL, defects_on(CELL, occupants)))
    return cells


@pytest.fixture(scope="module")
def planted():
    """Structures whose energies follow a law of one formula exactly."""
    pairs = count_pairs(structures(260))
    rng = np.random.default_rng(1)
    table = {
        kind: (float(rng.normal()), float(rng.normal()), None if n % 3 else float(rng.normal()))
        for n, kind in enumerate(pairs.pair_kinds)
    }
    shared = SharedShapes(Expression(WAVE_AND_POWER, (-0.5,)), A, table)
    energies = {kind: 1.0 + n for n, kind in enumerate(pairs.defect_kinds)}
    law = PairLaw.from_shared(shared, energies, {}, -0.024)
    return pairs, law


def test_a_law_of_one_formula_says_what_it_predicts(planted):
    pairs, law = planted
    values = np.zeros(len(pairs.distance))
    for number, kind in enumerate(pairs.pair_kinds):
        rows = pairs.kind == number
        shapes = shape_values(WAVE_AND_POWER, np.array([-0.5]), points(pairs.distance[rows]))
        row = [one or 0.0 for one in law.shared.table[kind]]
        values[rows] = row @ shapes
    total = pairs.composition @ np.array(list(law.defect_energies.values()))
    expected = (total + pairs.counts @ values - 0.024) / pairs.n_sites
    assert law.predict(pairs) == pytest.approx(expected, abs=1e-12)


def test_a_law_of_one_formula_comes_back_from_json(planted):
    pairs, law = planted
    again = law_from_json(json.loads(json.dumps(law_as_json(law))))
    assert again == law
    assert (again.predict(pairs) == law.predict(pairs)).all()


def test_a_damaged_table_is_refused(planted):
    content = law_as_json(planted[1])
    label = next(iter(content["shared_shapes"]["table_eV"]))
    content["shared_shapes"]["table_eV"][label] = [1.0]
    with pytest.raises(ValueError, match="3 columns"):
        law_from_json(content)


def test_a_law_of_one_formula_is_shown_once_with_its_table(planted):
    _, law = planted
    lines = law.lines()
    assert lines[0] == "K = A1*cos(2*pi*r/3.19 Å + phi1)*exp(-r/2 Å) + A2/r**3"
    rows = [line for line in lines if line.startswith("K[")]
    assert len(rows) == len(law.shared.table)
    assert all("A1 " in row and "phi1 " in row for row in rows)
    assert any(line.startswith("c0 = -0.024") for line in lines)
    assert r"\frac{A^{(2)}_{ab}}{r^{3}}" in law.latex()


def test_common_constants_are_fitted_in_spite_of_outliers(planted):
    pairs, law = planted
    data = TrainingPairs(pairs, law.predict(pairs), (HOSTS["MoS2"],))
    energies = data.energies.copy()
    energies[::25] += 0.5
    problem = TrainingPairs(pairs, energies, data.hosts).problem()
    constant = 1 / pairs.n_sites[:, None]
    problem = replace(problem, linear=np.concatenate([problem.linear, constant], axis=1))
    kept = np.array([[one is not None for one in row] for row in law.shared.table.values()])

    def shapes(constants):
        return shape_values(WAVE_AND_POWER, constants, points(pairs.distance))

    fit = fit_shared_law(problem, shapes, np.array([-0.8]), kept)
    assert fit.constants == pytest.approx([-0.5], abs=1e-3)
    assert fit.linear[-1] == pytest.approx(-0.024, abs=2e-3)
    assert fit.mae == pytest.approx(np.abs(energies - data.energies).mean(), rel=0.02)
    assert (fit.coefficients[~kept] == 0).all()


def test_shapes_without_a_value_at_a_distance_are_refused():
    rows = np.eye(3)
    problem = AdditiveProblem(
        np.ones((3, 2)), np.zeros(3, dtype=int), 1, rows, np.ones((3, 1)), np.ones(3), np.ones(3)
    )
    with pytest.raises(ValueError, match="admissible"):
        fit_shared_law(
            problem, lambda _: np.full((1, 3), np.nan), np.ones(1), np.ones((1, 1), dtype=bool)
        )


def test_the_search_finds_a_law_for_all_kinds_of_pairs(planted, quick_pair_laws):
    pairs, law = planted
    data = TrainingPairs(pairs, law.predict(pairs), (HOSTS["MoS2"],))
    found = [SharedSearch(data, quick_pair_laws, 0).run(lambda _: None) for _ in range(2)]
    best = min(found[0], key=lambda one: one.validation_mae)
    spread = np.abs(data.energies - np.median(data.energies)).mean()
    assert best.law.shared is not None
    assert best.validation_mae < 0.1 * spread
    assert best.complexity == best.law.complexity <= quick_pair_laws.max_shared_nodes
    assert [one.law for one in found[0]] == [one.law for one in found[1]]
    refit = best.refit(np.arange(0, len(pairs.counts), 2))
    assert refit.shared.table.keys() == best.law.shared.table.keys()


def test_the_table_has_the_signs_of_the_law():
    kinds = [PairKind.parse(text) for text in ("V_Mo-V_S", "V_S-V_S across", "W_Mo-V_S")]
    formula = Expression(("inv", "add", "c", "square", "r"), (-2.5,))
    shared = SharedShapes(formula, A, {kinds[0]: (1.0,), kinds[1]: (-2.0,), kinds[2]: (None,)})
    law = PairLaw.from_shared(shared, {}, {}, None)
    lines = law.lines()
    assert lines[:4] == [
        "K = A1/(r**2 - 2.5 Å²)",
        "K[V_Mo-V_S]: A1 1",
        "K[V_S-V_S across]: A1 -2",
        "K[W_Mo-V_S]: 0",
    ]
    assert law.values(kinds[1], np.array([4.0])) == pytest.approx(-2 / 13.5)


def test_constants_inside_a_shape_have_names_of_their_own():
    kind = PairKind.parse("V_Mo-V_S")
    formula = Expression(("inv", "add", "mul", "c", "r", "cube", "r"), (2.5,))
    law = PairLaw.from_shared(SharedShapes(formula, A, {kind: (3.0,)}), {}, {}, None)
    assert law.lines()[1] == "K[V_Mo-V_S]: A1 3"
    assert "2.5" in law.lines()[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lattice_constant_A", 0),
        ("lattice_constant_A", float("nan")),
        ("lattice_constant_A", "3.19"),
        ("formula", " + ".join(["1/r"] * 60)),
    ],
)
def test_a_damaged_shared_formula_is_refused(planted, key, value):
    content = law_as_json(planted[1])
    content["shared_shapes"][key] = value
    with pytest.raises(ValueError, match=r"lattice constant|more than|formula"):
        law_from_json(content)


@pytest.mark.parametrize("value", [{"structure": "x"}, {"structure": float("nan")}, {"other": 1.0}])
def test_a_damaged_constant_is_refused(planted, value):
    content = law_as_json(planted[1]) | {"energy_per_structure_eV": value}
    with pytest.raises(ValueError, match="energy_per_structure_eV"):
        law_from_json(content)


def test_formulas_that_are_not_those_of_the_table_are_refused(planted):
    content = law_as_json(planted[1])
    label = next(iter(content["pair_formulas"]))
    content["pair_formulas"][label] = "5.5*r"
    with pytest.raises(ValueError, match="not those of its shared formula"):
        law_from_json(content)


@pytest.mark.parametrize(
    "damage", [lambda scales: scales.popitem(), lambda s: s.update({"V_S-V_S": 2})]
)
def test_factors_beside_a_shared_formula_are_1(planted, damage):
    content = law_as_json(planted[1])
    damage(content["pair_scales_eV"])
    with pytest.raises(ValueError, match="factors are not 1"):
        law_from_json(content)


# As people read it.


def shown_values(table, kind, r):
    """The formula that is shown, with the entries of a kind of pair in place of their names."""
    entries = {one.name: one.constant.value for one in table.entries(kind)}
    total = np.zeros_like(r)
    for number, term in table._shown:
        values = {one: term.constant(one).value for one in constants_in(term.form.root)}
        amplitude = entries.get(f"A{number}", 0.0)
        values |= {term.head: amplitude, term.phase: entries.get(f"phi{number}", 0.0)}
        written = symbolic(term.form.root, lambda place, values=values: sp.Float(values[place], 17))
        value = sp.lambdify(sp.Symbol("r", real=True), written, "numpy")(r)
        total += value if term.head is not None else amplitude * value
    return total


def random_sums():
    for ids in random_formulas(SHAPE_GRAMMAR, 400, seed=0):
        tokens = SHAPE_GRAMMAR.decode(ids)
        if "cos" in tokens:
            yield tokens


WAVES = [
    parse(text, SHAPE_VARIABLES).tokens
    for text in ("cos(r**2)/r", "cos(1 + q)/r", "cos(2.1*r + 0.7)/r", "cos(0.4*r**2 + 0.7) + 1/r")
]


def test_a_formula_with_its_table_is_the_law_of_every_kind_of_pair():
    rng = np.random.default_rng(0)
    kinds = [PairKind.parse(one) for one in ("V_Mo-V_S", "W_Mo-V_S", "V_S-V_S across")]
    r = rng.uniform(2.4, 6, 5)
    for tokens in [*WAVES, *random_sums()]:
        constants = tuple((-rng.uniform(0.2, 0.9, tokens.count("c"))).tolist())
        n = len(shapes_of(tokens))
        rows = [rng.normal(size=n).tolist() for _ in kinds]
        rows[1] = [None if place % 2 else value for place, value in enumerate(rows[1])]
        rows[2] = [value if place % 2 else None for place, value in enumerate(rows[2])]
        law = SharedShapes(
            Expression(tokens, constants), A, dict(zip(kinds, map(tuple, rows), strict=True))
        )
        table = SharedTable(law, [], Units("Å", "eV"))
        for kind in kinds:
            with np.errstate(all="ignore"):
                expected, found = law.pair_formula(kind)({"r": r}), shown_values(table, kind, r)
            there = np.abs(expected) < 1e6
            assert found[there] == pytest.approx(expected[there], rel=1e-6, abs=1e-8), table.text


@pytest.mark.parametrize(
    ("text", "line", "phase"),
    [
        ("cos(r**2)/r", "K = A1*cos(r**2 + phi1)/r", "0"),
        ("cos(1 + q)/r", "K = A1*cos(2*pi*r/3.19 Å + phi1)/r", "1"),
        ("cos(0.5*r**2 + 5)/r", "K = A1*cos(0.5 Å⁻²*r**2 + phi1)/r", "-1.28319"),
    ],
)
def test_a_kind_of_pair_without_a_phase_of_its_own_has_that_of_the_formula(text, line, phase):
    kinds = [PairKind.parse("V_Mo-V_S"), PairKind.parse("W_Mo-V_S")]
    rows = {kinds[0]: (1.0, 2.0), kinds[1]: (3.0, None)}
    law = SharedShapes(parse(text, SHAPE_VARIABLES), 3.19, rows)
    shown = SharedTable(law, [], Units("Å", "eV")).lines()
    assert shown[0] == line
    assert shown[2] == f"K[W_Mo-V_S]: A1 3, phi1 {phase}"
