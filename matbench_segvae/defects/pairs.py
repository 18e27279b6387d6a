"""Pair classes: which kinds of defect pairs occur at which lattice distances, and how often.

On a lattice the distances between defects are discrete. A law that depends on pairs
alone therefore needs evaluating once per class, and the energy of a structure is its row
of counts times the values of the classes. Beside them stands one number for every kind of
defect that says how closely others crowd around it, for what pairs alone do not explain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from matbench_segvae.defects.distances import plane_distances
from matbench_segvae.defects.hosts import HOSTS, Host
from matbench_segvae.defects.sparse import Defect, DefectiveCell
from matbench_segvae.errors import UserError

_DECIMALS = 3  # of Å; distances that agree so far belong to one class


_PROBE_CELL = (4, 4)  # unit cells, enough to hold every shortest distance


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Defects and defect pairs of N structures, in R pair classes.

    Attributes:
        defect_kinds: Names such as ``"V_Mo"``; defects on metal sites first.
        composition: How many defects of each kind a structure has, int, shape
            ``(N, len(defect_kinds))``.
        pair_kinds: Names such as ``"V_Mo-V_S"``, or ``"V_S-V_S same plane"`` and
            ``"V_S-V_S across"`` where the layers of the host allow both.
        kind: Index into ``pair_kinds`` of every class, int, shape ``(R,)``; ascending.
        distance: Distance of every class, Å, shape ``(R,)``; ascending within a kind.
        dz: Its part out of the plane, Å, not negative, shape ``(R,)``.
        counts: How many pairs of each class a structure has, int, shape ``(N, R)``.
        crowding: For each kind of defect the sum over its defects, and over any two others
            at distances ``r1`` and ``r2`` from it, of ``1 / (r1 r2)``, Å⁻², shape
            ``(N, len(defect_kinds))``; 0 with fewer than three defects.
    """

    defect_kinds: tuple[str, ...]
    composition: np.ndarray
    pair_kinds: tuple[str, ...]
    kind: np.ndarray
    distance: np.ndarray
    dz: np.ndarray
    counts: np.ndarray
    crowding: np.ndarray

    @property
    def n_sites(self) -> np.ndarray:
        """Number of defects of every structure, int, shape ``(N,)``."""
        return np.asarray(self.composition.sum(axis=1))


def count_pairs(cells: Sequence[DefectiveCell], like: PairCounts | None = None) -> PairCounts:
    """Sort the defect pairs of many structures into classes.

    Each pair counts once, at its shortest distance among periodic images in the plane.
    Distances are those of the pristine host's sites.

    Args:
        cells: Structures as told by :func:`~matbench_segvae.defects.sparse_defects`.
        like: A table whose ``defect_kinds`` and ``pair_kinds`` to use, such as that of
            the training data. The classes are those of ``cells`` in any case.

    Returns:
        The table.

    Raises:
        UserError: If a defect or a pair is of a kind that ``like`` does not have.
    """
    kinds = _vocabulary(cells, like)
    composition = np.zeros((len(cells), len(kinds)), dtype=np.int64)
    crowding = np.zeros((len(cells), len(kinds)))
    columns = {kind: column for column, kind in enumerate(kinds)}
    found: list[tuple[int, str, float, float]] = []  # row, pair kind, distance, |dz|
    for row, cell in enumerate(cells):
        for defect, crowd in zip(cell.defects, _crowding(cell), strict=True):
            composition[row, columns[defect.kind]] += 1
            crowding[row, columns[defect.kind]] += crowd
        found.extend((row, *pair) for pair in _pairs(cell, columns))
    pair_kinds = _pair_vocabulary((pair for _, pair, _, _ in found), columns, like)
    order = {pair: index for index, pair in enumerate(pair_kinds)}
    # A class is named by its kind and its rounded distance; (kind, distance) -> (d, |dz|).
    classes: dict[tuple[int, float], tuple[float, float]] = {}
    keys = []
    for _, pair, distance, dz in found:
        keys.append((order[pair], round(distance, _DECIMALS)))
        classes.setdefault(keys[-1], (distance, dz))
    ordered = sorted(classes)
    index = {key: position for position, key in enumerate(ordered)}
    counts = np.zeros((len(cells), len(ordered)), dtype=np.int64)
    rows = np.array([row for row, *_ in found], dtype=np.int64)
    np.add.at(counts, (rows, np.array([index[key] for key in keys], dtype=np.int64)), 1)
    values = np.array([classes[key] for key in ordered]).reshape(-1, 2)
    return PairCounts(
        defect_kinds=kinds,
        composition=composition,
        pair_kinds=pair_kinds,
        kind=np.array([kind for kind, _ in ordered], dtype=np.int64),
        distance=values[:, 0],
        dz=values[:, 1],
        counts=counts,
        crowding=crowding,
    )


def shortest_distances(hosts: Iterable[str], pair_kinds: Sequence[str]) -> list[float]:
    """The shortest distance, Å, at which the lattice of some host lets each kind of pair occur.

    Args:
        hosts: Names of hosts, at least one.
        pair_kinds: Kinds of pairs as a :class:`PairCounts` names them.
    """
    by_host = [_shortest_on(host, pair_kinds) for host in hosts]
    return [min(distances) for distances in zip(*by_host, strict=True)]


