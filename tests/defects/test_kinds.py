import itertools
import re

import pytest

from matbench_segvae.defects import (
    HOSTS,
    PairKind,
    Planes,
    ordered_defect_kinds,
    ordered_pair_kinds,
)

KINDS = {
    "V_Mo-V_S": PairKind("V_Mo", "V_S"),
    "V_S-V_S same plane": PairKind("V_S", "V_S", Planes.SAME),
    "V_S-V_S across": PairKind("V_S", "V_S", Planes.ACROSS),
    "Se_S-V_S across": PairKind("Se_S", "V_S", Planes.ACROSS),
    "V_Bi-V_Se(2)": PairKind("V_Bi", "V_Se(2)"),
    "V_Ga-V_Se same side": PairKind("V_Ga", "V_Se", Planes.SIDE),
}


@pytest.mark.parametrize("label", KINDS)
def test_a_label_is_read_as_it_is_written(label):
    assert PairKind.parse(label) == KINDS[label]
    assert str(KINDS[label]) == label


@pytest.mark.parametrize(
    "label",
    ["", "a", "V_Mo", "V_Mo-", "VMo-V_S", "V_Mo-V_S ", "V_S-V_S above", "V_S-V_S-V_S",
     "V_S(0)-V_S", "V_S()-V_S"],
)  # fmt: skip
def test_a_malformed_label_is_refused_with_an_example(label):
    with pytest.raises(
        ValueError, match=f"'{re.escape(label)}' is not a kind of pair: .*V_Mo-V_S.*across"
    ):
        PairKind.parse(label)


def test_defects_on_metal_sites_come_first_and_the_same_plane_before_across():
    defects = ordered_defect_kinds(["V_S", "V_Mo", "Se_S", "W_Mo"], [HOSTS["MoS2"]])
    assert defects == ("V_Mo", "W_Mo", "Se_S", "V_S")
    expected = ("V_Mo-V_S", "Se_S-V_S across", "V_S-V_S same plane", "V_S-V_S across")
    for shuffled in itertools.permutations(expected):
        ordered = ordered_pair_kinds(map(PairKind.parse, shuffled), defects)
        assert tuple(map(str, ordered)) == expected
