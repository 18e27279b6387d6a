"""Laws from finished folds: shown, drawn and used on new structures."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import matbench_segvae.running.fold as running_fold
from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.pair_laws.pair_energies import (
    fit_pair_energies,
    observed_pair_energies,
)
from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.benchmark import OwnTask, folds_of, register_task, write_task
from matbench_segvae.cli import main
from matbench_segvae.defects import (
    HOSTS,
    Defect,
    Supercell,
    defective_structure,
    pairs_of,
    vacancies,
)
from matbench_segvae.expressions.figures import figures
from matbench_segvae.fitting.robust import STD_PER_MAE
from matbench_segvae.running import FoldStore, run_fold

TASK = "defects2d_xtb_mos2"
KINDS = ("V_Mo-V_S", "V_S-V_S same plane", "V_S-V_S across")
MOS2 = HOSTS["MoS2"]


@pytest.fixture(scope="module")
def fitted(xtb_task, quick_own_formulas):
    """An algorithm and its finished fold."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            running_fold,
            "create_algorithm",
            lambda _: made.append(SEGVAEPairLaw(quick_own_formulas)) or made[-1],
        )
        result = run_fold(xtb_task, "segvae", 1, seed=0)
    return made[0], result


@pytest.fixture
def algorithm(fitted):
    return fitted[0]


@pytest.fixture
def result(fitted):
    return fitted[1]


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path):
    return FoldStore(tmp_path / "results", "defects2d_v0.1", "segvae")


@pytest.fixture
def fold_file(store, result):
    return str(store.save(result))


def complaint(capsys):
    """The one line on stderr; nothing may be on stdout."""
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def without(sites, n=4, host=MOS2):
    cell = Supercell(host, n, n)
    return defective_structure(cell, vacancies(cell, sites))


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predictions_of_files_are_those_of_the_algorithm(
    xtb_task, algorithm, result, fold_file, capsys, tmp_path
):
    inputs, _ = xtb_task.get_test_data(1, include_target=True)
    names = [f"{i}.cif" if i % 2 else f"POSCAR_{i}" for i in range(len(inputs))]
    for name, structure in zip(names, inputs, strict=True):
        structure.to(name, fmt="cif" if name.endswith("cif") else "poscar")
    assert main(["law", "predict", fold_file, *names]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    rows = read_csv(shown.out)
    assert [row["file"] for row in rows] == names
    energies = np.array([float(row["energy_per_site_eV"]) for row in rows])
    np.testing.assert_allclose(energies, algorithm.predict(inputs), atol=1e-6)
    np.testing.assert_allclose(energies, list(result.predictions.values()), atol=1e-6)
    table = pairs_of(inputs)
    totals = [float(row["total_energy_eV"]) for row in rows]
    np.testing.assert_allclose(totals, energies * table.n_sites, atol=1e-5)
    least = STD_PER_MAE * SavedLaw.from_description(result.params).validation_mae
    assert all(float(row["std_per_site_eV"]) > least - 1e-6 for row in rows)
    assert {row["defects"] for row in rows} >= {"V_Mo + 2 V_S"}
    # Into a file goes the same text, and nothing to the screen.
    assert main(["law", "predict", fold_file, *names, "--out", "energies.csv"]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "energies.csv").read_text() == shown.out


def test_any_number_of_defects_and_distances_beyond_the_data(algorithm, fold_file, capsys):
    # S atoms of the lower plane are numbers 64 to 127 of an 8 x 8 cell, of the upper 128 to 191.
    structure = without([0, 64, 72, 128, 191], n=8)
    structure.to("five.cif")
    without([0, 64 + 36], n=8).to("far.vasp", fmt="poscar")
    without([0, 16]).to("close.cif")
    without([0]).to("one.cif")
    assert main(["law", "predict", fold_file, "five.cif", "far.vasp", "close.cif", "one.cif"]) == 0
    five, far, close, one = read_csv(capsys.readouterr().out)
    assert five["defects"] == "V_Mo + 4 V_S"
    expected = algorithm.predict(pd.Series([structure]))[0]
    assert float(five["energy_per_site_eV"]) == pytest.approx(expected, abs=1e-6)
    assert float(five["total_energy_eV"]) == pytest.approx(5 * expected, abs=5e-6)
    assert [row["extrapolates"] for row in (far, close, one)] == ["yes", "no", "no"]
    assert one["defects"] == "V_Mo"


def test_the_standard_deviation_is_of_refits_and_validation(result):
    saved = SavedLaw.from_description(result.params)
    structure = without([0, 16])
    table = pairs_of(pd.Series([structure]), like=saved.kinds)
    refits = [law.predict(table)[0] for law in saved.resampled]
    errors = [c["validation_mae"] for c in result.params["candidates"]]
    assert saved.validation_mae in errors
    expected = np.hypot(np.std(refits, ddof=1), STD_PER_MAE * saved.validation_mae)
    assert saved.predict(structure).std_per_site == pytest.approx(expected)
    alone = dataclasses.replace(saved, resampled=())
    expected = STD_PER_MAE * saved.validation_mae
    assert alone.predict(structure).std_per_site == pytest.approx(expected)


def other_host():
    without([0, 16], host=HOSTS["WSe2"]).to("bad.cif")


def no_defects():
    without([]).to("bad.cif")


def unknown_defect():
    defective_structure(Supercell(MOS2, 4, 4), [Defect(16, "S", "Se", (0, 0, 0))]).to("bad.cif")


def unknown_pair():
    without([0, 1]).to("bad.cif")


def unreadable():
    Path("bad.cif").write_text("no structure\n")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (other_host, ["W15Se31", "MoS2"]),
        (no_defects, ["without defects", "V_Mo, V_S"]),
        (unknown_defect, ["Se_S", "V_Mo, V_S"]),
        (unknown_pair, ["V_Mo-V_Mo", *KINDS]),
        (unreadable, ["no coordinates"]),
        (lambda: None, ["No such file"]),
    ],
)
def test_structures_that_are_none_of_the_laws_business(write, words, fold_file, capsys, tmp_path):
    write()
    without([0, 16]).to("good.cif")
    before = sorted(tmp_path.iterdir())
    assert main(["law", "predict", fold_file, "good.cif", "bad.cif", "--out", "all.csv"]) == 2
    line = complaint(capsys)
    assert all(word in line for word in ["'bad.cif'", *words]), line
    assert sorted(tmp_path.iterdir()) == before


