"""The command ``matbench-segvae law fit``: a law for structures of the user's own."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matbench_segvae.cli.common import (
    DEFAULT_STRAIN,
    MaxStrainOption,
    SeedOption,
    console,
    make_folder,
    write_file,
)
from matbench_segvae.cli.law import print_law
from matbench_segvae.cli.own_data_options import (
    ChemicalPotentialsOption,
    EnergiesOption,
    HostOption,
    PerOption,
    PristineEnergyOption,
    StructuresArgument,
)
from matbench_segvae.errors import one_line

if TYPE_CHECKING:
    from matbench_segvae.benchmark.own_data import OwnData
    from matbench_segvae.types import Report

RECOGNITION_FILE = "structures.csv"
FORMATION_FILE = "formation_energies.csv"
PICTURE_FILE = "law.svg"
_LOG_INTERVAL = 10.0  # s, between two lines of progress


def law_fit_command(
    structures: StructuresArgument,
    energies: EnergiesOption,
    out: Annotated[
        Path, typer.Option(help="Folder of the law; files in it are replaced.", metavar="DIR")
    ],
    host: HostOption = None,
    per: PerOption = "site",
    pristine_energy: PristineEnergyOption = None,
    chemical_potentials: ChemicalPotentialsOption = None,
    max_strain: MaxStrainOption = DEFAULT_STRAIN,
    seed: SeedOption = 0,
) -> None:
    """Find a pair law for structures of your own.

    Writes law.json for `law show` and `law predict`, law.svg with the law beside the data,
    structures.csv with what was recognised, and formation_energies.csv if they were made of
    total energies. Nothing leaves this machine.
    """
    from matbench_segvae.benchmark.own_data import OwnDataSource, read_own_data

    source = OwnDataSource(
        tuple(structures), energies, host, per, pristine_energy, chemical_potentials, max_strain
    )
    data = read_own_data(source)
    make_folder(out)
    write_file(out / RECOGNITION_FILE, _recognition(data))
    if data.computed:
        write_file(out / FORMATION_FILE, _formation(data))
    _print_summary(data)
    _fit(data, max_strain, seed, out)
    from matbench_segvae.reporting.law_result import read_law_result

    print_law(read_law_result(out))
    written = [
        "law.json",
        PICTURE_FILE,
        RECOGNITION_FILE,
        *([FORMATION_FILE] if data.computed else []),
    ]
    print(f"written: {one_line(str(out))}/{', '.join(written)}")


def _fit(data: OwnData, max_strain: float, seed: int, out: Path) -> None:
    """Search the law and write it with the record of how it was made."""
    from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
    from matbench_segvae.algorithms.pair_laws.fit_law import fit_law
    from matbench_segvae.reporting.law_result import LAW_FILE
    from matbench_segvae.reporting.plots.pair_law import draw_fitted_law
    from matbench_segvae.running.provenance import hardware, versions

    start = time.perf_counter()
    hosts = data.hosts[0] if len(data.hosts) == 1 else None
    saved = fit_law(
        data.structures, data.targets, hosts, seed, max_strain=max_strain, report=_progress(start)
    )
    predicted = saved.predict_cells(list(data.cells.values())).tolist()
    truth = data.targets.to_numpy(dtype=float)
    record: dict[str, Any] = {
        "law": saved.description(),
        "training_mae": sum(abs(p - t) for p, t in zip(predicted, truth.tolist(), strict=True))
        / len(truth),
        "predictions": dict(zip(map(str, data.targets.index), predicted, strict=True)),
        "n_train": len(truth),
        "max_strain": max_strain,
        "seed": seed,
        "seconds_fit": time.perf_counter() - start,
        "versions": versions(SEGVAEPairLaw.card.packages),
        "hardware": hardware(),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_file(out / LAW_FILE, json.dumps(record, indent=1, allow_nan=False))
    draw_fitted_law(saved, list(data.cells.values()), data.targets, out / PICTURE_FILE)


def _progress(start: float) -> Report:
    """Print lines of progress with the time since the start, not more often than needed."""
    terminal = console(stderr=True)
    last = [start]

    def report(line: str) -> None:
        now = time.perf_counter()
        if terminal.is_terminal or now - last[0] >= _LOG_INTERVAL:
            last[0] = now
            terminal.print(f"{now - start:6.0f} s  {one_line(line)}", markup=False, soft_wrap=True)

    return report


def _recognition(data: OwnData) -> str:
    """What every structure was recognised as."""
    header = ("id", "host", "supercell", "n_sites", "defects", "strain", "displacement_A")
    rows = []
    for name, cell in data.cells.items():
        kinds = [defect.kind for defect in cell.defects]
        numbers = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        words = " + ".join(f"{n} {kind}" if n > 1 else kind for kind, n in numbers.items())
        supercell = cell.supercell
        figures = (f"{cell.strain:.6f}", f"{cell.displacement:.4f}")
        rows.append((name, supercell.host.name, str(supercell), supercell.n_sites, words, *figures))
    return _csv(header, rows)


def _formation(data: OwnData) -> str:
    """Formation energies, per defect site and in total; the column to fit to is `energy`."""
    header = ("id", "energy", "n_defects", "total_formation_energy_eV")
    return _csv(
        header,
        [
            (name, f"{value:.9g}", len(cell.defects), f"{value * len(cell.defects):.9g}")
            for (name, cell), value in zip(data.cells.items(), data.targets.tolist(), strict=True)
        ],
    )


def _print_summary(data: OwnData) -> None:
    strains = [(cell.strain, name) for name, cell in data.cells.items()]
    moved = [(cell.displacement, name) for name, cell in data.cells.items()]
    (strain, strained), (displacement, displaced) = max(strains), max(moved)
    sizes = sorted({cell.supercell.n_sites for cell in data.cells.values()})
    hosts = ", ".join(host.name for host in data.hosts)
    lines = (
        f"{len(data.cells)} structures of {hosts}, {_range(sizes)} sites",
        f"largest strain {100 * strain:.2f} % ({strained}), largest displacement "
        f"{displacement:.2f} Å ({displaced})",
    )
    for line in lines:
        console().print(one_line(line), markup=False, soft_wrap=True)


def _range(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
