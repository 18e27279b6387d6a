"""Formulas that are numerically equivalent to earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from matbench_segvae.expressions.expression import complexity_of
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.types import Floats, Tokens

_POINTS = 24
_DIGITS = 9  # in which values have to agree


class Duplicates:
    """Recognises formulas that are equivalent to earlier ones up to a factor.

    All formulas are evaluated at the same points, with the same values of their constants
    in order of appearance. Two that agree there up to a factor, which is free in every
    fit, are equivalent; the shorter one is worth keeping.

    Args:
        variables: Names of the variables.
    """

    def __init__(self, variables: Sequence[str]) -> None:
        rng = np.random.default_rng(0)
        self._variables = tuple(variables)
        # Both signs for the variables: identities that hold for one sign only do not count.
        self._points = rng.uniform(-2, 3, (_POINTS, len(self._variables)))
        self._constants = rng.uniform(0.5, 2, 64)
        self._complexities: dict[bytes, int] = {}  # by signature

    def discard_from(self, formulas: Sequence[Tokens]) -> list[Tokens]:
        """Formulas without duplicates, which later ones are then compared with as well.

        A formula that is simpler than the earlier ones it is equivalent to is kept.
        """
        if not formulas:
            return []
        program = Program.compile(formulas, self._variables)
        constants = np.broadcast_to(
            self._constants[: program.width], (len(formulas), program.width)
        )
        kept = []
        signatures = _signatures(program.values(self._points, constants))
        for tokens, signature in zip(formulas, signatures, strict=True):
            complexity = complexity_of(tokens)
            if signature is None:
                kept.append(tokens)
            elif complexity < self._complexities.get(signature, complexity + 1):
                kept.append(tokens)
                self._complexities[signature] = complexity
        return kept


def _signatures(values: Floats) -> list[bytes | None]:
    """Digest of each row up to a factor; ``None`` where too few of its values are defined."""
    finite = np.isfinite(values)
    size = np.max(np.abs(np.where(finite, values, 0.0)), axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        shape = values / size
        first = np.take_along_axis(shape, finite.argmax(axis=1)[:, None], axis=1)
        shape = np.round(np.where(first < 0, -shape, shape), _DIGITS) + 0.0
    shape[~finite] = np.nan  # all alike: a NaN has a sign too
    enough = finite.sum(axis=1) >= _POINTS // 4
    return [
        blake2b(row.tobytes(), digest_size=12).digest() if defined else None
        for row, defined in zip(shape, enough.tolist(), strict=True)
    ]
