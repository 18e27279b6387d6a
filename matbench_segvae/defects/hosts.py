"""The pristine two-dimensional hosts, their supercells and the symmetry of their sites.

The unit cells are those of the 2DMD data set: Huang et al., npj 2D Mater. Appl. 7, 6
(2023), doi 10.1038/s41699-023-00369-1. Both hosts are 2H monolayers with the layer
group P-6m2; the point group of every site row used here is D3h.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from matbench_segvae.errors import UserError

SiteRow = tuple[str, tuple[float, float, float]]
"""Element and fractional coordinates in the unit cell."""


# Generators of D3h about the metal column, acting on in-plane fractional coordinates
# of a hexagonal cell with 120 degrees between its axes: a threefold rotation and the
# vertical mirror that keeps the metal-chalcogen direction (1, -1).
_ROTATION = np.array([[0, -1], [1, -1]])
_MIRROR = np.array([[0, -1], [-1, 0]])


@dataclass(frozen=True)
class Host:
    """A pristine monolayer.

    Sites of an ``nx`` x ``ny`` supercell are numbered ``(k * nx + i) * ny + j``: atom
    ``k`` of the unit cell, in cell ``(i, j)``.

    Attributes:
        name: Formula, such as ``"MoS2"``.
        a: In-plane lattice constant, Å; the axes enclose 120 degrees.
        c: Cell height including vacuum, Å.
        atoms: The atoms of the unit cell, the metal first.
    """

    name: str
    a: float
    c: float
    atoms: tuple[SiteRow, ...]

    @property
    def offsets(self) -> np.ndarray:
        """Fractional coordinates of the unit cell's atoms, shape ``(n_atoms, 3)``."""
        return np.array([xyz for _, xyz in self.atoms])

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements of the unit cell's atoms, in order."""
        return tuple(element for element, _ in self.atoms)

    def lattice(self, nx: int, ny: int) -> Lattice:
        """Return the lattice of a supercell.

        Args:
            nx: Repeats along the first axis.
            ny: Repeats along the second axis.

        Returns:
            A lattice with axes ``nx * a``, ``ny * a`` and ``c`` in Å.
        """
        _check_repeats(nx, ny)
        return Lattice.from_parameters(nx * self.a, ny * self.a, self.c, 90.0, 90.0, 120.0)

    def site_elements(self, nx: int, ny: int) -> list[str]:
        """List the element of every supercell site.

        Args:
            nx: Repeats along the first axis.
            ny: Repeats along the second axis.

        Returns:
            One symbol per site, length ``n_atoms * nx * ny``.
        """
        _check_repeats(nx, ny)
        return [element for element in self.elements for _ in range(nx * ny)]

    def site_coords(self, nx: int, ny: int) -> np.ndarray:
        """Compute the fractional coordinates of every supercell site.

        Args:
            nx: Repeats along the first axis.
            ny: Repeats along the second axis.

        Returns:
            Fractions of the supercell's axes, shape ``(n_sites, 3)``.
        """
        _check_repeats(nx, ny)
        cells = np.array([(i, j, 0) for i in range(nx) for j in range(ny)])
        coords = self.offsets[:, None, :] + cells[None, :, :]
        return np.asarray(coords.reshape(-1, 3) / np.array([nx, ny, 1]))

    def supercell(self, nx: int, ny: int) -> Structure:
        """Build the pristine supercell.

        Args:
            nx: Repeats along the first axis.
            ny: Repeats along the second axis.

        Returns:
            A structure whose sites are in the order of the site numbers.
        """
        return Structure(self.lattice(nx, ny), self.site_elements(nx, ny), self.site_coords(nx, ny))

    def site_permutations(self, nx: int, ny: int) -> np.ndarray:
        """List every symmetry operation of a supercell as a permutation of its sites.

        The operations are the lattice translations times those of D3h that map the
        supercell's lattice onto itself (all twelve if ``nx == ny``).

        Args:
            nx: Repeats along the first axis.
            ny: Repeats along the second axis.

        Returns:
            Read-only int array of shape ``(n_ops, n_sites)``; operation ``g`` moves what
            is on site ``s`` to site ``result[g, s]``. Each permutation occurs once.
        """
        _check_repeats(nx, ny)
        return _site_permutations(self, nx, ny)


