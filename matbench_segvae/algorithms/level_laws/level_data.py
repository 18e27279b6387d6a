"""What levels are fitted to: the defects of structures, each with the classes of its neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from matbench_segvae.defects import (
    DefectiveCell,
    Host,
    Planes,
    ordered_defect_kinds,
    sparse_defects,
)
from matbench_segvae.defects.directions import site_directions
from matbench_segvae.defects.kinds import planes_of
from matbench_segvae.defects.pairs import SAME_DIRECTION, SAME_DISTANCE, clusters, refuse_unknown
from matbench_segvae.defects.supercells import site_distances
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats, Ints


@dataclass(frozen=True)
class DirectedKind:
    """A kind of ordered pair: the defect whose level is shifted, and the one that shifts it.

    Attributes:
        defect: Kind of the defect whose level it is.
        neighbour: Kind of the defect that shifts it.
        planes: Whether both are in one plane; None where the host allows one case only.
    """

    defect: str
    neighbour: str
    planes: Planes | None = None

    def __str__(self) -> str:
        """The label: ``"V_Mo <- V_S"``, ``"V_S <- Se_S across"``."""
        return f"{self.defect} <- {self.neighbour}{f' {self.planes.value}' if self.planes else ''}"


class _Found(NamedTuple):
    """An ordered pair of defects: its kind, distance (Å) and direction."""

    kind: DirectedKind
    distance: float
    direction: float


@dataclass(frozen=True, eq=False)
class LevelData:
    """The ``D`` defects of ``N`` structures and their neighbours in ``C`` classes.

    A class is one directed kind of pair, one distance and one direction, see
    :mod:`~matbench_segvae.defects.directions`, here from the defect to its neighbour.

    Attributes:
        host: Of the first structure in training.
        defect_kinds: Names such as ``"V_Mo"``; defects on metal sites first.
        pair_kinds: Directed kinds of pairs.
        kind: Index into ``pair_kinds`` of every class, int, shape ``(C,)``.
        distance: Distance of every class, Å, shape ``(C,)``; ascending within a kind.
        direction: Direction of every class, from -1 to 1, shape ``(C,)``; ascending within a
            distance.
        ends: Position behind the last defect of every structure, int, shape ``(N,)``.
        of_defect: Index into ``defect_kinds`` of every defect, int, shape ``(D,)``.
        neighbours: How many neighbours of each class a defect has, shape ``(D, C)``.
    """

    host: Host
    defect_kinds: tuple[str, ...]
    pair_kinds: tuple[DirectedKind, ...]
    kind: Ints
    distance: Floats
    direction: Floats
    ends: Ints
    of_defect: Ints
    neighbours: csr_array

    @classmethod
    def of(
        cls,
        structures: pd.Series,
        hosts: Sequence[Host] | None = None,
        like: LevelData | None = None,
    ) -> LevelData:
        """Find the defects of structures and their neighbours.

        Args:
            structures: Defective supercells, pymatgen structures.
            hosts: What they may be supercells of; all known hosts by default.
            like: Data whose kinds of defects and pairs are known; nothing else may occur.

        Raises:
            UserError: If a structure has no known host, no defect, or a kind of defect or pair
                that ``like`` does not have.
        """
        cells = [sparse_defects(structure, hosts) for structure in structures]
        bare = [
            str(label) for label, c in zip(structures.index, cells, strict=True) if not c.defects
        ]
        if bare:
            raise UserError(
                f"structure {bare[0]} has no defect, and so no level of a defect: leave out "
                "pristine cells"
            )
        return cls.of_cells(cells, like)

    @classmethod
    def of_cells(cls, cells: Sequence[DefectiveCell], like: LevelData | None = None) -> LevelData:
        """The same of structures whose defects are known.

        Raises:
            UserError: As for :meth:`of`.
        """
        defects = [defect for cell in cells for defect in cell.defects]
        defect_kinds = _defect_kinds(cells, like)
        numbers = {kind: number for number, kind in enumerate(defect_kinds)}
        ends = np.cumsum([len(cell.defects) for cell in cells], dtype=np.int64)
        found = [pair for cell in cells for pair in _pairs(cell)]
        pair_kinds = _pair_kinds((pair.kind for pair in found), numbers, like)
        kind, (distance, direction), of_pair = _classes(found, pair_kinds)
        rows = np.repeat(np.arange(len(defects)), _n_neighbours(cells))
        shape = (len(defects), len(kind))
        return cls(
            host=like.host if like else cells[0].supercell.host,
            defect_kinds=defect_kinds,
            pair_kinds=pair_kinds,
            kind=kind,
            distance=distance,
            direction=direction,
            ends=ends,
            of_defect=np.array([numbers[defect.kind] for defect in defects], dtype=np.int64),
            neighbours=csr_array((np.ones(len(rows)), (rows, of_pair)), shape=shape),
        )

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def starts(self) -> Ints:
        """Position of the first defect of every structure, int, shape ``(N,)``."""
        return np.concatenate([[0], self.ends[:-1]]).astype(np.int64)

    @property
    def composition(self) -> csr_array:
        """Kind of every defect as a row of zeros and a one, shape ``(D, len(defect_kinds))``."""
        n = len(self.of_defect)
        at = (np.arange(n), self.of_defect)
        return csr_array((np.ones(n), at), shape=(n, len(self.defect_kinds)))

    def subset(self, rows: Ints) -> LevelData:
        """The same for some of the structures, with all classes."""
        sizes = (self.ends - self.starts)[rows]
        each = [np.arange(self.starts[row], self.ends[row]) for row in rows]
        defects = np.concatenate(each) if each else np.zeros(0, dtype=np.int64)
        return replace(
            self,
            ends=np.cumsum(sizes),
            of_defect=self.of_defect[defects],
            neighbours=self.neighbours[defects],
        )


def _pairs(cell: DefectiveCell) -> Iterable[_Found]:
    """All ordered pairs of a structure, by the defect whose level is shifted."""
    distances, heights = site_distances(cell.supercell)
    directions = site_directions(cell.supercell, exchangeable=False)
    for one, two in itertools.permutations(cell.defects, 2):
        sites = one.site, two.site
        planes = planes_of(cell.supercell.host, one.removed, two.removed, float(heights[sites]))
        kind = DirectedKind(one.kind, two.kind, planes)
        yield _Found(kind, float(distances[sites]), float(directions[sites]))


def _classes(
    found: Sequence[_Found], pair_kinds: Sequence[DirectedKind]
) -> tuple[Ints, tuple[Floats, Floats], Ints]:
    """Sort pairs into classes.

    Returns:
        Kind, distance and direction of every class, shape ``(C,)``, and the class of every pair.
    """
    ranks = {kind: rank for rank, kind in enumerate(pair_kinds)}
    kinds = np.array([ranks[pair.kind] for pair in found], dtype=np.int64)
    distances = np.array([pair.distance for pair in found], dtype=np.float64)
    directions = np.array([pair.direction for pair in found], dtype=np.float64)
    shells = clusters(kinds, distances, SAME_DISTANCE)
    of_pair = clusters(shells, directions, SAME_DIRECTION)
    _, firsts = np.unique(of_pair, return_index=True)
    # Equal to rounding are the distances of one shell: its classes share the first one.
    _, shell_firsts = np.unique(shells, return_index=True)
    distance = distances[shell_firsts][shells[firsts]]
    return kinds[firsts], (distance, directions[firsts]), of_pair


def _n_neighbours(cells: Sequence[DefectiveCell]) -> list[int]:
    return [len(cell.defects) - 1 for cell in cells for _ in cell.defects]


def _defect_kinds(cells: Sequence[DefectiveCell], like: LevelData | None) -> tuple[str, ...]:
    """List the kinds of defects in their order."""
    kinds = {defect.kind for cell in cells for defect in cell.defects}
    if like is None:
        return ordered_defect_kinds(kinds, {cell.supercell.host for cell in cells})
    refuse_unknown("defect", kinds, like.defect_kinds)
    return like.defect_kinds


def _pair_kinds(
    kinds: Iterable[DirectedKind], numbers: Mapping[str, int], like: LevelData | None
) -> tuple[DirectedKind, ...]:
    """List the directed kinds of pairs, by their defects, the same plane first."""

    def rank(kind: DirectedKind) -> tuple[int, int, bool]:
        return numbers[kind.defect], numbers[kind.neighbour], kind.planes is Planes.ACROSS

    found = set(kinds)
    if like is None:
        return tuple(sorted(found, key=rank))
    refuse_unknown("pair", map(str, found), [str(kind) for kind in like.pair_kinds])
    return like.pair_kinds
