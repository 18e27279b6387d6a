"""Structures, energies and references become formation energies, or a list of mistakes."""

import numpy as np
import pytest

from matbench_segvae.benchmark.energy_table import read_energies, read_potentials
from matbench_segvae.benchmark.formation import References, formation_energies
from matbench_segvae.benchmark.own_data import OwnDataSource, read_own_data
from matbench_segvae.defects import (
    HOSTS,
    Supercell,
    defective_structure,
    defects_on,
    sparse_defects,
    vacancies,
)
from matbench_segvae.errors import UserError

IDS = ["a.cif", "b.vasp", "t.extxyz#1", "t.extxyz#2"]
CELL = Supercell(HOSTS["MoS2"], 4, 4)


@pytest.fixture
def table(tmp_path):
    def make(text):
        path = tmp_path / "energies.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def lines_of(path, ids=IDS):
    with pytest.raises(UserError) as error:
        read_energies(path, ids)
    return [line.replace(str(path), "") for line in error.value.lines]


def test_rows_are_found_by_name_with_or_without_suffix_and_folder(table):
    rows = ["note,file,energy,n", "x,t#2,-1e-2,4", "y,b,2.5,3", ",somewhere/a.cif,1,2"]
    text = "\ufeff" + "\r\n".join([*rows, "z,t.extxyz#1,.5,1"])
    values, columns = read_energies(table(text), IDS)
    assert values.to_dict() == {
        "a.cif": 1.0,
        "b.vasp": 2.5,
        "t.extxyz#1": 0.5,
        "t.extxyz#2": -0.01,
    }
    assert columns.loc["t.extxyz#2"].tolist() == ["x", "t#2", "-1e-2", "4"]


def test_a_file_whose_name_begins_or_ends_with_a_space_has_its_row(table):
    ids = [" a.cif", "b.cif ", "c .cif"]
    by_name, _ = read_energies(table("file,energy\n a.cif,1\nb.cif ,2\nc .cif,3\n"), ids)
    by_stem, _ = read_energies(table("file,energy\n a,1\nb,2\nc ,3\n"), ids)
    assert by_name.tolist() == by_stem.tolist() == [1, 2, 3]


@pytest.mark.parametrize("mark", ["\u2028", "\x0c", "\x85"])
def test_only_line_breaks_of_csv_end_a_row(mark, table):
    text = f"file,energy,note\na.cif,1,one{mark}two\nb.cif,2,x\n"
    assert read_energies(table(text), ["a.cif", "b.cif"])[1].loc["a.cif", "note"] == f"one{mark}two"


def test_the_only_column_of_numbers_is_the_energy(table):
    text = "structure,family,dft_eV\na,V2,1\nb,X2,2\nt#1,V2,3\nt#2,x,4\n"
    assert read_energies(table(text), IDS)[0].tolist() == [1, 2, 3, 4]
    text = "structure,gap,dft_eV\na,2,1\nb,2,2\nt#1,2,3\nt#2,2,4\n"
    assert "call the one with energies 'energy'" in lines_of(table(text))[0]


def test_all_mistakes_are_reported_at_once_in_a_line_each(table):
    text = "file,energy\na,1\na.cif,2\nz,3\nb,nan\nt#1,=SUM(A1)\n"
    assert lines_of(table(text)) == [
        ": no energy of 't.extxyz#2'",
        ", line 3: 'a.cif' has an energy in line 2 already",
        ", line 4: there is no structure 'z'",
        ", line 5: 'nan' is no number of eV between -1e+09 and 1e+09",
        ", line 6: '=SUM(A1)' is no number of eV between -1e+09 and 1e+09",
    ]


@pytest.mark.parametrize(
    "value",
    ["", "inf", "1e999", "1e300", "1_0", "0x1", "1,5".replace(",", ";"), "٣", "[red]1", "9" * 500],
)
def test_what_is_no_plausible_number_is_refused(value, table):
    (line,) = lines_of(table(f"file,energy\na.cif,{value}\n"), ["a.cif"])
    assert "line 2" in line
    assert "is no number" in line
    assert len(line) < 150


def test_a_long_list_of_mistakes_is_shortened(table):
    lines = lines_of(table("file,energy\nx,1\n"), [f"{n}.cif" for n in range(1000)])
    assert len(lines) == 22
    assert "980 more" in lines[20]


