"""A long short-term memory layer over sequences of different lengths, quick on processors.

torch's own layer spends most of its time on one core filling gradients of single steps
with zeros and multiplying small matrices. Here the gradient is written out by hand: the
recurrence alone goes step by step, everything else is done for all steps at once.

After Hochreiter and Schmidhuber, Neural Computation 9, 1735 (1997), with forget gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Packing:
    """Where the tokens of a batch go when the filling is left out.

    Rows are sorted by length, longest first, and tokens stored step after step; the rows
    that still have a token are then the first ones at every step.

    Attributes:
        rows: Row of the batch that each stored token belongs to, shape ``(N,)``.
        steps: Position of each stored token in its row, shape ``(N,)``.
        sizes: Rows that have a token at each step.
        last: Where the last token of each row of the batch is stored, shape ``(B,)``.
    """

    rows: torch.Tensor
    steps: torch.Tensor
    sizes: list[int]
    last: torch.Tensor

    @classmethod
    def of(cls, lengths: torch.Tensor) -> Packing:
        """Pack rows of these lengths, at least 1 each, shape ``(B,)``."""
        lengths, order = lengths.sort(descending=True)
        longest = int(lengths[0])
        steps = torch.arange(longest, device=lengths.device)
        there = steps[:, None] < lengths  # (T, B)
        sizes = there.sum(1)
        starts = sizes.cumsum(0) - sizes
        last = torch.empty_like(order)
        last[order] = starts[lengths - 1] + torch.arange(len(order), device=order.device)
        rows = order.expand_as(there)[there]
        return cls(rows, steps[:, None].expand_as(there)[there], sizes.tolist(), last)


class _Recurrence(torch.autograd.Function):
    """Hidden states from the inputs' share of the gates.

    Gates stand in the order output, input, forget, candidate: the first three share the
    sigmoid, and the last three act through the cell.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        projected: torch.Tensor,
        weight: torch.Tensor,
        sizes: list[int],
    ) -> torch.Tensor:
        """Hidden states, shape ``(N, H)``, from inputs ``(N, 4H)`` and weight ``(4H, H)``."""
        hidden_size = weight.shape[1]
        gates = projected.clone()
        cells = gates.new_empty(len(gates), hidden_size)
        hidden = torch.empty_like(cells)
        squashed = torch.empty_like(cells)  # tanh of the cells
        start = 0
        for step, size in enumerate(sizes):
            now = slice(start, start + size)
            gate = gates[now]
            if step:
                before = slice(start - sizes[step - 1], start - sizes[step - 1] + size)
                gate.addmm_(hidden[before], weight.t())
            gate[:, : 3 * hidden_size].sigmoid_()
            gate[:, 3 * hidden_size :].tanh_()
            out, into, forget, candidate = gate.chunk(4, dim=1)
            torch.mul(into, candidate, out=cells[now])
            if step:
                cells[now].addcmul_(forget, cells[before])
            torch.tanh(cells[now], out=squashed[now])
            torch.mul(out, squashed[now], out=hidden[now])
            start += size
        ctx.sizes = sizes
        ctx.save_for_backward(weight, gates, cells, squashed, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401
        gradient: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Back through time."""
        weight, gates, cells, squashed, hidden = ctx.saved_tensors
        sizes, n_first, size = ctx.sizes, ctx.sizes[0], weight.shape[1]
        # Where each token's predecessor is stored; the first step has none.
        previous = torch.cat(
            [torch.arange(n, device=weight.device) + s for n, s in _predecessors(sizes)]
            or [torch.arange(0, device=weight.device)]
        )
        before = torch.zeros_like(cells)
        before[n_first:] = cells[previous]
        out, into, forget, candidate = gates.chunk(4, dim=1)
        # Derivatives of the hidden state by the cell and of each gate's effect by its input.
        by_cell = out * (1 - squashed * squashed)
        by_out = squashed * out * (1 - out)
        by_rest = torch.stack(
            [
                candidate * into * (1 - into),
                before * forget * (1 - forget),
                into * (1 - candidate * candidate),
            ],
            dim=1,
        )
        result = torch.empty_like(gates)
        to_hidden = to_cell = gradient.new_zeros(0, size)
        start = len(gates)
        for n in reversed(sizes):
            start -= n
            now, later = slice(start, start + n), len(to_hidden)
            of_hidden = gradient[now].clone()
            of_hidden[:later] += to_hidden
            of_cell = of_hidden * by_cell[now]
            of_cell[:later] += to_cell
            torch.mul(of_hidden, by_out[now], out=result[now, :size])
            of_gates = result[now, size:].view(n, 3, size)
            torch.mul(of_cell[:, None], by_rest[now], out=of_gates)
            to_hidden = result[now] @ weight
            to_cell = of_cell * forget[now]
        return result, result[n_first:].t() @ hidden[previous], None


def _predecessors(sizes: list[int]) -> list[tuple[int, int]]:
    """Of every step but the first: its number of rows, and where the step before begins."""
    found, start = [], 0
    for before, now in pairwise(sizes):
        found.append((now, start))
        start += before
    return found


class LSTM(nn.Module):
    """One layer, one direction.

    Args:
        n_inputs: Size of an input.
        n_hidden: Size of the hidden state.
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(n_inputs, 4 * n_hidden)
        self.from_hidden = nn.Parameter(torch.empty(4 * n_hidden, n_hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(n_hidden**-0.5), n_hidden**-0.5)

    def forward(self, inputs: torch.Tensor, sizes: list[int]) -> torch.Tensor:
        """Hidden states, shape ``(N, n_hidden)``.

        Args:
            inputs: Stored step after step, shape ``(N, n_inputs)``.
            sizes: Rows at each step, never more than at the step before.
        """
        hidden: torch.Tensor = _Recurrence.apply(self.from_input(inputs), self.from_hidden, sizes)
        return hidden

    def step(
        self, projected: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden state and cell after one more step, shape ``(B, n_hidden)`` each.

        Args:
            projected: The inputs' share of the gates, :attr:`from_input` of the inputs, shape
                ``(B, 4 * n_hidden)``.
            state: Hidden state and cell before it.
        """
        gates = torch.addmm(projected, state[0], self.from_hidden.t())
        out, into, forget, candidate = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * state[1] + into.sigmoid() * candidate.tanh()
        return out.sigmoid() * cell.tanh(), cell
