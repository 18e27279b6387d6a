"""Reading and writing the embedded data sets: defects by GFN1-xTB."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError, cut, finite_number
from matbench_segvae.files import read_json, written_whole


@dataclass(frozen=True)
class XtbEntry:
    """One configuration of defects.

    Attributes:
        kind: Its family: for MoS2 as in the 2DMD data set, X1, V1, X2, V2 or V3; else its
            kinds of defects, such as ``"C_B+V_N"``.
        sites: Sites of the defects in the order of their kinds, numbered as in
            :class:`~matbench_segvae.defects.Supercell`.
        energy: Total energy of the supercell, eV.
        gap: HOMO-LUMO gap, eV.
        formation_energy: Of all defects together, eV.
        formation_energy_per_site: The same divided by the number of defects, eV.
    """

    kind: str
    sites: tuple[int, ...]
    energy: float
    gap: float
    formation_energy: float
    formation_energy_per_site: float


@dataclass(frozen=True)
class XtbFailure:
    """A configuration whose calculation failed.

    Attributes:
        kind: As in :class:`XtbEntry`.
        sites: As in :class:`XtbEntry`.
        message: What the calculation ended with.
    """

    kind: str
    sites: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class XtbDataset:
    """The whole data set.

    Attributes:
        settings: Method, versions, supercell and host, in JSON's own types.
        references: Energies of the pristine cell and of what the chemical potentials are
            drawn from, and those potentials, eV.
        entries: The configurations, family by family.
        failures: Those that did not converge.
    """

    settings: Mapping[str, Any]
    references: Mapping[str, Any]
    entries: tuple[XtbEntry, ...]
    failures: tuple[XtbFailure, ...] = ()


def read_xtb_file(path: Path) -> XtbDataset:
    """Read a data set written by :func:`write_xtb_file`.

    Args:
        path: The file.

    Returns:
        Its contents.

    Raises:
        UserError: If there is no such file or it holds something else.
    """
    try:
        raw = read_json(path)
        entries = tuple(_entry(entry) for entry in raw["entries"])
        failures = tuple(XtbFailure(**_with_sites(failure)) for failure in raw.get("failures", ()))
        for name in ("settings", "references"):
            if not isinstance(raw[name], dict):
                raise TypeError(f"its {name} are no object")
        return XtbDataset(raw["settings"], raw["references"], entries, failures)
    except (OSError, ValueError, KeyError, TypeError) as error:
        name = path.name.partition(".")[0].replace("_", "-")
        raise UserError(
            f"cannot read the xTB data set {path} ({type(error).__name__}): "
            f"reinstall the package or build it again with `matbench-segvae data build {name}`"
        ) from error


def _entry(entry: Mapping[str, Any]) -> XtbEntry:
    """An entry whose energies are finite numbers."""
    whole = XtbEntry(**_with_sites(entry))
    for name in ("energy", "gap", "formation_energy", "formation_energy_per_site"):
        if finite_number(getattr(whole, name)) is None:
            raise ValueError(f"a {name} is {cut(getattr(whole, name))}")
    return whole


def _with_sites(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry holds, its kind and sites checked."""
    sites = tuple(entry["sites"])
    if not all(isinstance(site, int) and site >= 0 for site in sites):
        raise ValueError(f"its sites are {cut(sites)}")
    if not isinstance(entry["kind"], str):
        raise ValueError(f"its kind is {cut(entry['kind'])}")
    return {**entry, "sites": sites}


def write_xtb_file(dataset: XtbDataset, path: Path) -> None:
    """Write a data set as gzipped JSON, the same bytes for the same contents.

    Args:
        dataset: What to write.
        path: Where to; replaced if it exists.
    """
    raw: dict[str, Any] = {
        "settings": dict(dataset.settings),
        "references": dict(dataset.references),
        "entries": [asdict(entry) for entry in dataset.entries],
    }
    if dataset.failures:
        raw["failures"] = [asdict(failure) for failure in dataset.failures]
    # A time stamp in the gzip header would change the bytes with every build.
    packed = gzip.compress(json.dumps(raw, separators=(",", ":")).encode(), mtime=0)
    with written_whole(path) as file:
        file.write(packed)
