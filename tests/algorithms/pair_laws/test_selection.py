"""Kinds of pairs with a formula each, or one in common where the data are few."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings
from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.search import PairSearch
from matbench_segvae.algorithms.pair_laws.selection import best_law, search_laws, sign_changes
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.bench.scaling import measure_scaling
from matbench_segvae.defects import (
    HOSTS,
    DefectiveCell,
    PairKind,
    Planes,
    Supercell,
    count_pairs,
    numbers_by_defects,
    vacancies,
)
from matbench_segvae.expressions import parse
from matbench_segvae.fitting.joint_fit import fit_law

KINDS = (PairKind("V_S", "V_S", Planes.SAME), PairKind("V_S", "V_S", Planes.ACROSS))
MOS2 = HOSTS["MoS2"]
N = 8


def sulfur_pairs(n):
    """Cells with two sulfur vacancies, every distance once."""
    host_cell = Supercell(MOS2, N, N)
    sites = np.flatnonzero(np.array(host_cell.elements) == "S")
    found = {}
    for other in sites[1:]:
        cell = DefectiveCell(host_cell, vacancies(host_cell, [int(sites[0]), int(other)]))
        table = count_pairs([cell])
        found.setdefault((table.pair_kinds[0], round(float(table.distance[0]), 3)), cell)
    return [found[key] for key in sorted(found, key=lambda key: key[1])][:n]


def test_kinds_of_the_same_two_defects_share_a_number():
    mixed = PairKind("V_Mo", "V_S")
    assert numbers_by_defects((mixed, *KINDS)) == (0, 1, 1)
    assert numbers_by_defects((PairKind("V_Mo", "V_Mo"), mixed)) == (0, 1)


@pytest.fixture
def search(quick_pair_laws):
    """Searches laws of structures with these energies."""

    def laws(table, energies, **changes):
        data = TrainingPairs(table, energies, (MOS2,))
        settings = replace(quick_pair_laws, min_validation_rows=16, **changes)
        return search_laws(data, settings, 0, lambda _: None)

    return laws


def test_where_data_are_few_kinds_of_the_same_defects_share_a_formula(search):
    table = count_pairs(sulfur_pairs(16))
    energies = (6.0 + table.counts @ (2 * np.exp(-table.distance))) / 2
    found = search(table, energies)
    assert {law.formula_of for law in found} == {(0, 0)}
    chosen = best_law(found, 0.0)
    law = chosen.law
    assert law.predict(table) == pytest.approx(energies, abs=2e-2)
    assert len(law.lines()) == 2  # one formula, and the defect's energy
    assert law.lines()[0].startswith("K[V_S-V_S same plane, V_S-V_S across] = ")
    assert law.complexity == chosen.complexity
    assert chosen.parameters == 2 + law.pair_formulas[KINDS[0]].n_constants


def test_where_data_are_many_kinds_have_formulas_of_their_own(search):
    table = count_pairs(sulfur_pairs(16))
    other = np.where(table.kind == 0, 1.0, -1.0)
    energies = (6.0 + table.counts @ (other * 2 * np.exp(-table.distance / 2))) / 2
    found = search(table, energies, min_rows_per_distance=0.5)
    assert {law.formula_of for law in found} == {(0, 1)}
    assert best_law(found, 0.0).law.predict(table) == pytest.approx(energies, abs=2e-2)


def test_many_structures_keep_a_formula_for_each_kind(search):
    cells = sulfur_pairs(16) * 4
    table = count_pairs(cells)
    energies = 3.0 + np.random.default_rng(0).normal(0, 0.01, len(cells))
    assert {law.formula_of for law in search(table, energies)} == {(0, 1)}


def test_kinds_that_share_a_formula_but_not_its_numbers_are_distinguished():
    same, other = parse("exp(-1.5*r)", ["r"]), parse("exp(-1.6*r)", ["r"])
    scales = dict.fromkeys(KINDS, 1.0)
    assert len(PairLaw({}, scales, dict.fromkeys(KINDS, same)).sharing()) == 1
    assert len(PairLaw({}, scales, dict(zip(KINDS, (same, other), strict=True))).sharing()) == 2


def test_a_second_search_of_the_worst_kind_leaves_no_more_to_explain(xtb_task, quick_pair_laws):
    data = TrainingPairs.of(*xtb_task.get_train_and_val_data(1))
    reports: dict[int, list[str]] = {0: [], 1: []}
    errors = [
        min(
            law.training_mae
            for law in PairSearch(data, replace(quick_pair_laws, extra_searches=n), 0).run(
                reports[n].append
            )
        )
        for n in reports
    ]
    assert errors[1] <= errors[0] * (1 + 1e-9)
    assert len(reports[1]) == len(reports[0]) * 4 // 3  # three kinds of pairs and one of them again


def test_laws_compared_on_some_structures_are_fitted_to_all_in_the_end(quick_pair_laws):
    cells = sulfur_pairs(16) * 4
    table = count_pairs(cells)
    noise = np.random.default_rng(0).normal(0, 0.01, len(cells))
    energies = (6.0 + table.counts @ (2 * np.exp(-table.distance))) / 2 + noise
    data = TrainingPairs(table, energies, (MOS2,))
    few = PairLawSettings(
        quick_pair_laws.search, candidates=3, combinations_fitted=5, max_rows_compared=30
    )
    found = PairSearch(data, few, 0).run(lambda _: None)
    for candidate in found:
        residuals = energies - candidate.law.predict(table)
        assert len(residuals) == len(cells)
        assert candidate.training_mae == pytest.approx(np.abs(residuals).mean())


def test_scaling_times_the_same_search_on_more_structures(quick_pair_laws):
    brief = replace(
        quick_pair_laws,
        many_body=False,
        combinations_tried=20,
        combinations_fitted=1,
        candidates=1,
        validation_folds=2,
    )
    small, large = measure_scaling(40, 3, settings=brief)
    assert (small.structures, large.structures) == (40, 120)
    assert small.seconds > 0
    assert large.distances >= small.distances


def test_a_few_structures_are_split_repeatedly_to_validate_a_law(quick_pair_laws):
    """The errors of one law depend on the split: less so, the more repeats there are."""
    table = count_pairs(sulfur_pairs(16))
    noise = np.random.default_rng(0).normal(0, 0.1, 16)
    energies = (6.0 + table.counts @ (2 * np.exp(-table.distance))) / 2 + noise
    data = TrainingPairs(table, energies, (MOS2,))
    free = replace(
        quick_pair_laws, constraints=ConstraintSettings(vanishes=False), max_rows_one_by_one=0
    )

    def validated(rows, seed):
        found = PairSearch(data, replace(free, min_validation_rows=rows), seed)
        law = parse("exp(-1.5*r)", ["r"])
        fit = fit_law(data.problem(), [law] * 2, ("r",))
        candidate = found.validated(fit)
        assert 2 < len(candidate.validation_errors) <= 16
        return candidate.validation_mae

    spread = {rows: np.std([validated(rows, seed) for seed in range(6)]) for rows in (1, 48)}
    assert spread[48] < 0.8 * spread[1]


def test_one_structure_does_not_decide_which_law_is_best():
    errors = np.full(30, 0.01)
    alike = np.concatenate([[1.0], 0.8 * errors])
    worse = np.concatenate([[0.5], errors])
    best = Compared("exp(-r)", 20, alike)
    assert alike.mean() > worse.mean()
    assert best_law([Compared("exp(-r)", 20, worse), best], 0.0) is best


@dataclass
class Compared:
    """What the choice of a law looks at, of a law with one formula."""

    formula: str
    complexity: int
    validation_errors: np.ndarray
    fitted_errors: np.ndarray | None = None
    pairs = count_pairs(sulfur_pairs(16))
    formula_of = (0, 0)

    @property
    def validation_mae(self):
        return self.validation_errors.mean()

    @property
    def law(self):
        formula = parse(self.formula, ["r"])
        return PairLaw({}, dict.fromkeys(KINDS, 1.0), dict.fromkeys(KINDS, formula))


def test_of_laws_within_a_standard_error_the_one_with_the_fewest_nodes_is_taken():
    rng = np.random.default_rng(0)
    errors = rng.exponential(0.01, 400)
    noise = rng.normal(0, 0.1, 400)
    noise -= noise.mean()
    error = noise.std(ddof=1) / 20
    longest = Compared("exp(-r)", 30, errors)
    within = Compared("exp(-r)", 20, errors * np.exp(noise + 0.9 * error))
    beyond = Compared("exp(-r)", 10, errors * np.exp(noise + 1.1 * error))
    assert best_law([beyond, within, longest], 0.0) is within
    assert best_law([beyond, longest], 0.0) is longest
    broken = Compared("exp(-r)", 5, np.full(400, np.inf))
    assert best_law([broken, within, longest], 0.0) is within


def test_errors_of_the_fit_count_beside_those_of_structures_left_out_one_by_one():
    """A short law that misses what the data say is not taken for bridging gaps as well."""
    rng = np.random.default_rng(0)
    errors, noise = rng.exponential(0.01, (2, 30))
    bridging = errors * np.exp(0.5 * (noise / noise.mean() - 1))
    short = Compared("exp(-r)", 10, bridging, np.full(30, 0.01))
    good = Compared("exp(-r)", 20, errors, np.full(30, 0.002))
    assert best_law([short, good], 0.0) is good
    short.fitted_errors = good.fitted_errors = None
    assert best_law([short, good], 0.0) is short


def test_of_equally_long_laws_the_one_that_changes_sign_least_beyond_the_data_is_taken():
    errors = np.random.default_rng(0).exponential(0.01, 400)
    noise = np.random.default_rng(1).normal(0, 0.1, 400)
    quiet = Compared("exp(-0.1*r)", 20, errors * np.exp(noise - noise.mean() + 1e-3))
    restless = Compared("cos(2.0*r)/r", 20, errors)
    assert best_law([restless, quiet], 0.0) is quiet
    assert best_law([quiet, restless], 0.0) is quiet


def test_sign_changes_are_those_up_to_three_times_the_longest_distance():
    laws = {n: Compared(f"cos({n}*r)*exp(-r)", 9, np.zeros(1)).law for n in (1.0, 2.5)}
    for n, law in laws.items():
        zeros = (np.arange(200) + 0.5) * np.pi / n
        expected = ((zeros > 10) & (zeros < 30)).sum()
        assert sign_changes(law, KINDS[0], 10.0) == expected > 0
