"""``matbench-segvae data``: the files behind the tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matbench_segvae.cli.common import print_records
from matbench_segvae.errors import UserError

data_app = typer.Typer(help="The data sets behind the tasks.", rich_markup_mode=None)


@data_app.callback(invoke_without_command=True)
def _data_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


_DataNames = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Data files. Default: all.")
]


@data_app.command("list")
def data_list_command() -> None:
    """List the data files, and where they are."""
    from matbench_segvae.benchmark import status

    rows = [
        {
            "name": row.file.name,
            "place": row.place,
            "checksum": {True: "right", False: "WRONG", None: ""}[row.intact],
            "description": f"{row.file.description} [{row.file.licence}]",
        }
        for row in status()
    ]
    print_records("data", rows)


@data_app.command("fetch")
def data_fetch_command(names: _DataNames = None) -> None:
    """Get data files: from the mirror or the cache, else by download."""
    from matbench_segvae.benchmark import CATALOGUE, fetch

    for name in names or CATALOGUE:
        print(f"{name}: {fetch(name)}")


@data_app.command("verify")
def data_verify_command(names: _DataNames = None) -> None:
    """Check the checksums of data files; by default of all that are on this machine."""
    from matbench_segvae.benchmark import status, verify

    present = [row.file.name for row in status() if row.place != "absent"]
    for name in names or present:
        print(f"{name}: {verify(name)} is right")
    if not names and not present:
        print("no data file is on this machine")


@data_app.command("import")
def data_import_command(
    name: Annotated[str, typer.Argument(help="What to import: 2dmd.")],
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="The release as published: zip file or folder."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the tasks. Default: beside the list of tasks.", metavar="DIR"),
    ] = None,
) -> None:
    """Make tasks of a data set that its authors publish: 2DMD, point defects in 2D materials.

    Every file is checked against every other. Structures that do not fit are left out and listed
    in import-report.csv, beside the tasks.
    """
    from matbench_segvae.benchmark.release_2dmd import REPORT, import_release
    from matbench_segvae.files import tasks_folder

    if name != "2dmd":
        raise UserError(f"unknown data set '{name}': only 2dmd can be imported")
    folder = out or tasks_folder() / "2dmd"
    imported = import_release(path, folder, report=print)
    tasks = sum(len(found.tasks) for found in imported)
    problems = sum(len(found.problems) for found in imported)
    print(f"{tasks} tasks in '{folder}'; {problems} problems, listed in {REPORT} there")


@data_app.command("build")
def data_build_command(
    name: Annotated[str, typer.Argument(help="What to compute: xtb-mos2 or xtb-hbn.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the results. Default: the name.", metavar="DIR"),
    ] = None,
) -> None:
    """Compute an embedded data set again; an interrupted computation is resumed."""
    from matbench_segvae.benchmark.xtb import build, recipe_named

    print(build(recipe_named(name), out or Path(name), report=print))