def write_results(store, result):
    """Files that hold no law of segvae, or less than all of it."""
    lacking = {k: v for k, v in result.params.items() if k != "resampled"}
    bent = dict(result.params, constants=dict(result.params["constants"], pair_formulas={"a": "1"}))
    for name, params in {"dummy": {}, "older": lacking, "bent": bent}.items():
        changed = dataclasses.replace(result, algorithm=name, params=params)
        dataclasses.replace(store, algorithm=name).save(changed)
    (store.out / "broken.json").write_text('{"format": 1, "task"')
    (store.out / "empty").mkdir()


@pytest.mark.parametrize("command", ["show", "predict"])
@pytest.mark.parametrize(
    "path",
    [
        f"results/defects2d_v0.1_dummy/folds/{TASK}-fold_1.json",
        "results/defects2d_v0.1_dummy",
        "results/defects2d_v0.1_older",
        "results/defects2d_v0.1_bent",
        "results/broken.json",
        "results/empty",
        "results",
        "missing",
        "good.cif",
    ],
)
def test_what_is_no_result_of_segvae(command, path, store, result, capsys, tmp_path):
    write_results(store, result)
    without([0, 16]).to("good.cif")
    before = sorted(tmp_path.iterdir())
    words = ["good.cif", "--out", "all.csv"] if command == "predict" else ["--out", "law.svg"]
    assert main(["law", command, path, *words]) == 2
    line = complaint(capsys)
    assert f"'{path}'" in line and "submission folder" in line
    assert sorted(tmp_path.iterdir()) == before


