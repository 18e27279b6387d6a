import pytest

from matbench_segvae.defects import (
    HOSTS,
    Defect,
    Supercell,
    defective_structure,
    defects_on,
    vacancies,
)
from matbench_segvae.errors import UserError

CELL = Supercell(HOSTS["MoS2"], 4, 4)


def test_removing_and_replacing_do_what_they_say():
    defects = defects_on(CELL, {5: None, 18: None, 47: "Te", 46: "S"})
    assert [(d.site, d.kind) for d in defects] == [(5, "V_Mo"), (18, "V_S"), (47, "Te_S")]
    structure = defective_structure(CELL, defects)
    assert structure.composition.as_dict() == {"Mo": 15, "S": 30, "Te": 1}


def test_vacancies_are_defects_without_an_element():
    assert vacancies(CELL, [16, 0]) == defects_on(CELL, {0: None, 16: None})


@pytest.mark.parametrize("site", [-1, 48])
def test_sites_outside_of_the_supercell_are_refused(site):
    with pytest.raises(UserError, match=f"4 x 4 MoS2 has no site {site}: give sites from 0 to 47"):
        vacancies(CELL, [site])


def test_impossible_defects_are_refused():
    with pytest.raises(UserError, match="V_S cannot be on site 0"):
        defective_structure(CELL, [Defect(0, "S", None, (0.0, 0.0, 0.0))])
    with pytest.raises(UserError, match="W_Mo cannot be on site 1"):
        defective_structure(CELL, [*vacancies(CELL, [1]), *defects_on(CELL, {1: "W"})])
