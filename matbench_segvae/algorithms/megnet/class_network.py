"""matgl's MEGNet, evaluated on the classes of a graph instead of on all its rows."""

from __future__ import annotations

from typing import Any

import torch
from matgl.layers import EdgeSet2Set, MEGNetBlock, Set2SetReadOut
from matgl.models import MEGNet
from torch_geometric.utils import softmax

from matbench_segvae.algorithms.megnet.equivalence_classes import CollapsedGraph, Level

# Of the readout; smaller ones are rounding errors.
_SMALLEST_VARIANCE = 1e-8
_Features = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class ClassMEGNet(MEGNet):
    """matgl's MEGNet with its own parameters and the same output up to rounding.

    MEGNet is Chen et al., Chem. Mater. 31, 3564 (2019), doi 10.1021/acs.chemmater.9b01294:
    means over a node's edges, over a graph's edges and over its nodes become means over
    classes, weighted by how many there are of each.

    The readout of a graph may be standardised before the last layers. A vacancy among 190
    atoms moves averages over all of them by a hundredth of their size; without standardising
    the last layers learn nothing but the mean for dozens of epochs.

    Args:
        standardise: Whether to do so, by the mean and variance over a batch in training
            (Ioffe and Szegedy, arXiv:1502.03167) and by stored averages over the training
            part afterwards, see
            :class:`~matbench_segvae.algorithms.megnet.graph_module.PresentStatistics`.
        **options: Options of matgl's MEGNet.
    """

    def __init__(self, standardise: bool = False, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        size = self.output_proj.layers[0].in_features
        # Shift and scale are not learned: the next layer has them.
        self.readout_norm = (
            torch.nn.BatchNorm1d(size, eps=_SMALLEST_VARIANCE, affine=False)
            if standardise
            else torch.nn.Identity()
        )

    def forward(
        self,
        g: CollapsedGraph,
        state_attr: torch.Tensor | None = None,
        **_: Any,  # noqa: ANN401 - matgl's signature
    ) -> torch.Tensor:
        """Evaluate the network.

        Args:
            g: Graphs as classes, with as many levels as the network has blocks.
            state_attr: State attributes, shape ``(graphs, 2)``.

        Returns:
            Outputs, shape ``(graphs,)``.
        """
        output: torch.Tensor = self.output_proj(self.readout_norm(self.readout(g, state_attr)))
        return output.reshape(-1)

    def readout(self, g: CollapsedGraph, state_attr: torch.Tensor | None) -> torch.Tensor:
        """Vectors of fixed length, one for each graph, shape ``(graphs, features)``."""
        expanded = self.bond_expansion(g.distance)
        nodes, edges, state = self.embedding(g.node_type, expanded, state_attr)
        features = (self.edge_encoder(edges), self.node_encoder(nodes), self.state_encoder(state))
        for block, level in zip(self.blocks, g.levels, strict=True):
            features = _block(block, level, features)
        edges, nodes, state = features
        last = g.levels[-1]
        count = len(state)
        read = [
            _set2set(self.node_s2s, nodes, last.node_share, last.node_graph, count),
            _set2set(self.edge_s2s, edges, last.edge_share, last.edge_graph, count),
        ]
        return torch.hstack([*read, state])


def _block(block: MEGNetBlock, level: Level, features: _Features) -> _Features:
    """One round of messages: edges, then nodes, then the state of the graph."""
    edges, nodes, state = (
        block.edge_func(features[0])[level.edge_from],
        block.node_func(features[1]),
        block.state_func(features[2]),
    )
    conv, count = block.conv, len(state)
    new_edges = conv.edge_func(
        torch.hstack([nodes[level.source], nodes[level.target], edges, state[level.edge_graph]])
    )
    received = _sum(
        new_edges[level.message_edge], level.message_share, level.message_node, len(level.node_from)
    )
    new_nodes = conv.node_func(
        torch.hstack([nodes[level.node_from], received, state[level.node_graph]])
    )
    new_state = conv.state_func(
        torch.hstack(
            [
                state,
                _sum(new_edges, level.edge_share, level.edge_graph, count),
                _sum(new_nodes, level.node_share, level.node_graph, count),
            ]
        )
    )
    return (
        new_edges + features[0][level.edge_from],
        new_nodes + features[1][level.node_from],
        new_state + features[2],
    )


def _sum(
    values: torch.Tensor, weights: torch.Tensor, index: torch.Tensor, count: int
) -> torch.Tensor:
    """Weighted sums of the rows with equal index, shape ``(count, features)``."""
    total = values.new_zeros(count, values.shape[1])
    return total.index_add(0, index, values * weights[:, None])


def _set2set(
    readout: Set2SetReadOut | EdgeSet2Set,
    values: torch.Tensor,
    shares: torch.Tensor,
    index: torch.Tensor,
    count: int,
) -> torch.Tensor:
    """Set2Set (Vinyals et al., arXiv:1511.06391) where a row stands for several equal ones.

    A softmax over equal rows is one over different rows with the logarithm of their number
    added to the logits; a factor common to the rows of a graph cancels.
    """
    width = values.shape[1]
    hidden = (values.new_zeros(1, count, width), values.new_zeros(1, count, width))
    answer = values.new_zeros(count, 2 * width)
    for _ in range(readout.n_iters):
        query, hidden = readout.lstm(answer[None], hidden)
        query = query[0]
        logits = (values * query[index]).sum(dim=1) + shares.log()
        attention = softmax(logits, index, num_nodes=count)
        answer = torch.hstack([query, _sum(values, attention, index, count)])
    return answer
