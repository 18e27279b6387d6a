"""Features of structures and compositions, and their cache."""

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Lattice, Structure

from matbench_segvae.errors import UserError
from matbench_segvae.features import feature_names, feature_table, featurize, unit_of
from matbench_segvae.features.cache import content_hash
from matbench_segvae.regressor.validation import is_formula_name


def mos2(vacuum=18.0, shift=0.0):
    """A layer of MoS2, 3.12 Å thick, in a cell with vacuum."""
    height = 3.12 + vacuum
    lattice = Lattice.hexagonal(3.18, height)
    z = np.array([0.0, 1.56, -1.56]) / height + shift
    xy = [[1 / 3, 2 / 3], [2 / 3, 1 / 3], [2 / 3, 1 / 3]]
    return Structure(lattice, ["Mo", "S", "S"], [[*p, h] for p, h in zip(xy, z, strict=True)])


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.fixture
def computed(monkeypatch):
    """Counts the inputs that are described anew."""
    seen = []
    original = featurize.describe
    monkeypatch.setattr(featurize, "describe", lambda item: seen.append(item) or original(item))
    return seen


def test_names_can_stand_in_formulas_and_have_units():
    for kind in ("structure", "composition"):
        names = feature_names(kind)
        assert len(set(names)) == len(names)
        assert all(is_formula_name(name) for name in names)
        assert all(isinstance(unit_of(name), str) for name in names)
    with pytest.raises(KeyError):
        unit_of("beauty")


def test_a_composition_by_hand(own_cache):
    row = feature_table(pd.Series(["Fe0.75Ni0.25"], index=["a"]), "composition").loc["a"]
    assert row["x_Fe"] == 0.75 and row["x_Ni"] == 0.25 and row["x_C"] == 0
    assert row["atomic_number_mean"] == pytest.approx(26.5)
    assert row["atomic_number_range"] == 2 and row["atomic_number_mode"] == 26
    assert row["norm_0"] == 2 and row["norm_2"] == pytest.approx(np.hypot(0.75, 0.25))
    assert row["mixing_entropy"] == pytest.approx(0.5623, abs=1e-4)
    assert row["d_electrons_per_atom"] == pytest.approx(0.75 * 6 + 0.25 * 8)


def test_a_layer_by_hand(own_cache):
    row = feature_table(pd.Series([mos2()]), "structure").iloc[0]
    area = 3.18**2 * np.sqrt(0.75)
    assert row["layer_thickness"] == pytest.approx(3.12)
    assert row["area_per_atom"] == pytest.approx(area / 3)
    assert row["areal_mass_density"] == pytest.approx((95.94 + 2 * 32.06) / area, rel=1e-3)
    assert row["inner_gap"] == pytest.approx(1.56)
    bond = np.hypot(1.56, 3.18 / np.sqrt(3))
    assert row["neighbour_distance_mean"] == pytest.approx(bond)
    assert row["neighbour_distance_max"] == pytest.approx(bond)
    # Six neighbours of each kind are within 1.2 sums of covalent radii of Mo, three of S.
    assert row["coordination_max"] == 12 and row["surface_coordination"] == 3
    assert row["surface_fraction"] == pytest.approx(2 / 3)
    assert row["surface_electronegativity"] == pytest.approx(2.58)
    assert row["bond_polarity_max"] == pytest.approx(2.58 - 2.16)


def test_features_are_those_of_the_material_and_not_of_its_cell(own_cache):
    layer = mos2()
    turned = layer.copy()
    turned.apply_operation(_turn())
    charged = layer.copy()
    charged.add_oxidation_state_by_element({"Mo": 4, "S": -2})
    others = {
        "moved across the edge": mos2(shift=0.47),
        "turned": turned,
        "in another order": Structure.from_sites([layer[i] for i in (2, 0, 1)]),
        "with oxidation states": charged,
        "with more vacuum": mos2(vacuum=25.0),
    }
    rows = feature_table(pd.Series({"layer": layer, **others}), "structure")
    for name in others:
        np.testing.assert_allclose(rows.loc[name], rows.loc["layer"], rtol=1e-5, atol=1e-5)


