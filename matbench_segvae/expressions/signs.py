"""Signs of terms, where a reader expects them."""

from __future__ import annotations

import numpy as np

from matbench_segvae.expressions.arguments import shifted_by_half_a_turn
from matbench_segvae.expressions.sums import Base, Sum, Term, Wave, scaled
from matbench_segvae.expressions.traced import ONE, Origin


def without_sign(term: Term) -> Term:
    """``-a*cos(x)`` as ``a*cos(x + pi)``: amplitudes have no sign where a phase can have it.

    In each refit too, so that those that differ by half a turn and a sign agree.
    """
    number = term.coefficient
    for wave, exponent in term.factors:
        if isinstance(wave, Wave) and exponent % 2 and wave.phase.origin is not Origin.WHOLE:
            break
    else:
        return term
    if number.origin is not Origin.FITTED:
        return term
    negative = np.array(number.values) < 0
    turned = shifted_by_half_a_turn(wave, negative.astype(np.float64))
    return Term(
        number.mapped(np.abs, number.origin),
        tuple((turned if base is wave else base, n) for base, n in term.factors),
    )


def without_leading_sign(term: Term) -> Term:
    """``-a*(x - b)`` as ``a*(b - x)``, if it has brackets to turn round."""
    if term.coefficient.value > 0:
        return term
    for bracket, exponent in term.factors:
        if exponent % 2 and isinstance(bracket, Sum) and _has_minus(bracket):
            turned: Base = scaled(bracket, -ONE)
            factors = tuple((turned if base is bracket else base, n) for base, n in term.factors)
            return Term(-term.coefficient, factors)
    return term


def _has_minus(bracket: Sum) -> bool:
    return any(term.coefficient.value < 0 for term in bracket.terms)
