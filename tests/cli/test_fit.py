"""Formulas for a table from the command line."""

import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest

from matbench_segvae.cli import main
from matbench_segvae.cli.table_file import read_table
from matbench_segvae.expressions import parse
from matbench_segvae.files import read_text

OPTIONS = [
    *("--target", "y", "--operators", "add,mul,square", "--constants", "2", "--epochs", "2"),
    *("--max-length", "6", "--seed", "1"),
]
RESULTS = ["front.csv", "front.svg", "model.json", "parity.svg"]


@pytest.fixture(autouse=True)
def narrow(monkeypatch, tmp_path, quick_search):
    from matbench_segvae.regressor import validation

    monkeypatch.setattr(validation, "preset", lambda name: quick_search)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(-2, 2, (60, 2)), columns=["gap", "mass (u)"])
    frame["y"] = 2.5 * frame["gap"] ** 2 - 3 + 0.1 * rng.normal(size=60)
    frame.to_csv(tmp_path / "table.csv", index=False)
    return frame


def complaint(capsys):
    """The one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_fit_then_predict(table, tmp_path, capsys):
    assert main(["fit", "table.csv", *OPTIONS]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert all(len(line) <= 80 for line in shown.out.splitlines()[:-4])
    assert "complexity" in shown.out and "gap**2" in shown.out
    assert "x1 stands for 'mass (u)'" in shown.out
    assert "chosen: y = " in shown.out
    assert sorted(path.name for path in (tmp_path / "fit").iterdir()) == RESULTS

    front = pd.read_csv("fit/front.csv")
    assert list(front) == ["index", "complexity", "loss", "score", "formula", "chosen"]
    formula = parse(front.formula[front.chosen].item())
    columns = {"gap": table["gap"].to_numpy(), "x1": table["mass (u)"].to_numpy()}

    new = table.drop(columns="y").assign(note="more than it needs")[["note", "mass (u)", "gap"]]
    new.to_csv("new.csv", index=False)
    assert main(["predict", "fit/model.json", "new.csv", "--out", "predictions.csv"]) == 0
    assert capsys.readouterr().out == ""
    predictions = pd.read_csv("predictions.csv")
    assert list(predictions) == ["prediction", "std"]
    assert np.allclose(predictions.prediction, formula(columns), rtol=1e-12)
    assert 0.03 < predictions["std"].mean() < 0.3
    assert main(["predict", "fit/model.json", "new.csv"]) == 0
    assert capsys.readouterr().out == (tmp_path / "predictions.csv").read_text()
    assert main(["predict", "fit/model.json", "new.csv", "--index", "0"]) == 0
    shown = [float(line.split(",")[0]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert np.allclose(shown, parse(front.formula[0])(columns), rtol=1e-12)


def test_the_same_seed_writes_the_same_files(table, tmp_path):
    for folder in ("one", "two"):
        assert main(["fit", "table.csv", *OPTIONS, "--out", folder]) == 0
    for name in RESULTS:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_columns_of_words_are_left_out_with_a_warning(table, capsys):
    table.assign(colour="red", name="a").to_csv("table.csv", index=False)
    assert main(["fit", "table.csv", *OPTIONS]) == 0
    line = capsys.readouterr().err.splitlines()
    assert line == ["warning: not numbers, left out: 'colour', 'name'"]


def test_robust_loss_and_time_limit_are_passed_on(table, tmp_path):
    arguments = ["--loss", "absolute", "--time-limit", "30", "--selection", "accuracy"]
    assert main(["fit", "table.csv", *OPTIONS, *arguments]) == 0
    parameters = json.loads((tmp_path / "fit/model.json").read_text())["parameters"]
    assert parameters["loss"] == "absolute" and parameters["time_limit"] == 30
    assert parameters["model_selection"] == "accuracy"


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ("a,y\n1,2\n", ["--target", "z"], ["'z'", "'a', 'y'"]),
        ("", ["--target", "y"], ["empty"]),
        ("a,y\n", ["--target", "y"], ["no rows"]),
        ("a,y\n1,2\n,3\n", ["--target", "y"], ["missing", "'a'", "1 row"]),
        ("a,y\n1,2\n2,\n", ["--target", "y"], ["missing", "'y'"]),
        ("a,y\n1,2\ninf,3\n", ["--target", "y"], ["infinite", "'a'"]),
        ("a,y\n1,two\n", ["--target", "y"], ["'y'", "not a column of numbers"]),
        ("y\n1\n2\n", ["--target", "y"], ["beside the target"]),
        ("a,y\n1,2\n1,2,3,4\n", ["--target", "y"], ["is not a table"]),
        ("a,y\n1,2,9\n1,3,9\n", ["--target", "y"], ["more values than the header"]),
        ("a,a,y\n1,2,9\n1,3,9\n", ["--target", "y"], ["two columns called 'a'"]),
        ("a;y\n1;2\n", ["--target", "y", "--separator", ";;"], ["';;'", "one character"]),
        ("a;y\n1;2\n", ["--target", "y", "--decimal", ";"], ["decimal mark is ';'"]),
        ("a,y\n1,2\n", ["--target", "y", "--decimal", ","], ["not the separator"]),
        ("a,y\n1,2\n2,3\n", ["--target", "y", "--operators", "add,tan"], ["'tan'"]),
        ("a,y\n1,2\n2,3\n", ["--target", "y", "--loss", "cubic"], ["'cubic'", "huber"]),
        ("a,y\n1,2\n2,3\n", ["--target", "y", "--epochs", "few"], ["'few'"]),
        ("a,y\n1,2\n2,3\n", ["--target", "y", "--out", "table.csv/x"], ["table.csv/x"]),
        ("a,y\n1,2\n2,3\n", [], ["--target"]),
        ("a,y\n1,2\n2,3\n", ["--target", "y", "--seed", str(2**32)], ["--seed", "4294967295"]),
        ("a,y\n1,2\n2,3\n", ["--target", "y", "--max-length", "100000"], ["from 1 to 200"]),
        ("a,y\n1,2e300\n2,3e300\n", ["--target", "y"], ["3e+300", "another unit"]),
        ("a,y\n1,2e-300\n2,3e-300\n", ["--target", "y"], ["3e-300", "another unit"]),
    ],
)
def test_bad_tables_are_one_line_and_exit_code_2(content, arguments, words, capsys, tmp_path):
    (tmp_path / "table.csv").write_text(content)
    assert main(["fit", "table.csv", *arguments]) == 2
    line = complaint(capsys)
    assert all(word in line for word in words), line
    assert not list(tmp_path.glob("fit/*"))


@pytest.mark.parametrize(
    ("separator", "decimal", "end", "encoding"),
    [(";", ",", "\n", "utf-8"), ("\t", ".", "\r\n", "utf-8"), (",", ".", "\n", "utf-8-sig")],
)
def test_tables_of_other_programs_are_the_same_table(
    separator, decimal, end, encoding, table, tmp_path, capsys
):
    table.to_csv(
        tmp_path / "other.csv",
        sep=separator,
        decimal=decimal,
        lineterminator=end,
        encoding=encoding,
        index=False,
    )
    assert main(["fit", "table.csv", *OPTIONS]) == 0
    expected = capsys.readouterr().out
    assert main(["fit", "other.csv", *OPTIONS]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    "content",
    [
        "a,b c\r1,2\r3,4\r",
        "\n\na;b c\n1;2\n3;4\n",
        '"a","b c"\n"1\n",2\n3,4\n',
        "a,b c,\n1,2,\n3,4,\n",
        ",a,b c\n0,1,2\n1,3,4\n",
    ],
    ids=["old line ends", "empty lines on top", "quotes", "a last separator", "row numbers"],
)
def test_a_table_is_read_as_it_is_meant(content, tmp_path):
    (tmp_path / "some.csv").write_bytes(content.encode())
    table = read_table(tmp_path / "some.csv")
    assert list(table) == ["a", "b c"]
    assert table.to_numpy().tolist() == [[1, 2], [3, 4]]


def test_only_a_column_without_a_name_is_left_out(tmp_path):
    (tmp_path / "some.csv").write_text("Unnamed: 0,b\n1,2\n")
    assert list(read_table(tmp_path / "some.csv")) == ["Unnamed: 0", "b"]


def test_separator_and_decimal_mark_can_be_told(tmp_path, capsys):
    (tmp_path / "odd.csv").write_text("a b:y\n1,5:2,5\n2,5:3,5\n3,5:4,5\n")
    options = ["--separator", ":", "--decimal", ","]
    assert main(["fit", "odd.csv", *OPTIONS, *options]) == 0
    assert "1" in capsys.readouterr().out
    table = read_table(tmp_path / "odd.csv", ":", ",")
    assert table.to_numpy().tolist() == [[1.5, 2.5], [2.5, 3.5], [3.5, 4.5]]


def test_a_column_of_row_numbers_is_left_out(table, tmp_path, capsys):
    table.to_csv(tmp_path / "numbered.csv")
    assert main(["fit", "numbered.csv", *OPTIONS]) == 0
    printed = capsys.readouterr()
    assert printed.err == "warning: 1 column(s) of 'numbered.csv' without a name, left out\n"
    assert "Unnamed" not in printed.out


def test_what_is_no_file_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    bomb = gzip.compress(b"0" * 2**20)
    (tmp_path / "bomb.csv").write_bytes(bomb)
    for path in ("pipe.csv", "/dev/zero", "folder.csv"):
        assert main(["fit", path, "--target", "y"]) == 2
        assert f"cannot read '{path}': it is " in complaint(capsys)
        assert main(["predict", path, "table.csv"]) == 2
        assert f"cannot read the model '{path}': it is " in complaint(capsys)
    with pytest.raises(ValueError, match="more than the 0 MiB"):
        read_text(tmp_path / "bomb.csv", most=1000)


def test_unreadable_files_are_one_line(capsys, tmp_path):
    assert main(["fit", "absent.csv", "--target", "y"]) == 2
    assert "absent.csv" in complaint(capsys)
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    for path in ("binary.csv", "."):
        assert main(["fit", path, "--target", "y"]) == 2
        assert path in complaint(capsys)
    (tmp_path / "other.json").write_text("{}")
    assert main(["predict", "other.json", "binary.csv"]) == 2
    assert "other.json" in complaint(capsys)


def test_a_formula_is_named_by_its_row(table, capsys):
    assert main(["fit", "table.csv", *OPTIONS]) == 0
    capsys.readouterr()
    for index in ("-1", "99"):
        assert main(["predict", "fit/model.json", "table.csv", "--index", index]) == 2
        assert f"there is no formula {index}: 0 to " in complaint(capsys)


def test_prediction_needs_the_columns_of_training(table, capsys):
    assert main(["fit", "table.csv", *OPTIONS]) == 0
    capsys.readouterr()
    table[["y"]].to_csv("new.csv", index=False)
    assert main(["predict", "fit/model.json", "new.csv"]) == 2
    assert "'gap', 'mass (u)'" in complaint(capsys)
    table.assign(gap="wide").to_csv("new.csv", index=False)
    assert main(["predict", "fit/model.json", "new.csv"]) == 2
    assert "'gap'" in complaint(capsys)
    table.to_csv("new.csv", index=False)
    assert main(["predict", "fit/model.json", "new.csv", "--index", "99"]) == 2
    assert "99" in complaint(capsys)
    assert main(["predict", "fit/model.json", "new.csv", "--out", "no/where.csv"]) == 2
    assert "no/where.csv" in complaint(capsys)
