"""Import of the 2DMD data set as its authors publish it: eight sets of defective supercells.

Huang et al., npj 2D Mater. Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1. Every file is
checked against every other; structures whose files disagree are left out and listed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.folds import HUANG, KAZEEV
from matbench_segvae.benchmark.formation import References
from matbench_segvae.benchmark.own_folds import folds_of
from matbench_segvae.benchmark.own_task import OwnTask, register_task, write_task
from matbench_segvae.benchmark.release_archive import ReleaseFiles
from matbench_segvae.benchmark.release_rows import (
    Descriptor,
    DisagreementError,
    Sample,
    checked_sample,
)
from matbench_segvae.benchmark.samples import TARGET
from matbench_segvae.benchmark.structure_files import structure_from_cif
from matbench_segvae.defects import HOSTS, sparse_defects
from matbench_segvae.errors import UserError, one_line
from matbench_segvae.files import write_text
from matbench_segvae.types import Report

REPORT = "import-report.csv"
"""Name of the list of what was left out, in the folder of the tasks."""

_FEWEST = 10  # structures; five folds of fewer mean nothing


@dataclass(frozen=True)
class ReleaseSet:
    """One of the eight sets.

    Attributes:
        name: As in the names of its tasks.
        folder: Path in the release.
        host: Name of the pristine crystal.
        contents: What it holds, in words.
    """

    name: str
    folder: str
    host: str
    contents: str


def _high(name: str, folder: str, host: str) -> ReleaseSet:
    contents = f"{host} with 2.5 % to 12.5 % of randomly placed defects"
    return ReleaseSet(f"{name}_high", f"high_density_defects/{folder}", host, contents)


def _low(host: str) -> ReleaseSet:
    contents = f"{host} with every placement of up to three defects"
    return ReleaseSet(f"{host.lower()}_low", f"low_density_defects/{host}", host, contents)


SETS = (
    _low("MoS2"),
    _low("WSe2"),
    _high("mos2", "MoS2_500", "MoS2"),
    _high("wse2", "WSe2_500", "WSe2"),
    _high("bp", "BP_spin_500", "P"),
    _high("gase", "GaSe_spin_500", "GaSe"),
    _high("inse", "InSe_spin_500", "InSe"),
    _high("hbn", "hBN_spin_500", "BN"),
)
"""The sets of the release."""


@dataclass(frozen=True)
class Problem:
    """Something in the release that does not fit.

    Attributes:
        set_name: The set it is in.
        sample: Id of the structure; empty if it concerns the whole set.
        what: What does not fit.
    """

    set_name: str
    sample: str
    what: str


@dataclass(frozen=True)
class ImportedSet:
    """What became of one set.

    Attributes:
        name: Name of the set.
        tasks: Names of its tasks; none if nothing of it could be used.
        structures: Number of structures in the energy task.
        problems: What does not fit.
    """

    name: str
    tasks: tuple[str, ...]
    structures: int
    problems: tuple[Problem, ...]


def import_release(path: Path, out: Path, report: Report = lambda line: None) -> list[ImportedSet]:
    """Check a release and make its tasks.

    Each set gives a task of formation energies per defect site and one of gaps, with the folds
    of Matbench over its structures in the order of the release. One set is in memory at a time.

    Args:
        path: Zip archive or folder of the release.
        out: Folder of the tasks; made if missing.
        report: Takes one line of progress.

    Returns:
        What became of every set that the release has.

    Raises:
        UserError: If there is no release, nothing of it can be used, or the tasks cannot be
            written.
    """
    files = ReleaseFiles(path)
    imported = []
    for part in SETS:
        if files.has(f"{part.folder}/defects.csv.gz"):
            imported.append(_import_set(files, part, out))
            report(_summary(imported[-1]))
    _write_report(out, [problem for found in imported for problem in found.problems])
    if not any(found.tasks for found in imported):
        raise UserError(
            f"no structure of '{path}' can be used: the reasons are in '{out / REPORT}'"
        )
    return imported


def _summary(found: ImportedSet) -> str:
    left_out = len({problem.sample for problem in found.problems if problem.sample})
    tasks = ", ".join(found.tasks) or "no task"
    return f"{found.name}: {found.structures} structures, {left_out} left out: {tasks}"


def _import_set(files: ReleaseFiles, part: ReleaseSet, out: Path) -> ImportedSet:
    """Check one set and make its tasks."""
    problems: list[Problem] = []
    try:
        samples = dict(_samples(files, part, problems))
    except UserError as error:
        return ImportedSet(part.name, (), 0, (Problem(part.name, "", one_line(str(error))),))
    tasks = []
    for task in _tasks(part, samples):
        folder = out / task.name
        write_task(task, folder)
        tasks.append(register_task(folder))
    if not tasks:
        problems.append(Problem(part.name, "", f"fewer than {_FEWEST} structures can be used"))
    return ImportedSet(part.name, tuple(tasks), len(samples), tuple(problems))


def _tasks(part: ReleaseSet, samples: Mapping[str, Sample]) -> Iterator[OwnTask]:
    """The two tasks of a set."""
    energies = {sample: found.energy for sample, found in samples.items()}
    gaps = {s: found.gap for s, found in samples.items() if math.isfinite(found.gap)}
    for suffix, target, values, what in (
        ("energy", TARGET, energies, "formation energy per defect site"),
        ("gap", "homo_lumo_gap", gaps, "gap between HOMO and LUMO, the smaller of both spins,"),
    ):
        if len(values) >= _FEWEST:
            yield OwnTask(
                name=f"defects2d_2dmd_{part.name}_{suffix}",
                structures=pd.Series({s: samples[s].structure for s in values}, dtype=object),
                targets=pd.Series(values, dtype=float),
                hosts=(HOSTS[part.host],),
                folds=folds_of(list(values)),
                target=target,
                unit="eV",
                description=f"Predict the {what} of {part.contents}, unrelaxed, from DFT (PBE): "
                "2DMD.",
                licence="CC BY 4.0",
                citation=f"{HUANG}\n{KAZEEV}",
            )


def _samples(
    files: ReleaseFiles, part: ReleaseSet, problems: list[Problem]
) -> Iterator[tuple[str, Sample]]:
    """Yield the structures of a set whose files agree; add what does not fit to the problems.

    Raises:
        UserError: If a file of the set is missing or damaged.
    """
    rows = _rows(files, part, problems)
    order = list(rows)
    descriptors = files.table(f"{part.folder}/descriptors.csv").set_index("_id")
    references = _references(files, part)
    _check_unit_cells(files, part, problems)
    shared: dict[str, Composition] = {}
    found: dict[str, Sample] = {}
    refused = {problem.sample for problem in problems}
    for sample, text in files.structures(f"{part.folder}/initial.tar.gz"):
        if sample not in rows:
            problems.append(Problem(part.name, sample, "it is in initial.tar.gz, in no table"))
            continue
        row = rows.pop(sample)
        if sample in refused:
            continue
        try:
            structure = _light(structure_from_cif(text, sample), shared)
            descriptor = _descriptor(descriptors, row.get("descriptor_id", ""))
            found[sample] = checked_sample(structure, row, descriptor, HOSTS[part.host], references)
        except (UserError, ValueError) as error:
            problems.append(Problem(part.name, sample, one_line(str(error))))
    missing = "it has no CIF file in initial.tar.gz"
    problems.extend(Problem(part.name, sample, missing) for sample in rows.keys() - refused)
    yield from ((sample, found[sample]) for sample in order if sample in found)


def _rows(
    files: ReleaseFiles, part: ReleaseSet, problems: list[Problem]
) -> dict[str, dict[str, str]]:
    """What the tables say about every structure, by id, in the order of ``defects.csv.gz``."""
    first = _table(files, f"{part.folder}/defects.csv.gz")
    rows: dict[str, dict[str, str]] = {str(r["_id"]): {} for r in first}
    tables = [first]
    targets = f"{part.folder}/targets.csv.gz"
    if files.has(targets):
        tables.append(_table(files, targets))
    for table in tables:
        seen: set[str] = set()
        for record in table:
            sample = record["_id"]
            what = _merge(rows.get(sample), record, sample in seen)
            seen.add(sample)
            if what:
                problems.append(Problem(part.name, sample, what))
    return rows


def _table(files: ReleaseFiles, name: str) -> list[dict[str, str]]:
    """The lines of a table of structures."""
    table = files.table(name)
    if "_id" not in table:
        raise UserError(f"{name} in '{files.path}' has no column _id")
    return [{str(key): str(cell) for key, cell in row.items()} for row in table.to_dict("records")]


def _merge(row: dict[str, str] | None, record: Mapping[str, str], doubled: bool) -> str:
    """Add the cells of a line to those of other tables; the reason if they do not fit."""
    if row is None:
        return "it is in targets.csv.gz, not in defects.csv.gz"
    if doubled:
        return "a table has it twice"
    for column, value in record.items():
        if row.setdefault(column, value) != value:
            return one_line(f"{column} is {row[column]} in one table and {value} in another")
    return ""


def _descriptor(table: pd.DataFrame, name: str) -> Descriptor:
    """A line of ``descriptors.csv``.

    Raises:
        DisagreementError: If there is none of that id.
    """
    if name not in table.index:
        raise DisagreementError(f"its descriptor {name!r} is not in descriptors.csv")
    row = table.loc[name]
    if isinstance(row, pd.DataFrame):
        raise DisagreementError(f"its descriptor {name!r} is twice in descriptors.csv")
    return Descriptor.of({str(key): str(value) for key, value in row.items()})


def _references(files: ReleaseFiles, part: ReleaseSet) -> References:
    """Energy of the pristine supercell and chemical potentials.

    Raises:
        UserError: If a table lacks them.
    """
    pristine = files.table(f"{part.folder}/initial_structures.csv")
    elements = files.table(f"{part.folder}/elements.csv")
    try:
        (energy,) = pristine["energy"][pristine["base"] == part.host]
        potentials = dict(
            zip(elements["element"], elements["chemical_potential"].astype(float), strict=True)
        )
        return References(float(energy), potentials)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"initial_structures.csv or elements.csv of {part.folder} does not tell the energy of "
            f"pristine {part.host} and the chemical potentials: {error}"
        ) from error


def _check_unit_cells(files: ReleaseFiles, part: ReleaseSet, problems: list[Problem]) -> None:
    """Compare the unit cell of the release with the host that its structures are read with."""
    for name in files.names(f"{part.folder}/unit_cells", ".cif"):
        if Path(name).stem != part.host:
            continue
        try:
            cell = structure_from_cif(files.read(name).decode("utf-8", "replace"), name)
            defects = sparse_defects(cell, [HOSTS[part.host]], max_strain=1e-3).defects
        except (UserError, ValueError) as error:
            problems.append(Problem(part.name, "", f"{name}: {one_line(str(error))}"))
            continue
        if defects:
            problems.append(Problem(part.name, "", f"{name} is not pristine {part.host}"))


def _light(structure: Structure, shared: dict[str, Composition]) -> Structure:
    """The same structure, its sites sharing their compositions, which takes half the memory."""
    symbols = [site.specie.symbol for site in structure]
    compositions = [shared.setdefault(symbol, Composition(symbol)) for symbol in symbols]
    return Structure(structure.lattice, compositions, structure.frac_coords)


def _write_report(out: Path, problems: list[Problem]) -> None:
    """Write what was left out and why.

    Raises:
        UserError: If it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "id", "problem"])
    writer.writerows([found.set_name, found.sample, found.what] for found in problems)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / REPORT, text.getvalue())
    except OSError as error:
        raise UserError(f"cannot write '{out / REPORT}': {error.strerror}") from error
