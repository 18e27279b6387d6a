"""Laws for structures of one's own: from files to predictions, and what is refused on the way."""

import csv
import json

import numpy as np
import pytest

import matbench_segvae
from matbench_segvae.algorithms.pair_laws import fit_law as fit_law_module
from matbench_segvae.cli import main
from matbench_segvae.cli.common import DEFAULT_STRAIN
from matbench_segvae.defects import (
    HOSTS,
    MAX_STRAIN,
    Host,
    Supercell,
    defective_structure,
    vacancies,
)
from matbench_segvae.errors import UserError

N_STRUCTURES = 16
EPS = {"Mo": 7.1, "S": 2.6}
FIT = ["law", "fit", "structures", "--energies", "energies.csv", "--out", "my_law"]


def mos2(a=3.16, vacuum=20.0):
    """Monolayer MoS2 as others compute it: another lattice constant, more vacuum."""
    built_in = HOSTS["MoS2"]
    atoms = tuple(
        (e, (x, y, 0.5 + (z - 0.25) * built_in.c / vacuum)) for e, (x, y, z) in built_in.atoms
    )
    return Host("MoS2", a, a, 120.0, vacuum, atoms)


def energy(cell, sites):
    """Per defect site, eV: decays with the distance of two vacancies."""
    total = sum(EPS[cell.elements[site]] for site in sites)
    for n, one in enumerate(sites):
        for other in sites[:n]:
            r, _ = cell.lattice.get_distance_and_image(cell.coords[one], cell.coords[other])
            total -= 1.5 * np.exp(-r / 2)
    return total / len(sites)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path, quick_pair_laws):
    monkeypatch.setattr(fit_law_module, "PairLawSettings", lambda: quick_pair_laws)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def samples():
    """Structures and energies of one or two vacancies in 4 x 4 cells."""
    rng = np.random.default_rng(0)
    cell = Supercell(mos2(), 4, 4)
    found = []
    for number in range(N_STRUCTURES):
        metal, sulfur = rng.integers(16), 16 + rng.choice(32, 2, replace=False)
        sites = ([metal], [metal, sulfur[0]], sulfur, sulfur)[number % 4]
        sites = [int(site) for site in sites]
        found.append((defective_structure(cell, vacancies(cell, sites)), energy(cell, sites)))
    return found


@pytest.fixture
def files(samples, tmp_path):
    """The three things that a user has: structures, energies, and the pristine unit cell."""
    folder = tmp_path / "structures"
    folder.mkdir()
    rows = ["file,energy"]
    for number, (structure, value) in enumerate(samples):
        suffix, form = (("cif", "cif"), ("vasp", "poscar"))[number % 2]
        structure.to(str(folder / f"s{number:02d}.{suffix}"), fmt=form)
        rows.append(f"s{number:02d},{value:.9f}")
    (tmp_path / "energies.csv").write_text("\n".join(rows) + "\n")
    Supercell(mos2(), 1, 1).structure().to(str(tmp_path / "pristine.cif"))
    return tmp_path


def read_csv(text):
    return list(csv.DictReader(text.splitlines()))


def complaints(capsys):
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines), lines
    return lines


def test_from_structures_and_energies_to_predictions(files, samples, capsys):
    assert main([*FIT, "--host", "pristine.cif"]) == 0
    shown = capsys.readouterr().out
    assert f"{N_STRUCTURES} structures of MoS2, 48 sites" in shown
    assert "largest strain 0.00 %" in shown
    assert "in the data it was fitted to" in shown
    assert sorted(p.name for p in (files / "my_law").iterdir()) == [
        "law.json",
        "law.svg",
        "structures.csv",
    ]
    record = json.loads((files / "my_law" / "law.json").read_text())
    assert record["seed"] == 0
    assert record["versions"]["matbench_segvae"] == matbench_segvae.__version__
    assert record["hardware"]["cores"] >= 1
    assert record["seconds_fit"] > 0
    assert record["law"]["hosts"][0]["c"] == 20.0
    rows = read_csv((files / "my_law" / "structures.csv").read_text())
    assert rows[1]["defects"] == "V_Mo + V_S"
    assert main(["law", "show", "my_law"]) == 0
    assert "K[V_Mo-V_S" in capsys.readouterr().out
    # A folder, in the order of its names; by a law of the same host with other vacuum.
    assert main(["law", "predict", "my_law", "structures"]) == 0
    predicted = read_csv(capsys.readouterr().out)
    assert [row["file"] for row in predicted] == list(record["predictions"])
    energies = [float(row["energy_per_site_eV"]) for row in predicted]
    assert energies == pytest.approx(list(record["predictions"].values()), abs=1e-5)
    errors = np.abs(np.array(energies) - [value for _, value in samples])
    assert errors.mean() == pytest.approx(record["training_mae"], abs=1e-5)
    assert errors.mean() < 0.05


