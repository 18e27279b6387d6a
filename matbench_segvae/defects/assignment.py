"""Assigning the atoms of a structure to the sites of its host."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from matbench_segvae.defects.lattice_match import LatticeMatch
from matbench_segvae.defects.layers import Layer
from matbench_segvae.defects.supercells import Supercell, reduced_basis
from matbench_segvae.types import Floats, Ints

_CERTAIN = 0.2  # of the shortest bond
_EXACT = 0.01  # of the shortest bond
_CENTRED = 1e-3  # Å; a rigid shift that is left is taken out down to here


@dataclass(frozen=True, eq=False)
class Assignment:
    """Atoms on the sites of a supercell.

    Attributes:
        supercell: The pristine supercell.
        elements: Of the atoms.
        sites: Site of every atom, -1 for an atom without one, int, shape ``(n,)``.
        distances: From every atom to its site, or the nearest if it has none, Å, ``(n,)``.
        nearest: The site nearest to every atom, shape ``(n,)``.
        to_nearest: Distance to that, Å, shape ``(n,)``.
        strain: Largest relative change of a length in the plane.
    """

    supercell: Supercell
    elements: tuple[str, ...]
    sites: Ints
    distances: Floats
    nearest: Ints
    to_nearest: Floats
    strain: float

    @property
    def occupants(self) -> list[str | None]:
        """Element on every site; None where there is no atom."""
        occupants: list[str | None] = [None] * self.supercell.n_sites
        for site, element in zip(self.sites.tolist(), self.elements, strict=True):
            if site >= 0:
                occupants[site] = element
        return occupants

    @property
    def differing(self) -> int:
        """Number of defects."""
        pairs = zip(self.supercell.elements, self.occupants, strict=True)
        return sum(was != now for was, now in pairs)

    @property
    def misplaced(self) -> list[int]:
        """Atoms without a site of their own within half a bond, the worst first."""
        limit = self.supercell.host.shortest_bond / 2
        wrong = np.flatnonzero((self.sites < 0) | (self.distances > limit))
        return sorted(
            wrong.tolist(), key=lambda atom: (self.sites[atom] >= 0, -self.distances[atom], atom)
        )

    @property
    def fits(self) -> bool:
        """Whether all atoms are so near to their sites that it cannot be by a wrong shift."""
        limit = _CERTAIN * self.supercell.host.shortest_bond
        return bool((self.sites >= 0).all() and self.distances.max(initial=0.0) < limit)

    @property
    def exact(self) -> bool:
        """Whether the atoms are on their sites, so that no other assignment can be better."""
        limit = _EXACT * self.supercell.host.shortest_bond
        return bool((self.sites >= 0).all() and self.distances.max(initial=0.0) < limit)

    @property
    def rank(self) -> tuple[int, int, float]:
        """The smaller, the better: misplaced atoms count first, then defects, then distances."""
        return len(self.misplaced), self.differing, round(self.spread, 6)

    @property
    def spread(self) -> float:
        """Root mean square of the distances, Å, and the strain."""
        return _spread(self.distances, self.strain)


def assign(
    layer: Layer, match: LatticeMatch, shift: Floats, worst: float = np.inf
) -> Assignment | None:
    """Assign atoms to sites, each to the nearest; if two would share one, optimally.

    The optimal assignment has the smallest sum of squared distances (Kuhn's Hungarian
    algorithm as implemented in scipy).

    Args:
        layer: The structure.
        match: The supercell that it may be.
        shift: Rigid shift of the structure: two fractions of the unit cell's axes and a
            height in Å.
        worst: Largest :attr:`Assignment.spread` that is of interest.

    Returns:
        The assignment; None if its spread is sure to be larger than ``worst``.
    """
    supercell = Supercell.of_matrix(match.host, match.matrix)
    places = match.places(layer) + shift
    sites, vectors = _nearest(supercell, places)
    centre = np.median(vectors, axis=0)
    if np.linalg.norm(centre) > _CENTRED:
        places = places - [*centre[:2] @ np.linalg.inv(match.host.plane), centre[2]]
        sites, vectors = _nearest(supercell, places)
    distances = np.linalg.norm(vectors, axis=1)
    if _spread(distances, match.strain) > worst:  # other sites are farther away still
        return None
    nearest, to_nearest = sites, distances
    shared = len(np.unique(sites)) < len(sites)
    limit = match.host.shortest_bond / 2
    if np.median(distances) > limit / 2:  # the shift is a wrong one: not worth an optimum
        sites = np.full_like(sites, -1) if shared else sites
    elif shared or distances.max(initial=0.0) > limit:
        sites, distances, nearest, to_nearest = _optimal(supercell, places)
    return Assignment(
        supercell, layer.elements, sites, distances, nearest, to_nearest, match.strain
    )


def _spread(distances: Floats, strain: float) -> float:
    return float(np.sqrt(np.mean(distances**2) + strain**2))


def _nearest(supercell: Supercell, places: Floats) -> tuple[Ints, Floats]:
    """The site nearest to every atom, ``(n,)``, and the vectors from there, Å, ``(n, 3)``."""
    host = supercell.host
    offsets = places[:, None, :2] - host.offsets[None, :, :2]  # (n, atoms of the unit cell, 2)
    whole = np.round(offsets)
    heights = places[:, None, 2] - host.heights
    vectors = np.concatenate([(offsets - whole) @ host.plane, heights[..., None]], axis=2)
    atoms = np.einsum("nki,nki->nk", vectors, vectors).argmin(axis=1)
    own = np.arange(len(places))
    return supercell.sites(atoms, whole[own, atoms].astype(np.int64)), vectors[own, atoms]


def _optimal(supercell: Supercell, places: Floats) -> tuple[Ints, Floats, Ints, Floats]:
    """The best assignment: sites and distances, nearest sites and distances to them."""
    table = _distances(supercell, places)
    rows, columns = linear_sum_assignment(table**2)
    sites = np.full(len(places), -1)
    sites[rows] = columns
    nearest, to_nearest = table.argmin(axis=1), table.min(axis=1)
    own = np.arange(len(places))
    distances = np.where(sites >= 0, table[own, sites], to_nearest)
    return sites, distances, nearest, to_nearest


def _distances(supercell: Supercell, places: Floats) -> Floats:
    """Distances from atoms to all sites, Å, shape ``(n, n_sites)``."""
    host = supercell.host
    vectors = supercell.matrix @ host.plane
    reduced = reduced_basis(vectors)
    basis = vectors if reduced is None else reduced
    coords = supercell.coords
    targets = coords[:, :2] @ vectors
    fractions = (places[:, None, :2] @ host.plane - targets) @ np.linalg.inv(basis)
    fractions -= np.round(fractions)
    images = np.array(list(itertools.product((-1, 0, 1), repeat=2)))
    in_plane = np.min(
        [np.linalg.norm((fractions + image) @ basis, axis=2) for image in images], axis=0
    )
    heights = np.repeat(host.heights, supercell.nx * supercell.ny)
    return np.asarray(np.hypot(in_plane, places[:, None, 2] - heights))
