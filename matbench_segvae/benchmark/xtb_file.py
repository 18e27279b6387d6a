"""Reading and writing the embedded data set: vacancies in MoS2 by GFN1-xTB."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError
from matbench_segvae.files import written_whole

XTB_FILE = Path(__file__).parent / "data" / "xtb_mos2.json.gz"
"""The committed data set."""


@dataclass(frozen=True)
class XtbEntry:
    """One vacancy configuration.

    Attributes:
        kind: Family as in the 2DMD data set: X1, V1, X2, V2 or V3.
        sites: Removed sites, numbered as in :class:`~matbench_segvae.defects.Host`.
        energy: Total energy of the supercell, eV.
        gap: HOMO-LUMO gap, eV.
        formation_energy: Of all vacancies together, eV.
        formation_energy_per_site: The same divided by the number of vacancies, eV.
    """

    kind: str
    sites: tuple[int, ...]
    energy: float
    gap: float
    formation_energy: float
    formation_energy_per_site: float


@dataclass(frozen=True)
class XtbDataset:
    """The whole data set.

    Attributes:
        settings: Method, versions, supercell and host, in JSON's own types.
        references: Energies of the pristine cell and of S8, and the chemical potentials
            drawn from them, eV.
        entries: Every inequivalent configuration, in the order X1, V1, X2, V2, V3.
    """

    settings: Mapping[str, Any]
    references: Mapping[str, Any]
    entries: tuple[XtbEntry, ...]


def read_xtb_file(path: Path = XTB_FILE) -> XtbDataset:
    """Read a data set written by :func:`write_xtb_file`.

    Args:
        path: The file; by default the committed one.

    Returns:
        Its contents.

    Raises:
        UserError: If there is no such file or it holds something else.
    """
    try:
        raw = json.loads(gzip.decompress(path.read_bytes()))
        entries = tuple(
            XtbEntry(**{**entry, "sites": tuple(entry["sites"])}) for entry in raw["entries"]
        )
        return XtbDataset(raw["settings"], raw["references"], entries)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the xTB data set {path} ({type(error).__name__}): "
            "reinstall the package or build it again with `matbench-segvae data build xtb-mos2`"
        ) from error


def write_xtb_file(dataset: XtbDataset, path: Path) -> None:
    """Write a data set as gzipped JSON, the same bytes for the same contents.

    Args:
        dataset: What to write.
        path: Where to; replaced if it exists.
    """
    raw = {
        "settings": dict(dataset.settings),
        "references": dict(dataset.references),
        "entries": [asdict(entry) for entry in dataset.entries],
    }
    # A time stamp in the gzip header would change the bytes with every build.
    packed = gzip.compress(json.dumps(raw, separators=(",", ":")).encode(), mtime=0)
    with written_whole(path) as file:
        file.write(packed)