def test_without_a_host_the_known_one_is_found_with_its_strain(files, capsys):
    assert main(FIT) == 0
    shown = capsys.readouterr().out
    assert "largest strain 0.95 %" in shown
    assert main(["law", "predict", "my_law", "structures/s00.cif"]) == 0
    assert read_csv(capsys.readouterr().out)[0]["defects"] == "V_Mo"
    assert main([*FIT, "--max-strain", "0.005"]) == 2
    assert len(complaints(capsys)) == N_STRUCTURES
    assert main(["law", "predict", "my_law", "structures", "--max-strain", "0.005"]) == 2
    assert len(complaints(capsys)) == N_STRUCTURES


def test_the_command_line_has_the_strain_of_the_package():
    assert DEFAULT_STRAIN == MAX_STRAIN


def test_total_energies_become_formation_energies_that_are_written(files, samples, capsys):
    mu = {"Mo": -11.0, "S": -4.0}
    rows = ["file,energy"]
    for number, (structure, value) in enumerate(samples):
        n_mo, n_s = 16 - structure.composition["Mo"], 32 - structure.composition["S"]
        total = -350 + (n_mo + n_s) * value - n_mo * mu["Mo"] - n_s * mu["S"]
        rows.append(f"s{number:02d},{total:.9f}")
    (files / "energies.csv").write_text("\n".join(rows))
    (files / "mu.csv").write_text("element,mu\nMo,-11\nS,-4\n")
    words = ["--pristine-energy", "-350", "--chemical-potentials", "mu.csv"]
    assert main([*FIT, *words]) == 0
    assert "formation_energies.csv" in capsys.readouterr().out
    written = files / "my_law" / "formation_energies.csv"
    values = [float(row["energy"]) for row in read_csv(written.read_text())]
    assert values == pytest.approx([value for _, value in samples], abs=1e-6)
    # They can be given in place of the total energies.
    written.rename(files / "energies.csv")
    assert main(FIT) == 0


def test_predictions_of_a_file_that_was_cut_short_name_it(files, capsys):
    assert main(FIT) == 0
    path = files / "structures" / "s02.cif"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    capsys.readouterr()
    assert main(["law", "predict", "my_law", "structures"]) == 2
    (line,) = complaints(capsys)
    assert "s02.cif" in line
    assert "cut short" in line


def test_mistakes_in_the_table_are_a_line_each_and_nothing_is_written(files, capsys):
    text = (files / "energies.csv").read_text().splitlines()
    text[3] = "s02,=cmd|' /C calc'!A0"
    (files / "energies.csv").write_text("\n".join([*text[:-1], "[red]x[/red],1", "s00.cif,2"]))
    assert main(FIT) == 2
    lines = complaints(capsys)
    assert len(lines) == 4
    for part in ("s15.vasp", "already", "[red]x[/red]", "=cmd"):
        assert any(part in line for line in lines), part
    assert not (files / "my_law").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "holds no law"),
        ("[1]", "no JSON object"),
        ('{"law": {}, "seed": 0, "training_mae": 0, "predictions": {}}', "lacks 'hosts'"),
        ("\0\1", "is not JSON"),
    ],
)
def test_a_damaged_law_is_refused(content, message, tmp_path, capsys):
    (tmp_path / "my_law").mkdir()
    (tmp_path / "my_law" / "law.json").write_text(content)
    assert main(["law", "show", "my_law"]) == 2
    (line,) = complaints(capsys)
    assert message in line


def test_from_python_a_law_takes_two_lists(samples):
    structures, energies = zip(*samples, strict=True)
    pristine = Supercell(mos2(), 1, 1).structure()
    laws = [matbench_segvae.fit_law(structures, energies, pristine, seed=3) for _ in range(2)]
    assert laws[0].description() == laws[1].description()
    assert laws[0].hosts[0].a == pytest.approx(3.16)
    predicted = laws[0].predict(structures[1])
    assert predicted.energy_per_site == pytest.approx(energies[1], abs=0.2)


def test_from_python_bad_input_is_refused(samples):
    structures, energies = zip(*samples, strict=True)
    for values, message in [
        (energies[:-1], "15 energies"),
        ([*energies[:-1], float("nan")], "'15' is nan"),
        (["x", *energies[1:]], "no numbers"),
    ]:
        with pytest.raises(UserError, match=message):
            matbench_segvae.fit_law(structures, values)
    single = [n for n in range(N_STRUCTURES) if n % 4 == 0]
    with pytest.raises(UserError, match="two defects"):
        matbench_segvae.fit_law([structures[n] for n in single], [energies[n] for n in single])