def test_show_prints_every_number_and_draws_the_law(result, fold_file, capsys, tmp_path):
    assert main(["law", "show", fold_file, "--out", "law.svg"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert lines[0] == f"{TASK}, fold 1, seed 0"
    assert f"complexity {result.params['complexity']}" in shown.out
    for formula, kind in zip(result.params["formula"].split("; "), KINDS, strict=False):
        low, high = result.params["distances_A"][kind]
        assert f"{formula} eV, fitted for r from {low:.3f} to {high:.3f} Å" in lines
    assert any(line.startswith("eps = V_Mo ") and line.endswith(" eV") for line in lines)
    low, high = result.params["constants_90_percent"]["defect_energies_eV"]["V_S"]
    assert f"{low:.4g} to {high:.4g}" in shown.out
    for number in (n for form in result.params["normal_forms"] for n in form["constants"]):
        low, high = number["interval_90_percent"]
        row = next(line for line in lines if f"{figures(low)} to {figures(high)}" in line)
        assert number["meaning"] in row
        assert figures(number["value"], (low, high)) in row
        assert row.split()[-1] == number["unit"].split()[-1] if number["unit"] else True
    assert r"K_{\mathrm{V\_Mo-V\_S}}(r) = " in shown.out
    assert lines[-1] == "law.svg"
    assert "<svg" in (tmp_path / "law.svg").read_text()
    # Data are needed for the picture alone.
    assert main(["law", "show", fold_file]) == 0
    assert capsys.readouterr().out == "\n".join(lines[:-1]) + "\n"


def test_pictures_that_cannot_be_drawn(fold_file, capsys, tmp_path):
    for name in ("law.gif", "missing/law.svg"):
        assert main(["law", "show", fold_file, "--out", name]) == 2
        assert name in complaint(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_of_a_folder_the_fold_closest_to_the_mean(store, result, capsys):
    for fold, mae in {0: 0.01, 1: 0.019, 2: 0.03}.items():
        store.save(dataclasses.replace(result, fold=fold, scores={"mae": mae, "max_error": 1.0}))
    folder = str(store.folder)
    assert main(["law", "show", folder]) == 0
    assert f"{TASK}, fold 1 (of 0, 1, 2: the closest to the mean score)" in capsys.readouterr().out
    assert main(["law", "show", folder, "--fold", "2"]) == 0
    assert f"{TASK}, fold 2, seed 0" in capsys.readouterr().out
    assert main(["law", "show", folder, "--fold", "4"]) == 2
    assert "it has 0, 1, 2" in complaint(capsys)
    without([0, 16]).to("good.cif")
    assert main(["law", "predict", folder, "good.cif"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2 and "fold 1" in shown.err
    store.save(dataclasses.replace(result, task="defects2d_mos2_v3"))
    assert main(["law", "show", folder]) == 2
    line = complaint(capsys)
    assert "--task" in line and TASK in line and "defects2d_mos2_v3" in line
    assert main(["law", "show", folder, "--task", TASK]) == 0


def test_laws_of_levels_are_told_from_those_of_energies(capsys):
    folder = str(Path(__file__).parents[2] / "leaderboard" / "defects2d_v0.1_segvae")
    assert main(["law", "show", folder, "--task", "defects2d_mos2_low_gap"]) == 2
    assert "is a law of levels" in complaint(capsys)
    assert main(["law", "show", folder]) == 2
    line = complaint(capsys)
    assert "defects2d_mos2_low" in line and "low_gap" not in line


def test_normal_forms_have_the_values_and_intervals_of_the_law(result):
    saved = SavedLaw.from_description(result.params)
    r = np.linspace(2.4, 9.0, 20)
    forms = saved.law.normal_forms(saved.resampled)
    for kinds, form, stored in zip(
        saved.law.sharing(), forms, result.params["normal_forms"], strict=True
    ):
        assert stored["pairs"] == list(map(str, kinds))
        assert stored["text"] == form.text
        np.testing.assert_allclose(form({"r": r}), saved.law.values(kinds[0], r), rtol=1e-9)
        assert len(form.constants) == len(stored["constants"]) > 0
        for one in form.constants:
            assert one.interval is None or one.interval[0] <= one.interval[1]


def test_results_from_before_normal_forms_are_still_read(result):
    content = {key: value for key, value in result.params.items() if key != "normal_forms"}
    saved = SavedLaw.from_description(json.loads(json.dumps(content)))
    assert saved.description()["normal_forms"] == result.params["normal_forms"]


def test_the_order_of_keys_in_a_file_does_not_matter(result):
    saved = SavedLaw.from_description(result.params)
    described = json.loads(json.dumps(dict(result.params), sort_keys=True))
    again = SavedLaw.from_description(described)
    assert again.law.lines() == saved.law.lines()
    assert again.kinds.pair_kinds == saved.kinds.pair_kinds
    assert tuple(map(str, again.kinds.pair_kinds)) == KINDS


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda law: law["constants"]["three_body_eVA2"].update(V_Q=1.0), "without its kind.*V_Q"),
        (lambda law: law["constants"]["pair_scales_eV"].update({"V_S-V_Q": 1.0}), "V_S-V_Q"),
        (lambda law: law["constants"].update(pair_scales_eV=True), "not describe a pair law"),
        (
            lambda law: law["resampled"][0]["pair_formulas"].update({"V_Mo-V_S": "exp(-2.5*r)/r"}),
            "refits are of other kinds or formulas",
        ),
        (lambda law: law.pop("hosts"), "lacks 'hosts'"),
        (lambda law: law.update(hosts=[]), "hosts are not a list of one"),
        (lambda law: law.update(hosts=["M" * 10**6]), "M…. is none of"),
        (lambda law: law["constants"].update({"x" * 10**6: {}}), "x… are not known"),
        (lambda law: law["constants"]["pair_formulas"].update({"V_S-V_S": "+" * 9999}), "formula"),
        (lambda law: law["constants"]["pair_formulas"].update({"V" * 10**6: "r"}), "kind of pair"),
        (
            lambda law: law["constants"]["defect_energies_eV"].update({"\x1b_": 1.0}),
            "kind of defect",
        ),
        *(
            (lambda law, bad=bad: law.update(validation_mae=bad), "validation_mae is")
            for bad in (float("nan"), -1, "1", True, None)
        ),
        *(
            (
                lambda law, bad=bad: law["constants"]["three_body_eVA2"].update(V_Mo=bad),
                "three_body",
            )
            for bad in (float("nan"), "7", True, 10**400)
        ),
        *(
            (lambda law, bad=bad: law["distances_A"].update({KINDS[0]: bad}), "distances_A is")
            for bad in ([3.0, float("nan")], [9.0, 3.0], [0, 3.0], [3.0], "12")
        ),
    ],
)
def test_a_law_with_numbers_that_belong_to_nothing_is_refused(result, damage, words):
    content = json.loads(json.dumps(result.params))
    damage(content)
    with pytest.raises(ValueError, match=words) as caught:
        SavedLaw.from_description(content)
    assert len(str(caught.value)) < 400


def test_energies_that_the_data_do_not_determine_are_reported(result):
    saved = SavedLaw.from_description(result.params)
    assert saved.determines_defect_energies
    # Of one composition only the sum is known: refits change all energies by one factor.
    refits = tuple(
        dataclasses.replace(
            law, defect_energies={"V_Mo": 6.2 * (1 + i / 100), "V_S": 3.1 * (1 + i / 100)}
        )
        for i, law in enumerate(saved.resampled)
    )
    assert not dataclasses.replace(
        saved, law=refits[0], resampled=refits
    ).determines_defect_energies
    # That all are 0 says nothing of the kind.
    zeros = [dataclasses.replace(law, defect_energies={"V_Mo": 0.0, "V_S": 0.0}) for law in refits]
    assert dataclasses.replace(
        saved, law=zeros[0], resampled=tuple(zeros)
    ).determines_defect_energies


def test_pair_energies_of_data_lie_on_a_law_that_made_them_and_fit_as_well_as_any(xtb_task, result):
    saved = SavedLaw.from_description(result.params)
    structures, energies = xtb_task.df["structure"], xtb_task.df.iloc[:, -1]
    table = pairs_of(structures)
    observed = observed_pair_energies(saved.law, table, saved.law.predict(table))
    for pairs in observed:
        expected = saved.law.values(pairs.kind, pairs.distances)
        np.testing.assert_allclose(pairs.energies, expected, atol=1e-6)
        assert (pairs.n_structures > 0).all()
    observed = observed_pair_energies(saved.law, table, energies.to_numpy())
    assert [pairs.kind for pairs in observed] == list(table.pair_kinds)
    values = np.concatenate([pairs.energies for pairs in observed])
    residuals = energies.to_numpy() - table.counts @ values / table.n_sites
    composition = table.composition / table.n_sites[:, None]
    best = fit_pair_energies(table, energies.to_numpy())
    offsets, *_ = np.linalg.lstsq(composition, residuals, rcond=None)
    near = np.abs(residuals - composition @ offsets).mean()
    assert best.training_mae <= near < 2 * best.training_mae
    pairs = table.counts.sum(axis=1)
    assert np.isnan(table.shortest).tolist() == (pairs == 0).tolist()


def test_a_law_with_a_formula_in_common_is_shown_once(capsys):
    """On the committed leaderboard, where the data are few."""
    folder = Path(__file__).parents[2] / "leaderboard" / "defects2d_v0.1_segvae"
    assert main(["law", "show", str(folder), "--task", "defects2d_mos2_x2", "--fold", "0"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("K[V_S-V_S same plane, V_S-V_S across] = ") == 1
    assert "fitted for r from 3.130 to 14.254" in " ".join(printed.split())


def test_a_term_of_three_defects_is_shown_with_its_unit(capsys):
    """On the committed leaderboard, where there are enough clusters to see it."""
    folder = Path(__file__).parents[2] / "leaderboard" / "defects2d_v0.1_segvae"
    assert main(["law", "show", str(folder), "--task", "defects2d_mos2_v3", "--fold", "2"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "*exp(-(r1 + r2)/6 Å) eV, for any two defects at r1 and r2 Å from a V_Mo" in printed
    assert r"_{\mathrm{V\_Mo}}(r_1, r_2) = " in printed


def test_a_law_of_a_task_of_ones_own_is_drawn_beside_its_data(
    result, xtb_task, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("MATBENCH_SEGVAE_TASKS", str(tmp_path / "user"))
    structures, targets = (xtb_task.df[column] for column in xtb_task.df)
    folds = folds_of(list(xtb_task.df.index))
    write_task(OwnTask("my_task", structures, targets, (MOS2,), folds), tmp_path / "mine")
    register_task(tmp_path / "mine")
    store = FoldStore(tmp_path / "results", "own_tasks", "segvae")
    store.save(dataclasses.replace(result, benchmark="own_tasks", task="my_task"))
    assert main(["law", "show", str(store.folder), "--out", "law.svg"]) == 0
    assert "my_task, fold 1" in capsys.readouterr().out
    assert (tmp_path / "law.svg").stat().st_size > 0
