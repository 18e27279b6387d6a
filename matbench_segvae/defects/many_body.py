r"""Many-body terms: energies of more than two defects that their pairs do not explain.

A term adds ``factor * w(r1, r2)`` for any two defects at distances ``r1`` and ``r2`` from a third
one, which they are around. A column of a term says which defects it is for: any two around a kind
of defect, or only two of given kinds. A term of one's own is one more entry of
`MANY_BODY_TERMS`; counts, fits, laws and the command line take all terms from there.

``T / (r1 r2)`` is the square of the neighbours' sum of ``1 / r`` at a defect, less what pairs
explain of it, as in the embedding energy of Daw and Baskes, Phys. Rev. B 29, 6443 (1984): a second
sulfur vacancy beside a molybdenum vacancy gains less than the first one did. The others decay as
``exp(-(r1 + r2) / l)``, from the reach of the nearest neighbours to that of half a supercell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from matbench_segvae.types import Floats, Ints

_LENGTHS = (3, 6, 12)  # Å, of the decaying terms


@dataclass(frozen=True)
class ManyBodyTerm:
    """A contribution to the energy that is no sum over pairs, linear in one factor.

    Attributes:
        name: Symbol of the factor, such as ``"T"``.
        key: Name under which factors are stored in result files.
        unit: Unit of the factor.
        nodes: What the term adds to the complexity of a law.
        weight: What the factor is multiplied by for two defects at these distances, Å, from the
            one that they are around; of arrays of any shape.
        text: The term to read, with ``{}`` for the factor.
        latex: The same in LaTeX.
        latex_variables: The distances in LaTeX.
    """

    name: str
    key: str
    unit: str
    nodes: int
    weight: Callable[[Floats, Floats], Floats]
    text: str
    latex: str
    latex_variables: str = "r_1, r_2"

    def descriptors(self, distances: Floats, kinds: Ints, n_kinds: int) -> Floats:
        """Sum the weights of a structure for every column.

        Args:
            distances: Between all its defects, Å, shape ``(n, n)``.
            kinds: Number of the kind of each defect, shape ``(n,)``.
            n_kinds: Number of kinds ``P``.

        Returns:
            Shape ``(n_columns,)``, in the order of :func:`columns_around`.
        """
        is_kind = np.eye(n_kinds)[kinds]
        around = np.zeros((n_kinds, n_kinds, n_kinds))
        for center, row in enumerate(distances):
            others = np.flatnonzero(row > 0)
            weights = self.weight(row[others][:, None], row[others][None, :])
            np.fill_diagonal(weights, 0.0)
            around[kinds[center]] += is_kind[others].T @ weights @ is_kind[others]
        # Each two are counted twice: in one entry if they are of one kind, else in two.
        first, second = np.triu_indices(n_kinds)
        pairs = around[:, first, second] / np.where(first == second, 2, 1)
        return np.concatenate([pairs.sum(axis=1), pairs.ravel()])


TermColumn = tuple[ManyBodyTerm, str]
"""A term and which defects it is for, as :func:`columns_around` names them."""


def _inverse_products(one: Floats, two: Floats) -> Floats:
    return np.asarray(1 / (one * two))


def _decay(length: float) -> Callable[[Floats, Floats], Floats]:
    def weight(one: Floats, two: Floats) -> Floats:
        return np.asarray(np.exp(-(one + two) / length))

    return weight


THREE_BODY = ManyBodyTerm(
    name="T",
    key="three_body_eVA2",
    unit="eV Å²",
    nodes=5,  # a number, two distances, a product and a quotient
    weight=_inverse_products,
    text="{}/(r1*r2)",
    latex=r"\frac{{{}}}{{r_1 r_2}}",
)
"""``T / (r1 r2)`` for any two defects around a third one."""


DECAYING = tuple(
    ManyBodyTerm(
        name=f"T{length}",
        key=f"three_body_decay_{length}A_eV",
        unit="eV",
        nodes=8,  # as above, with an exponential, a sign and a length
        weight=_decay(length),
        text=f"{{}}*exp(-(r1 + r2)/{length} Å)",
        latex=rf"{{}}\,e^{{{{-(r_1 + r_2)/{length}\,\text{{{{Å}}}}}}}}",
    )
    for length in _LENGTHS
)
"""``T exp(-(r1 + r2) / l)`` for any two defects around a third one."""


MANY_BODY_TERMS: dict[str, ManyBodyTerm] = {term.key: term for term in (THREE_BODY, *DECAYING)}
"""All known terms by the name under which their factors are stored."""


def columns_around(defect_kinds: Sequence[str]) -> list[str]:
    """Name the columns of a term, in the order of its descriptors.

    Returns:
        ``"V_Mo"`` for any two defects around each kind, then ``"V_Mo, of V_S and V_S"`` for
        two of given kinds.
    """
    pairs = list(itertools.combinations_with_replacement(defect_kinds, 2))
    some = [f"{center}, of {one} and {two}" for center in defect_kinds for one, two in pairs]
    return [*defect_kinds, *some]


def meaning(column: str) -> str:
    """Which defects a column of a term is for, in words."""
    center, _, kinds = column.partition(", of ")
    which = f"for {kinds}" if kinds else "for any two defects"
    return f"{which} at r1 and r2 Å from a {center}"


def term_columns(
    terms: Iterable[ManyBodyTerm], defect_kinds: Iterable[str]
) -> tuple[TermColumn, ...]:
    """List every column of every term, in the order of descriptor columns."""
    columns = columns_around(tuple(defect_kinds))
    return tuple((term, column) for term in terms for column in columns)
