r"""Many-body terms: energies of more than two defects that their pairs do not explain.

A term adds ``factor * descriptor`` for each defect of some kind; the descriptor follows from
the distances to all other defects. A term of one's own is one more entry of
`MANY_BODY_TERMS`; counts, fits, laws and the command line take all terms from there.

The one term today is ``T / (r1 r2)`` for any two defects at distances ``r1`` and ``r2`` from
a third one: the square of the neighbours' sum of ``1 / r`` at a defect, less what pairs
explain of it, as in the embedding energy of Daw and Baskes, Phys. Rev. B 29, 6443 (1984). A
second sulfur vacancy beside a molybdenum vacancy gains less than the first one did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from matbench_segvae.types import Floats


@dataclass(frozen=True)
class ManyBodyTerm:
    """A contribution to the energy that is no sum over pairs, linear in one factor.

    Attributes:
        name: Symbol of the factor, such as ``"T"``.
        key: Name under which factors are stored in result files.
        unit: Unit of the factor.
        nodes: What the term adds to the complexity of a law.
        descriptor: From the distances between all defects of a structure, Å, shape
            ``(n, n)``, to what the factor of each defect is multiplied by, shape ``(n,)``.
        text: The term to read, with ``{}`` for the factor.
        latex: The same in LaTeX.
        latex_variables: The distances in LaTeX.
        meaning: Which defects the term is for, with ``{}`` for the kind of the central one.
    """

    name: str
    key: str
    unit: str
    nodes: int
    descriptor: Callable[[Floats], Floats]
    text: str
    latex: str
    latex_variables: str
    meaning: str


TermColumn = tuple[ManyBodyTerm, str]
"""A term around one kind of defect."""


def _inverse_products(distances: Floats) -> Floats:
    """Sum ``1 / (r1 r2)`` over any two other defects around each one, Å⁻², shape ``(n,)``."""
    inverse = np.divide(1, distances, out=np.zeros_like(distances), where=distances > 0)
    # Each two are in the square of the sum twice, and each one with itself once.
    return np.asarray((inverse.sum(axis=1) ** 2 - (inverse**2).sum(axis=1)) / 2)


THREE_BODY = ManyBodyTerm(
    name="T",
    key="three_body_eVA2",
    unit="eV Å²",
    nodes=5,  # a number, two distances, a product and a quotient
    descriptor=_inverse_products,
    text="{}/(r1*r2)",
    latex=r"\frac{{{}}}{{r_1 r_2}}",
    latex_variables="r_1, r_2",
    meaning="for any two defects at r1 and r2 Å from a {}",
)
"""``T / (r1 r2)`` for any two defects around a third one."""


MANY_BODY_TERMS: dict[str, ManyBodyTerm] = {term.key: term for term in (THREE_BODY,)}
"""All known terms by the name under which their factors are stored."""


def term_columns(
    terms: Iterable[ManyBodyTerm], defect_kinds: Iterable[str]
) -> tuple[TermColumn, ...]:
    """List every term around every kind of defect, in the order of descriptor columns."""
    kinds = tuple(defect_kinds)
    return tuple((term, kind) for term in terms for kind in kinds)
