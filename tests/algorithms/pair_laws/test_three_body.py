"""The energy of three defects that their pairs do not explain."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from quick import PAIR_LAWS

from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.algorithms.pair_laws.selection import best_law, search_laws
from matbench_segvae.algorithms.pair_laws.three_body import three_body_terms
from matbench_segvae.defects import (
    HOSTS,
    count_pairs,
    defective_structure,
    shortest_distances,
    sparse_defects,
    vacancies,
    vacancy_orbits,
)
from matbench_segvae.expressions import parse

MOS2 = HOSTS["MoS2"]
FACTOR = 2.0  # eV Å²


def cell(sites, n):
    return sparse_defects(defective_structure(MOS2, n, n, vacancies(MOS2, n, n, sites)))


@pytest.fixture(scope="module")
def triples():
    """All inequivalent ways to remove one Mo and two S from a 6x6 cell."""
    sets = vacancy_orbits(MOS2, 6, 6, (1, 2)).representatives
    return count_pairs([cell(sites, 6) for sites in sets])


def energies_of(table, three_body=(0.0, 0.0), noise=0.0):
    """Per site, with a twentieth of the structures far off, as tight clusters are."""
    rng = np.random.default_rng(0)
    pairs = table.counts @ (2 * np.exp(-table.distance / 2))
    total = table.composition @ [7.0, 2.5] + pairs + table.crowding @ three_body
    off = np.where(rng.random(len(total)) < 0.05, 50 * noise, noise)
    return total / table.n_sites + rng.normal(size=len(total)) * off


def test_crowding_sums_over_any_two_others_around_each_defect():
    sites = [0, 40, 75, 77, 100]
    structure = cell(sites, 6)
    table = count_pairs([structure])
    pristine = MOS2.supercell(6, 6)
    kinds = [defect.kind for defect in structure.defects]
    removed = [defect.site for defect in structure.defects]
    for number, kind in enumerate(table.defect_kinds):
        expected = sum(
            1 / (pristine.get_distance(here, a) * pristine.get_distance(here, b))
            for here, of in zip(removed, kinds, strict=True)
            if of == kind
            for a, b in combinations([site for site in removed if site != here], 2)
        )
        assert table.crowding[0, number] == pytest.approx(expected)
    assert (count_pairs([cell(sites[:2], 6)]).crowding == 0).all()


def test_a_term_that_is_there_is_found_around_the_right_defect(triples):
    there = energies_of(triples, (FACTOR, 0.0), noise=0.002)
    assert three_body_terms(triples, there, 2000, 5, 3, seed=0) == (0,)
    values = fit_pair_energies(triples, there, (0,))
    assert values.three_body == pytest.approx([FACTOR], rel=0.2)
    both = energies_of(triples, (FACTOR, FACTOR), noise=0.002)
    assert three_body_terms(triples, both, 2000, 5, 3, seed=0) == (0, 1)


def test_noise_and_outliers_are_no_term(triples):
    pairs_only = energies_of(triples, noise=0.002)
    assert three_body_terms(triples, pairs_only, 2000, 5, 3, seed=0) == ()
    assert three_body_terms(triples, pairs_only, 50, 5, 3, seed=0) == ()


def test_structures_without_three_defects_have_no_say():
    table = count_pairs(
        [cell(sites, 6) for sites in vacancy_orbits(MOS2, 6, 6, (1, 1)).representatives]
    )
    energies = energies_of(table, noise=0.002)
    assert three_body_terms(table, energies, 2000, 5, 3, seed=0) == ()


def test_the_law_that_is_found_has_the_term_and_survives_json(triples):
    energies = energies_of(triples, (FACTOR, 0.0))
    lows = shortest_distances(["MoS2"], triples.pair_kinds)

    def found(settings):
        return best_law(search_laws(triples, energies, lows, settings, 0, lambda _: None), 0.0)

    chosen = found(PAIR_LAWS)
    law = chosen.named()
    assert list(law.three_body) == ["V_Mo"]
    assert law.three_body["V_Mo"] == pytest.approx(FACTOR, rel=0.2)
    assert law.complexity == chosen.candidate.nodes <= PAIR_LAWS.most_nodes
    assert chosen.candidate.fit.mae < np.abs(energies - np.median(energies)).mean() / 5
    again = PairLaw.from_plain(json.loads(json.dumps(law.plain())))
    np.testing.assert_allclose(again.predict(triples), law.predict(triples), rtol=1e-12)
    mae = np.abs(law.predict(triples) - energies).mean()
    assert mae == pytest.approx(chosen.candidate.fit.mae)
    without = found(replace(PAIR_LAWS, three_body=False))
    assert not without.named().three_body


def test_the_term_is_written_as_it_is_read():
    formula = parse("exp(-1.5*r)", ["r"])
    law = PairLaw(
        {"V_Mo": 7.0, "V_S": 2.5}, {"V_Mo-V_S": 2.0}, {"V_Mo-V_S": formula}, {"V_Mo": 1.5}
    )
    assert law.lines() == [
        "K[V_Mo-V_S] = 2*(exp(-1.5*r))",
        "T[V_Mo] = 1.5/(r1*r2)",
        "eps = V_Mo 7, V_S 2.5",
    ]
    assert law.latex().endswith(r"\\ T_{\mathrm{V\_Mo}}(r_1, r_2) = \frac{1.5}{r_1 r_2}")
    # Five more nodes: a number, the two distances, and two operations.
    assert law.complexity == replace(law, three_body={}).complexity + 5
