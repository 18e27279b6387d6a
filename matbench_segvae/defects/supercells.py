"""Supercells of a host: their sites, the distances between them, their symmetry."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.layers import LayerOperation
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats, Ints

_SAME_PLACE = 0.3  # Å; symmetry images are nearer to their site, other sites farther away
_REDUCED = 1e-6  # relative; a basis is not changed for less


@dataclass(frozen=True)
class Supercell:
    """A supercell of a host.

    Its lattice vectors are ``nx`` and ``skew`` times the host's, and ``ny`` times the second
    one: every sublattice of the plane has one such basis, the Hermite normal form. Sites are
    numbered ``(k * nx + i) * ny + j``: atom ``k`` of the unit cell, in cell ``(i, j)``.

    Attributes:
        host: The pristine host.
        nx: Repeats along the first axis.
        ny: Repeats along the second axis.
        skew: How many cells the first lattice vector is moved along the second axis.
    """

    host: Host
    nx: int
    ny: int
    skew: int = 0

    def __post_init__(self) -> None:
        if self.nx < 1 or self.ny < 1 or not 0 <= self.skew < self.ny:
            raise UserError(
                f"a supercell of {self} does not exist: give repeats of 1 or more, and a skew "
                "from 0 to the second one less 1"
            )

    @classmethod
    def of_matrix(cls, host: Host, matrix: Ints) -> Supercell:
        """The supercell of any integer matrix.

        Args:
            host: The pristine host.
            matrix: Lattice vectors as rows, in units of the host's, shape ``(2, 2)``, not
                singular.
        """
        (a, b), (c, d) = (tuple(map(int, row)) for row in matrix)
        while c:  # Euclid's algorithm on the first column
            a, b, c, d = c, d, a - (a // c) * c, b - (a // c) * d
        nx, ny = abs(a), abs(d)
        return cls(host, nx, ny, (b if a > 0 else -b) % ny)

    def __str__(self) -> str:
        """Such as ``"8 x 8 MoS2"``, or ``"1 x 3 MoS2 (skew 1)"``."""
        skew = f" (skew {self.skew})" if self.skew else ""
        return f"{self.nx} x {self.ny} {self.host.name}{skew}"

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.host.atoms) * self.nx * self.ny

    @property
    def matrix(self) -> Ints:
        """Lattice vectors as rows, in units of the host's, shape ``(2, 2)``."""
        return np.array([[self.nx, self.skew], [0, self.ny]])

    @property
    def lattice(self) -> Lattice:
        """Its lattice, Å; the third axis is normal to the others, of the host's cell height."""
        host = self.host
        if not self.skew:
            lengths = (self.nx * host.a, self.ny * host.b, host.c)
            return Lattice.from_parameters(*lengths, 90.0, 90.0, host.gamma)
        unit = Lattice.from_parameters(host.a, host.b, host.c, 90.0, 90.0, host.gamma)
        rows = self.matrix @ unit.matrix[:2]
        return Lattice([*rows, unit.matrix[2]])

    @property
    def elements(self) -> list[str]:
        """Element of every site."""
        return [element for element in self.host.elements for _ in range(self.nx * self.ny)]

    @property
    def site_kinds(self) -> list[str]:
        """Kind of every site, see :attr:`Host.site_kinds`."""
        return [kind for kind in self.host.site_kinds for _ in range(self.nx * self.ny)]

    @property
    def coords(self) -> Floats:
        """Fractional coordinates of every site, shape ``(n_sites, 3)``."""
        cells = np.array([(i, j, 0) for i in range(self.nx) for j in range(self.ny)])
        coords = (self.host.offsets[:, None, :] + cells[None, :, :]).reshape(-1, 3)
        if not self.skew:
            return np.asarray(coords / np.array([self.nx, self.ny, 1]))
        coords[:, :2] = coords[:, :2] @ np.linalg.inv(self.matrix)
        return np.asarray(coords)

    def sites(self, atoms: Ints, cells: Ints) -> Ints:
        """Number sites.

        Args:
            atoms: Atoms of the unit cell, shape ``(n,)``.
            cells: The unit cells they are in, shape ``(n, 2)``; any periodic image.

        Returns:
            Site numbers, shape ``(n,)``.
        """
        turns = cells[:, 0] // self.nx
        i = cells[:, 0] - turns * self.nx
        j = (cells[:, 1] - turns * self.skew) % self.ny
        return np.asarray((atoms * self.nx + i) * self.ny + j)

    def structure(self) -> Structure:
        """The pristine supercell, sites in the order of their numbers."""
        return Structure(self.lattice, self.elements, self.coords)

    @property
    def permutations(self) -> Ints:
        """Every symmetry operation as a permutation of the sites.

        The operations are those of the host's layer group, lattice translations included,
        that map the supercell's lattice onto itself.

        Returns:
            Read-only array of shape ``(n_ops, n_sites)``; operation ``g`` moves what is on
            site ``s`` to site ``result[g, s]``. Each permutation occurs once.
        """
        return _permutations(self)


