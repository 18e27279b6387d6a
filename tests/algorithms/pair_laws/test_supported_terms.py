"""The energy of three or more defects that their pairs do not explain."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.law_json import law_as_json, law_from_json
from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.algorithms.pair_laws.selection import best_law, search_laws
from matbench_segvae.algorithms.pair_laws.supported_terms import supported_terms
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.cli.law import print_law
from matbench_segvae.defects import (
    HOSTS,
    MANY_BODY_TERMS,
    THREE_BODY,
    ManyBodyTerm,
    PairKind,
    Supercell,
    count_pairs,
    defect_orbits,
    defective_structure,
    sparse_defects,
    vacancies,
)
from matbench_segvae.expressions import parse
from matbench_segvae.reporting.law_result import LawResult

MOS2 = HOSTS["MoS2"]
FACTOR = 2.0  # eV Å²
MO_S = PairKind("V_Mo", "V_S")


def cell(sites, n):
    host_cell = Supercell(MOS2, n, n)
    return sparse_defects(defective_structure(host_cell, vacancies(host_cell, sites)))


@pytest.fixture(scope="module")
def triples():
    """All inequivalent ways to remove one Mo and two S from a 6x6 cell."""
    sets = defect_orbits(Supercell(MOS2, 6, 6), {"V_Mo": 1, "V_S": 2}).representatives
    return count_pairs([cell(sites, 6) for sites in sets])


def energies_of(table, factors=(0.0, 0.0), noise=0.0):
    """Per site, with a twentieth of the structures far off, as compact clusters are."""
    rng = np.random.default_rng(0)
    pairs = table.counts @ (2 * np.exp(-table.distance / 2))
    total = table.composition @ [7.0, 2.5] + pairs + table.descriptors[:, :2] @ factors
    off = np.where(rng.random(len(total)) < 0.05, 50 * noise, noise)
    return total / table.n_sites + rng.normal(size=len(total)) * off


def test_the_three_body_descriptor_sums_over_any_two_others_around_each_defect():
    sites = [0, 40, 75, 77, 100]
    structure = cell(sites, 6)
    table = count_pairs([structure])
    pristine = Supercell(MOS2, 6, 6).structure()
    kinds = [defect.kind for defect in structure.defects]
    removed = [defect.site for defect in structure.defects]
    for number, kind in enumerate(table.defect_kinds):
        expected = sum(
            1 / (pristine.get_distance(here, a) * pristine.get_distance(here, b))
            for here, of in zip(removed, kinds, strict=True)
            if of == kind
            for a, b in combinations([site for site in removed if site != here], 2)
        )
        assert table.descriptors[0, number] == pytest.approx(expected)
    assert (count_pairs([cell(sites[:2], 6)]).descriptors == 0).all()


@pytest.fixture
def supported(quick_pair_laws):
    """Numbers of the terms that the energies of structures support."""

    def terms(table, energies, max_rows=2000):
        settings = replace(quick_pair_laws, max_rows_compared=max_rows, many_body_repeats=3)
        return supported_terms(TrainingPairs(table, energies, (MOS2,)), settings, seed=0)

    return terms


def test_a_term_that_is_there_is_found_around_the_right_defect(triples, supported):
    there = energies_of(triples, (FACTOR, 0.0), noise=0.002)
    assert supported(triples, there) == (0,)
    values = fit_pair_energies(triples, there, (0,))
    assert values.factors == pytest.approx([FACTOR], rel=0.2)
    both = energies_of(triples, (FACTOR, FACTOR), noise=0.002)
    assert supported(triples, both) == (0, 1)


def test_noise_and_outliers_are_no_term(triples, supported):
    pairs_only = energies_of(triples, noise=0.002)
    assert supported(triples, pairs_only) == ()
    assert supported(triples, pairs_only, max_rows=50) == ()


def test_structures_without_three_defects_have_no_say(supported):
    table = count_pairs(
        [
            cell(sites, 6)
            for sites in defect_orbits(Supercell(MOS2, 6, 6), {"V_Mo": 1, "V_S": 1}).representatives
        ]
    )
    energies = energies_of(table, noise=0.002)
    assert supported(table, energies) == ()


def test_the_law_that_is_found_has_the_term_and_survives_json(triples, quick_pair_laws):
    energies = energies_of(triples, (FACTOR, 0.0), noise=0.002)
    data = TrainingPairs(triples, energies, (MOS2,))

    quick = replace(quick_pair_laws, search=replace(quick_pair_laws.search, samples=400))

    def found(settings):
        return best_law(search_laws(data, settings, 0, lambda _: None), 0.0)

    chosen = found(quick)
    law = chosen.law
    assert list(law.many_body) == [(THREE_BODY, "V_Mo")]
    assert law.many_body[THREE_BODY, "V_Mo"] == pytest.approx(FACTOR, rel=0.2)
    assert law.complexity == chosen.complexity <= quick.max_nodes
    assert chosen.training_mae < np.abs(energies - np.median(energies)).mean() / 5
    again = law_from_json(json.loads(json.dumps(law_as_json(law))))
    np.testing.assert_allclose(again.predict(triples), law.predict(triples), rtol=1e-12)
    mae = np.abs(law.predict(triples) - energies).mean()
    assert mae == pytest.approx(chosen.training_mae)
    without = found(replace(quick, many_body=False))
    assert not without.law.many_body


def test_the_term_is_written_as_it_is_read():
    formula = parse("exp(-1.5*r)", ["r"])
    law = PairLaw(
        {"V_Mo": 7.0, "V_S": 2.5}, {MO_S: 2.0}, {MO_S: formula}, {(THREE_BODY, "V_Mo"): 1.5}
    )
    assert law.lines() == [
        "K[V_Mo-V_S] = 2*exp(-r/0.6667 Å)",
        "T[V_Mo] = 1.5/(r1*r2)",
        "eps = V_Mo 7, V_S 2.5",
    ]
    assert law.latex().endswith(r"\\ T_{\mathrm{V\_Mo}}(r_1, r_2) = \frac{1.5}{r_1 r_2}")
    # Five more nodes: a number, the two distances, and two operations.
    assert law.complexity == replace(law, many_body={}).complexity + 5


FURTHER = ManyBodyTerm(
    name="Q",
    key="further_eV",
    unit="eV",
    nodes=7,
    weight=lambda one, two: 10.0 * np.ones(np.broadcast_shapes(one.shape, two.shape)),
    text="{}*q(r1, r2)",
    latex=r"{} \, q(r_1, r_2)",
)


@pytest.fixture
def further(monkeypatch):
    """A made-up term: ten for any two other defects."""
    monkeypatch.setitem(MANY_BODY_TERMS, FURTHER.key, FURTHER)


@pytest.fixture
def law():
    """A law with both terms, the second one around two kinds of defects."""
    factors = {(THREE_BODY, "V_Mo"): 1.5, (FURTHER, "V_Mo"): 0.25, (FURTHER, "V_S"): 0.5}
    kinds = {MO_S: parse("exp(-1.5*r)", ["r"])}
    return PairLaw({"V_Mo": 7.0, "V_S": 2.5}, {MO_S: 2.0}, kinds, factors)


def test_a_further_term_is_counted_and_fitted(further):
    table = count_pairs([cell([0, 40, 75, 77, 100], 6), cell([0], 6)])
    columns = [(term.name, column) for term, column in table.term_columns]
    first = columns.index(("Q", "V_Mo"))
    assert columns[first : first + 3] == [
        ("Q", "V_Mo"),
        ("Q", "V_S"),
        ("Q", "V_Mo, of V_Mo and V_Mo"),
    ]
    # Six twos of the four others around each defect; around V_Mo all of them are V_S.
    expected = [[10 * 6 * n for n in table.composition[0]], [0, 0]]
    assert table.descriptors[:, first : first + 2].tolist() == expected
    two_sulfur = columns.index(("Q", "V_Mo, of V_S and V_S"))
    assert table.descriptors[:, two_sulfur].tolist() == [60 * table.composition[0, 0], 0]
    rng = np.random.default_rng(0)
    many = count_pairs([cell([0, *rng.choice(range(36, 108), n, False)], 6) for n in range(6)] * 3)
    energies = (many.composition @ [7.0, 2.5] + many.descriptors[:, first] * 0.25) / many.n_sites
    fitted = fit_pair_energies(replace(many, counts=0 * many.counts), energies, (first,))
    assert fitted.factors == pytest.approx([0.25], abs=1e-3)
    np.testing.assert_allclose(fitted.predict(many), energies, atol=1e-3)


def test_a_further_term_is_in_predictions_texts_and_files(further, law):
    assert law.lines()[2:4] == ["Q[V_Mo] = 0.25*q(r1, r2)", "Q[V_S] = 0.5*q(r1, r2)"]
    assert law.latex().endswith(r"Q_{\mathrm{V\_S}}(r_1, r_2) = 0.5 \, q(r_1, r_2)")
    assert law.complexity == replace(law, many_body={}).complexity + 5 + 2 * 7
    assert law_as_json(law)["further_eV"] == {"V_Mo": 0.25, "V_S": 0.5}
    assert law_from_json(json.loads(json.dumps(law_as_json(law)))) == law
    table = count_pairs([cell([0, 40, 75], 6)])
    formula = law.pair_formulas[MO_S]
    law = replace(
        law,
        pair_scales=dict.fromkeys(table.pair_kinds, 2.0),
        pair_formulas=dict.fromkeys(table.pair_kinds, formula),
    )
    known = replace(law, many_body={(THREE_BODY, "V_Mo"): 1.5})
    extra = (10 * 0.25 + 2 * 10 * 0.5) / 3
    assert law.predict(table)[0] == pytest.approx(known.predict(table)[0] + extra)


def test_a_further_term_is_stored_with_intervals_and_shown(further, law, capsys):
    refits = tuple(
        replace(law, many_body={column: x + y for column, x in law.many_body.items()})
        for y in (-0.1, 0.1)
    )
    saved = SavedLaw(law, refits, {MO_S: (2.4, 9.0)}, (MOS2,), 0.01)
    again = SavedLaw.from_description(json.loads(json.dumps(saved.description(), sort_keys=True)))
    assert again.law == law and list(again.law.many_body) == list(law.many_body)
    assert again.intervals["further_eV"]["V_S"] == pytest.approx([0.41, 0.59])
    print_law(LawResult(Path("fold"), "task", 0, "", 0, 0.01, {}, again))
    printed = " ".join(capsys.readouterr().out.split())
    assert "Q[V_Mo] = 0.25*q(r1, r2) eV, for any two defects at r1 and r2 Å from a V_Mo" in printed
    assert "Q[V_S] coefficient 0.50 0.41 to 0.59 eV" in printed
    assert r"0.50 \, q(r_1, r_2)" in printed


def test_a_law_with_a_term_that_is_not_known_is_not_read_without_it(law):
    with pytest.raises(ValueError, match=r"further_eV.*three_body_eVA2"):
        law_from_json(law_as_json(law) | {"further_eV": {"V_Mo": 0.25}})
