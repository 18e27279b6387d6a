"""Structures as graphs for matgl: the sparse defect graph and the full crystal graph.

The sparse graph follows MEGNet-sparse (Kazeev et al., npj Comput. Mater. 9, 113 (2023),
doi 10.1038/s41524-023-01062-z): only the sites that differ from the pristine host become
nodes, and a node's type is the species on the site together with the one in the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from matgl.ext.pymatgen import Structure2Graph, get_element_list
from matgl.graph.converters import GraphConverter
from pymatgen.core.periodic_table import DummySpecies
from pymatgen.core.structure import Structure
from torch_geometric.data import Data

from matbench_segvae.defects import DefectiveCell, Host, sparse_defects
from matbench_segvae.errors import UserError

# The type of every element that the training part does not contain.
UNSEEN = "X"
# Two sites closer than this (Å) are one and the same, so there is no edge between them.
_SAME_SITE = 1e-6
# Distances that differ by less (Å) belong to one shell of neighbours.
_SHELL = 1e-3
GraphItem = tuple[Data, torch.Tensor, np.ndarray]


def planar_edges(
    frac_coords: np.ndarray, lattice: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of sites within a cutoff, with images in the plane of the layer only.

    A lone vacancy in a large cell has no neighbour within the cutoff. It then gets its
    nearest images as neighbours, because matgl's edge readout treats a graph without
    edges differently alone than beside graphs that have some, which would make its
    prediction depend on the batch it happens to be in.

    Args:
        frac_coords: Fractional coordinates, shape ``(n, 3)``; the third axis, the one out
            of the layer, is not repeated.
        lattice: Lattice vectors as rows in Å, shape ``(3, 3)``, the third one normal to
            the layer.
        cutoff: Largest distance in Å.

    Returns:
        Source and target site of every directed edge, shape ``(2, edges)``, and the
        lattice translation of the target, shape ``(edges, 3)``.
    """
    shifts = _planar_shifts(frac_coords, lattice, cutoff)
    # (shifts, source, target, 3)
    moved = frac_coords[None, None, :, :] + shifts[:, None, None, :]
    distances = np.linalg.norm((moved - frac_coords[None, :, None, :]) @ lattice, axis=-1)
    distinct = distances > _SAME_SITE
    near = distinct & (distances <= cutoff)
    if not near.any():
        near = distinct & (distances <= distances[distinct].min() + _SHELL)
    shift, source, target = np.nonzero(near)
    return np.stack([source, target]), shifts[shift]


def _planar_shifts(frac_coords: np.ndarray, lattice: np.ndarray, cutoff: float) -> np.ndarray:
    """Translations that can bring a site within the cutoff of another, shape ``(m, 3)``."""
    # k cells further means at least k times the height of the cell further away.
    area = np.linalg.norm(np.cross(lattice[0], lattice[1]))
    spread = np.ptp(frac_coords, axis=0)
    reach = [
        max(1, int(np.ceil(cutoff * np.linalg.norm(lattice[1 - axis]) / area + spread[axis])))
        for axis in (0, 1)
    ]
    ticks = [np.arange(-r, r + 1) for r in reach]
    return np.array([(a, b, 0) for a in ticks[0] for b in ticks[1]], dtype=float)


