"""Formulas for other tools: a torch module, a LaTeX table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.operators import NAMED_CONSTANTS, OPERATORS, apply
from matbench_segvae.regressor.front import Equation

_LATEX_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


class FormulaModule(nn.Module):
    """A formula as a torch module whose constants can be trained.

    Attributes:
        constants: The fitted constants, in the order of the formula, float64.
    """

    def __init__(self, expression: Expression, variables: Sequence[str]) -> None:
        """Make the module.

        Args:
            expression: The formula with the values of its constants.
            variables: Names of the columns of the inputs.
        """
        super().__init__()
        self.expression = expression
        self.constants = nn.Parameter(torch.tensor(expression.constants, dtype=torch.float64))
        self._columns = {name: i for i, name in enumerate(variables)}

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Values of the formula.

        Args:
            inputs: Shape ``(N, V)``, all features in the order of training.

        Returns:
            Shape ``(N,)``, in the inputs' precision, or in that of the constants if the inputs
            are no floating-point numbers; NaN outside the domain.

        Raises:
            ValueError: If the inputs have another shape.
        """
        if inputs.dim() != 2 or inputs.shape[1] != len(self._columns):
            raise ValueError(
                f"inputs have the shape {tuple(inputs.shape)}: it has to be "
                f"(N, {len(self._columns)})"
            )
        if not inputs.is_floating_point():
            inputs = inputs.to(self.constants)
        constants = self.constants.to(inputs)

        def leaf(token: str, index: int) -> torch.Tensor:
            if token == FITTED:
                return constants[index].expand(len(inputs))
            if token in NAMED_CONSTANTS:
                return inputs.new_full((len(inputs),), NAMED_CONSTANTS[token])
            return inputs[:, self._columns[token]]

        def node(token: str, arguments: list[torch.Tensor]) -> torch.Tensor:
            value: torch.Tensor = apply(OPERATORS[token], torch, *arguments)
            return value

        return self.expression.fold(leaf, node)

    def extra_repr(self) -> str:
        """The formula with the constants it started with."""
        return str(self.expression)


def latex_table(front: Sequence[Equation], scores: Sequence[float], note: str = "") -> str:
    """The front as a LaTeX table, for ``booktabs``.

    Args:
        front: The formulas.
        scores: Their scores.
        note: A line below the table, such as the meaning of the variables.
    """
    lines = [
        r"\begin{tabular}{rrrl}",
        r"\toprule",
        r"complexity & loss & score & formula \\",
        r"\midrule",
        *(
            rf"{e.complexity} & {e.loss:.3g} & {score:.3g} & ${e.expression.latex(digits=4)}$ \\"
            for e, score in zip(front, scores, strict=True)
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*lines, *([note] if note else [])])


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(
        _LATEX_SPECIAL.get(char, "\\" + char if char in "&%$#_{}" else char) for char in text
    )