def _turn():
    from pymatgen.core.operations import SymmOp

    return SymmOp.from_axis_angle_and_translation([1, 2, 3], 40)


def test_what_is_not_known_is_missing_and_nothing_else(own_cache):
    helium = Structure(Lattice.cubic(4.0), ["He"], [[0, 0, 0]])
    row = feature_table(pd.Series([helium]), "structure").iloc[0]
    assert np.isnan(row["packing_fraction"])
    assert row["area_per_atom"] == pytest.approx(16) and row["coordination_mean"] == 6


def test_a_second_call_computes_nothing(own_cache, computed):
    inputs = pd.Series(["NaCl", "MgO", "ClNa"], index=["a", "b", "c"])
    first = feature_table(inputs, "composition")
    assert len(computed) == 2  # NaCl and ClNa are the same
    pd.testing.assert_frame_equal(feature_table(inputs, "composition"), first)
    assert len(computed) == 2
    some = feature_table(inputs, "composition", columns=["x_O", "x_Cl"])
    pd.testing.assert_frame_equal(some, first[["x_O", "x_Cl"]])
    assert list(own_cache.rglob("*.part")) == []


@pytest.mark.parametrize("damage", [b"", b"no archive", "half", "flipped"])
def test_a_damaged_file_is_computed_again(own_cache, computed, damage):
    inputs = pd.Series(["NaCl"])
    first = feature_table(inputs, "composition")
    (file,) = own_cache.rglob("*.npz")
    whole = file.read_bytes()
    if damage == "half":
        damage = whole[: len(whole) // 2]
    elif damage == "flipped":
        middle = len(whole) // 2
        damage = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    file.write_bytes(damage)
    pd.testing.assert_frame_equal(feature_table(inputs, "composition"), first)
    assert len(computed) == 2
    feature_table(inputs, "composition")
    assert len(computed) == 2  # it was written anew


def test_the_content_decides_not_the_sample_id(own_cache, computed):
    feature_table(pd.Series({"a": mos2()}), "structure")
    feature_table(pd.Series({"b": mos2()}), "structure")
    assert len(computed) == 1
    stretched = mos2()
    stretched.apply_strain(1e-3)
    rows = feature_table(pd.Series({"a": mos2(), "s": stretched}), "structure")
    assert len(computed) == 2
    assert rows.loc["s", "area_per_atom"] > rows.loc["a", "area_per_atom"]
    assert content_hash(Composition("NaCl")) != content_hash(Composition("Na2Cl2"))


def test_many_inputs_are_described_in_parallel_and_in_order(own_cache, monkeypatch):
    shares = np.linspace(0.1, 0.9, 12)
    inputs = pd.Series([f"Fe{x:.3f}Ni{1 - x:.3f}" for x in shares])
    alone = feature_table(inputs, "composition")
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(own_cache / "other"))
    monkeypatch.setattr(featurize, "_SERIAL", 5)
    monkeypatch.setattr(featurize, "_AT_ONCE", 8)
    pd.testing.assert_frame_equal(feature_table(inputs, "composition"), alone)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("NaCl", "structure", "sample a: a structure is needed, not str"),
        ("no metal", "composition", "sample a: 'no metal' is not a composition"),
        (3.0, "composition", "sample a"),
    ],
)
def test_bad_inputs_are_named_in_one_line(own_cache, value, kind, words):
    with pytest.raises(UserError, match=words) as caught:
        feature_table(pd.Series({"a": value}), kind)
    assert "\n" not in str(caught.value)


def test_without_a_place_to_write_there_is_no_cache(monkeypatch, tmp_path, computed):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        feature_table(pd.Series(["NaCl"]), "composition")
    assert len(computed) == 2
