"""``matbench-segvae fit`` and ``predict``: formulas for a table, without any Python."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from matbench_segvae.cli.common import SeedOption, console, make_folder, whole_number, write_file
from matbench_segvae.cli.table_file import read_table
from matbench_segvae.errors import UserError, one_line

if TYPE_CHECKING:
    import pandas as pd

    from matbench_segvae.regressor.regressor import SEGVAERegressor

_DIGITS = 4  # of constants and figures on the screen

SeparatorOption = Annotated[
    str | None,
    typer.Option(
        help="What stands between two values, such as ';'. Default: told from the header.",
        metavar="CHARACTER",
    ),
]
DecimalOption = Annotated[
    str | None,
    typer.Option(
        help="Decimal mark, '.' or ','. Default: told from the values.", metavar="CHARACTER"
    ),
]


def fit_command(
    table: Annotated[Path, typer.Argument(help="CSV file with a header.", metavar="TABLE")],
    target: Annotated[str, typer.Option(help="Column to find a formula for.", metavar="COLUMN")],
    out: Annotated[
        Path, typer.Option(help="Folder of the results; files in it are replaced.", metavar="DIR")
    ] = Path("fit"),
    seed: SeedOption = 0,
    preset: Annotated[
        str, typer.Option(help="Settings: default or paper.", metavar="NAME")
    ] = "default",
    epochs: Annotated[
        int | None,
        typer.Option(help="Rounds of the search.", parser=whole_number, metavar="INTEGER"),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Begin no round after that time.", metavar="SECONDS")
    ] = None,
    operators: Annotated[
        str | None,
        typer.Option(help="What formulas are made of, such as add,mul,exp.", metavar="NAMES"),
    ] = None,
    constants: Annotated[
        str | None,
        typer.Option(help="Named constants they may hold, such as 1,2,pi.", metavar="NAMES"),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(help="Most tokens in a formula.", parser=whole_number, metavar="INTEGER"),
    ] = None,
    loss: Annotated[
        str, typer.Option(help="squared, absolute or huber.", metavar="NAME")
    ] = "squared",
    selection: Annotated[
        str, typer.Option(help="Formula to choose: best, accuracy or score.", metavar="NAME")
    ] = "best",
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
) -> None:
    """Find formulas for a column of a table.

    Writes front.csv, model.json, front.svg and parity.svg, and prints the formulas.
    """
    features, targets = _training_table(read_table(table, separator, decimal), table, target)
    from matbench_segvae.regressor.regressor import SEGVAERegressor

    model = SEGVAERegressor(
        _names(operators),
        _names(constants),
        max_length=max_length,
        loss=loss,
        model_selection=selection,
        preset=preset,
        epochs=epochs,
        time_limit=time_limit,
        random_state=seed,
        verbose=sys.stderr.isatty(),
    )
    make_folder(out)
    model.fit(features, targets)
    _write_results(model, features, targets, out)
    _print_front(model, target)
    print(f"written: {out}/front.csv, model.json, front.svg, parity.svg")


def predict_command(
    model: Annotated[Path, typer.Argument(help="model.json of a fit.", metavar="MODEL")],
    table: Annotated[Path, typer.Argument(help="CSV file with a header.", metavar="TABLE")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write instead of the screen.", metavar="FILE")
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(
            help="Row of front.csv, from 0. Default: the chosen formula.",
            parser=whole_number,
            metavar="INTEGER",
        ),
    ] = None,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
) -> None:
    """Predict the rows of a table with a fitted model, with standard deviations."""
    import warnings

    import pandas as pd

    from matbench_segvae.regressor.regressor import SEGVAERegressor

    fitted = SEGVAERegressor.load(model)
    if index is not None and index < 0:
        raise UserError(f"there is no formula {index}: 0 to {len(fitted.front_) - 1}")
    frame = read_table(table, separator, decimal)
    columns = list(fitted.variables_.values())
    missing = [column for column in columns if column not in frame]
    if missing:
        raise UserError(f"'{table}' lacks the column(s) {_listed(missing)}, which '{model}' needs")
    features = _numbers(frame[columns], table)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values, std = fitted.predict(features, index=index, return_std=True)
    for warning in caught:
        _warn(str(warning.message))
    text = pd.DataFrame({"prediction": values, "std": std}).to_csv(index=False)
    if out is None:
        print(text, end="")
    else:
        write_file(out, text)


def _training_table(frame: pd.DataFrame, path: Path, target: str) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target of a table.

    Raises:
        UserError: If the table lacks the target or holds too little.
    """
    if target not in frame:
        raise UserError(f"'{path}' has no column '{target}': its columns are {_listed(frame)}")
    numeric = frame.select_dtypes(["number", "bool"])
    if target not in numeric:
        raise UserError(f"the target '{target}' of '{path}' is not a column of numbers")
    left_out = [column for column in frame if column not in numeric]
    if left_out:
        _warn(f"not numbers, left out: {_listed(left_out)}")
    if numeric.shape[1] < 2:
        raise UserError(f"'{path}' has no column of numbers beside the target '{target}'")
    numbers = _numbers(numeric, path)
    return numbers.drop(columns=target), numbers[target]


