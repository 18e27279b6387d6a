"""Direction of a pair in the plane, as far as the symmetry of the layer lets energies depend on it.

Under an ``n``-fold rotation with vertical mirror planes the lowest harmonic that an energy may
have is ``cos(n (phi - phi0))``, with ``phi0`` the direction of a mirror plane. In MoS2, of point
group D3h, that is ``cos 3 phi``; two equal defects can also be exchanged, which turns the pair by
180° and leaves ``cos 6 phi``. Operations that exchange two sites of one kind, as in graphene and
1T-MoS2, count too: there some pairs that are not equivalent have the same direction.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np

from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.supercells import Supercell, reduced_basis, site_distances
from matbench_segvae.types import Floats

_SAME_LENGTH = 1e-3  # Å; images as near as that are equally near
_IN_PLANE = 1e-3  # Å; a shorter projection has no direction


@lru_cache(maxsize=32)
def site_directions(cell: Supercell, exchangeable: bool) -> Floats:
    """Compute ``cos(n (phi - phi0))`` from every site to every other one.

    Args:
        cell: The supercell.
        exchangeable: Whether the defects of the pair are of one kind.

    Returns:
        Read-only array of shape ``(n_sites, n_sites)``, the mean over equally near periodic
        images; 0 for sites above each other and in hosts without mirror planes.
    """
    order, mirror = lowest_harmonic(cell.host, exchangeable)
    table = np.zeros((cell.n_sites, cell.n_sites))
    if mirror is not None:
        table = _means(cell, order, mirror)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=64)
def lowest_harmonic(host: Host, exchangeable: bool) -> tuple[int, float | None]:
    """Order of the lowest harmonic of a pair's direction, and the direction of a mirror plane.

    Args:
        host: The crystal.
        exchangeable: Whether the defects of the pair are of one kind.

    Returns:
        The order ``n``, and ``phi0`` in radians; ``None`` for a host without mirror planes. Of the
        mirror planes the one nearest to the projection of a shortest bond is taken.
    """
    to_cartesian, inverse = host.plane.T, np.linalg.inv(host.plane.T)
    parts = [to_cartesian @ op.rotation @ inverse for op in host.layer_group.operations]
    proper = [part for part in parts if np.linalg.det(part) > 0]
    order = len({tuple(np.round(part, 3).ravel() + 0.0) for part in proper})
    if exchangeable and order % 2:
        order *= 2
    # A mirror turns phi into 2 phi0 - phi.
    mirrors = [math.atan2(part[1, 0], part[0, 0]) / 2 for part in parts if np.linalg.det(part) < 0]
    if not mirrors:
        return order, None
    bond = _bond_direction(host)
    planes = [angle + turn for angle in mirrors for turn in (0.0, math.pi)]
    return order, min(planes, key=lambda angle: (round(1 - math.cos(angle - bond), 6), angle))


def _bond_direction(host: Host) -> float:
    """Direction of a shortest bond of the first atom that is not normal to the plane, radians."""
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=2)))
    apart = (host.offsets[:, None, :2] - host.offsets[0, :2] + shifts) @ host.plane
    flat = np.linalg.norm(apart, axis=-1)
    lengths = np.hypot(flat, (host.heights - host.heights[0])[:, None])
    lengths[flat < _IN_PLANE] = np.inf
    nearest = np.argwhere(lengths < lengths.min() + _SAME_LENGTH)
    angles = [math.atan2(*apart[atom, image][::-1]) for atom, image in nearest]
    return min(angles, key=lambda angle: (round(abs(angle), 6), -angle))


def _means(cell: Supercell, order: int, mirror: float) -> Floats:
    """Harmonics of the vectors to the nearest images, averaged where several are equally near."""
    basis = reduced_basis(cell.lattice.matrix[:2, :2])
    plane = cell.lattice.matrix[:2, :2] if basis is None else basis
    places = cell.coords @ cell.lattice.matrix
    # Components in the reduced basis, in which the nearest image is at most one cell away.
    fractions = places[:, :2] @ np.linalg.inv(plane)
    apart = fractions[None, :, :] - fractions[:, None, :]
    apart -= np.round(apart)
    distances, heights = site_distances(cell)
    flat = np.sqrt(np.clip(distances**2 - heights**2, 0, None))
    total, count = np.zeros(flat.shape), np.zeros(flat.shape)
    for shift in itertools.product((-1, 0, 1), repeat=2):
        vectors = (apart + np.array(shift)) @ plane
        lengths = np.linalg.norm(vectors, axis=2)
        nearest = (lengths < flat + _SAME_LENGTH) & (lengths > _IN_PLANE)
        angles = np.arctan2(vectors[..., 1], vectors[..., 0]) - mirror
        total += np.where(nearest, np.cos(order * angles), 0.0)
        count += nearest
    return np.asarray(np.divide(total, count, out=np.zeros(flat.shape), where=count > 0))
