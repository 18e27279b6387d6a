"""Which supercells of a host a lattice may be, up to strain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.layers import Layer
from matbench_segvae.defects.supercells import reduced_basis
from matbench_segvae.types import Floats, Ints

_MOST_VACANCIES = 0.5  # share of sites; half of the sites or more are never defective
_MOST_EXTRA = 0.1  # share of sites; so many atoms too many still get an error that names them
_EQUAL_STRAIN = 1e-6


@dataclass(frozen=True, eq=False)
class LatticeMatch:
    """A way to lay a host under a structure.

    Attributes:
        host: The pristine host.
        matrix: Lattice vectors of the structure as rows, in units of the host's, shape
            ``(2, 2)``.
        upside_down: Whether the structure lies upside down.
        strain: Largest relative change of a length from the host to the structure.
    """

    host: Host
    matrix: Ints
    upside_down: bool
    strain: float

    @property
    def n_sites(self) -> int:
        """Number of sites of the supercell."""
        return len(self.host.atoms) * abs(round(float(np.linalg.det(self.matrix))))

    def places(self, layer: Layer) -> Floats:
        """Where the atoms of the structure are in the host, shape ``(n, 3)``.

        Two fractions of the unit cell's axes, without the strain, and a height in Å.
        """
        heights = -layer.heights if self.upside_down else layer.heights
        return np.column_stack([layer.coords @ self.matrix, heights])


def lattice_matches(
    host: Host, plane: Floats, n_atoms: int, max_strain: float
) -> Sequence[LatticeMatch]:
    """Find all integer matrices that take a host's lattice to a structure's.

    Those that the host's point group turns into each other count once.

    Args:
        host: The pristine host.
        plane: Lattice vectors of the structure in its plane as rows, Å, shape ``(2, 2)``.
        n_atoms: Number of atoms in the structure.
        max_strain: Largest relative change of a length.

    Returns:
        Matches by ascending strain, those along the host's axes first.
    """
    rounded = tuple(round(float(value), 9) for value in plane.ravel())
    return _matches(host, rounded, n_atoms, max_strain)


@lru_cache(maxsize=512)
def _matches(
    host: Host, entries: tuple[float, ...], n_atoms: int, max_strain: float
) -> Sequence[LatticeMatch]:
    plane = np.array(entries).reshape(2, 2)
    sites = abs(np.linalg.det(plane)) / np.linalg.det(host.plane) * len(host.atoms)
    slack = (1 + max_strain) ** 2
    if sites * slack * (1 + _MOST_EXTRA) < n_atoms or sites / slack * _MOST_VACANCIES > n_atoms:
        return ()
    # Long oblique vectors would have many lattice vectors of about their length.
    basis = reduced_basis(plane)
    basis = plane if basis is None else basis
    firsts, seconds = (_near_length(host, float(np.linalg.norm(row)), max_strain) for row in basis)
    matrices = np.array(list(itertools.product(firsts, seconds))).reshape(-1, 2, 2)
    matrices = matrices[np.abs(np.linalg.det(matrices)) > 0.5]
    if not len(matrices):
        return ()
    # The deformation of matrix @ host.plane to basis; its singular values are the stretches.
    deformation = np.linalg.solve(matrices @ host.plane, np.broadcast_to(basis, matrices.shape))
    strains = np.abs(np.linalg.svd(deformation, compute_uv=False) - 1).max(axis=1)
    to_basis = np.round(plane @ np.linalg.inv(basis)).astype(np.int64)
    found = [
        LatticeMatch(host, to_basis @ matrix, upside_down, float(strain))
        for matrix, strain in zip(matrices, strains, strict=True)
        for upside_down in (False, True)
        if strain <= max_strain + _EQUAL_STRAIN
    ]
    return tuple(_inequivalent(sorted(found, key=_preference)))


def _near_length(host: Host, length: float, max_strain: float) -> Ints:
    """Lattice vectors of the host of nearly a given length, in its units, shape ``(n, 2)``."""
    longest = length * (1 + 2 * max_strain)
    # The reciprocal vectors bound the coefficients.
    bounds = np.floor(longest * np.linalg.norm(np.linalg.inv(host.plane), axis=0) + 1e-9)
    ranges = [np.arange(-int(bound), int(bound) + 1) for bound in bounds]
    grid = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 2)
    lengths = np.linalg.norm(grid @ host.plane, axis=1)
    return np.asarray(grid[np.abs(lengths / length - 1) <= 2 * max_strain + _EQUAL_STRAIN])


def _preference(match: LatticeMatch) -> tuple[float, ...]:
    """Sorts matches: little strain first, then those along the axes of the host."""
    (a, b), (c, d) = match.matrix.tolist()
    return round(match.strain / _EQUAL_STRAIN), match.upside_down, abs(b) + abs(c), -a, -d


def _inequivalent(matches: Sequence[LatticeMatch]) -> list[LatticeMatch]:
    """Leave out matches that the host's point group turns into earlier ones."""
    kept: list[LatticeMatch] = []
    seen: set[tuple[int, ...]] = set()
    for match in matches:
        if (*match.matrix.ravel().tolist(), match.upside_down) not in seen:
            kept.append(match)
            for operation in match.host.layer_group.operations:
                image = (match.matrix @ operation.rotation.T).ravel().tolist()
                seen.add((*image, match.upside_down != operation.flips))
    return kept
