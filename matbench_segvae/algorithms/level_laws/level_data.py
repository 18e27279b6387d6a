"""What levels are fitted to: the defects of structures, each with the classes of its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from matbench_segvae.defects import (
    DefectiveCell,
    Host,
    Planes,
    Supercell,
    ordered_defect_kinds,
    sparse_defects,
)
from matbench_segvae.defects.kinds import planes_of
from matbench_segvae.defects.supercells import site_distances
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats, Ints

Orbit = tuple[Supercell, int]
"""A supercell, and the first image of an ordered pair of its sites as one number."""


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


@dataclass(frozen=True, eq=False)
class LevelData:
    """The ``D`` defects of ``N`` structures and their neighbours in ``C`` classes.

    Pairs are in one class if the symmetry of the supercell moves one onto the other, defect onto
    defect and neighbour onto neighbour.

    Attributes:
        host: Of the first structure in training.
        defect_kinds: Names such as ``"V_Mo"``; defects on metal sites first.
        pair_kinds: Directed kinds of pairs.
        kind: Index into ``pair_kinds`` of every class, int, shape ``(C,)``.
        distance: Distance of every class, Å, shape ``(C,)``; ascending within a kind.
        orbits: What tells the classes of a kind apart, ``C`` of them.
        ends: Position behind the last defect of every structure, int, shape ``(N,)``.
        of_defect: Index into ``defect_kinds`` of every defect, int, shape ``(D,)``.
        neighbours: How many neighbours of each class a defect has, shape ``(D, C)``.
    """

    host: Host
    defect_kinds: tuple[str, ...]
    pair_kinds: tuple[DirectedKind, ...]
    kind: Ints
    distance: Floats
    orbits: tuple[Orbit, ...]
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
        pair_kinds = _pair_kinds((kind for kind, *_ in found), numbers, like)
        ranks = {kind: rank for rank, kind in enumerate(pair_kinds)}
        at_orbit = {(ranks[kind], orbit): distance for kind, distance, orbit in found}
        keys = sorted(at_orbit, key=lambda key: (key[0], round(at_orbit[key], 3), _order(key[1])))
        columns = {key: column for column, key in enumerate(keys)}
        rows = np.repeat(np.arange(len(defects)), _n_neighbours(cells))
        at = np.array([columns[ranks[kind], orbit] for kind, _, orbit in found], dtype=np.int64)
        shape = (len(defects), len(columns))
        return cls(
            host=like.host if like else cells[0].supercell.host,
            defect_kinds=defect_kinds,
            pair_kinds=pair_kinds,
            kind=np.array([rank for rank, _ in keys], dtype=np.int64),
            distance=np.array([at_orbit[key] for key in keys], dtype=np.float64),
            orbits=tuple(orbit for _, orbit in keys),
            ends=ends,
            of_defect=np.array([numbers[defect.kind] for defect in defects], dtype=np.int64),
            neighbours=csr_array((np.ones(len(rows)), (rows, at)), shape=shape),
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


def _pairs(cell: DefectiveCell) -> Iterable[tuple[DirectedKind, float, Orbit]]:
    """Kind, distance, Å, and orbit of all ordered pairs of a structure, by their first defect."""
    distances, heights = site_distances(cell.supercell)
    images = cell.supercell.permutations
    n_sites = cell.supercell.n_sites
    for one in cell.defects:
        for two in cell.defects:
            if one.site == two.site:
                continue
            height = float(heights[one.site, two.site])
            planes = planes_of(cell.supercell.host, one.removed, two.removed, height)
            first = int((images[:, one.site] * n_sites + images[:, two.site]).min())
            distance = float(distances[divmod(first, n_sites)])
            yield DirectedKind(one.kind, two.kind, planes), distance, (cell.supercell, first)


def _order(orbit: Orbit) -> tuple[str, int]:
    """What orbits at one distance are sorted by."""
    return str(orbit[0]), orbit[1]


def _n_neighbours(cells: Sequence[DefectiveCell]) -> list[int]:
    return [len(cell.defects) - 1 for cell in cells for _ in cell.defects]


def _defect_kinds(cells: Sequence[DefectiveCell], like: LevelData | None) -> tuple[str, ...]:
    """List the kinds of defects in their order."""
    kinds = {defect.kind for cell in cells for defect in cell.defects}
    if like is None:
        return ordered_defect_kinds(kinds, {cell.supercell.host for cell in cells})
    _refuse_unknown("defect", kinds, like.defect_kinds)
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
    _refuse_unknown("pair", found, like.pair_kinds)
    return like.pair_kinds


def _refuse_unknown(what: str, found: Iterable[Any], known: Sequence[Any]) -> None:
    """Refuse kinds that the training data do not have."""
    unknown = sorted(str(kind) for kind in set(found) - set(known))
    if unknown:
        raise UserError(
            f"{what} kinds {', '.join(unknown)} do not occur in the training data, which have "
            f"{', '.join(map(str, known)) or 'none'}: train on structures that have them"
        )