def test_a_name_that_fits_two_files_is_refused(table):
    lines = lines_of(table("file,energy\na,1\n"), ["a.cif", "a.vasp"])
    assert any("a.cif or a.vasp: add the suffix" in line for line in lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "0 columns"),
        ("file;energy\na;1\n", "1 columns"),
        ("file,energy\n", "no rows"),
        ("file,energy,energy\na,1,2\n", "same name"),
        ("file,energy\na,1,2\n", "3 values in 2 columns"),
        ('file,energy\n"a,1\n', "no CSV"),
        (b"\xff\xfe\x00\x01", "UTF-8"),
        (b"a,b\n\0,1\n", "no text"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(content, message, table):
    (line,) = lines_of(table(content), ["a.cif"])
    assert message in line


def test_chemical_potentials_name_elements_once(table):
    path = table("element,mu\nMo,-11.8\nS,-4.1\n")
    assert read_potentials(path) == {"Mo": -11.8, "S": -4.1}
    with pytest.raises(UserError) as error:
        read_potentials(table("element,mu\nMo,-11.8\nMo,1\nXx,2\nS,x\n"))
    assert len(error.value.lines) == 3


def test_formation_energies_count_the_atoms_that_left_and_came():
    cells = [
        sparse_defects(defective_structure(CELL, defects))
        for defects in (vacancies(CELL, [0, 16]), defects_on(CELL, {0: "W", 17: "Se"}))
    ]
    mu = {"Mo": -11.0, "S": -4.0, "W": -13.0, "Se": -3.5}
    found = formation_energies(cells, np.array([-300.0, -330.0]), References(-320.0, mu))
    assert found.tolist() == pytest.approx([20 - 15, -10 - 15 + 16.5])
    doubled = formation_energies(cells, np.array([-300.0, -330.0]), References(-640.0, mu, 96))
    assert doubled.tolist() == pytest.approx(found.tolist())
    with pytest.raises(UserError, match="no chemical potential of Se, W"):
        formation_energies(cells, np.zeros(2), References(0.0, {"Mo": 0.0, "S": 0.0}))


def test_one_pristine_energy_does_not_fit_supercells_of_several_sizes():
    other = Supercell(HOSTS["MoS2"], 5, 4)
    cells = [sparse_defects(defective_structure(c, vacancies(c, [0]))) for c in (CELL, other)]
    with pytest.raises(UserError, match="48, 60 sites"):
        formation_energies(cells, np.zeros(2), References(0.0, {"Mo": 0.0}))


@pytest.fixture
def source(tmp_path):
    """Two structures with one and two vacancies, and their energies in total."""
    folder = tmp_path / "structures"
    folder.mkdir()
    for name, sites in (("one", [0]), ("two", [0, 16])):
        defective_structure(CELL, vacancies(CELL, sites)).to(str(folder / f"{name}.cif"))
    (tmp_path / "energies.csv").write_text("file,energy\none,7\ntwo,9.5\n")
    return {"structures": (folder,), "energies": tmp_path / "energies.csv"}


def test_targets_are_per_defect_site(source):
    assert read_own_data(OwnDataSource(**source)).targets.tolist() == [7, 9.5]
    data = read_own_data(OwnDataSource(**source, per="total"))
    assert data.targets.to_dict() == {"one.cif": 7, "two.cif": 4.75}
    assert [host.name for host in data.hosts] == ["MoS2"]


def test_total_energies_of_dft_become_formation_energies(source, tmp_path):
    (tmp_path / "energies.csv").write_text("file,energy\none,-300\ntwo,-293\n")
    (tmp_path / "mu.csv").write_text("element,mu\nMo,-11\nS,-4\n")
    data = read_own_data(
        OwnDataSource(**source, pristine_energy=-320.0, chemical_potentials=tmp_path / "mu.csv")
    )
    assert data.computed
    assert data.targets.tolist() == pytest.approx([9, 6])
    with pytest.raises(UserError, match="both --pristine-energy and --chemical-potentials"):
        read_own_data(OwnDataSource(**source, pristine_energy=1.0))


def test_total_energies_are_not_taken_for_formation_energies(source, tmp_path):
    (tmp_path / "energies.csv").write_text("file,energy\none,-3000\ntwo,-2930\n")
    with pytest.raises(UserError, match="need --pristine-energy") as error:
        read_own_data(OwnDataSource(**source))
    assert len(error.value.lines) == 2


def test_pristine_and_foreign_structures_are_named(source, tmp_path):
    folder = tmp_path / "structures"
    CELL.structure().to(str(folder / "zero.cif"))
    foreign = Supercell(HOSTS["BN"], 4, 4)
    foreign.structure().to(str(folder / "bn.cif"))
    CELL.structure().to(str(tmp_path / "host.cif"))
    (tmp_path / "energies.csv").write_text("file,energy\none,7\ntwo,9.5\nzero,0\nbn,0\n")
    with pytest.raises(UserError) as error:
        read_own_data(OwnDataSource(**source, host=tmp_path / "host.cif"))
    assert ["bn.cif" in error.value.lines[0], "pristine" in error.value.lines[1]] == [True, True]


def test_rows_may_be_named_for_the_folder_of_each_structure(tmp_path):
    path = tmp_path / "energies.csv"
    path.write_text("run,energy\nrun2,2.0\nrun1,1.0\n")
    found, _ = read_energies(path, ["a/run1/CONTCAR", "a/run2/CONTCAR"])
    assert found.to_dict() == {"a/run1/CONTCAR": 1.0, "a/run2/CONTCAR": 2.0}
