"""The commands ``matbench-segvae task …``: tasks of the user's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matbench_segvae.cli.common import print_records
from matbench_segvae.cli.own_data_options import (
    ChemicalPotentialsOption,
    EnergiesOption,
    HostOption,
    PerOption,
    PristineEnergyOption,
    StructuresArgument,
)
from matbench_segvae.errors import UserError, one_line

if TYPE_CHECKING:
    from matbench_segvae.benchmark import OwnTask
    from matbench_segvae.benchmark.own_data import OwnDataSource

task_app = typer.Typer(
    help="Tasks of your own: structures, energies and folds in a folder.", rich_markup_mode=None
)


@task_app.callback(invoke_without_command=True)
def _task_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@dataclass(frozen=True)
class _Words:
    """What the user says about a task, beside its data."""

    name: str
    group: str | None
    split: str | None
    description: str
    licence: str
    citation: str


@task_app.command("new")
def task_new_command(
    name: Annotated[str, typer.Argument(help="Name: letters, digits, _ and -, a letter first.")],
    structures: StructuresArgument,
    energies: EnergiesOption,
    out: Annotated[Path, typer.Option(help="Folder to make.", metavar="DIR")],
    host: HostOption = None,
    per: PerOption = "site",
    pristine_energy: PristineEnergyOption = None,
    chemical_potentials: ChemicalPotentialsOption = None,
    folds: Annotated[
        str, typer.Option(help="kfold: five shuffled folds; or name a column instead.")
    ] = "kfold",
    group: Annotated[
        str | None,
        typer.Option(
            help="Column of groups in the energies: one fold leaves out each.", metavar="COL"
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Column in the energies that says train or test: one fold.", metavar="COL"
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="What the data are.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the data.")] = "",
    citation: Annotated[str, typer.Option(help="What to cite, BibTeX or words.")] = "",
) -> None:
    """Make a task of structures and their energies, and register it.

    The folder holds the structures, the energies per defect site, folds fixed by id, checksums
    and a data card. Nothing leaves this machine.
    """
    from matbench_segvae.benchmark import register_task, write_task
    from matbench_segvae.benchmark.own_data import OwnDataSource
    from matbench_segvae.benchmark.registered import require_free
    from matbench_segvae.benchmark.task_card import check_task_name

    if folds != "kfold":
        raise UserError(f"--folds {folds!r}: the choice is kfold, or --group COL or --split COL")
    check_task_name(name)
    require_free(name, out)
    words = _Words(name, group, split, description, licence, citation)
    source = OwnDataSource(
        tuple(structures), energies, host, _site_or_total(per), pristine_energy, chemical_potentials
    )
    task = _made(words, source)
    write_task(task, out)
    register_task(out)
    hosts = one_line(", ".join(host.name for host in task.hosts))
    print(
        f"{out}: task {name}, {len(task.targets)} structures in {hosts}, {len(task.folds)} "
        f"fold{'s' * (len(task.folds) != 1)}; run it with "
        f"`matbench-segvae run --task {name}`"
    )


@task_app.command("add")
def task_add_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of tasks.")],
) -> None:
    """Register tasks, so that they are found by name; nothing is copied."""
    from matbench_segvae.benchmark import register_task

    for folder in folders:
        print(one_line(f"{register_task(folder)}: registered"))


@task_app.command("list")
def task_list_command() -> None:
    """List the registered tasks, and where they are."""
    from matbench_segvae.benchmark import task_summary
    from matbench_segvae.benchmark.registered import registered_tasks

    rows = []
    for name, folder in registered_tasks().items():
        row = {"task": name, "samples": "", "target": "", "folder": str(folder)}
        try:
            facts = task_summary(name).as_row()
            row |= {key: facts[key] for key in ("samples", "target")}
        except UserError as error:
            print(f"warning: {one_line(str(error))}", file=sys.stderr)
        rows.append(row)
    if rows:
        print_records("own tasks", rows)
    else:
        print("no task of your own: make one with `matbench-segvae task new`")


@task_app.command("remove")
def task_remove_command(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of tasks.")],
) -> None:
    """Take tasks from the list; their folders and results stay."""
    from matbench_segvae.benchmark.registered import unregister

    for name in names:
        print(f"{name}: no longer registered; its folder '{unregister(name)}' stays")


def _made(words: _Words, source: OwnDataSource) -> OwnTask:
    """Read the data and make the folds."""
    from matbench_segvae.benchmark import OwnTask, folds_of
    from matbench_segvae.benchmark.own_data import read_own_data

    data = read_own_data(source)
    ids = list(map(str, data.targets.index))
    return OwnTask(
        name=words.name,
        structures=data.structures,
        targets=data.targets,
        hosts=data.hosts,
        folds=folds_of(ids, data.table, words.group, words.split),
        description=words.description,
        licence=words.licence,
        citation=words.citation,
    )


def _site_or_total(text: str) -> str:
    if text not in ("site", "total"):
        raise UserError(f"--per {text!r}: energies are per site or total")
    return text
