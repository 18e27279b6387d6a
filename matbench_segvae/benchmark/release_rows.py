"""One structure of a 2DMD release: what its files say about it, and whether they agree."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.formation import References, formation_energies
from matbench_segvae.defects import DefectiveCell, Host, sparse_defects
from matbench_segvae.errors import UserError

_AGREES = 1e-3  # eV; formation energies are sums of numbers with four decimals
_LONGEST = 10**5  # characters of a list of defects


class DisagreementError(ValueError):
    """What the files of a release say about a structure does not fit together."""


@dataclass(frozen=True)
class Descriptor:
    """A line of ``descriptors.csv``: the defects that structures of one type have.

    Attributes:
        base: Pristine crystal.
        cells: Number of unit cells.
        kinds: Kind of defect to how many there are.
    """

    base: str
    cells: int
    kinds: Mapping[str, int]

    @classmethod
    def of(cls, row: Mapping[str, str]) -> Descriptor:
        """Read a line.

        Raises:
            DisagreementError: If it does not describe defects.
        """
        try:
            cell, defects = (_literal(row[key]) for key in ("cell", "defects"))
            kinds = Counter(_kind(defect) for defect in defects)
            return cls(row["base"], math.prod(int(n) for n in cell), dict(kinds))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DisagreementError(f"its descriptor cannot be read: {error}") from error


def _literal(text: str) -> list[Any]:
    """A list that is written as in Python; nothing is evaluated."""
    try:
        found = ast.literal_eval(text[:_LONGEST])
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:50]!r} is no list") from error
    if not isinstance(found, list):
        raise ValueError(f"{text[:50]!r} is no list")
    return found


def _kind(defect: Mapping[str, str]) -> str:
    """Kind of a defect, such as ``"V_S"``, from its entry in a descriptor."""
    if defect["type"] == "vacancy":
        return f"V_{defect['element']}"
    if defect["type"] == "substitution":
        return f"{defect['to']}_{defect['from']}"
    raise ValueError(f"defect of unknown type {defect['type']!r}")


@dataclass(frozen=True)
class Sample:
    """A structure whose files agree.

    Attributes:
        structure: The unrelaxed supercell with its defects.
        energy: Formation energy per defect site, eV.
        gap: Gap between HOMO and LUMO, the smaller one of the two spins, eV; NaN if unknown.
    """

    structure: Structure
    energy: float
    gap: float


def checked_sample(
    structure: Structure,
    row: Mapping[str, str],
    descriptor: Descriptor,
    host: Host,
    references: References,
) -> Sample:
    """Compare what the files say about one structure.

    Args:
        structure: From its CIF file.
        row: Its cells in ``defects.csv.gz`` and ``targets.csv.gz``, by column.
        descriptor: The defects it should have.
        host: The pristine crystal of its set.
        references: Energy of the pristine supercell and chemical potentials.

    Raises:
        DisagreementError: If they do not agree.
    """
    try:
        cell = sparse_defects(structure, [host])
    except UserError as error:
        raise DisagreementError(str(error)) from error
    _compare_defects(cell, descriptor)
    energy = _number(row, "energy")
    if not math.isfinite(energy):
        raise DisagreementError("it has no finite total energy")
    (formation,) = formation_energies([cell], [energy], references)
    per_site = float(formation) / len(cell.defects)
    for column, computed in (
        ("formation_energy", float(formation)),
        ("formation_energy_per_site", per_site),
    ):
        given = _number(row, column)
        if abs(given - computed) > _AGREES:
            raise DisagreementError(
                f"its {column} is {given:.4f} eV, but {computed:.4f} eV follows from its total "
                "energy"
            )
    gaps = (_number(row, column) for column in ("homo_lumo_gap_min", "homo_lumo_gap"))
    gap = next((gap for gap in gaps if math.isfinite(gap)), math.nan)
    return Sample(structure, per_site, gap)


def _compare_defects(cell: DefectiveCell, descriptor: Descriptor) -> None:
    """Raise DisagreementError where a structure has other defects than its descriptor."""
    supercell = cell.supercell
    found = Counter(defect.kind for defect in cell.defects)
    if supercell.nx * supercell.ny != descriptor.cells:
        raise DisagreementError(
            f"its structure is {supercell}, its descriptor has {descriptor.cells} unit cells"
        )
    if found != Counter(descriptor.kinds):
        raise DisagreementError(
            f"its structure has {_listed(found)}, its descriptor {_listed(descriptor.kinds)}"
        )
    if not found:
        raise DisagreementError("it has no defects")


def _listed(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "no defects"


def _number(row: Mapping[str, str], column: str) -> float:
    """A cell as a number; NaN if there is none.

    Raises:
        DisagreementError: If there is something else.
    """
    text = row.get(column, "")
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise DisagreementError(f"its {column} is {text[:30]!r}, no number") from error
