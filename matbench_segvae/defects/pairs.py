"""Pair classes: which kinds of defect pairs occur at which lattice vectors, and how often.

A class is an orbit of pairs: one kind, one distance, one direction as far as the symmetry of the
host distinguishes directions. On a lattice the distances between defects are discrete. A law that
depends on pairs alone therefore needs evaluating once per class, and the energy of a structure is
its row of counts times the values of the classes. Beside the counts stand the descriptors of
many-body terms (see :mod:`~matbench_segvae.defects.many_body`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.defects.directions import site_directions
from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.kinds import (
    PairKind,
    ordered_defect_kinds,
    ordered_pair_kinds,
    planes_of,
)
from matbench_segvae.defects.many_body import (
    MANY_BODY_TERMS,
    ManyBodyTerm,
    TermColumn,
    term_columns,
)
from matbench_segvae.defects.recognition import sparse_defects
from matbench_segvae.defects.sparse import DefectiveCell
from matbench_segvae.defects.supercells import site_distances
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats, Ints

SAME_DISTANCE = 5e-4  # Å; distances that are not farther apart belong to one class
SAME_DIRECTION = 1e-3
_THREE = 3  # defects; fewer have no many-body terms


class _Found(NamedTuple):
    """A pair of defects: row of its structure, kind, distance (Å) and direction."""

    row: int
    kind: PairKind
    distance: float
    direction: float


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Defects and defect pairs of N structures, in R pair classes.

    Attributes:
        defect_kinds: Names such as ``"V_Mo"``; defects on metal sites first.
        composition: How many defects of each kind a structure has, int, shape
            ``(N, len(defect_kinds))``.
        pair_kinds: Kinds of pairs, in the order of the defects in them.
        kind: Index into ``pair_kinds`` of every class, int, shape ``(R,)``; ascending.
        distance: Distance of every class, Å, shape ``(R,)``; ascending within a kind.
        direction: Direction of every class from its first to its second defect, from -1 to 1,
            shape ``(R,)``; see :mod:`~matbench_segvae.defects.directions`. Ascending within a
            distance.
        counts: How many pairs of each class a structure has, int, shape ``(N, R)``.
        terms: Many-body terms whose descriptors follow.
        descriptors: For each column of each term the sum of the term's weights over a
            structure, shape ``(N, len(term_columns))``, the columns of the first term first.
    """

    defect_kinds: tuple[str, ...]
    composition: Ints
    pair_kinds: tuple[PairKind, ...]
    kind: Ints
    distance: Floats
    direction: Floats
    counts: Ints
    terms: tuple[ManyBodyTerm, ...]
    descriptors: Floats

    @classmethod
    def none(cls, defect_kinds: Sequence[str], pair_kinds: Sequence[PairKind]) -> PairCounts:
        """Counts of no structures, to name the kinds that others may have."""
        kinds, terms = tuple(defect_kinds), tuple(MANY_BODY_TERMS.values())
        return cls(
            defect_kinds=kinds,
            composition=np.zeros((0, len(kinds)), dtype=np.int64),
            pair_kinds=tuple(pair_kinds),
            kind=np.zeros(0, dtype=np.int64),
            distance=np.zeros(0),
            direction=np.zeros(0),
            counts=np.zeros((0, 0), dtype=np.int64),
            terms=terms,
            descriptors=np.zeros((0, len(term_columns(terms, kinds)))),
        )

    @property
    def n_sites(self) -> Ints:
        """Number of defects of every structure, int, shape ``(N,)``."""
        return np.asarray(self.composition.sum(axis=1))

    @property
    def shortest(self) -> Floats:
        """Shortest pair distance of every structure, Å, shape ``(N,)``; NaN without pairs."""
        distances = np.where(self.counts > 0, self.distance, np.inf).min(axis=1, initial=np.inf)
        return np.asarray(np.where(np.isinf(distances), np.nan, distances))

    def subset(self, rows: Ints) -> PairCounts:
        """Some of the structures, given by their numbers, with the same kinds and classes."""
        return replace(
            self,
            composition=self.composition[rows],
            counts=self.counts[rows],
            descriptors=self.descriptors[rows],
        )

    @property
    def term_columns(self) -> tuple[TermColumn, ...]:
        """Term, and which defects it is for, of every column of the descriptors."""
        return term_columns(self.terms, self.defect_kinds)


def count_pairs(cells: Sequence[DefectiveCell], like: PairCounts | None = None) -> PairCounts:
    """Sort the defect pairs of many structures into classes.

    Each pair counts once, at its shortest distance among periodic images in the plane.
    Distances are those of the pristine host's sites.

    Args:
        cells: Structures as described by :func:`~matbench_segvae.defects.sparse_defects`.
        like: Counts whose kinds of defects and pairs and whose terms to use, such as those
            of the training data. The classes are those of ``cells`` in any case.

    Returns:
        The counts.

    Raises:
        UserError: If a defect or a pair is of a kind that ``like`` does not have.
    """
    defect_kinds = _defect_kinds(cells, like)
    terms = tuple(MANY_BODY_TERMS.values()) if like is None else like.terms
    columns = {kind: column for column, kind in enumerate(defect_kinds)}
    composition = np.zeros((len(cells), len(columns)), dtype=np.int64)
    descriptors = np.zeros((len(cells), len(term_columns(terms, defect_kinds))))
    found: list[_Found] = []
    for row, cell in enumerate(cells):
        of_defect = np.array([columns[defect.kind] for defect in cell.defects], dtype=np.int64)
        np.add.at(composition[row], of_defect, 1)
        if len(of_defect) >= _THREE:
            distances = _distances(cell)
            each = [term.descriptors(distances, of_defect, len(columns)) for term in terms]
            descriptors[row] = np.concatenate(each)
        found.extend(_pairs(row, cell, columns))
    pair_kinds = _pair_kinds((pair.kind for pair in found), defect_kinds, like)
    kind, (distance, direction), counts = _classes(found, pair_kinds, len(cells))
    return PairCounts(
        defect_kinds=defect_kinds,
        composition=composition,
        pair_kinds=pair_kinds,
        kind=kind,
        distance=distance,
        direction=direction,
        counts=counts,
        terms=terms,
        descriptors=descriptors,
    )


