"""Kinds of defects and of defect pairs: their labels, their order, and how close they get."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np

from matbench_segvae.defects.distances import site_distances
from matbench_segvae.defects.hosts import HOSTS, Host

_DECIMALS = 3  # of Å; heights that agree so far are the same
_SAME_HEIGHT = 10.0**-_DECIMALS  # Å
_PROBE_CELL = (4, 4)  # unit cells, enough to hold every shortest distance


class Planes(Enum):
    """Whether the two defects of a pair are in one plane of atoms of the host."""

    SAME = "same plane"
    ACROSS = "across"


# A defect kind is an element, or V for a vacancy, and the element of the host.
_LABEL = re.compile(
    rf"([A-Za-z]+_[A-Za-z]+)-([A-Za-z]+_[A-Za-z]+)(?: ({'|'.join(p.value for p in Planes)}))?"
)


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
                f"'{label}' is not a kind of pair: give two kinds of defects such as "
                "'V_Mo-V_S', with ' same plane' or ' across' after them where both occur"
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


def host_element(defect_kind: str) -> str:
    """Element of the host on whose site a defect such as ``"Se_S"`` is."""
    return defect_kind.partition("_")[2]


def ordered_defect_kinds(kinds: Iterable[str], hosts: Iterable[str]) -> tuple[str, ...]:
    """Sort kinds of defects: those on metal sites first, then by name.

    Args:
        kinds: Kinds of defects, each of them once in the result.
        hosts: Names of the hosts; unknown ones do not count.
    """
    # The first atom of a host is its metal.
    metals = {HOSTS[host].elements[0] for host in hosts if host in HOSTS}
    return tuple(sorted(set(kinds), key=lambda kind: (host_element(kind) not in metals, kind)))


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
    """Whether two sites are in one plane of atoms, if the host has both cases.

    Args:
        host: The pristine host.
        one: Element of one site.
        two: Element of the other.
        height: Difference in height between the sites, Å, not negative.
    """
    if not _has_several_heights(host, one, two):
        return None
    return Planes.ACROSS if height > _SAME_HEIGHT else Planes.SAME


@lru_cache(maxsize=64)
def _has_several_heights(host: Host, one: str, two: str) -> bool:
    """Whether sites of two elements may differ in height in more than one way."""
    z = [(element, xyz[2] * host.c) for element, xyz in host.atoms]
    heights = {
        round(abs(first - second), _DECIMALS)
        for (a, first), (b, second) in itertools.product(z, z)
        if (a, b) == (one, two)
    }
    return len(heights) > 1


def shortest_distances(hosts: Iterable[str], pair_kinds: Sequence[PairKind]) -> list[float]:
    """The shortest distance, Å, at which the lattice of some host lets each kind of pair occur.

    Args:
        hosts: Names of hosts, at least one.
        pair_kinds: Kinds of pairs.
    """
    by_host = [[_shortest_on(HOSTS[host], kind) for kind in pair_kinds] for host in hosts]
    return [min(distances) for distances in zip(*by_host, strict=True)]


def _shortest_on(host: Host, kind: PairKind) -> float:
    """The shortest distance of a kind of pair on the lattice of a host, Å."""
    elements = np.array(host.site_elements(*_PROBE_CELL))
    distances, heights = site_distances(host, *_PROBE_CELL)
    one, two = map(host_element, kind.defects)
    fitting = (elements[:, None] == one) & (elements[None, :] == two) & (distances > 0)
    if kind.planes:
        fitting &= (heights > _SAME_HEIGHT) == (kind.planes is Planes.ACROSS)
    return float(distances[fitting].min(initial=np.inf))
