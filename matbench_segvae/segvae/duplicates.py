"""Formulas that say the same in other words, told by their values."""

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
    """Remembers what formulas say, up to a factor, and finds those that add nothing.

    All formulas are evaluated at the same points, with the same values of their constants
    in order of appearance. Two that agree there up to a factor, which is free in every
    fit, are the same formula; the shorter one is worth keeping.

    Args:
        variables: Names of the variables.
    """

    def __init__(self, variables: Sequence[str]) -> None:
        rng = np.random.default_rng(0)
        self._variables = tuple(variables)
        # Both signs for the variables: identities that hold on one side only do not count.
        self._points = rng.uniform(-2, 3, (_POINTS, len(self._variables)))
        self._constants = rng.uniform(0.5, 2, 64)
        self._known: dict[bytes, int] = {}

    def new(self, formulas: Sequence[Tokens]) -> list[Tokens]:
        """Those of the formulas that say something new or say it shorter; remember them."""
        if not formulas:
            return []
        program = Program.compile(formulas, self._variables)
        constants = np.broadcast_to(
            self._constants[: program.width], (len(formulas), program.width)
        )
        kept = []
        signs = _signatures(program.values(self._points, constants))
        for tokens, sign in zip(formulas, signs, strict=True):
            complexity = complexity_of(tokens)
            if sign is None or complexity < self._known.get(sign, complexity + 1):
                kept.append(tokens)
                if sign is not None:
                    self._known[sign] = complexity
        return kept


def _signatures(values: Floats) -> list[bytes | None]:
    """What each row says up to a factor; none where too little is defined to tell."""
    finite = np.isfinite(values)
    size = np.max(np.abs(np.where(finite, values, 0.0)), axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        shape = values / size
        first = np.take_along_axis(shape, finite.argmax(axis=1)[:, None], axis=1)
        shape = np.round(np.where(first < 0, -shape, shape), _DIGITS) + 0.0
    shape[~finite] = np.nan  # all alike: a NaN has a sign too
    enough = finite.sum(axis=1) >= _POINTS // 4
    return [
        blake2b(row.tobytes(), digest_size=12).digest() if told else None
        for row, told in zip(shape, enough.tolist(), strict=True)
    ]