def pairs_of(
    structures: Iterable[Structure],
    like: PairCounts | None = None,
    hosts: Iterable[Host] | None = None,
) -> PairCounts:
    """Find the defects of structures and count their pairs.

    Args:
        structures: Defective supercells.
        like: Counts whose kinds of defects and pairs are known; nothing else may occur.
        hosts: What they may be supercells of; all known hosts by default.

    Raises:
        UserError: If a structure has no known host or an unknown kind of defect or pair.
    """
    chosen = None if hosts is None else tuple(hosts)
    return count_pairs([sparse_defects(structure, chosen) for structure in structures], like=like)


def _classes(
    found: Sequence[_Found], pair_kinds: Sequence[PairKind], n_rows: int
) -> tuple[Ints, tuple[Floats, Floats], Ints]:
    """Count pairs of the same kind, distance and direction.

    Args:
        found: All pairs.
        pair_kinds: All kinds in their order.
        n_rows: Number of structures ``N``.

    Returns:
        Kind, distance and direction of every class, ``(R,)``, and how often rows have it,
        ``(N, R)``.
    """
    order = {kind: index for index, kind in enumerate(pair_kinds)}
    kinds = np.array([order[pair.kind] for pair in found], dtype=np.int64)
    distances = np.array([pair.distance for pair in found], dtype=np.float64)
    directions = np.array([pair.direction for pair in found], dtype=np.float64)
    rows = np.array([pair.row for pair in found], dtype=np.int64)
    # Clusters instead of rounded values: rounding would part two equal distances where it turns
    # from down to up.
    shells = clusters(kinds, distances, SAME_DISTANCE)
    of_pair = clusters(shells, directions, SAME_DIRECTION)
    _, firsts = np.unique(of_pair, return_index=True)
    counts = np.zeros((n_rows, len(firsts)), dtype=np.int64)
    np.add.at(counts, (rows, of_pair), 1)
    # Equal to rounding are the distances of one shell: its classes share the first one.
    _, shell_firsts = np.unique(shells, return_index=True)
    distance = distances[shell_firsts][shells[firsts]]
    return kinds[firsts], (distance, directions[firsts]), counts


def clusters(groups: Ints, values: Floats, width: float) -> Ints:
    """Number the clusters of values within groups, ascending by group and value.

    Args:
        groups: Group of each value, shape ``(n,)``.
        values: Shape ``(n,)``.
        width: Values of a group with no larger gap between them are one cluster.

    Returns:
        Number of each value's cluster, shape ``(n,)``.
    """
    ranks = np.lexsort((values, groups))
    new = np.diff(groups[ranks], prepend=-1) != 0
    new |= np.diff(values[ranks], prepend=-np.inf) > width
    clusters = np.empty(len(values), dtype=np.int64)
    clusters[ranks] = np.cumsum(new) - 1
    return clusters


def _defect_kinds(cells: Sequence[DefectiveCell], like: PairCounts | None) -> tuple[str, ...]:
    """List the kinds of defects in their order."""
    kinds = {defect.kind for cell in cells for defect in cell.defects}
    if like is None:
        return ordered_defect_kinds(kinds, {cell.supercell.host for cell in cells})
    refuse_unknown("defect", kinds, like.defect_kinds)
    return like.defect_kinds


def _pair_kinds(
    pairs: Iterable[PairKind], defect_kinds: Sequence[str], like: PairCounts | None
) -> tuple[PairKind, ...]:
    """List the kinds of pairs in their order."""
    kinds = set(pairs)
    if like is None:
        return ordered_pair_kinds(kinds, defect_kinds)
    refuse_unknown("pair", map(str, kinds), [str(kind) for kind in like.pair_kinds])
    return like.pair_kinds


def refuse_unknown(what: str, found: Iterable[str], known: Sequence[str]) -> None:
    """Refuse kinds that the training data do not have."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise UserError(
            f"{what} kinds {', '.join(unknown)} do not occur in the training data, which have "
            f"{', '.join(known) or 'none'}: train on structures that have them"
        )


def _pairs(row: int, cell: DefectiveCell, columns: Mapping[str, int]) -> list[_Found]:
    """List every defect pair of a structure."""
    host = cell.supercell.host
    distances, heights = site_distances(cell.supercell)
    pairs = []
    for one, two in itertools.combinations(cell.defects, 2):
        planes = planes_of(host, one.removed, two.removed, float(heights[one.site, two.site]))
        first, second = sorted((one, two), key=lambda defect: columns[defect.kind])
        directions = site_directions(cell.supercell, first.kind == second.kind)
        between = first.site, second.site
        kind = PairKind(first.kind, second.kind, planes)
        pairs.append(_Found(row, kind, float(distances[between]), float(directions[between])))
    return pairs


def _distances(cell: DefectiveCell) -> Floats:
    """Distances between all defects of a structure, Å, shape ``(n, n)``."""
    distances, _ = site_distances(cell.supercell)
    sites = [defect.site for defect in cell.defects]
    return np.asarray(distances[np.ix_(sites, sites)])
