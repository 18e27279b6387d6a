"""The commands ``matbench-segvae law …``: looking at a law that was found, and using it."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from matbench_segvae.cli.common import console, whole_number
from matbench_segvae.errors import UserError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

    from matbench_segvae.algorithms.pair_laws.saved_law import Prediction, SavedLaw
    from matbench_segvae.reporting.law_result import LawResult

law_app = typer.Typer(help="Look at a law of segvae, and use it.", rich_markup_mode=None)


_DIGITS = 4  # of figures on the screen


_COLUMNS = (
    "file",
    "defects",
    "energy_per_site_eV",
    "total_energy_eV",
    "std_per_site_eV",
    "extrapolates",
)


_ResultArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RESULT", help="File of a finished fold, or a submission folder of segvae."
    ),
]


_TaskOption = Annotated[
    str | None, typer.Option(help="Task; may be left out if there is one.", metavar="NAME")
]


_FoldOption = Annotated[
    int | None,
    typer.Option(
        help="Fold number. Default: the closest to the mean score.",
        parser=whole_number,
        metavar="INTEGER",
    ),
]


@law_app.callback(invoke_without_command=True)
def _law_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@law_app.command("show")
def law_show_command(
    result: _ResultArgument,
    task: _TaskOption = None,
    fold: _FoldOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Draw it beside its data, as SVG, PNG or PDF.", metavar="FILE"),
    ] = None,
) -> None:
    """Print a law with its units, intervals and range.

    With --out also draw it beside the task's data, with predictions and errors.
    """
    from matbench_segvae.reporting.law_result import read_law_result

    found = read_law_result(result, task, fold)
    if out is not None:
        from matbench_segvae.reporting.plots.pair_law import draw_law

        draw_law(found, out)
    _print_law(found)
    if out is not None:
        print(out)


@law_app.command("predict")
def law_predict_command(
    result: _ResultArgument,
    structures: Annotated[
        list[Path],
        typer.Argument(
            metavar="STRUCTURES...", help="CIF or POSCAR files, whole unrelaxed supercells."
        ),
    ],
    task: _TaskOption = None,
    fold: _FoldOption = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write instead of the screen.", metavar="FILE")
    ] = None,
) -> None:
    """Predict energies of structures with any number of defects.

    Prints a CSV table. The standard deviation joins that of the refits to resampled data and
    1.25 times the validation error; extrapolates is yes where a pair is closer or farther
    apart than in the training data.
    """
    from matbench_segvae.reporting.law_result import read_law_result

    found = read_law_result(result, task, fold)
    rows = [(path, _predict(found.stored, path)) for path in structures]
    text = _csv(rows)
    if out is None:
        print(text, end="")
    else:
        _write(out, text)
    if found.choice:
        print(f"note: by the law of {found.name}", file=sys.stderr)
    if not found.stored.tells_defects_apart:
        print(f"warning: {_not_apart(found.stored)}", file=sys.stderr)


def _print_law(found: LawResult) -> None:
    stored, terminal = found.stored, console()
    seed = "" if found.seed is None else f", seed {found.seed}"
    terminal.print(Text(f"{found.name}{seed}", style="bold"), soft_wrap=True)
    errors = (
        f"MAE {1000 * found.mae:.1f} meV in the test part, {1000 * stored.validation_mae:.1f} meV "
        "in validation, per defect site"
    )
    host = ", ".join(stored.hosts)
    for line in (errors, f"complexity {found.complexity}, host {host}", "", *_law_lines(stored)):
        terminal.print(Text(line), soft_wrap=True)
    if not stored.tells_defects_apart:
        terminal.print(Text(_not_apart(stored)), soft_wrap=True)
    terminal.print(_numbers(stored))
    latex = stored.law.latex(_DIGITS).replace(r" \\ ", " \\\\\n")
    terminal.print(Text(f"LaTeX, r in Å, K in eV:\n{latex}"), soft_wrap=True)


def _law_lines(stored: SavedLaw) -> Iterator[str]:
    """The law in words, a line for each formula, each three-body term and for the defects."""
    for line, kinds in zip(stored.law.pair_lines(_DIGITS), stored.law.sharing(), strict=True):
        low = min(stored.ranges[kind][0] for kind in kinds)
        high = max(stored.ranges[kind][1] for kind in kinds)
        yield f"{line} eV, fitted for r from {low:.3f} to {high:.3f} Å"
    for line, kind in zip(stored.law.three_body_lines(_DIGITS), stored.law.three_body, strict=True):
        yield f"{line} eV, for any two defects at r1 and r2 Å from a {kind}"
    energies = stored.law.defect_energies.items()
    yield "eps = " + ", ".join(f"{kind} {value:.{_DIGITS}g} eV" for kind, value in energies)


def _numbers(stored: SavedLaw) -> Table:
    """Every number of the law with its interval."""
    interval = f"90 % of {len(stored.resampled)} refits"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("number", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column(interval, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for name, value, middle, unit in _rows(stored):
        span = f"{_figure(middle[0])} to {_figure(middle[1])}" if middle else ""
        table.add_row(Text(name), _figure(value), span, unit)
    return table


def _rows(stored: SavedLaw) -> Iterator[tuple[str, float, Sequence[float], str]]:
    """Name, value, interval and unit; constants are named as in their formula."""
    law, middle = stored.law, stored.intervals
    for kind, energy in law.defect_energies.items():
        yield f"eps {kind}", energy, middle.get("defect_energies_eV", {}).get(kind, ()), "eV"
    for kind, factor in law.three_body.items():
        yield f"T[{kind}]", factor, middle.get("three_body_eVA2", {}).get(kind, ()), "eV Å²"
    for kind, *others in law.sharing():
        formula, label = law.pair_formulas[kind], ", ".join([kind, *others])
        name = f"K[{label}], factor of {formula.with_constants(())}"
        yield name, law.pair_scales[kind], middle.get("pair_scales_eV", {}).get(kind, ()), "eV"
        spans = middle.get("pair_constants", {}).get(kind, [()] * len(formula.constants))
        for number, (value, span) in enumerate(zip(formula.constants, spans, strict=True)):
            yield f"K[{label}], c{number}", value, span, "r in Å"


def _figure(value: float) -> str:
    return f"{value:.{_DIGITS}g}"


def _not_apart(stored: SavedLaw) -> str:
    kinds = ", ".join(stored.law.defect_energies)
    return (
        f"the training data do not tell the energies of {kinds} apart: energies hold only for "
        "structures with these defects in the proportions of the training data"
    )


def _predict(stored: SavedLaw, path: Path) -> Prediction:
    """Predict a file.

    Raises:
        UserError: If it cannot be read or the law does not apply, naming the file.
    """
    structure = _read_structure(path)
    try:
        return stored.predict(structure)
    except UserError as error:
        raise UserError(f"'{path}': {error}") from error


def _read_structure(path: Path) -> Structure:
    from pymatgen.core.structure import Structure

    try:
        return Structure.from_file(path)
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    # pymatgen's readers raise whatever they stumble over.
    except Exception as error:
        raise UserError(
            f"cannot read '{path}' as a structure ({type(error).__name__}: {error}): give CIF "
            "files (.cif) or POSCAR files (POSCAR in the name, or .vasp)"
        ) from error


def _csv(rows: Sequence[tuple[Path, Prediction]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for path, found in rows:
        energies = (found.energy_per_site, found.total_energy, found.std_per_site)
        figures = [f"{energy:.6f}" for energy in energies]
        writer.writerow([path, found.defects, *figures, "yes" if found.extrapolates else "no"])
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    from matbench_segvae.files import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error
