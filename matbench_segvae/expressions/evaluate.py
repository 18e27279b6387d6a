"""Many formulas on many rows at once, with the derivatives by their constants.

All nodes of all formulas are laid out in one buffer and computed level by level: first
the leaves, then every operator whose arguments are ready. One call of an operator's
function serves all formulas that need it on that level, so the cost is that of a few
dozen array operations however many formulas there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from matbench_segvae.expressions.expression import subtree_starts
from matbench_segvae.expressions.operators import (
    FITTED,
    NAMED_CONSTANTS,
    OPERATORS,
    Operator,
    apply,
)


@dataclass(frozen=True)
class _Group:
    """All uses of one operator on one level.

    Attributes:
        operator: The operator.
        nodes: Where its values go in the buffer, shape ``(G,)``.
        arguments: Where its first and, if it has two, its second arguments are.
    """

    operator: Operator
    nodes: torch.Tensor
    arguments: tuple[torch.Tensor, ...]


class Batch:
    """A batch of formulas compiled for evaluation.

    Attributes:
        n_formulas: Number of formulas ``B``.
        width: Largest number of fitted constants in a formula, ``C``.
        used: Which of them each formula has, booleans of shape ``(B, C)``.
    """

    def __init__(self, formulas: Sequence[Sequence[str]], variables: Sequence[str]) -> None:
        """Lay out the nodes of all formulas.

        Args:
            formulas: Prefix tokens of each formula.
            variables: Names of the columns of the data, in order.

        Raises:
            ValueError: If a formula is not well formed or has an unknown token.
        """
        self.n_formulas = len(formulas)
        n_constants = torch.tensor([list(f).count(FITTED) for f in formulas], dtype=torch.long)
        self.width = int(n_constants.max()) if self.n_formulas else 0
        self.used = torch.arange(self.width) < n_constants[:, None]
        layout = _Layout(formulas, {name: i for i, name in enumerate(variables)})
        self._n_nodes = layout.n_nodes
        self._roots = torch.from_numpy(layout.roots)
        self._variables = [(torch.tensor(nodes), i) for i, nodes in layout.variables.items()]
        self._numbers = [(torch.tensor(nodes), v) for v, nodes in layout.numbers.items()]
        fitted = np.array(layout.fitted, dtype=np.int64).reshape(-1, 3)
        self._fitted = torch.from_numpy(fitted)
        self._groups = layout.groups()

    def values(self, points: torch.Tensor, constants: torch.Tensor) -> torch.Tensor:
        """Values of all formulas at all points.

        Args:
            points: Shape ``(R, V)``, a column per variable, float64.
            constants: Shape ``(B, R, C)`` or ``(B, 1, C)``.

        Returns:
            Shape ``(B, R)``, NaN outside a formula's domain.
        """
        return self._leaves_and_up(points, constants, tangents=False)[0]

    def values_and_derivatives(
        self, points: torch.Tensor, constants: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of all formulas and their derivatives by the fitted constants.

        Args:
            points: Shape ``(R, V)``, a column per variable, float64.
            constants: Shape ``(B, R, C)`` or ``(B, 1, C)``.

        Returns:
            Values, shape ``(B, R)``, and derivatives, shape ``(B, R, C)``; 0 for
            constants that a formula does not have.
        """
        values, derivatives = self._leaves_and_up(points, constants, tangents=True)
        assert derivatives is not None
        return values, derivatives

    def _leaves_and_up(
        self, points: torch.Tensor, constants: torch.Tensor, *, tangents: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        n_rows = points.shape[0]
        buffer = points.new_empty(self._n_nodes, n_rows)
        slopes = points.new_zeros(self._n_nodes, n_rows, self.width) if tangents else None
        for nodes, column in self._variables:
            buffer[nodes] = points[:, column]
        for nodes, number in self._numbers:
            buffer[nodes] = number
        node, formula, index = self._fitted.unbind(1)
        buffer[node] = constants[formula, :, index].expand(-1, n_rows)
        if slopes is not None:
            slopes[node, :, index] = 1.0
        for group in self._groups:
            arguments = [buffer[positions] for positions in group.arguments]
            value = apply(group.operator, torch, *arguments)
            buffer[group.nodes] = value
            if slopes is not None:
                partials = group.operator.partials(torch, value, *arguments)
                slope = partials[0][..., None] * slopes[group.arguments[0]]
                if len(partials) > 1:
                    slope.addcmul_(partials[1][..., None], slopes[group.arguments[1]])
                slopes[group.nodes] = slope
        return buffer[self._roots], None if slopes is None else slopes[self._roots]


class _Layout:
    """Where each node of each formula lives in the buffer and when it is ready."""

    def __init__(self, formulas: Sequence[Sequence[str]], columns: dict[str, int]) -> None:
        self.n_nodes = 0
        self.roots: NDArray[np.int64] = np.zeros(len(formulas), dtype=np.int64)
        self.variables: dict[int, list[int]] = {}
        self.numbers: dict[float, list[int]] = {}
        self.fitted: list[tuple[int, int, int]] = []
        self._operators: dict[tuple[int, str], list[tuple[int, ...]]] = {}
        for number, formula in enumerate(formulas):
            self._add(number, list(formula), columns)

    def _add(self, number: int, formula: list[str], columns: dict[str, int]) -> None:
        """Give every node of a formula a place; the root comes first."""
        first = self.n_nodes
        self.roots[number] = first
        self.n_nodes += len(formula)
        arguments = subtree_starts(formula)
        levels = [0] * len(formula)
        for position in range(len(formula) - 1, -1, -1):
            token, place = formula[position], first + position
            if token in OPERATORS:
                inner = arguments[position]
                levels[position] = 1 + max(levels[i] for i in inner)
                entry = (place, *(first + i for i in inner))
                self._operators.setdefault((levels[position], token), []).append(entry)
            elif token != FITTED:
                self._add_known_leaf(token, place, columns)
        for index, position in enumerate(i for i, token in enumerate(formula) if token == FITTED):
            self.fitted.append((first + position, number, index))

    def _add_known_leaf(self, token: str, place: int, columns: dict[str, int]) -> None:
        if token in columns:
            self.variables.setdefault(columns[token], []).append(place)
        elif token in NAMED_CONSTANTS:
            self.numbers.setdefault(NAMED_CONSTANTS[token], []).append(place)
        else:
            raise ValueError(f"unknown token '{token}': the variables are {', '.join(columns)}")

    def groups(self) -> list[_Group]:
        """Operators in the order in which they can be computed."""
        groups = []
        for (_, token), entries in sorted(self._operators.items()):
            places = torch.tensor(entries).T.contiguous()
            groups.append(_Group(OPERATORS[token], places[0], places[1:].unbind()))
        return groups
