"""From a defective supercell to the few sites where it differs from its host.

The idea of describing a defective crystal by its defects alone is that of Kazeev et al.,
npj Comput. Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.defects.hosts import HOSTS, Host
from matbench_segvae.errors import UserError

SITE_TOLERANCE = 0.3
"""How far an atom may be from a host site to be taken for sitting on it, Å."""


_A_TOLERANCE = 0.03  # Å per unit cell; the hosts' constants differ by 0.14 Å
_C_TOLERANCE = 0.08  # Å; the hosts' cell heights differ by 0.19 Å
_ANGLE_TOLERANCE = 0.5  # degrees
_ANCHORS = 3  # atoms tried when looking for a rigid shift
_FEW = 0.1  # share of defective sites below which no other shift is tried


@dataclass(frozen=True)
class Defect:
    """One host site that is empty or holds another element.

    Attributes:
        site: Site number in the host supercell.
        removed: Element of the host.
        placed: Element found instead, or None for a vacancy.
        coords: Fractional coordinates of the host site in the supercell.
    """

    site: int
    removed: str
    placed: str | None
    coords: tuple[float, float, float]

    @property
    def kind(self) -> str:
        """Kröger-Vink-like name without charge: ``"V_Mo"``, ``"Se_S"``."""
        return f"{self.placed or 'V'}_{self.removed}"


@dataclass(frozen=True)
class DefectiveCell:
    """A supercell, described by its host and its defects.

    Attributes:
        host: Name of the host.
        repeats: Unit cells along each axis, the last always 1.
        lattice: Rows are the lattice vectors, Å, shape 3 x 3.
        defects: Ascending by site.
    """

    host: str
    repeats: tuple[int, int, int]
    lattice: tuple[tuple[float, float, float], ...]
    defects: tuple[Defect, ...]


def sparse_defects(structure: Structure) -> DefectiveCell:
    """Find out how a structure differs from its pristine host.

    The host and the size of the supercell are read off the lattice. Neither the order of
    the sites nor their periodic images matter, nor a rigid shift of the whole structure.

    Args:
        structure: A whole supercell with few defects.

    Returns:
        Its defects; none for a pristine supercell.

    Raises:
        UserError: If the lattice fits no known host, an atom sits on none of the host's
            sites, two atoms share one, or half of the sites or more are defective.
    """
    host, nx, ny = _identify_host(structure)
    defects = _defects(host, nx, ny, _occupants(host, nx, ny, structure))
    n_sites = len(host.atoms) * nx * ny
    if 2 * len(defects) >= n_sites:
        raise UserError(
            f"{structure.formula} has the lattice of {nx} x {ny} {host.name} but differs on "
            f"{len(defects)} of its {n_sites} sites: give structures with few defects"
        )
    rows = [(float(x), float(y), float(z)) for x, y, z in structure.lattice.matrix]
    return DefectiveCell(host.name, (nx, ny, 1), tuple(rows), defects)


def defective_structure(host: Host, nx: int, ny: int, defects: Iterable[Defect]) -> Structure:
    """Build the whole supercell with defects in it.

    Args:
        host: The pristine host.
        nx: Repeats along the first axis.
        ny: Repeats along the second axis.
        defects: What to remove or replace; see :func:`vacancies`.

    Returns:
        The unrelaxed structure, sites in the order of their site numbers.

    Raises:
        UserError: If a defect names a site that does not exist or holds another element.
    """
    elements: list[str | None] = list(host.site_elements(nx, ny))
    for defect in defects:
        if not 0 <= defect.site < len(elements) or elements[defect.site] != defect.removed:
            raise UserError(
                f"{defect.kind} cannot be on site {defect.site} of {nx} x {ny} {host.name}: "
                f"take a free site of {defect.removed} below {len(elements)}"
            )
        elements[defect.site] = defect.placed
    kept = [(site, element) for site, element in enumerate(elements) if element]
    coords = host.site_coords(nx, ny)[[site for site, _ in kept]]
    return Structure(host.lattice(nx, ny), [element for _, element in kept], coords)


def vacancies(host: Host, nx: int, ny: int, sites: Iterable[int]) -> tuple[Defect, ...]:
    """Describe empty sites.

    Args:
        host: The pristine host.
        nx: Repeats along the first axis.
        ny: Repeats along the second axis.
        sites: Numbers of the empty sites.

    Returns:
        One vacancy per site, ascending by site.
    """
    occupants: list[str | None] = list(host.site_elements(nx, ny))
    for site in sites:
        occupants[site] = None
    return _defects(host, nx, ny, occupants)


def _defects(host: Host, nx: int, ny: int, occupants: Sequence[str | None]) -> tuple[Defect, ...]:
    """Compare what sits on every site with what the host has there."""
    pairs = zip(host.site_elements(nx, ny), occupants, strict=True)
    changed = [(site, was, now) for site, (was, now) in enumerate(pairs) if was != now]
    coords = host.site_coords(nx, ny).tolist() if changed else []
    return tuple(Defect(site, was, now, tuple(coords[site])) for site, was, now in changed)


def _identify_host(structure: Structure) -> tuple[Host, int, int]:
    """Read host and repeats off the lattice."""
    lattice = structure.lattice
    hexagonal = np.allclose(lattice.angles, (90.0, 90.0, 120.0), atol=_ANGLE_TOLERANCE)
    for host in HOSTS.values():
        nx, ny = (max(1, round(length / host.a)) for length in lattice.abc[:2])
        fits = abs(lattice.a / nx - host.a) < _A_TOLERANCE and abs(lattice.b / ny - host.a) < (
            _A_TOLERANCE
        )
        if hexagonal and fits and abs(lattice.c - host.c) < _C_TOLERANCE:
            return host, nx, ny
    known = ", ".join(f"{host.name} (a {host.a:.4f}, c {host.c:.4f} Å)" for host in HOSTS.values())
    found = ", ".join(f"{length:.4f}" for length in lattice.abc)
    angles = ", ".join(f"{angle:.1f}" for angle in lattice.angles)
    raise UserError(
        f"{structure.composition.reduced_formula} with cell {found} Å, angles {angles} is a "
        f"supercell of no known host: known are {known}, repeated in the plane, angles 90, 90, 120"
    )


def _occupants(host: Host, nx: int, ny: int, structure: Structure) -> list[str | None]:
    """Find which element sits on every host site, trying rigid shifts if needed."""
    if not structure.is_ordered:
        raise UserError(f"{structure.formula} has partly occupied sites: give ordered structures")
    symbols = [species.symbol for species in structure.species]
    cells = structure.frac_coords * np.array([nx, ny, 1])
    wanted = np.array(host.site_elements(nx, ny))
    problem = ""
    best: list[str | None] = []
    fewest = len(wanted) + 1
    for shift in _shifts(host, cells, symbols):
        sites, distances = _nearest_sites(host, nx, ny, cells + shift)
        trouble = _trouble(f"{nx} x {ny} {host.name}", symbols, sites, distances)
        problem = problem or trouble
        if trouble:
            continue
        occupants: list[str | None] = [None] * len(wanted)
        for site, symbol in zip(sites.tolist(), symbols, strict=True):
            occupants[site] = symbol
        differing = int(np.sum(wanted != np.array([symbol or "" for symbol in occupants])))
        if differing < fewest:
            best, fewest = occupants, differing
        if fewest <= _FEW * len(wanted):
            break
    if not best:
        raise UserError(problem)
    return best


def _shifts(host: Host, cells: np.ndarray, symbols: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield rigid shifts, in unit-cell fractions, that may bring a structure onto its host."""
    yield np.zeros(3)
    # The first atom of the host is alone in its layer, so one of its kind fixes the shift;
    # a few are tried because one of them may be a defect itself.
    anchors = [i for i, symbol in enumerate(symbols) if symbol == host.elements[0]]
    for anchor in anchors[:_ANCHORS]:
        yield host.offsets[0] - cells[anchor]