class SparseDefectGraph(GraphConverter):
    """The graph of the defects alone.

    Args:
        kinds: Defect kinds known from training; a node's type is its place in here.
        cutoff: Longest edge in Å.
        hosts: What structures may be supercells of; all known hosts by default.
    """

    def __init__(
        self, kinds: Sequence[str], cutoff: float, hosts: Sequence[Host] | None = None
    ) -> None:
        # matgl's functions read the vocabulary under this name.
        self.element_types = tuple(kinds)
        self.cutoff = cutoff
        self._hosts = hosts
        self._index = {kind: number for number, kind in enumerate(kinds)}

    @classmethod
    def from_training(
        cls,
        structures: Iterable[Structure],
        cutoff: float,
        hosts: Sequence[Host] | None = None,
    ) -> SparseDefectGraph:
        """Take the vocabulary of defect kinds from the training part.

        Raises:
            UserError: If a structure has no known host.
        """
        kinds = {d.kind for s in structures for d in sparse_defects(s, hosts).defects}
        return cls(sorted(kinds), cutoff, hosts)

    def get_graph(self, structure: Structure) -> GraphItem:
        """Make the graph of one structure.

        Args:
            structure: The whole defective supercell.

        Returns:
            Graph, lattice in Å of shape ``(1, 3, 3)``, and two unused state attributes.

        Raises:
            UserError: If the host is not known, there is no defect, or its kind did not
                occur in training.
        """
        cell = sparse_defects(structure, self._hosts)
        if not cell.defects:
            raise UserError(
                f"the structure {structure.formula} is the pristine {cell.supercell}: "
                "a defect graph needs at least one defect"
            )
        frac_coords = np.array([d.coords for d in cell.defects], dtype=float)
        lattice = cell.supercell.lattice.matrix
        edge_index, offsets = planar_edges(frac_coords, lattice, self.cutoff)
        graph = Data(
            num_nodes=len(cell.defects),
            edge_index=torch.as_tensor(edge_index, dtype=torch.long),
            node_type=torch.tensor(self._node_types(cell), dtype=torch.long),
            frac_coords=torch.as_tensor(frac_coords, dtype=torch.float32),
            pbc_offset=torch.as_tensor(offsets, dtype=torch.float32),
        )
        return graph, torch.as_tensor(lattice[None], dtype=torch.float32), _unused_state()

    def _node_types(self, cell: DefectiveCell) -> list[int]:
        unknown = sorted({d.kind for d in cell.defects} - set(self._index))
        if unknown:
            raise UserError(
                f"defect kind '{unknown[0]}' does not occur in the training part, which has "
                f"{', '.join(self.element_types)}: megnet cannot predict it"
            )
        return [self._index[d.kind] for d in cell.defects]


class CrystalGraph(Structure2Graph):
    """matgl's graph of all atoms, with one more type for elements not seen in training."""

    @classmethod
    def from_training(
        cls,
        structures: Iterable[Structure],
        cutoff: float,
        hosts: Sequence[Host] | None = None,
    ) -> CrystalGraph:
        """Take the elements from the training part; the last type means *unseen*.

        Hosts do not matter for a graph of all atoms.
        """
        return cls((*get_element_list(list(structures)), UNSEEN), cutoff)

    def get_graph(self, structure: Structure) -> GraphItem:
        """Make the graph of one structure.

        Returns:
            Graph, lattice in Å of shape ``(1, 3, 3)``, and two unused state attributes.
        """
        unseen = {e for e in structure.elements if e.symbol not in self.element_types}
        if unseen:
            structure = structure.copy()
            structure.replace_species({e: DummySpecies(UNSEEN) for e in unseen})
        graph, lattice, state = super().get_graph(structure)
        graph.edge_index = graph.edge_index.long()
        return graph, lattice, state


def placed(graph: Data, lattice: torch.Tensor, _: int = 0) -> Data:
    """Convert a graph to the Cartesian positions from which matgl's networks take distances.

    Args:
        graph: With fractional coordinates and lattice translations, as the converters give it.
        lattice: Lattice vectors as rows in Å, shape ``(1, 3, 3)``.

    Returns:
        Node types, positions (Å), edges and the Cartesian translations (Å) of their targets.
    """
    return Data(
        num_nodes=graph.num_nodes,
        node_type=graph.node_type,
        edge_index=graph.edge_index,
        pos=graph.frac_coords @ lattice[0],
        pbc_offshift=graph.pbc_offset @ lattice[0],
    )


def _unused_state() -> np.ndarray:
    # MEGNet's two global inputs; nothing global varies within these data sets.
    return np.zeros(2, dtype=np.float32)
