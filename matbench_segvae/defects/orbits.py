"""Which defect configurations are the same up to the symmetry of the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from matbench_segvae.defects.kinds import placed_element, site_kind_of
from matbench_segvae.defects.sparse import Defect, defects_on
from matbench_segvae.defects.supercells import Supercell
from matbench_segvae.errors import UserError

Sites = tuple[int, ...]
"""Site numbers of a supercell: those of the first kind of defect ascending, then the next."""


@dataclass(frozen=True)
class Orbits:
    """Configurations sorted into classes of symmetry-equivalent ones.

    Attributes:
        supercell: What the defects are in.
        kinds: Kind of the defect on each site of a configuration.
        representatives: The first configuration of each orbit, in enumeration order.
        members: Enumerated configuration to the number of its orbit. Every orbit is in
            it, but not every image of each configuration.
    """

    supercell: Supercell
    kinds: tuple[str, ...]
    representatives: tuple[Sites, ...]
    members: dict[Sites, int]

    @cached_property
    def defects(self) -> tuple[tuple[Defect, ...], ...]:
        """The defects of each representative, ascending by site."""
        return tuple(
            defects_on(
                self.supercell,
                {site: placed_element(kind) for site, kind in zip(sites, self.kinds, strict=True)},
            )
            for sites in self.representatives
        )


def defect_orbits(supercell: Supercell, counts: Mapping[str, int]) -> Orbits:
    """Enumerate the inequivalent ways to place defects in a supercell.

    Args:
        supercell: What to place them in.
        counts: How many defects of each kind, such as ``{"V_Mo": 1, "Se_S": 2}``; kinds with
            none do not count.

    Returns:
        The orbits under the symmetry of the host, in lexicographic order of the sites.

    Raises:
        UserError: If a kind is none of this host, or there are more defects than sites or none.
    """
    groups = _groups(supercell, counts)
    sizes = [n for _, n in groups]
    permutations = supercell.permutations
    ends = np.cumsum(sizes)[:-1]
    # Python's integers, since the number of a large configuration exceeds 64 bits.
    kind = np.int64 if supercell.n_sites ** sum(sizes) < 2**62 else object
    weights = np.array([supercell.n_sites**n for n in range(sum(sizes))][::-1], dtype=kind)
    seen: dict[int, int] = {}
    representatives: list[Sites] = []
    members: dict[Sites, int] = {}
    for sites in _enumerate(supercell, groups):
        key = int(np.dot(sites, weights))
        if key not in seen:
            images = np.split(permutations[:, list(sites)], ends, axis=1)
            keys = np.concatenate([np.sort(part, axis=1) for part in images], axis=1) @ weights
            seen.update(dict.fromkeys(keys.tolist(), len(representatives)))
            representatives.append(sites)
        members[sites] = seen[key]
    kinds = tuple(kind for kind, n in groups for _ in range(n))
    return Orbits(supercell, kinds, tuple(representatives), members)


def _groups(supercell: Supercell, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Kinds and numbers that can be placed.

    Raises:
        UserError: If they cannot.
    """
    groups = [(kind, n) for kind, n in counts.items() if n]
    available = {kind: supercell.site_kinds.count(kind) for kind in supercell.host.site_kinds}
    for kind, n in groups:
        site = site_kind_of(kind)
        if site not in available or n < 0:
            raise UserError(
                f"cannot place {n} {kind} in {supercell}: give 0 or more defects on the sites "
                f"{', '.join(available)}"
            )
        available[site] -= n
    if not groups or min(available.values()) < 0:
        raise UserError(
            f"cannot place {dict(counts)} in {supercell}: give at least one defect, and no more "
            f"than there are sites"
        )
    return groups


def _enumerate(supercell: Supercell, groups: Sequence[tuple[str, int]]) -> Iterator[Sites]:
    """Yield configurations, at least one of every orbit.

    One site of the first kind of defect may be fixed to the first of its orbit of sites.
    """
    kinds = supercell.site_kinds
    sites = [
        [site for site, kind in enumerate(kinds) if kind == site_kind_of(defect)]
        for defect, _ in groups
    ]
    firsts = sorted({int(image.min()) for image in supercell.permutations[:, sites[0]].T})
    others = [
        (first, *rest)
        for first in firsts
        for rest in itertools.combinations([s for s in sites[0] if s != first], groups[0][1] - 1)
    ]
    heads = dict.fromkeys(tuple(sorted(head)) for head in others)
    tails = [
        itertools.combinations(group, n)
        for group, (_, n) in zip(sites[1:], groups[1:], strict=True)
    ]
    for head, *rest in itertools.product(heads, *tails):
        configuration = (*head, *itertools.chain.from_iterable(rest))
        if len(set(configuration)) == len(configuration):
            yield configuration
