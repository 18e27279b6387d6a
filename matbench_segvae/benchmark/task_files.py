"""The files of a task's folder: structures, tables and their checksums.

All of them are text that other programs read, and the same content gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.folds import Splits
from matbench_segvae.errors import UserError
from matbench_segvae.files import DAMAGED, read_text, require_regular

CHECKSUMS = "SHA256SUMS"
"""The list of checksums, as ``sha256sum`` writes and checks it."""


_AGAIN = "get the folder again, or make it again with `matbench-segvae task new`"
_BLOCK = 1 << 20  # bytes read at once


def write_structures(path: Path, structures: Iterable[tuple[str, Structure]]) -> None:
    """Write structures as gzipped lines of JSON, one after the other.

    A line is ``{"id": …, "structure": …}`` with a text that pymatgen's
    ``Structure.from_str(…, fmt="json")`` reads: lattice, elements and fractional coordinates.
    Oxidation states, labels and properties of sites are left out.

    Args:
        path: Where to; replaced if it exists.
        structures: Sample ids and structures.

    Raises:
        OSError: If it cannot be written.
    """
    # A name or a time stamp in gzip's header would change the bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        for sample, structure in structures:
            # A text in JSON, since loaders of Croissant metadata take no object for a value.
            text = json.dumps(_packed(structure))
            line = json.dumps({"id": sample, "structure": text}, ensure_ascii=False)
            packed.write(line.encode() + b"\n")


def read_structures_file(path: Path) -> Iterator[tuple[str, Structure]]:
    """Read what :func:`write_structures` wrote.

    Only lattice, elements and coordinates are used: no class that a file names is loaded.

    Yields:
        Sample ids and structures.

    Raises:
        UserError: If it cannot be read or a line holds something else.
    """
    shared: dict[str, Composition] = {}
    number = 0
    try:
        require_regular(path)
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                content = json.loads(line)
                yield str(content["id"]), _unpacked(json.loads(content["structure"]), shared)
    except (OSError, *DAMAGED) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"'{path}' is damaged in line {number} ({reason}): {_AGAIN}") from error


def samples_text(column: str, targets: Mapping[str, float], folds: Splits) -> str:
    """The table of samples: id, target, and a column for each fold.

    Args:
        column: Name of the target.
        targets: Target by sample id.
        folds: Ids to train and to test on; cells say ``train``, ``test`` or nothing.
    """
    parts = [
        {sample: part for part, members in fold.items() for sample in members}
        for fold in folds.values()
    ]
    rows = [
        [sample, repr(value), *(part.get(sample, "") for part in parts)]
        for sample, value in targets.items()
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["id", column, *folds], *rows])
    return text.getvalue()


def read_samples(path: Path, column: str) -> tuple[dict[str, float], Splits]:
    """Read the table of samples.

    Args:
        path: The file.
        column: Name of the target.

    Returns:
        Targets by sample id; ids to train and to test on for every fold.

    Raises:
        UserError: If it is not such a table, an id is doubled or a target is not finite.
    """
    rows = _rows(path)
    header = next(rows, [])
    if header[:2] != ["id", column]:
        raise UserError(f"'{path}' has the columns {', '.join(header) or 'none'}: {_AGAIN}")
    targets: dict[str, float] = {}
    folds: Splits = {name: {"train": [], "test": []} for name in header[2:]}
    for number, row in enumerate(rows, start=2):
        sample, value = row[0], _number(row[1]) if len(row) == len(header) else math.nan
        if sample in targets or not math.isfinite(value) or not {*row[2:]} <= {"train", "test", ""}:
            raise UserError(f"'{path}' cannot be used, line {number} is {','.join(row)}: {_AGAIN}")
        targets[sample] = value
        for name, cell in zip(folds, row[2:], strict=True):
            if cell:
                folds[name][cell].append(sample)
    return targets, folds


def checksums_text(folder: Path, names: Iterable[str]) -> str:
    """The list of checksums of files in a folder."""
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in sorted(names))


def read_checksums(folder: Path) -> dict[str, str]:
    """Read the list of checksums of a task's folder.

    Returns:
        File name to sha256.

    Raises:
        UserError: If the folder has none: it is no task's.
    """
    path = folder / CHECKSUMS
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"'{folder}' is no folder of a task, its {CHECKSUMS} cannot be read ({reason}): "
            "`matbench-segvae task new` makes such a folder"
        ) from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def require_intact(folder: Path, names: Iterable[str]) -> None:
    """Compare files with the list of checksums.

    Raises:
        UserError: If one of them is missing, not listed or was changed.
    """
    listed = read_checksums(folder)
    for name in names:
        path = folder / name
        if name not in listed:
            raise UserError(f"'{folder / CHECKSUMS}' does not list {name}: {_AGAIN}")
        try:
            found = _sha256(path)
        except OSError as error:
            raise UserError(f"cannot read '{path}': {error.strerror}; {_AGAIN}") from error
        if found != listed[name]:
            raise UserError(f"'{path}' was changed since the task was made: {_AGAIN}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    require_regular(path)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a table."""
    try:
        yield from csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    except (OSError, csv.Error, ValueError) as error:
        raise UserError(f"cannot read '{path}' ({error}): {_AGAIN}") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _packed(structure: Structure) -> dict[str, Any]:
    lattice = structure.lattice
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "lattice": {"matrix": lattice.matrix.tolist(), "pbc": [bool(p) for p in lattice.pbc]},
        "sites": [
            {"species": [{"element": element, "occu": 1}], "abc": abc}
            for element, abc in zip(
                elements_of(structure), structure.frac_coords.tolist(), strict=True
            )
        ],
    }


def _unpacked(content: Mapping[str, Any], shared: dict[str, Composition]) -> Structure:
    """A structure whose sites share their compositions, which halves the memory of many."""
    elements = []
    for site in content["sites"]:
        [species] = site["species"]
        element = str(species["element"])
        if element not in shared:
            shared[element] = Composition({Element(element): 1})
        elements.append(shared[element])
    matrix = content["lattice"]["matrix"]
    a, b, c = (bool(periodic) for periodic in content["lattice"]["pbc"])
    coords = [site["abc"] for site in content["sites"]]
    structure = Structure(Lattice(matrix, pbc=(a, b, c)), elements, coords)
    if not math.isfinite(float(structure.lattice.volume) + float(structure.frac_coords.sum())):
        raise ValueError("lattice or coordinates are not finite")
    return structure


def elements_of(structure: Structure) -> list[str]:
    """Elements of all sites, without oxidation states.

    Raises:
        ValueError: If a site is occupied in part, or by no element of the periodic table.
    """
    elements = []
    for site in structure:
        species = list(site.species)
        if len(species) != 1 or site.species.num_atoms != 1:
            raise ValueError(f"a site is occupied by {site.species_string}")
        elements.append(Element(getattr(species[0], "symbol", "")).symbol)
    return elements
