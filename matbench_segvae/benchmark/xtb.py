"""Computing the embedded data set: every small vacancy cluster in MoS2 by GFN1-xTB.

Supercells are unrelaxed, periodic in all directions with the host's own vacuum, and
sampled at Γ. Formation energies are for sulfur-rich conditions, ``E(defective) -
E(pristine) + sum of mu over the removed atoms``, with ``mu_S`` from the relaxed S8 crown
and ``mu_Mo`` such that both potentials add up to the energy of pristine MoS2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark.xtb_file import XtbDataset, XtbEntry, read_xtb_file, write_xtb_file
from matbench_segvae.benchmark.xtb_method import (
    HOST,
    Sites,
    XtbSettings,
    chemistry,
    relaxed_s8,
    single_point,
)
from matbench_segvae.defects import Supercell, defect_orbits
from matbench_segvae.errors import UserError
from matbench_segvae.files import write_text
from matbench_segvae.types import Report

FAMILIES: Mapping[str, tuple[int, int]] = {
    "X1": (0, 1),
    "V1": (1, 0),
    "X2": (0, 2),
    "V2": (1, 1),
    "V3": (1, 2),
}
"""How many Mo and S atoms each family of the 2DMD data set lacks."""


def configurations(settings: XtbSettings | None = None) -> list[tuple[str, Sites]]:
    """Every inequivalent configuration in the order of the data set.

    Args:
        settings: Settings of the calculation, of which ``repeats`` matters.

    Returns:
        Pairs of family and removed sites.
    """
    n = (settings or XtbSettings()).repeats
    cell = Supercell(HOST, n, n)
    return [
        (family, sites)
        for family, counts in FAMILIES.items()
        for sites in defect_orbits(cell, {"V_Mo": counts[0], "V_S": counts[1]}).representatives
    ]


def build(
    out: Path,
    report: Report = lambda line: None,
    settings: XtbSettings | None = None,
) -> Path:
    """Compute what is not yet finished of the data set, and write all of it into one file.

    Args:
        out: Folder that keeps one file per finished configuration; made if missing.
            Files computed with other settings or versions are computed again.
        report: Takes one line of progress.
        settings: Settings of the calculation.

    Returns:
        The assembled file ``xtb_mos2.json.gz`` inside the folder.

    Raises:
        UserError: If the extra ``xtb`` is missing or the folder cannot be written.
        RuntimeError: If a self-consistent cycle does not converge.
    """
    settings = settings or XtbSettings()
    finished = _FinishedResults(out, _facts(settings), report)
    try:
        out.mkdir(parents=True, exist_ok=True)
        references = _references(finished, settings)
        todo = configurations(settings)
        entries = []
        for number, (kind, sites) in enumerate(todo, start=1):
            label = f"{number}/{len(todo)} "
            found = finished.single_point(
                f"{kind}_{'-'.join(map(str, sites))}", sites, settings, label
            )
            entries.append(_entry(kind, sites, found, references))
        target = out / "xtb_mos2.json.gz"
        write_xtb_file(XtbDataset(finished.facts, references, tuple(entries)), target)
    except OSError as error:
        raise UserError(
            f"cannot write to {out}: {error.strerror}; choose another folder"
        ) from error
    return target


@dataclass(frozen=True)
class _FinishedResults:
    """Finished results, one file each, so that an interrupted build can continue.

    Attributes:
        folder: Where the files are.
        facts: Settings and versions; results computed with others are not used.
        report: Takes one line per result that had to be computed.
    """

    folder: Path
    facts: Mapping[str, Any]
    report: Report

    def single_point(
        self, name: str, sites: Sites, settings: XtbSettings, label: str = ""
    ) -> dict[str, Any]:
        """Energy and gap of a supercell, read or computed, eV."""

        def compute() -> dict[str, Any]:
            return dict(zip(("energy", "gap"), single_point(sites, settings), strict=True))

        return self.get(name, compute, label)

    def get(
        self, name: str, compute: Callable[[], dict[str, Any]], label: str = ""
    ) -> dict[str, Any]:
        """A finished result from its file; computed and kept if there is none."""
        path = self.folder / f"{name}.json"
        try:
            saved = json.loads(path.read_text())
            if saved["settings"] == self.facts:
                return dict(saved["result"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # missing or incomplete: compute it again
        result = compute()
        write_text(path, json.dumps({"settings": self.facts, "result": result}))
        self.report(f"{label}{name}: {result['energy']:.4f} eV")
        return result


def _facts(settings: XtbSettings) -> dict[str, Any]:
    """Settings, versions and method, in JSON's own types."""
    chemistry()
    return {
        **asdict(settings),
        "tblite": version("tblite"),
        "ase": version("ase"),
        "host": json.loads(json.dumps(asdict(HOST))),
        "k_points": "gamma",
        "periodic": [True, True, True],
        "relaxed": False,
        "formation_energy": "E - E_pristine + sum of mu of the removed atoms, sulfur-rich",
    }


def _references(finished: _FinishedResults, settings: XtbSettings) -> dict[str, Any]:
    """Compute S8 and the pristine cell, and the sulfur-rich chemical potentials, eV."""

    def molecule() -> dict[str, Any]:
        return dict(zip(("energy", "positions"), relaxed_s8(settings), strict=True))

    s8 = finished.get("S8", molecule)
    pristine = finished.single_point("pristine", (), settings)
    mu_s = s8["energy"] / 8
    return {
        "pristine_energy": pristine["energy"],
        "pristine_gap": pristine["gap"],
        "s8_energy": s8["energy"],
        "s8_positions": s8["positions"],
        "mu_S": mu_s,
        "mu_Mo": pristine["energy"] / settings.repeats**2 - 2 * mu_s,
    }


def _entry(
    kind: str, sites: Sites, found: Mapping[str, Any], references: Mapping[str, Any]
) -> XtbEntry:
    """Turn a total energy into an entry."""
    n_mo, n_s = FAMILIES[kind]
    removed = n_mo * references["mu_Mo"] + n_s * references["mu_S"]
    formation = round(found["energy"] - references["pristine_energy"] + removed, 8)
    return XtbEntry(
        kind=kind,
        sites=sites,
        energy=found["energy"],
        gap=found["gap"],
        formation_energy=formation,
        formation_energy_per_site=round(formation / len(sites), 8),
    )


def recompute(index: int) -> float:
    """Compute an entry of the committed file afresh with the settings saved in it.

    For maintainers and tests: it shows that the committed energies can be reproduced.

    Args:
        index: Position of the entry in the file.

    Returns:
        Its total energy, eV.

    Raises:
        UserError: If the extra ``xtb`` is missing or there is no such entry.
    """
    dataset = read_xtb_file()
    if not 0 <= index < len(dataset.entries):
        raise UserError(f"xTB entry {index} does not exist: give 0 to {len(dataset.entries) - 1}")
    names = XtbSettings.__dataclass_fields__
    settings = XtbSettings(**{name: dataset.settings[name] for name in names})
    return single_point(dataset.entries[index].sites, settings)[0]