def _numbers(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table as finite numbers.

    Raises:
        UserError: If values are missing, infinite or no numbers.
    """
    import numpy as np

    text = list(frame.select_dtypes(exclude=["number", "bool"]))
    gaps = [column for column in frame if frame[column].isna().any()]
    if gaps:
        n_rows = int(frame.isna().any(axis=1).sum())
        raise UserError(
            f"'{path}' has missing values in {n_rows} row(s), column(s) {_listed(gaps)}: fill "
            "them in or leave these rows out"
        )
    if text:
        raise UserError(f"'{path}' has values that are not numbers in column(s) {_listed(text)}")
    numbers = frame.astype(np.float64)
    wild = [column for column in numbers if not np.isfinite(numbers[column]).all()]
    if wild:
        raise UserError(f"'{path}' has infinite values in column(s) {_listed(wild)}")
    return numbers


def _write_results(
    model: SEGVAERegressor, features: pd.DataFrame, targets: pd.Series, out: Path
) -> None:
    from matbench_segvae.reporting.plots.table_fit import draw_fit_parity, draw_front

    front = model.equations_
    table = front.drop(columns=["sympy", "constants"])
    table["chosen"] = [i == model.best_index_ for i in range(len(front))]
    write_file(out / "front.csv", table.to_csv(index_label="index"))
    model.save(out / "model.json")
    draw_front(list(front.complexity), list(front.loss), model.best_index_, out / "front.svg")
    values, std = model.predict(features, return_std=True)
    draw_fit_parity(targets, values, std, str(targets.name), out / "parity.svg")


def _print_front(model: SEGVAERegressor, target: str) -> None:
    """Print the formulas, the names that stand for others, and the chosen formula."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("complexity", "loss", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("formula", overflow="fold")
    for position, (row, equation) in enumerate(
        zip(model.equations_.itertuples(), model.front_, strict=True)
    ):
        table.add_row(
            str(row.complexity),
            f"{row.loss:.{_DIGITS}g}",
            f"{row.score:.3f}",
            Text(equation.expression.to_string(_DIGITS)),
            style="bold" if position == model.best_index_ else "",
        )
    terminal = console()
    terminal.print(table)
    for name, column in model.variables_.items():
        if name != column:
            terminal.print(Text(one_line(f"{name} stands for '{column}'")), soft_wrap=True)
    best = model.front_[model.best_index_].expression
    terminal.print(Text(one_line(f"chosen: {target} = {best}"), style="bold"), soft_wrap=True)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _listed(names: Iterable[object]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _warn(message: str) -> None:
    print(one_line(f"warning: {message}"), file=sys.stderr)
