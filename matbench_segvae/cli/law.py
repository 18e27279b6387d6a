"""The commands ``matbench-segvae law …``: looking at a law and predicting with it."""

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

from matbench_segvae.cli.common import (
    DEFAULT_STRAIN,
    MaxStrainOption,
    console,
    whole_number,
    write_file,
)
from matbench_segvae.errors import UserError, one_line

if TYPE_CHECKING:
    from matbench_segvae.algorithms.pair_laws.saved_law import Prediction, SavedLaw
    from matbench_segvae.reporting.law_result import LawResult

law_app = typer.Typer(help="Look at a law of segvae, and use it.", rich_markup_mode=None)

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
        metavar="RESULT",
        help="File of a finished fold, a submission folder of segvae, or a folder of law fit.",
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
    print_law(found)
    if out is not None:
        print(one_line(str(out)))


@law_app.command("predict")
def law_predict_command(
    result: _ResultArgument,
    structures: Annotated[
        list[Path],
        typer.Argument(
            metavar="STRUCTURES...",
            help="Files (CIF, POSCAR, extended XYZ, ase .db, pymatgen .json), or folders with "
            "them; whole supercells.",
        ),
    ],
    task: _TaskOption = None,
    fold: _FoldOption = None,
    max_strain: MaxStrainOption = DEFAULT_STRAIN,
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
    rows = _predictions(found.saved, structures, max_strain)
    text = _csv(rows)
    if out is None:
        print(text, end="")
    else:
        write_file(out, text)
    if found.choice:
        print(one_line(f"note: by the law of {found.name}"), file=sys.stderr)
    if not found.saved.determines_defect_energies:
        print(one_line(f"warning: {_undetermined(found.saved)}"), file=sys.stderr)


def print_law(found: LawResult) -> None:
    """Print a law with its errors, numbers and intervals."""
    saved, terminal = found.saved, console()
    seed = "" if found.seed is None else f", seed {found.seed}"
    terminal.print(Text(one_line(f"{found.name}{seed}"), style="bold"), soft_wrap=True)
    errors = (
        f"MAE {1000 * found.mae:.1f} meV in {found.part}, {1000 * saved.validation_mae:.1f} meV "
        "in validation, per defect site"
    )
    size = f"complexity {saved.law.complexity}, host {', '.join(host.name for host in saved.hosts)}"
    for line in (errors, size, "", *_law_lines(saved)):
        terminal.print(Text(one_line(line)), soft_wrap=True)
    if not saved.determines_defect_energies:
        terminal.print(Text(one_line(_undetermined(saved))), soft_wrap=True)
    terminal.print(_numbers(saved))
    latex = saved.law.latex(saved.resampled).replace(r" \\ ", " \\\\\n")
    for line in ("LaTeX, r in Å, K in eV:", *latex.splitlines()):
        terminal.print(Text(one_line(line)), soft_wrap=True)


def _law_lines(saved: SavedLaw) -> Iterator[str]:
    """The law in words, a line for each formula, each many-body term and for the defects."""
    law, refits = saved.law, saved.resampled
    lines = law.pair_lines(refits)
    groups = law.sharing()
    if law.shared is not None:
        # The formula stands above its table, which has a line for each kind of pair.
        yield f"{lines.pop(0)} eV"
        groups = [[kind] for kind in law.shared.table]
    for line, kinds in zip(lines, groups, strict=True):
        low = min(saved.ranges[kind][0] for kind in kinds)
        high = max(saved.ranges[kind][1] for kind in kinds)
        unit = "" if law.shared is not None else " eV"
        yield f"{line}{unit}, fitted for r from {low:.3f} to {high:.3f} Å"
    for line, meaning in zip(law.many_body_lines(refits), law.many_body_meanings, strict=True):
        yield f"{line} eV, {meaning}"
    energies, *constant = law.energy_lines(refits)
    yield f"{energies.replace(',', ' eV,')} eV"
    for line in constant:
        yield f"{line} eV, in every structure"


def _numbers(saved: SavedLaw) -> Table:
    """Every number of the law with its meaning, its 90 % interval and its unit."""
    from matbench_segvae.algorithms.pair_laws.law_numbers import numbers_of

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("number", overflow="fold")
    table.add_column("meaning", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column(f"90 % of {len(saved.resampled)} refits", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for one in numbers_of(saved.law, saved.resampled):
        cells = (one.name, one.meaning, one.figures, one.span, one.unit)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    return table


def _undetermined(saved: SavedLaw) -> str:
    kinds = ", ".join(saved.law.defect_energies)
    return (
        f"the training data do not tell the energies of {kinds} apart: energies hold only for "
        "structures with these defects in the proportions of the training data"
    )


def _predictions(
    saved: SavedLaw, paths: Sequence[Path], max_strain: float
) -> list[tuple[str, Prediction]]:
    """Predict all structures of files and folders.

    Raises:
        UserError: If some cannot be read or the law does not apply, a line for each.
    """
    from matbench_segvae.benchmark.structure_files import read_structures
    from matbench_segvae.errors import raise_all, shortened

    rows, problems = [], []
    for name, structure in read_structures(paths).items():
        try:
            rows.append((str(name), saved.predict(structure, max_strain)))
        except UserError as error:
            problems.append(f"'{name}': {error}")
    raise_all(shortened(problems))
    return rows


def _csv(rows: Sequence[tuple[str, Prediction]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for name, found in rows:
        energies = (found.energy_per_site, found.total_energy, found.std_per_site)
        figures = [f"{energy:.6f}" for energy in energies]
        writer.writerow([name, found.defects, *figures, "yes" if found.extrapolates else "no"])
    return text.getvalue()
