"""One formula for all kinds of pairs, with a small table of coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matbench_segvae.algorithms.pair_laws.shapes import (
    LATTICE_PHASE,
    SHAPE_VARIABLES,
    formula_nodes,
    shapes_of,
    terms_of,
)
from matbench_segvae.defects import PairKind
from matbench_segvae.errors import finite
from matbench_segvae.expressions import FITTED, Expression, parse
from matbench_segvae.expressions.expression import subtree_end
from matbench_segvae.fitting.shape_fit import MAX_SHAPES
from matbench_segvae.types import Tokens

_LONGEST = 100  # nodes of a formula in a file
_SHORTEST, _LONGEST_LATTICE = 0.5, 1000.0  # Å
NO_ENERGY = Expression((FITTED,), (0.0,))
"""The formula of a kind of pair without an entry in the table."""


@dataclass(frozen=True)
class Coefficient:
    """What a kind of pair has in front of a term.

    Attributes:
        amplitude: eV times the unit that the term leaves open.
        phase: Added to the argument of the term's cosine; ``None`` for a term without one, or
            with that of the formula itself.
    """

    amplitude: float
    phase: float | None = None


@dataclass(frozen=True)
class SharedShapes:
    """The formula that the kinds of pairs have in common, and their coefficients.

    Attributes:
        formula: Sum of the terms, in the distance ``r`` and the lattice phase ``q``.
        lattice: Lattice constant that the phase refers to, Å.
        table: For each kind of pair, the coefficient of each shape, eV; ``None`` where left out.
            A term with a phase stands for two shapes, see
            :mod:`~matbench_segvae.algorithms.pair_laws.shapes`.
    """

    formula: Expression
    lattice: float
    table: Mapping[PairKind, tuple[float | None, ...]]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SharedShapes:
        """Take back what :meth:`as_json` gave.

        Raises:
            ValueError: If a formula or a kind of pair cannot be read, or the table has not as many
                columns as there are shapes.
            KeyError: If something is missing.
        """
        formula = parse(content["formula"], SHAPE_VARIABLES)
        if len(formula) > _LONGEST or len(shapes_of(formula.tokens)) > MAX_SHAPES:
            raise ValueError(
                f"its shared formula has more than {_LONGEST} nodes or {MAX_SHAPES} shapes"
            )
        n_shapes = len(shapes_of(formula.tokens))
        table = {
            PairKind.parse(label): tuple(
                None if one is None else finite(one, "table") for one in row
            )
            for label, row in content["table_eV"].items()
        }
        if any(len(row) != n_shapes for row in table.values()):
            raise ValueError(f"its table has not {n_shapes} columns, one for each shape")
        lattice = finite(content["lattice_constant_A"], "lattice constant")
        if not _SHORTEST < lattice < _LONGEST_LATTICE:
            raise ValueError(f"its lattice constant is {lattice:g} Å")
        return cls(formula, lattice, table)

    def as_json(self) -> dict[str, Any]:
        """The formula and its table in JSON's own types, numbers in full precision."""
        return {
            "formula": self.formula.to_string(),
            "lattice_constant_A": self.lattice,
            "table_eV": {str(kind): list(row) for kind, row in self.table.items()},
        }

    @property
    def nodes(self) -> int:
        """Complexity: the formula once, and one node for each entry of the table."""
        entries = sum(one is not None for row in self.table.values() for one in row)
        return formula_nodes(self.formula.tokens) + entries

    @property
    def terms(self) -> list[Expression]:
        """The terms as formulas of ``r`` alone."""
        return [_of_distance(term, self.lattice) for term in _with_constants(self.formula)]

    def coefficients(self, kind: PairKind) -> list[Coefficient | None]:
        """Amplitude and phase of a kind of pair for each term; ``None`` where it has none."""
        left = list(self.table[kind])
        found: list[Coefficient | None] = []
        for term in terms_of(self.formula.tokens):
            own = [left.pop(0) for _ in shapes_of(term)]
            found.append(_coefficient(own))
        return found

    def pair_formula(self, kind: PairKind) -> Expression:
        """The formula of one kind of pair, its coefficients included; 0 where it has none."""
        total: Expression | None = None
        for term, own in zip(self.terms, self.coefficients(kind), strict=True):
            if own is not None:
                amplitude = Expression((FITTED,), (own.amplitude,))
                part = _joined("mul", amplitude, written(term, own.phase))
                total = part if total is None else _joined("add", total, part)
        return total or NO_ENERGY


def _coefficient(own: Sequence[float | None]) -> Coefficient | None:
    """Amplitude and phase of ``a cos(x) + b sin(x)``, or the coefficient of a term by itself."""
    cosine, sine = own[0], own[1] if len(own) > 1 else None
    if sine is None:
        return None if cosine is None else Coefficient(cosine)
    if cosine is None:
        return Coefficient(sine, -math.pi / 2)
    return Coefficient(math.hypot(cosine, sine), math.atan2(-sine, cosine))


def _with_constants(formula: Expression) -> list[Expression]:
    """The terms of a sum, each with its own constants."""
    terms, used = [], 0
    for tokens in terms_of(formula.tokens):
        n_constants = tokens.count(FITTED)
        terms.append(Expression(tokens, formula.constants[used : used + n_constants]))
        used += n_constants
    return terms


def _of_distance(term: Expression, lattice: float) -> Expression:
    """A term with ``2 pi r / a`` written out."""
    tokens: list[str] = []
    constants: list[float] = []
    own = iter(term.constants)
    for token in term.tokens:
        if token == LATTICE_PHASE:
            tokens += ["mul", FITTED, "r"]
            constants.append(2 * np.pi / lattice)
            continue
        tokens.append(token)
        if token == FITTED:
            constants.append(next(own))
    return Expression(tuple(tokens), tuple(constants))


def written(term: Expression, phase: float | None) -> Expression:
    """A term with a phase added inside its cosine."""
    if phase is None:
        return term
    place = term.tokens.index("cos") + 1
    end = subtree_end(term.tokens, place)
    before = phase_index(term)
    tokens: Tokens = (
        *term.tokens[:place],
        *("add", FITTED),
        *term.tokens[place:end],
        *term.tokens[end:],
    )
    return Expression(tokens, (*term.constants[:before], phase, *term.constants[before:]))


def phase_index(term: Expression) -> int:
    """Which of a term's constants the phase is that :func:`written` adds."""
    return term.tokens[: term.tokens.index("cos")].count(FITTED)


def _joined(operator: str, left: Expression, right: Expression) -> Expression:
    """Two formulas as the arguments of an operator."""
    return Expression((operator, *left.tokens, *right.tokens), (*left.constants, *right.constants))
