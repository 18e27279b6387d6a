"""Reading and writing the embedded data sets: defects by GFN1-xTB."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError
from matbench_segvae.files import written_whole


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
        raw = json.loads(gzip.decompress(path.read_bytes()))
        entries = tuple(XtbEntry(**_with_sites(entry)) for entry in raw["entries"])
        failures = tuple(XtbFailure(**_with_sites(failure)) for failure in raw.get("failures", ()))
        return XtbDataset(raw["settings"], raw["references"], entries, failures)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        name = path.name.partition(".")[0].replace("_", "-")
        raise UserError(
            f"cannot read the xTB data set {path} ({type(error).__name__}): "
            f"reinstall the package or build it again with `matbench-segvae data build {name}`"
        ) from error


def _with_sites(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "sites": tuple(entry["sites"])}


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
