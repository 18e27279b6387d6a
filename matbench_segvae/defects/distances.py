"""Distances between the sites of a layer."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np

from matbench_segvae.defects.hosts import Host


def plane_distances(coords: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute distances between all points, with periodic images in the plane only.

    Args:
        coords: Fractional coordinates, shape ``(n, 3)``.
        matrix: Lattice vectors as rows, Å, shape ``(3, 3)``; the third is normal to the
            other two.

    Returns:
        Two arrays of shape ``(n, n)``: the shortest distance between any images, Å, and
        its part along the third axis, Å, not negative.
    """
    difference = coords[:, None, :] - coords[None, :, :]
    difference[..., :2] -= np.round(difference[..., :2])
    shortest = np.full(difference.shape[:2], np.inf)
    # In an oblique cell the nearest image may be one cell away from the rounded one.
    for i, j in itertools.product((-1, 0, 1), repeat=2):
        vectors = (difference + np.array([i, j, 0])) @ matrix
        shortest = np.minimum(shortest, np.linalg.norm(vectors, axis=2))
    return shortest, np.abs(difference[..., 2]) * np.linalg.norm(matrix[2])


@lru_cache(maxsize=16)
def site_distances(host: Host, nx: int, ny: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute distances and differences in height between all sites of a supercell.

    Returns:
        Two read-only arrays in Å of shape ``(n_sites, n_sites)``.
    """
    tables = plane_distances(host.site_coords(nx, ny), host.lattice(nx, ny).matrix)
    for table in tables:
        table.setflags(write=False)
    return tables
