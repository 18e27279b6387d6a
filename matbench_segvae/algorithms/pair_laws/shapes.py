"""Shapes of pair laws: functions of the distance that all kinds of pairs have in common.

A set of shapes is written as one formula, their sum; in a law every kind of pair has a coefficient
of its own for each of them. A shape with a cosine as a factor has an amplitude and a phase in
every kind of pair: it stands for two, with the cosine and with a sine in its place, since
``A cos(x + phi) = a cos(x) + b sin(x)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.expressions import FITTED, Expression
from matbench_segvae.expressions.expression import subtree_end
from matbench_segvae.expressions.grammar import no_free_factor, no_free_multiple
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.shape_fit import MAX_SHAPES
from matbench_segvae.types import Floats, Ints, Tokens

LATTICE_PHASE = "q"
"""Variable ``2 pi r / a`` with the lattice constant ``a`` of the host: it advances by a whole turn
from one lattice site to the next."""

SHAPE_VARIABLES = ("r", LATTICE_PHASE)
"""The variables of shapes: the distance in Å and the phase of the lattice."""

_SIMPLE = frozenset({FITTED, "1", "2", "r", LATTICE_PHASE, "add", "mul", "square"})
"""What the arguments of decays are made of."""

_MULTIPLE = frozenset({FITTED, "1", "2", "mul"})
"""What stands beside the distance in the argument of a wave, so that it has a wavelength; a number
added there would be a phase, which the kinds of pairs have anyway."""

_LATTICE_PHASE_NODES = 3  # a number times the distance, written as one variable
_COEFFICIENT_NODES = 2  # a symbol and a product, or a phase and a sum


@dataclass(frozen=True)
class Shape:
    """One function that kinds of pairs have coefficients for.

    Attributes:
        tokens: Its formula.
        first: Position of its first fitted constant among those of the whole set.
    """

    tokens: Tokens
    first: int

    @property
    def n_constants(self) -> int:
        """Number of its fitted constants."""
        return self.tokens.count(FITTED)

    def formula(self, constants: Sequence[float]) -> Expression:
        """The shape with its constants, given those of the whole set."""
        own = constants[self.first : self.first + self.n_constants]
        return Expression(self.tokens).with_constants(own)


def terms_of(tokens: Tokens) -> list[Tokens]:
    """The terms of a sum, in their order; the formula itself if it is none."""
    if tokens[0] != "add":
        return [tokens]
    middle = subtree_end(tokens, 1)
    return [*terms_of(tokens[1:middle]), *terms_of(tokens[middle:])]


def shapes_of(tokens: Tokens) -> list[Shape]:
    """The shapes that a sum stands for: its terms, and each with a sine for its cosine."""
    shapes = []
    first = 0
    for term in terms_of(tokens):
        shapes.append(Shape(term, first))
        if _oscillates(term):
            place = term.index("cos")
            shapes.append(Shape((*term[:place], "sin", *term[place + 1 :]), first))
        first += term.count(FITTED)
    return shapes


def stands_for_shapes(tokens: Sequence[str]) -> bool:
    """Predicate: a sum of different terms, none with a factor or number that is free anyway."""
    terms = terms_of(tuple(tokens))
    fixed = [term for term in terms if FITTED not in term]
    return (
        len(set(fixed)) == len(fixed)
        and len(terms) + sum(map(_oscillates, terms)) <= MAX_SHAPES
        and all(_is_shape(term) for term in terms)
    )


def _is_shape(term: Tokens) -> bool:
    """Whether a term can be read: a product of powers, decays and at most one wave."""
    return (
        not {"r", LATTICE_PHASE}.isdisjoint(term)
        and ("cos" not in term or _oscillates(term))
        and no_free_factor(term)
        and no_free_multiple(term)
        and all(_SIMPLE.issuperset(argument) for argument in _arguments(term, "exp"))
        and all(_has_a_wavelength(argument) for argument in _arguments(term, "cos"))
    )


def _arguments(term: Tokens, function: str) -> list[Tokens]:
    """The arguments of a function of one variable wherever it stands in a term."""
    places = [place for place, token in enumerate(term) if token == function]
    return [term[place + 1 : subtree_end(term, place)] for place in places]


def _has_a_wavelength(argument: Tokens) -> bool:
    """Whether a wave's argument is a multiple of the distance."""
    rest = [token for token in argument if token not in SHAPE_VARIABLES]
    return len(argument) - len(rest) == 1 and _MULTIPLE.issuperset(rest)


