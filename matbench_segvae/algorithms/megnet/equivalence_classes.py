"""The graph of all atoms with equal rows stored once, so that a network is evaluated faster.

A supercell with three vacancies has 189 atoms and 3,500 directed edges, but most atoms of a
crystal have the same surroundings as others: after k rounds of message passing a node's
features depend on its surroundings up to k edges away and on nothing else. Nodes and edges
whose features have to be equal form a class, as in colour refinement (Weisfeiler and Leman,
1968). Of a MoS2 cell with three vacancies there are 8, 193 and 1,039 classes of edges after
one, two and three rounds, so a network that works on classes does an eighth of the work, with
the same result up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

# Distances that differ by less (Å) are one: structures come with rounded coordinates.
_RESOLUTION = 1e-4


class Level(NamedTuple):
    """Classes of nodes and edges after one round of message passing.

    Classes of one level are subsets of classes of the level before.

    Attributes:
        edge_from: Class of the level before that a class of edges is part of, ``(edges,)``.
        source: Class of nodes, of the level before, that the edges start from, ``(edges,)``.
        target: The same for where they end, ``(edges,)``.
        edge_share: Share of the graph's edges that a class has, ``(edges,)``.
        edge_graph: Graph that a class of edges belongs to, ``(edges,)``.
        node_from: Class of the level before that a class of nodes is part of, ``(nodes,)``.
        node_share: Share of the graph's nodes that a class has, ``(nodes,)``.
        node_graph: Graph that a class of nodes belongs to, ``(nodes,)``.
        message_node: Class of nodes that receives a message, ``(messages,)``.
        message_edge: Class of edges that it comes from, ``(messages,)``.
        message_share: Share of the node's edges in that class, ``(messages,)``.
    """

    edge_from: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    edge_share: torch.Tensor
    edge_graph: torch.Tensor
    node_from: torch.Tensor
    node_share: torch.Tensor
    node_graph: torch.Tensor
    message_node: torch.Tensor
    message_edge: torch.Tensor
    message_share: torch.Tensor


class CollapsedGraph(NamedTuple):
    """One graph or several, as classes.

    Attributes:
        node_type: Type of every class of nodes before the first round.
        distance: Length in Å of every class of edges before the first round.
        levels: Classes after each round.
    """

    node_type: torch.Tensor
    distance: torch.Tensor
    levels: tuple[Level, ...]


# Fields of a level that refer to classes, by what they refer to: their numbers are shifted when
# graphs are joined, those of other fields are not.
_SHIFTED_BY = {
    "edge_from": "old_edges",
    "source": "old_nodes",
    "target": "old_nodes",
    "edge_graph": "graphs",
    "node_from": "old_nodes",
    "node_graph": "graphs",
    "message_node": "new_nodes",
    "message_edge": "new_edges",
}


def collapse(graph: Data, lattice: torch.Tensor, rounds: int) -> CollapsedGraph:
    """Store the equal rows of a graph once.

    Args:
        graph: Node types, edges, fractional coordinates and lattice translations as matgl's
            converters give them.
        lattice: Lattice vectors as rows in Å, shape ``(1, 3, 3)``.
        rounds: Rounds of message passing of the network.

    Returns:
        The same graph, as classes.
    """
    source, target = graph.edge_index.numpy().astype(np.int64)
    coords, shifts = graph.frac_coords.numpy(), graph.pbc_offset.numpy()
    vectors = (coords[target] + shifts - coords[source]) @ lattice[0].numpy()
    distances = np.linalg.norm(vectors.astype(float), axis=1)
    _, first, edges = np.unique(
        np.round(distances / _RESOLUTION), return_index=True, return_inverse=True
    )
    types, nodes = np.unique(graph.node_type.numpy(), return_inverse=True)
    levels = []
    for _ in range(rounds):
        level, edges, nodes = _refine(source, target, edges, nodes)
        levels.append(level)
    return CollapsedGraph(
        torch.as_tensor(types, dtype=torch.long),
        torch.as_tensor(distances[first], dtype=torch.float32),
        tuple(levels),
    )


def _refine(
    source: np.ndarray, target: np.ndarray, edges: np.ndarray, nodes: np.ndarray
) -> tuple[Level, np.ndarray, np.ndarray]:
    """Split classes whose members differ after one more round of messages.

    Args:
        source: Node that every edge starts from.
        target: Node that it ends at.
        edges: Class of every edge.
        nodes: Class of every node.

    Returns:
        The level, and the new classes of edges and nodes.
    """
    count = len(nodes) + 1
    key = (edges * count + nodes[source]) * count + nodes[target]
    _, first, new_edges, edge_sizes = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    kept, new_nodes, node_sizes = _node_classes(source, new_edges, nodes)
    sends = np.isin(source, kept)
    pairs, sizes = np.unique(
        np.stack([new_nodes[source[sends]], new_edges[sends]]), axis=1, return_counts=True
    )
    degree = np.bincount(pairs[0], sizes, minlength=len(kept))
    level = Level(
        edge_from=_integers(edges[first]),
        source=_integers(nodes[source[first]]),
        target=_integers(nodes[target[first]]),
        edge_share=_floats(edge_sizes / max(1, len(edges))),
        edge_graph=_integers(np.zeros(len(first))),
        node_from=_integers(nodes[kept]),
        node_share=_floats(node_sizes / len(nodes)),
        node_graph=_integers(np.zeros(len(kept))),
        message_node=_integers(pairs[0]),
        message_edge=_integers(pairs[1]),
        message_share=_floats(sizes / degree[pairs[0]]),
    )
    return level, new_edges, new_nodes


def _node_classes(
    source: np.ndarray, edges: np.ndarray, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes of nodes by their old class and the classes of edges that start from them.

    Returns:
        One node of every class, the class of every node, and the size of every class.
    """
    order = np.lexsort((edges, source))
    ends = np.cumsum(np.bincount(source, minlength=len(nodes)))
    found: dict[tuple[int, bytes], int] = {}
    kept: list[int] = []
    classes: list[int] = []
    for node, messages in enumerate(np.split(edges[order], ends[:-1])):
        key = (int(nodes[node]), messages.tobytes())
        if key not in found:
            found[key] = len(kept)
            kept.append(node)
        classes.append(found[key])
    return np.array(kept), np.array(classes), np.bincount(classes)


