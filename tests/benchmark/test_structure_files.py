"""Files of structures are read whole, or refused with a line that names them."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from matbench_segvae.benchmark.structure_files import (
    read_structure,
    read_structures,
    structure_from_cif,
)
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, sparse_defects, vacancies
from matbench_segvae.errors import UserError

CELL = Supercell(HOSTS["MoS2"], 3, 3)
SITES = (0, 9)
STRUCTURE = defective_structure(CELL, vacancies(CELL, SITES))
NAMES = (
    "a.cif",
    "POSCAR_1",
    "CONTCAR",
    "a.vasp",
    "a.poscar",
    "a.xyz",
    "a.extxyz",
    "a.db",
    "a.json",
)


def write(path, structure=STRUCTURE):
    name = path.name
    if name.endswith(".cif"):
        structure.to(str(path), fmt="cif")
    elif name.endswith("xyz"):
        structure.to_ase_atoms().write(path, format="extxyz")
    elif name.endswith(".db"):
        structure.to_ase_atoms().write(path, format="db")
    elif name.endswith(".json"):
        path.write_text(structure.to_json())
    else:
        structure.to(str(path), fmt="poscar")
    return path


def without_last_lines(path, n=3):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-n]))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_structure(name, tmp_path):
    found = read_structure(write(tmp_path / name))
    assert found.composition == STRUCTURE.composition
    assert tuple(d.site for d in sparse_defects(found).defects) == SITES


def test_oxidation_states_properties_and_labels_are_left_out(tmp_path):
    rich = STRUCTURE.copy(site_properties={"magmom": [1.0] * len(STRUCTURE)})
    rich.add_oxidation_state_by_element({"Mo": 4, "S": -2})
    for name in ("a.cif", "a.json"):
        found = read_structure(write(tmp_path / name, rich))
        assert found.site_properties == {}
        assert {str(s) for s in found.species} == {"Mo", "S"}
        assert set(found.labels) == {"Mo", "S"}


@pytest.mark.parametrize("name", [n for n in NAMES if not n.endswith((".db", ".json"))])
def test_a_file_that_was_cut_short_is_refused(name, tmp_path):
    path = without_last_lines(write(tmp_path / name))
    with pytest.raises(UserError, match=f"cannot read '.*{name}'") as error:
        read_structure(path)
    assert len(error.value.lines) == 1


def test_a_cut_cif_of_one_element_is_refused_in_the_form_of_pymatgen_and_of_the_standard(tmp_path):
    graphene = Supercell(HOSTS["C"], 4, 4).structure()
    path = write(tmp_path / "a.cif", graphene)
    whole = path.read_text()
    assert len(read_structure(path)) == 32
    standard = whole.replace("_chemical_formula_sum   C32", "_chemical_formula_sum   C1")
    assert standard != whole
    for text in (whole, standard):
        path.write_text(text)
        assert len(read_structure(path)) == 32
        with pytest.raises(UserError, match="cut short or edited"):
            read_structure(without_last_lines(path))


@pytest.mark.parametrize("key", ["_chemical_formula_sum", "_cell_formula_units_Z"])
def test_a_cif_need_not_say_its_formula(key, tmp_path):
    path = write(tmp_path / "a.cif")
    lines = [line for line in path.read_text().splitlines() if not line.startswith(key)]
    path.write_text("\n".join(lines))
    assert len(read_structure(path)) == len(STRUCTURE)


def test_a_cif_is_expanded_by_its_symmetry(tmp_path):
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    path = tmp_path / "a.cif"
    CifWriter(salt, symprec=0.01).write_file(path)
    assert len(read_structure(path)) == 8
    text = path.read_text()
    # With the operations gone and a name that nobody knows, atoms would be missing.
    head = text[: text.index("loop_")]
    tail = text[text.rindex("loop_") :]
    lines = [line for line in head.splitlines() if not line.startswith(("_chem", "_cell_formula"))]
    head = "\n".join(line for line in lines if "Int_Tables" not in line).replace("Fm-3m", "Q7")
    with pytest.raises(UserError, match="space group 'Q7'"):
        structure_from_cif(f"{head}\n{tail}", "mine")


def test_partial_occupancy_is_refused(tmp_path):
    half = Structure(Lattice.cubic(4), [{"Mo": 0.5, "W": 0.5}], [[0, 0, 0]])
    for name in ("a.cif", "a.json"):
        with pytest.raises(UserError, match="partly occupied"):
            read_structure(write(tmp_path / name, half))


def test_a_poscar_has_as_many_coordinates_as_it_counts_and_names_its_elements(tmp_path):
    path = write(tmp_path / "POSCAR")
    text = path.read_text()
    path.write_text(text + "0.1 0.2 0.3 S\n")
    with pytest.raises(UserError, match="more coordinates than the 25 atoms"):
        read_structure(path)
    path.write_text(text + "\n" + " 0.0 0.0 0.0\n" * 25)
    assert len(read_structure(path)) == 25  # velocities
    lines = text.splitlines()
    bare = [" ".join(line.split()[:3]) for line in lines[8:]]
    path.write_text("\n".join([*lines[:5], *lines[6:8], *bare]))
    with pytest.raises(UserError, match="does not name its elements"):
        read_structure(path)


def test_xyz_needs_a_lattice(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("1\nno cell\nC 0 0 0\n")
    with pytest.raises(UserError, match="no lattice"):
        read_structure(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\0\1\2\xff" * 50, b"[bold]hello[/bold]\n" * 9, b"\xff\xfe\x00", b"{}", b"[" * 5000],
)
def test_rubbish_is_one_line(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read|holds no structure") as error:
        read_structure(path)
    assert str(path) in str(error.value)


def test_other_sqlite_files_are_left_as_they_are(tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="none of ase"):
        read_structure(path)
    assert path.read_bytes() == before


def test_json_cannot_choose_what_is_loaded(tmp_path):
    content = json.loads(STRUCTURE.to_json())
    evil = {"@module": "no_such_module", "@class": "Evil", "@callable": "os.system"}
    content["sites"][0]["properties"] = {"evil": evil}
    content["properties"] = {"evil": evil}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert len(read_structure(path)) == 25
    content["lattice"]["matrix"][0][0] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="not finite"):
        read_structure(path)


def test_files_with_several_structures_have_numbered_ids(tmp_path):
    from ase.db import connect
    from ase.io import write as ase_write

    atoms = [STRUCTURE.to_ase_atoms(), CELL.structure().to_ase_atoms()]
    ase_write(tmp_path / "b.extxyz", atoms)
    with connect(tmp_path / "c.db") as database:
        for one in atoms:
            database.write(one)
    (tmp_path / "d.json").write_text(json.dumps([STRUCTURE.as_dict(), STRUCTURE.as_dict()]))
    write(tmp_path / "a.cif")
    (tmp_path / "notes.txt").write_text("not a structure")
    found = read_structures([tmp_path])
    names = ["a.cif", *(f"{n}#{i}" for n in ("b.extxyz", "c.db", "d.json") for i in (1, 2))]
    assert list(found.index) == names
    assert [len(s) for s in found] == [25, 25, 27, 25, 27, 25, 25]
    with pytest.raises(UserError, match="holds 2 structures"):
        read_structure(tmp_path / "b.extxyz")


def test_all_bad_files_are_named_at_once(tmp_path):
    write(tmp_path / "good.cif")
    without_last_lines(write(tmp_path / "short.cif"))
    (tmp_path / "empty.cif").write_text("")
    with pytest.raises(UserError) as error:
        read_structures([tmp_path, tmp_path / "good.cif", tmp_path / "gone.cif"])
    words = ("empty", "short", "given twice", "gone")
    assert [next(w for w in words if w in line) for line in error.value.lines] == list(words)


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in ("run1", "run2"):
        Path(run).mkdir()
        write(tmp_path / run / "CONTCAR")
    write(tmp_path / "other.cif")
    found = read_structures([Path("run1/CONTCAR"), Path("run2/CONTCAR"), Path("other.cif")])
    assert list(found.index) == ["run1/CONTCAR", "run2/CONTCAR", "other.cif"]


def test_empty_folders_and_unknown_names_are_refused(tmp_path):
    with pytest.raises(UserError, match="no structure in the folder"):
        read_structures([tmp_path])
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(UserError, match="name of no known format"):
        read_structures([tmp_path / "a.pdf"])


def test_files_of_absurd_size_are_not_read(tmp_path):
    path = tmp_path / "a.cif"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(UserError, match="1,024 MiB"):
        read_structure(path)


def test_coordinates_survive_the_way_through_files(tmp_path):
    for name in NAMES:
        found = read_structure(write(tmp_path / name))
        np.testing.assert_allclose(found.lattice.abc, STRUCTURE.lattice.abc, atol=1e-4)


def test_a_cif_with_an_atom_twice_is_refused_in_one_line(tmp_path):
    path = write(tmp_path / "a.cif")
    text = path.read_text()
    path.write_text(text + text.splitlines(keepends=True)[-1])
    with pytest.raises(UserError, match=r"cannot read '.*a\.cif'") as caught:
        read_structure(path)
    assert len(str(caught.value).splitlines()) == 1
