"""Which defect configurations are the same up to the symmetry of the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.defects.hosts import Host
from matbench_segvae.errors import UserError

Sites = tuple[int, ...]
"""Site numbers of a supercell, ascending."""


@dataclass(frozen=True)
class Orbits:
    """Configurations sorted into classes of symmetry-equivalent ones.

    Attributes:
        representatives: The first configuration of each orbit, in enumeration order.
        members: Enumerated configuration to the number of its orbit. Every orbit is in
            it, but of the translated copies only those whose first site is the first of
            its element.
    """

    representatives: tuple[Sites, ...]
    members: dict[Sites, int]


def canonical_sites(host: Host, nx: int, ny: int, sites: Sequence[int]) -> Sites:
    """Find the smallest symmetry image of a set of sites.

    Two sets of vacancies are equivalent exactly if their canonical sites are equal.

    Args:
        host: The pristine host.
        nx: Repeats along the first axis.
        ny: Repeats along the second axis.
        sites: Distinct site numbers of the supercell.

    Returns:
        The lexicographically smallest sorted image.
    """
    images = np.sort(host.site_permutations(nx, ny)[:, list(sites)], axis=1)
    order = np.lexsort(images.T[::-1])
    return tuple(int(site) for site in images[order[0]])


def vacancy_orbits(host: Host, nx: int, ny: int, counts: Sequence[int]) -> Orbits:
    """Enumerate the inequivalent ways to remove atoms from a supercell.

    Args:
        host: The pristine host.
        nx: Repeats along the first axis.
        ny: Repeats along the second axis.
        counts: How many atoms of each element to remove, elements in the order in which
            they first occur in the host (metal, chalcogen).

    Returns:
        The orbits under translations and D3h, in lexicographic order.

    Raises:
        UserError: If more atoms are to be removed than there are, or none at all.
    """
    permutations = host.site_permutations(nx, ny)
    weights = len(permutations[0]) ** np.arange(sum(counts))[::-1]
    seen: dict[int, int] = {}
    representatives: list[Sites] = []
    members: dict[Sites, int] = {}
    for sites in _enumerate(host, nx, ny, counts):
        key = int(np.dot(sites, weights))
        if key not in seen:
            images = np.sort(permutations[:, list(sites)], axis=1) @ weights
            seen.update(dict.fromkeys(images.tolist(), len(representatives)))
            representatives.append(sites)
        members[sites] = seen[key]
    return Orbits(tuple(representatives), members)


def _enumerate(host: Host, nx: int, ny: int, counts: Sequence[int]) -> Iterator[Sites]:
    """Yield configurations, at least one of every orbit.

    All sites of one element are equivalent, so the first removed atom may be fixed.
    """
    elements = host.site_elements(nx, ny)
    groups = [
        [site for site, element in enumerate(elements) if element == symbol]
        for symbol in dict.fromkeys(host.elements)
    ]
    wanted = [(group, n) for group, n in zip(groups, counts, strict=True) if n]
    if not wanted or any(n < 0 or n > len(group) for group, n in wanted):
        sizes = ", ".join(str(len(group)) for group in groups)
        raise UserError(
            f"cannot remove {tuple(counts)} atoms from {nx} x {ny} {host.name}: "
            f"give at least one and at most ({sizes})"
        )
    (first, n_first), *others = wanted
    heads = [(first[0], *rest) for rest in itertools.combinations(first[1:], n_first - 1)]
    tails = [itertools.combinations(group, n) for group, n in others]
    for head, *rest in itertools.product(heads, *tails):
        yield (*head, *itertools.chain.from_iterable(rest))