def join(graphs: Sequence[CollapsedGraph]) -> CollapsedGraph:
    """Put graphs side by side, so that a network is evaluated on all at once."""
    rounds = len(graphs[0].levels)
    return CollapsedGraph(
        torch.cat([graph.node_type for graph in graphs]),
        torch.cat([graph.distance for graph in graphs]),
        tuple(_join_level(graphs, number) for number in range(rounds)),
    )


def _join_level(graphs: Sequence[CollapsedGraph], number: int) -> Level:
    parts: list[dict[str, torch.Tensor]] = []
    shift = dict.fromkeys(("old_edges", "old_nodes", "new_edges", "new_nodes", "graphs"), 0)
    for graph in graphs:
        level = graph.levels[number]
        before = graph.levels[number - 1] if number else None
        fields = level._asdict()
        parts.append(
            {n: v + shift[_SHIFTED_BY[n]] if n in _SHIFTED_BY else v for n, v in fields.items()}
        )
        shift["old_edges"] += len(before.edge_from if before else graph.distance)
        shift["old_nodes"] += len(before.node_from if before else graph.node_type)
        shift["new_edges"] += len(level.edge_from)
        shift["new_nodes"] += len(level.node_from)
        shift["graphs"] += 1
    return Level(*(torch.cat([part[name] for part in parts]) for name in Level._fields))


def _integers(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.long)


def _floats(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