def _nearest_sites(
    host: Host, nx: int, ny: int, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Assign every atom to the nearest site.

    Args:
        host: The pristine host.
        nx: Repeats along the first axis.
        ny: Repeats along the second axis.
        cells: Coordinates in units of the unit cell, shape ``(n, 3)``.

    Returns:
        Site numbers and distances to them in Å, both of shape ``(n,)``.
    """
    offsets = cells[:, None, :] - host.offsets[None, :, :]  # (n, atoms of the unit cell, 3)
    whole = np.round(offsets)
    distances = np.linalg.norm((offsets - whole) @ host.lattice(1, 1).matrix, axis=2)
    k = distances.argmin(axis=1)
    rows = np.arange(len(cells))
    i, j = (whole[rows, k, :2].astype(int) % np.array([nx, ny])).T
    return (k * nx + i) * ny + j, distances[rows, k]


def _trouble(cell: str, symbols: Sequence[str], sites: np.ndarray, distances: np.ndarray) -> str:
    """Why atoms cannot be on these sites; empty if they can."""
    worst = int(distances.argmax())
    if distances[worst] > SITE_TOLERANCE:
        return (
            f"atom {worst} ({symbols[worst]}) is {distances[worst]:.2f} Å away from every site of "
            f"{cell}: give unrelaxed structures, atoms within "
            f"{SITE_TOLERANCE} Å of their sites"
        )
    values, counts = np.unique(sites, return_counts=True)
    if counts.max() > 1:
        shared = np.flatnonzero(sites == values[counts.argmax()])[:2].tolist()
        return (
            f"atoms {shared[0]} and {shared[1]} are on the same site of {cell}: remove one of them"
        )
    return ""
