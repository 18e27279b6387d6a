"""The whole low-density set: archives and the table that stands in for them give the same."""

import gzip
import hashlib
import io
import json
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from matbench_segvae.benchmark import catalogue, datasets, low_density
from matbench_segvae.defects import (
    HOSTS,
    Supercell,
    defective_structure,
    defects_on,
    sparse_defects,
)
from matbench_segvae.errors import UserError

CELL = Supercell(HOSTS["MoS2"], 8, 8)
SITES = {
    "6141aaaa": {0: None},
    "6141bbbb": {70: "Se"},
    "6141cccc": {3: "W", 64: None},
    "6141dddd": {9: None, 100: None, 180: "Se"},
    "6141eeee": {64: None, 65: "Se", 66: None},
}
PUBLIC, PRIVATE = sorted(SITES)[::2], sorted(SITES)[1::2]


def cells():
    return {name: defects_on(CELL, sites) for name, sites in SITES.items()}


def as_archived(defects, seed):
    """A cell as the archives have it: atoms in another order, some outside the cell."""
    structure = defective_structure(CELL, defects)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(structure))
    shift = rng.integers(-1, 2, (len(structure), 3)) * [1, 1, 0]
    coords = structure.frac_coords + shift
    species = [structure[i].specie for i in order]
    return Structure(structure.lattice, species, coords[order]).as_dict()


def archive(names, damage=None):
    """A packed archive with the structures of some ids, and files that are none."""
    contents = {f"set/structures/{name}.json": as_archived(cells()[name], 0) for name in names}
    if damage:
        contents["set/structures/6141cccc.json"] = damage
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in {**contents, "set/notes.json": {"a": 1}}.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def targets(names=tuple(SITES)):
    """A table of targets in the order and with the columns of the published one."""
    columns = ["energy", "formation_energy_per_site", "homo", "lumo", "band_gap"]
    values = np.arange(5.0 * len(names)).reshape(len(names), 5)
    labels = pd.MultiIndex.from_product([["DFT"], columns])
    return pd.DataFrame(values, index=list(names)[::-1], columns=labels)


def stand_in():
    """The same defects as a packed table, coordinates with four decimals."""
    coords = CELL.coords
    listed = [
        [[d.kind, *np.round(coords[d.site], 4).tolist()] for d in defects]
        for defects in cells().values()
    ]
    table = pd.DataFrame({"_id": list(SITES), "split": "x", "defects": map(json.dumps, listed)})
    return gzip.compress(table.to_csv(index=False).encode())


@pytest.fixture
def mirror(tmp_path, monkeypatch, no_data):
    """Puts files into a mirror, and makes the catalogue expect just those."""
    rows = dict(catalogue.CATALOGUE)
    monkeypatch.setattr(datasets, "CATALOGUE", rows)
    monkeypatch.setenv("MATBENCH_SEGVAE_DATA", str(tmp_path))

    def put(name, content):
        path = tmp_path / (name if "/" in name else rows[name].path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if name in rows:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            rows[name] = replace(rows[name], digest=digest)
        else:
            monkeypatch.setattr(
                low_density, "_STAND_IN_SHA256", hashlib.sha256(content).hexdigest()
            )
        return path

    put("dft-table", pickle.dumps(targets()))
    put("mos2-low-public", archive(PUBLIC))
    put("mos2-low-private", archive(PRIVATE))
    return put


def read():
    """What is read now, not what is kept from before."""
    return low_density.low_density.__wrapped__()


def refused(match):
    with pytest.raises(UserError, match=match) as caught:
        read()
    assert "\n" not in str(caught.value)


def test_archives_and_table_are_joined_by_id(mirror):
    found = read()
    assert list(found.index) == sorted(SITES)
    assert found["n_defects"].tolist() == [1, 1, 2, 3, 3]
    assert found["kinds"].tolist() == [
        "V_Mo",
        "Se_S",
        "V_S+W_Mo",
        "Se_S+V_Mo+V_S",
        "Se_S+V_S+V_S",
    ]
    table = targets()["DFT"]
    for name in found.index:
        assert found["homo"][name] == table["homo"][name]
        assert found["structure"][name].matches(defective_structure(CELL, cells()[name]))


def test_the_table_that_stands_in_gives_the_same_as_the_archives(mirror):
    archived = read()
    mirror(low_density.STAND_IN, stand_in())
    mirror("mos2-low-public", b"not read")
    tabulated = read()
    pd.testing.assert_frame_equal(
        archived.drop(columns="structure"), tabulated.drop(columns="structure")
    )
    for one, two in zip(archived["structure"], tabulated["structure"], strict=True):
        assert one == two


def test_real_structures_have_the_defects_of_the_table(dft_data):
    """The archives are not at hand everywhere; 200 of their structures are, as CIF text."""
    folder = datasets.mirror_folder()
    if folder is None or not (folder / low_density.STAND_IN).is_file():
        pytest.skip("no mirror with the table of defects")
    tabulated = low_density._defects()
    pilot = pd.read_csv(datasets.fetch("pilot-structures"), index_col=0)["structures"]
    ids = pd.read_csv(datasets.fetch("pilot-targets"))["_id"]
    for name, text in list(zip(ids, pilot, strict=True))[::10]:
        structure = Structure.from_str(text, fmt="cif")
        assert sparse_defects(structure, [HOSTS["MoS2"]]).defects == tabulated[name]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "list", "no structure"])
def test_a_damaged_archive_is_one_clear_line(damage, mirror):
    whole = archive(PUBLIC)
    content = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"404: not found",
        "list": archive(PUBLIC, damage=[1, 2]),
        "no structure": archive(PUBLIC, damage={"a": 1}),
    }[damage]
    mirror("mos2-low-public", content)
    refused(r"dichalcogenides_public\.tar\.gz' cannot be read")


def test_ids_without_a_partner_are_refused(mirror):
    mirror("mos2-low-private", archive(PRIVATE[:1]))
    refused("not those of the table of targets")


def test_another_table_than_the_published_one_is_refused(mirror):
    path = mirror(low_density.STAND_IN, stand_in())
    path.write_bytes(path.read_bytes() + b"\n")
    refused("is not the published table: remove it to use the archives")


def test_defects_beside_the_sites_are_refused(mirror):
    listed = json.dumps([["V_S", 0.03, 0.05, 0.4]])
    table = pd.DataFrame({"_id": ["6141aaaa"], "defects": [listed]})
    mirror(low_density.STAND_IN, gzip.compress(table.to_csv(index=False).encode()))
    refused("is on no site of 8 x 8 MoS2")