@lru_cache(maxsize=32)
def _permutations(cell: Supercell) -> Ints:
    """Compute :attr:`Supercell.permutations`."""
    inverse = np.linalg.inv(cell.matrix)
    operations = []
    for operation in cell.host.layer_group.operations:
        image = cell.matrix @ operation.rotation.T @ inverse
        if np.allclose(image, np.round(image)):
            operations.append(_images(cell, operation))
    atoms, cells = _numbering(cell)
    shifts = itertools.product(range(cell.nx), range(cell.ny))
    translations = [cell.sites(atoms, cells + np.array(shift)) for shift in shifts]
    table = np.array([shift[image] for shift in translations for image in operations])
    # Small supercells fold several operations onto the same permutation.
    table = np.unique(table, axis=0)
    table.setflags(write=False)
    return table


def _numbering(cell: Supercell) -> tuple[Ints, Ints]:
    """Atom of the unit cell and unit cell of every site, ``(n_sites,)`` and ``(n_sites, 2)``."""
    rows = np.array(
        list(itertools.product(range(len(cell.host.atoms)), range(cell.nx), range(cell.ny)))
    )
    return rows[:, 0], rows[:, 1:]


def _images(cell: Supercell, operation: LayerOperation) -> Ints:
    """The permutation of one operation, shape ``(n_sites,)``."""
    host = cell.host
    atoms, cells = _numbering(cell)
    moved = host.offsets[:, :2] @ operation.rotation.T + operation.translation
    heights = -host.heights if operation.flips else host.heights
    offsets = moved[:, None] - host.offsets[None, :, :2]
    whole = np.round(offsets)
    apart = np.linalg.norm((offsets - whole) @ host.plane, axis=-1)
    apart = np.hypot(apart, heights[:, None] - host.heights)
    target = apart.argmin(axis=1)
    own = np.arange(len(target))
    if apart[own, target].max() > _SAME_PLACE or len(set(target.tolist())) < len(target):
        raise AssertionError(f"an operation of {host.name} does not map its atoms onto each other")
    image_cells = cells @ operation.rotation.T + whole[own, target].astype(np.int64)[atoms]
    return cell.sites(target[atoms], image_cells)


def plane_distances(coords: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    """Compute distances between all points, with periodic images in the plane only.

    Args:
        coords: Fractional coordinates, shape ``(n, 3)``.
        matrix: Lattice vectors as rows, Å, shape ``(3, 3)``; the third is normal to the
            other two.

    Returns:
        Two arrays of shape ``(n, n)``: the shortest distance between any images, Å, and
        its part along the third axis, Å, not negative.
    """
    basis = reduced_basis(matrix[:2])
    if basis is not None:
        reduced = np.vstack([basis, matrix[2]])
        coords, matrix = coords @ matrix @ np.linalg.inv(reduced), reduced
    difference = coords[:, None, :] - coords[None, :, :]
    difference[..., :2] -= np.round(difference[..., :2])
    shortest = np.full(difference.shape[:2], np.inf)
    # In an oblique cell the nearest image may be one cell away from the rounded one.
    for i, j in itertools.product((-1, 0, 1), repeat=2):
        vectors = (difference + np.array([i, j, 0])) @ matrix
        shortest = np.minimum(shortest, np.linalg.norm(vectors, axis=2))
    return shortest, np.abs(difference[..., 2]) * np.linalg.norm(matrix[2])


def reduced_basis(vectors: Floats) -> Floats | None:
    """The shortest basis of a lattice in the plane, by the algorithm of Lagrange and Gauss.

    Only in such a basis are the images one cell away all that can be the nearest one.

    Args:
        vectors: Two lattice vectors as rows, Å.

    Returns:
        The shortest two; None if they are those given.
    """
    first, second = vectors
    changed = False
    while True:
        if second @ second < (1 - _REDUCED) * (first @ first):
            first, second, changed = second, first, True
        ratio = (first @ second) / (first @ first)
        if abs(ratio) <= 0.5 + _REDUCED:
            return np.array([first, second]) if changed else None
        second, changed = second - np.round(ratio) * first, True


@lru_cache(maxsize=32)
def site_distances(cell: Supercell) -> tuple[Floats, Floats]:
    """Compute distances and differences in height between all sites of a supercell.

    Returns:
        Two read-only arrays in Å of shape ``(n_sites, n_sites)``.
    """
    tables = plane_distances(cell.coords, cell.lattice.matrix)
    for table in tables:
        table.setflags(write=False)
    return tables