def _oscillates(term: Tokens) -> bool:
    """Whether there is one cosine and it is a factor of the whole: its phase may vary by kind."""
    if term.count("cos") != 1:
        return False
    while term[0] in ("mul", "div"):
        middle = subtree_end(term, 1)
        left, right = term[1:middle], term[middle:]
        if term[0] == "div" and "cos" in right:
            return False
        term = left if "cos" in left else right
    return term[0] == "cos"


def formula_nodes(tokens: Tokens) -> int:
    """Complexity of the formula of all kinds of pairs, its coefficients as symbols."""
    lattice = tokens.count(LATTICE_PHASE) * (_LATTICE_PHASE_NODES - 1)
    return len(tokens) + lattice + _COEFFICIENT_NODES * len(shapes_of(tokens))


class ShapeValues:
    """Values of all shapes of a set at given points, as a function of its constants.

    Args:
        tokens: The set.
        points: Columns as in `SHAPE_VARIABLES`, shape ``(U, 2)``.
    """

    def __init__(self, tokens: Tokens, points: Floats) -> None:
        shapes = shapes_of(tokens)
        self._program = Program.compile([shape.tokens for shape in shapes], SHAPE_VARIABLES)
        self._slots = [(shape.first, shape.n_constants) for shape in shapes]
        self._points, self._place = np.unique(points, axis=0, return_inverse=True)

    def __call__(self, constants: Floats) -> Floats:
        """Values with constants of shape ``(C,)``, shape ``(M, U)``; NaN where undefined."""
        own = np.zeros((len(self._slots), max(self._program.width, 1)))
        for row, (first, used) in enumerate(self._slots):
            own[row, :used] = constants[first : first + used]
        return np.asarray(self._program.values(self._points, own)[:, self._place.ravel()])


def shape_values(tokens: Tokens, constants: Floats, points: Floats) -> Floats:
    """Values of all shapes of a set at points; see :class:`ShapeValues`."""
    return ShapeValues(tokens, points)(constants)


@dataclass(frozen=True, eq=False)
class ShapeBatch:
    """Many sets of shapes in the form that the compiled fit takes.

    Attributes:
        program: All shapes of all sets, one after the other.
        slots: First constant and number of constants of each shape, shape ``(n, 2)``.
        starts: Where each set begins, and the end, shape ``(B + 1,)``.
        n_constants: Constants of each set, shape ``(B,)``.
    """

    program: Program
    slots: Ints
    starts: Ints
    n_constants: Ints

    @classmethod
    def compile(cls, sets: Sequence[Tokens]) -> ShapeBatch:
        """Translate sets of shapes."""
        each = [shapes_of(tokens) for tokens in sets]
        every = [shape for shapes in each for shape in shapes]
        return cls(
            Program.compile([shape.tokens for shape in every], SHAPE_VARIABLES),
            np.array([(shape.first, shape.n_constants) for shape in every], dtype=np.int64),
            np.cumsum([0, *map(len, each)]),
            np.array([tokens.count(FITTED) for tokens in sets], dtype=np.int64),
        )

    def repeat(self, times: int) -> ShapeBatch:
        """The batch several times over, one after the other."""
        size = self.starts[-1]
        starts = np.concatenate(
            [self.starts[:-1] + size * n for n in range(times)] + [[times * size]]
        )
        return ShapeBatch(
            self.program.repeat(times),
            np.tile(self.slots, (times, 1)),
            starts,
            np.tile(self.n_constants, times),
        )