def _shortest_on(host: str, pair_kinds: Sequence[str]) -> list[float]:
    lattice = HOSTS[host]
    elements = np.array(lattice.site_elements(*_PROBE_CELL))
    distances, heights = _site_distances(lattice, *_PROBE_CELL)
    found = []
    for kind in pair_kinds:
        names, _, relation = kind.partition(" ")
        one, two = (name.partition("_")[2] for name in names.split("-"))
        fitting = (elements[:, None] == one) & (elements[None, :] == two) & (distances > 0)
        if relation:
            fitting &= (heights > 10.0**-_DECIMALS) == (relation == "across")
        found.append(float(distances[fitting].min(initial=np.inf)))
    return found


def same_defects(pair_kinds: Sequence[str]) -> tuple[int, ...]:
    """Number the kinds of pairs so that those of the same two defects share a number.

    Args:
        pair_kinds: Kinds of pairs as a :class:`PairCounts` names them.

    Returns:
        A number for each kind, counted from 0 in the order in which they come.
    """
    names = [kind.partition(" ")[0] for kind in pair_kinds]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers[name] for name in names)


def _vocabulary(cells: Sequence[DefectiveCell], like: PairCounts | None) -> tuple[str, ...]:
    """List the kinds of defects, those on metal sites first."""
    # The first atom of a host is its metal.
    kinds = {
        defect.kind: (defect.removed != HOSTS[cell.host].elements[0], defect.kind)
        for cell in cells
        for defect in cell.defects
    }
    if like is None:
        return tuple(sorted(kinds, key=lambda kind: kinds[kind]))
    _refuse_unknown("defect", kinds, like.defect_kinds)
    return like.defect_kinds


def _pair_vocabulary(
    pairs: Iterable[str], columns: Mapping[str, int], like: PairCounts | None
) -> tuple[str, ...]:
    """List the kinds of pairs in the order of the defects in them, the same plane first."""

    def rank(pair: str) -> tuple[int, int, bool]:
        names, _, relation = pair.partition(" ")
        first, second = names.split("-")
        return columns[first], columns[second], relation == "across"

    kinds = dict.fromkeys(pairs)
    if like is None:
        return tuple(sorted(kinds, key=rank))
    _refuse_unknown("pair", kinds, like.pair_kinds)
    return like.pair_kinds


def _refuse_unknown(what: str, found: Iterable[str], known: Sequence[str]) -> None:
    """Complain about kinds that the training data do not have."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise UserError(
            f"{what} kinds {', '.join(unknown)} do not occur in the training data, which have "
            f"{', '.join(known) or 'none'}: train on structures that have them"
        )


def _pairs(cell: DefectiveCell, columns: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """List kind, distance and |dz| of every defect pair of a structure."""
    host = HOSTS[cell.host]
    distances, heights = _site_distances(host, *cell.repeats[:2])
    pairs = []
    for one, two in itertools.combinations(cell.defects, 2):
        dz = float(heights[one.site, two.site])
        name = _pair_kind(host, one, two, dz, columns)
        pairs.append((name, float(distances[one.site, two.site]), dz))
    return pairs


def _crowding(cell: DefectiveCell) -> np.ndarray:
    """Sum ``1 / (r1 r2)`` over any two other defects around each one, Å⁻², shape ``(n,)``."""
    distances, _ = _site_distances(HOSTS[cell.host], *cell.repeats[:2])
    sites = [defect.site for defect in cell.defects]
    apart = distances[np.ix_(sites, sites)]
    inverse = np.divide(1, apart, out=np.zeros_like(apart), where=apart > 0)
    # Each two are in the square of the sum twice, and each one with itself once.
    return np.asarray((inverse.sum(axis=1) ** 2 - (inverse**2).sum(axis=1)) / 2)


def _pair_kind(host: Host, one: Defect, two: Defect, dz: float, columns: Mapping[str, int]) -> str:
    """Name a pair: both defects in the table's order, and their planes if that says more."""
    first, second = sorted((one.kind, two.kind), key=lambda kind: columns[kind])
    relation = ""
    if _has_layers(host, one.removed, two.removed):
        relation = " across" if dz > 10.0**-_DECIMALS else " same plane"
    return f"{first}-{second}{relation}"


@lru_cache(maxsize=64)
def _has_layers(host: Host, one: str, two: str) -> bool:
    """Tell whether sites of two elements may differ in height in more than one way."""
    z = [(element, xyz[2] * host.c) for element, xyz in host.atoms]
    heights = {
        round(abs(first - second), _DECIMALS)
        for (a, first), (b, second) in itertools.product(z, z)
        if (a, b) == (one, two)
    }
    return len(heights) > 1


@lru_cache(maxsize=16)
def _site_distances(host: Host, nx: int, ny: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute distances and |dz| between all sites of a supercell.

    Returns:
        Two read-only arrays in Å of shape ``(n_sites, n_sites)``.
    """
    tables = plane_distances(host.site_coords(nx, ny), host.lattice(nx, ny).matrix)
    for table in tables:
        table.setflags(write=False)
    return tables