def _check_repeats(nx: int, ny: int) -> None:
    """Refuse supercells that are not made of whole cells."""
    if nx < 1 or ny < 1:
        raise UserError(
            f"a supercell of {nx} x {ny} cells does not exist: give repeats of 1 or more"
        )


@lru_cache(maxsize=16)
def _site_permutations(host: Host, nx: int, ny: int) -> np.ndarray:
    """Compute :meth:`Host.site_permutations`."""
    operations = [
        _image_sites(host, nx, ny, plane, flip)
        for plane in _plane_operations(nx, ny)
        for flip in (False, True)
    ]
    shifts = [_translation(host, nx, ny, i, j) for i, j in itertools.product(range(nx), range(ny))]
    table = np.array([shift[op] for shift in shifts for op in operations])
    # Small supercells fold several operations onto the same permutation.
    table = np.unique(table, axis=0)
    table.setflags(write=False)
    return table


def _plane_operations(nx: int, ny: int) -> list[np.ndarray]:
    """Collect the in-plane parts of D3h that keep the superlattice."""
    powers = [np.linalg.matrix_power(_ROTATION, n) for n in range(3)]
    repeats = np.diag([nx, ny])
    kept = []
    for matrix in [*powers, *(power @ _MIRROR for power in powers)]:
        image = np.linalg.solve(repeats, matrix @ repeats)
        if np.allclose(image, np.round(image)):
            kept.append(matrix)
    return kept


def _translation(host: Host, nx: int, ny: int, i: int, j: int) -> np.ndarray:
    """Give the permutation of a shift by ``(i, j)`` cells, shape ``(n_sites,)``."""
    sites = np.arange(len(host.atoms) * nx * ny).reshape(-1, nx, ny)
    return np.roll(sites, (-i, -j), axis=(1, 2)).reshape(-1)


def _image_sites(host: Host, nx: int, ny: int, plane: np.ndarray, flip: bool) -> np.ndarray:
    """Give the permutation of one point operation about the first atom, ``(n_sites,)``."""
    offsets = host.offsets
    centre = offsets[0]
    # In units of the unit cell, relative to the first metal atom.
    points = host.site_coords(nx, ny) * np.array([nx, ny, 1]) - centre
    images = np.empty_like(points)
    images[:, :2] = points[:, :2] @ plane.T
    images[:, 2] = -points[:, 2] if flip else points[:, 2]
    sites = np.full(len(points), -1)
    for k, offset in enumerate(offsets - centre):
        distance = images - offset
        cells = np.round(distance[:, :2])
        here = np.abs(distance[:, :2] - cells).max(axis=1) + np.abs(distance[:, 2]) < 1e-3
        i, j = (cells[here].astype(int) % np.array([nx, ny])).T
        sites[here] = (k * nx + i) * ny + j
    if len(np.unique(sites)) != len(sites) or sites.min() < 0:
        raise AssertionError(f"host {host.name} does not have the symmetry D3h, which is required")
    return sites


HOSTS: Mapping[str, Host] = MappingProxyType(
    {
        host.name: host
        for host in (
            Host(
                name="MoS2",
                a=3.19031570,
                c=14.87900400,
                atoms=(
                    ("Mo", (1 / 3, 2 / 3, 0.25)),
                    ("S", (2 / 3, 1 / 3, 0.144826)),
                    ("S", (2 / 3, 1 / 3, 0.355174)),
                ),
            ),
            Host(
                name="WSe2",
                a=3.32706951,
                c=15.06895100,
                atoms=(
                    ("W", (1 / 3, 2 / 3, 0.25)),
                    ("Se", (2 / 3, 1 / 3, 0.361569)),
                    ("Se", (2 / 3, 1 / 3, 0.138431)),
                ),
            ),
        )
    }
)
"""Known hosts by name."""
