"""Kinds of defects and of defect pairs: their labels, their order, and how close they get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np

from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.supercells import Supercell, site_distances
from matbench_segvae.errors import cut

_SAME_HEIGHT = 1e-3  # Å
_PROBE_CELL = (4, 4)  # unit cells, enough to hold every shortest distance


class Planes(Enum):
    """How the planes of atoms that the two defects of a pair are in lie to each other.

    Symmetry moves a site to its own height or the opposite one, so there are never more than
    two cases for a kind of pair.
    """

    SAME = "same plane"
    SIDE = "same side"
    ACROSS = "across"


# A defect kind is an element, or V for a vacancy, and the kind of site of the host.
_DEFECT = r"[A-Za-z]{1,3}_[A-Za-z]{1,3}(?:\([1-9][0-9]{0,3}\))?"
_LABEL = re.compile(rf"({_DEFECT})-({_DEFECT})(?: ({'|'.join(p.value for p in Planes)}))?")


@dataclass(frozen=True)
class PairKind:
    """A kind of defect pair.

    Attributes:
        first: Kind of the defect that comes first in the order of defect kinds.
        second: Kind of the other defect.
        planes: Whether both are in one plane; None where the host allows one case only.
    """

    first: str
    second: str
    planes: Planes | None = None

    @classmethod
    def parse(cls, label: str) -> PairKind:
        """Read a label.

        Raises:
            ValueError: If it is not the label of a kind of pair.
        """
        found = _LABEL.fullmatch(label)
        if found is None:
            raise ValueError(
                f"'{cut(label)}' is not a kind of pair: give two kinds of defects such as "
                "'V_Mo-V_S', with ' same plane', ' same side' or ' across' after them "
                "where two occur"
            )
        first, second, planes = found.groups()
        return cls(first, second, Planes(planes) if planes else None)

    def __str__(self) -> str:
        """The label: ``"V_Mo-V_S"``, ``"V_S-V_S same plane"``, ``"V_S-V_S across"``."""
        return f"{self.first}-{self.second}{f' {self.planes.value}' if self.planes else ''}"

    @property
    def defects(self) -> tuple[str, str]:
        """Kinds of both defects."""
        return self.first, self.second


def checked_defect_kind(label: str) -> str:
    """The label of a kind of defect, as it is.

    Raises:
        ValueError: If it is none.
    """
    if not re.fullmatch(_DEFECT, label):
        raise ValueError(f"'{cut(label)}' is not a kind of defect such as 'V_Mo' or 'Se_S'")
    return label


def site_kind_of(defect_kind: str) -> str:
    """Kind of the host's site on which a defect such as ``"Se_S"`` is."""
    return defect_kind.partition("_")[2]


def placed_element(defect_kind: str) -> str | None:
    """Element that a defect such as ``"Se_S"`` brings; None for a vacancy."""
    element = defect_kind.partition("_")[0]
    return None if element == "V" else element


def ordered_defect_kinds(kinds: Iterable[str], hosts: Iterable[Host]) -> tuple[str, ...]:
    """Sort kinds of defects by the order of their sites in the hosts, then by name.

    Args:
        kinds: Kinds of defects, each of them once in the result.
        hosts: The hosts; sites of the most electropositive element, such as the metal, are
            first in them.
    """
    ranks: dict[str, int] = {}
    for host in hosts:
        for rank, site in enumerate(dict.fromkeys(host.site_kinds)):
            ranks[site] = min(rank, ranks.get(site, rank))
    last = len(ranks)
    return tuple(sorted(set(kinds), key=lambda kind: (ranks.get(site_kind_of(kind), last), kind)))


def ordered_pair_kinds(
    kinds: Iterable[PairKind], defect_kinds: Sequence[str]
) -> tuple[PairKind, ...]:
    """Sort kinds of pairs by the order of their defects, the same plane first.

    Args:
        kinds: Kinds of pairs, each of them once in the result.
        defect_kinds: All kinds of defects in their order.

    Raises:
        KeyError: If a kind of defect is missing.
    """
    ranks: Mapping[str, int] = {kind: rank for rank, kind in enumerate(defect_kinds)}

    def rank(kind: PairKind) -> tuple[int, int, bool]:
        return ranks[kind.first], ranks[kind.second], kind.planes is Planes.ACROSS

    return tuple(sorted(set(kinds), key=rank))


def numbers_by_defects(pair_kinds: Sequence[PairKind]) -> tuple[int, ...]:
    """Number kinds of pairs so that those of the same two defects share a number.

    Returns:
        A number for each kind, counted from 0 in the order in which they come.
    """
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(_defects(pair_kinds)))}
    return tuple(numbers[pair] for pair in _defects(pair_kinds))


def _defects(pair_kinds: Sequence[PairKind]) -> list[tuple[str, str]]:
    return [kind.defects for kind in pair_kinds]


def planes_of(host: Host, one: str, two: str, height: float) -> Planes | None:
    """How the planes of two sites lie to each other, if the host has two cases.

    Args:
        host: The pristine host.
        one: Kind of one site.
        two: Kind of the other.
        height: Difference in height between the sites, Å, not negative.
    """
    near, far = _heights(host, one, two)
    if far - near < _SAME_HEIGHT:
        return None
    if height > (near + far) / 2:
        return Planes.ACROSS
    return Planes.SAME if near < _SAME_HEIGHT else Planes.SIDE


@lru_cache(maxsize=256)
def _heights(host: Host, one: str, two: str) -> tuple[float, float]:
    """Smallest and largest difference in height between sites of two kinds, Å."""
    kinds, heights = np.array(host.site_kinds), host.heights
    apart = np.abs(heights[kinds == one][:, None] - heights[kinds == two])
    return float(apart.min()), float(apart.max())


def shortest_distances(hosts: Iterable[Host], pair_kinds: Sequence[PairKind]) -> list[float]:
    """The shortest distance, Å, at which the lattice of some host lets each kind of pair occur.

    Args:
        hosts: At least one.
        pair_kinds: Kinds of pairs.
    """
    by_host = [[_shortest_on(host, kind) for kind in pair_kinds] for host in hosts]
    return [min(distances) for distances in zip(*by_host, strict=True)]


def _shortest_on(host: Host, kind: PairKind) -> float:
    """The shortest distance of a kind of pair on the lattice of a host, Å."""
    cell = Supercell(host, *_PROBE_CELL)
    kinds = np.array(cell.site_kinds)
    distances, heights = site_distances(cell)
    one, two = map(site_kind_of, kind.defects)
    if not {one, two} <= set(host.site_kinds):
        return float("inf")
    fitting = (kinds[:, None] == one) & (kinds[None, :] == two) & (distances > 0)
    if kind.planes:
        near, far = _heights(host, one, two)
        fitting &= (heights > (near + far) / 2) == (kind.planes is Planes.ACROSS)
    return float(distances[fitting].min(initial=np.inf))
