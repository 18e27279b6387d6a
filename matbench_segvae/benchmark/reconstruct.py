"""The 2DMD vacancy structures, rebuilt from published tables of their distances.

The tables hold distances between vacancies, computed from the fractional coordinates of
the 8 x 8 MoS2 supercell rounded to three decimals. Up to symmetry there are exactly as
many ways to place the vacancies as a table has rows, so every row is matched with the
configuration that has its distances. Where two configurations share their distances
(15 rows of the V3 table), each is used once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from matbench_segvae.defects import HOSTS, Supercell, defect_orbits, plane_distances
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats

REPEATS = 8
"""MoS2 cells along each in-plane axis of the 2DMD supercells."""


_CELL = Supercell(HOSTS["MoS2"], REPEATS, REPEATS)
_DECIMALS = 3  # of the fractional coordinates behind the tables
_TOLERANCE = 1e-5  # Å; the nearest distinct distances are 1e-3 Å from each other
Sites = tuple[int, ...]


@lru_cache(maxsize=1)
def rounded_distances() -> tuple[Floats, Floats]:
    """Site distances, computed as for the published tables.

    Returns:
        Distances and their components out of the plane, Å, both of shape ``(192, 192)``.
    """
    coords = np.round(_CELL.coords, _DECIMALS)
    return plane_distances(coords, _CELL.lattice.matrix)


def signature(sites: Sequence[int]) -> tuple[float, ...]:
    """Describe vacancies by distances, independent of the order of the S vacancies.

    Args:
        sites: Empty sites of the 8 x 8 supercell: at most one Mo and two S, ascending.

    Returns:
        Å; for V2 ``(d(Mo-S),)``, for X2 ``(d(S-S), |dz|)``, for V3 ``(nearer d(Mo-S),
        farther d(Mo-S), d(S-S), |dz(S-S)|)``.
    """
    distances, heights = rounded_distances()
    metals = [site for site in sites if site < REPEATS**2]
    others = [site for site in sites if site >= REPEATS**2]
    lengths = sorted(float(distances[metal, other]) for metal in metals for other in others)
    if len(others) == 2:
        one, two = others
        lengths += [float(distances[one, two]), float(heights[one, two])]
    return tuple(lengths)


def match_rows(rows: Floats, counts: tuple[int, int]) -> list[Sites]:
    """Find the vacancy configuration behind every row of a table.

    Args:
        rows: One :func:`signature` per row, shape ``(n, n_distances)``, Å.
        counts: How many Mo and S atoms are removed.

    Returns:
        Empty sites for every row, such that their signature is the row; no two rows get
        equivalent configurations.

    Raises:
        UserError: If a row fits no configuration that is left.
    """
    orbits = defect_orbits(_CELL, {"V_Mo": counts[0], "V_S": counts[1]})
    members = list(orbits.members)
    signatures = np.array([signature(sites) for sites in members])
    # The rounding breaks the symmetry a little, so each copy of an orbit is compared.
    candidates: list[dict[int, Sites]] = []
    for row in rows:
        fitting: dict[int, Sites] = {}
        for index in np.flatnonzero(np.abs(signatures - row).max(axis=1) < _TOLERANCE):
            fitting.setdefault(orbits.members[members[index]], members[index])
        candidates.append(fitting)
    chosen = assign([list(fitting) for fitting in candidates])
    return [fitting[orbit] for fitting, orbit in zip(candidates, chosen, strict=True)]


def assign(candidates: Sequence[Sequence[int]]) -> list[int]:
    """Assign one candidate to every row, none to two rows.

    Rows with a single candidate left come first; then, among rows that have a choice, the
    first row gets its first candidate. The same input always gives the same result.

    Args:
        candidates: The numbers that fit each row.

    Returns:
        One number per row.

    Raises:
        UserError: If a row is left without any.
    """
    left = {row: list(numbers) for row, numbers in enumerate(candidates)}
    chosen: dict[int, int] = {}
    while left:
        row = min(left, key=lambda key: (len(left[key]), key))
        if not left[row]:
            raise UserError(
                f"row {row} of the distance table fits no configuration that is left: "
                "use the table of the catalogue"
            )
        chosen[row] = left.pop(row)[0]
        for numbers in left.values():
            if chosen[row] in numbers:
                numbers.remove(chosen[row])
    return [chosen[row] for row in sorted(chosen)]
