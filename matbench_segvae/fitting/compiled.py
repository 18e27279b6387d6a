"""Formulas run by a compiled stack machine: values, derivatives and fits of their constants.

Every formula is independent of the others, so batches are spread over the cores. One
formula is a row of codes in prefix order, read from its end: leaves push a row of values,
operators replace their arguments. Beside each value stands its derivative by every
constant that occurs below it.

The operators are the kernels of their rows in :mod:`~matbench_segvae.expressions.operators`.
Outside an operator's domain, and only there or on overflow, its value is not finite, so that
one check serves as domain rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, prange

from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, OPERATORS, Kernel
from matbench_segvae.types import Booleans, Floats, Ints

# Codes from 0 on are operators, those of two arguments first; variables count down from -3.
_CONSTANT = -1
_NUMBER = -2
_FIRST_VARIABLE = -3
_BINARY = [row for row in OPERATORS.values() if row.arity == 2]
_UNARY = [row for row in OPERATORS.values() if row.arity == 1]
_CODES = {row.name: code for code, row in enumerate([*_BINARY, *_UNARY])}
_N_BINARY = len(_BINARY)


@dataclass(frozen=True, eq=False)
class Program:
    """A batch of formulas as codes.

    Attributes:
        codes: Operators and leaves in prefix order, int, shape ``(B, L)``.
        numbers: Values of the named constants among them, shape ``(B, L)``.
        lengths: Number of tokens of each formula, int, shape ``(B,)``.
        n_constants: Number of fitted constants of each formula, int, shape ``(B,)``.
    """

    codes: Ints
    numbers: Floats
    lengths: Ints
    n_constants: Ints

    @classmethod
    def compile(cls, formulas: Sequence[Sequence[str]], variables: Sequence[str]) -> Program:
        """Translate formulas.

        Args:
            formulas: Prefix tokens of each formula.
            variables: Names of the columns of the points, in order.

        Raises:
            ValueError: If a token is unknown.
        """
        codes = {FITTED: _CONSTANT, **_CODES, **dict.fromkeys(NAMED_CONSTANTS, _NUMBER)}
        codes |= {name: _FIRST_VARIABLE - column for column, name in enumerate(variables)}
        width = max(map(len, formulas), default=1)
        program = cls(
            np.zeros((len(formulas), width), dtype=np.int64),
            np.zeros((len(formulas), width)),
            np.array([len(formula) for formula in formulas], dtype=np.int64),
            np.array([list(formula).count(FITTED) for formula in formulas], dtype=np.int64),
        )
        for row, formula in enumerate(formulas):
            for column, token in enumerate(formula):
                if token not in codes:
                    raise ValueError(
                        f"unknown token '{token}': the variables are {', '.join(variables)}"
                    )
                program.codes[row, column] = codes[token]
                program.numbers[row, column] = NAMED_CONSTANTS.get(token, 0.0)
        return program

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def width(self) -> int:
        """Largest number of fitted constants in a formula, ``C``."""
        return int(self.n_constants.max(initial=0))

    def repeat(self, times: int) -> Program:
        """The batch several times over, one after the other."""
        return Program(
            np.tile(self.codes, (times, 1)),
            np.tile(self.numbers, (times, 1)),
            np.tile(self.lengths, times),
            np.tile(self.n_constants, times),
        )

    def part(self, rows: slice) -> Program:
        """Some formulas of the batch."""
        return Program(
            self.codes[rows], self.numbers[rows], self.lengths[rows], self.n_constants[rows]
        )

    def values(self, points: Floats, constants: Floats) -> Floats:
        """Values of all formulas at all points.

        Args:
            points: Shape ``(R, V)``, a column per variable.
            constants: Shape ``(B, C)``.

        Returns:
            Shape ``(B, R)``, NaN where a formula is undefined.
        """
        result: Floats = _values(
            self.codes, self.numbers, self.lengths, _columns(points), _contiguous(constants)
        )
        return result

    def derivatives(self, points: Floats, constants: Floats) -> Floats:
        """Derivatives of all formulas by their constants.

        Args:
            points: Shape ``(R, V)``.
            constants: Shape ``(B, C)``.

        Returns:
            Shape ``(B, C, R)``; 0 for constants that a formula does not have.
        """
        result: Floats = _derivatives(
            self.codes, self.numbers, self.lengths, _columns(points), _contiguous(constants)
        )
        return result


def _columns(points: Floats) -> Floats:
    """Points with each variable's values next to each other, shape ``(V, R)``."""
    return np.ascontiguousarray(points.T, dtype=np.float64)


def _contiguous(values: Floats) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)


# Everything below is inlined into `run`: for a dozen points the calls would take as long as
# the arithmetic.
_inlined = njit(error_model="numpy", inline="always")


def _add_unary(code: int, kernel: Kernel, others: Any) -> Any:  # noqa: ANN401
    """Let compiled code run one more operator of one argument, with the others behind it."""
    value, slope = _inlined(kernel.value), _inlined(kernel.slope)

    @_inlined
    def apply(wanted: int, row: Floats, slopes: Floats) -> None:
        """Replace a row by the operator's values, with the derivatives beside them."""
        if wanted != code:
            others(wanted, row, slopes)
            return
        for i in range(len(row)):
            argument = row[i]
            result = value(argument)
            slopes[i] = slope(result, argument)
            row[i] = result

    return apply


def _add_binary(code: int, kernel: Kernel, others: Any) -> Any:  # noqa: ANN401
    """The same for the values of an operator of two arguments."""
    value = _inlined(kernel.value)

    @_inlined
    def apply(wanted: int, a: Floats, b: Floats, out: Floats) -> None:
        if wanted != code:
            others(wanted, a, b, out)
            return
        for i in range(len(out)):
            out[i] = value(a[i], b[i])

    return apply


def _add_binary_slope(code: int, kernel: Kernel, others: Any) -> Any:  # noqa: ANN401
    """The same for the chain rule; ``a`` and ``b`` are the values of the arguments."""
    slope = _inlined(kernel.slope)

    @_inlined
    def apply(
        wanted: int, a: Floats, b: Floats, da: Floats, db: Floats, has: tuple[bool, bool],
        out: Floats,
    ) -> None:  # fmt: skip
        if wanted != code:
            others(wanted, a, b, da, db, has, out)
            return
        for i in range(len(out)):
            u = da[i] if has[0] else 0.0
            v = db[i] if has[1] else 0.0
            out[i] = slope(a[i], b[i], u, v)

    return apply


@_inlined
def _unknown_unary(wanted: int, row: Floats, slopes: Floats) -> None:
    """No operator has this code: nothing is defined."""
    row[:] = np.nan


@_inlined
def _unknown_binary(wanted: int, a: Floats, b: Floats, out: Floats) -> None:
    out[:] = np.nan


@_inlined
def _unknown_slope(
    wanted: int, a: Floats, b: Floats, da: Floats, db: Floats, has: tuple[bool, bool], out: Floats
) -> None:
    out[:] = np.nan


_apply_unary, _apply_binary, _binary_slope = _unknown_unary, _unknown_binary, _unknown_slope
for _row in reversed([*_BINARY, *_UNARY]):
    if _row.arity == 1:
        _apply_unary = _add_unary(_CODES[_row.name], _row.kernel, _apply_unary)
    else:
        _apply_binary = _add_binary(_CODES[_row.name], _row.kernel, _apply_binary)
        _binary_slope = _add_binary_slope(_CODES[_row.name], _row.kernel, _binary_slope)


def _digest() -> str:
    """Sha256 of this file, of the files that kernels are written in, and of all kernels.

    numba keeps compiled code on disk and finds it by the time stamp of the file of the
    function and by the values that the function closes over. A function that closes over
    this digest is compiled anew when a kernel changes, which stands in another file.
    """
    sha = hashlib.sha256()
    files = {__file__}
    for name, code in _CODES.items():
        kernel = OPERATORS[name].kernel
        for part in (kernel.value.__code__, kernel.slope.__code__):
            files.add(part.co_filename)
            sha.update(f"{code} {name} {part.co_firstlineno}".encode() + part.co_code)
    for file in sorted(files):
        if Path(file).is_file():
            sha.update(Path(file).read_bytes())
    return sha.hexdigest()


ENGINE = _digest()
"""Changes when the compiled engine or one of its kernels does."""


@njit(error_model="numpy")
def run(
    codes: Ints,
    numbers: Floats,
    length: int,
    points: Floats,
    constants: Floats,
    stack: Floats,
    slopes: Floats,
    has: Booleans,
    scratch: Floats,
    with_slopes: bool,
) -> bool:
    """Run one formula; leave its values in ``stack[0]``, its derivatives in ``slopes[0]``.

    Args:
        codes: The formula, shape ``(L,)``.
        numbers: Named constants in it, shape ``(L,)``.
        length: Its number of tokens.
        points: Shape ``(V, R)``.
        constants: Shape ``(C,)``.
        stack: Room for values, shape ``(D, R)``.
        slopes: Room for derivatives, shape ``(D, C, R)``.
        has: Room for marks which derivatives are not 0, shape ``(D, C)``.
        scratch: Room for one row, shape ``(R,)``.
        with_slopes: Whether derivatives are wanted.

    Returns:
        Whether the formula is defined at all points; if not, values are NaN where it is
        undefined and derivatives are of no use.
    """
    n_rows = points.shape[1]
    n_constants = len(constants)
    top = -1
    number = 0
    for position in range(length):
        number += codes[position] == _CONSTANT
    defined = True
    for position in range(length - 1, -1, -1):
        code = codes[position]
        if code < 0:
            top += 1
            if with_slopes:
                has[top, :] = False
            if code == _CONSTANT:
                number -= 1
                stack[top, :] = constants[number]
                if with_slopes:
                    has[top, number] = True
                    slopes[top, number, :] = 1.0
            elif code == _NUMBER:
                stack[top, :] = numbers[position]
            else:
                stack[top, :] = points[_FIRST_VARIABLE - code]
            continue
        if code < _N_BINARY:
            # The first argument was pushed last.
            a, b = stack[top], stack[top - 1]
            if with_slopes:
                for j in range(n_constants):
                    if has[top, j] or has[top - 1, j]:
                        _binary_slope(
                            code, a, b, slopes[top, j], slopes[top - 1, j],
                            (has[top, j], has[top - 1, j]), slopes[top - 1, j],
                        )  # fmt: skip
                        has[top - 1, j] = True
            _apply_binary(code, a, b, b)
            top -= 1
        else:
            _apply_unary(code, stack[top], scratch)
            if with_slopes:
                for j in range(n_constants):
                    if has[top, j]:
                        for i in range(n_rows):
                            slopes[top, j, i] *= scratch[i]
        for i in range(n_rows):
            if not np.isfinite(stack[top, i]):
                stack[top, i] = np.nan
                defined = False
    if with_slopes:
        for j in range(n_constants):
            if not has[0, j]:
                slopes[0, j, :] = 0.0
    return defined


def _entry_points(engine: str) -> tuple[Any, Any]:
    """What Python calls, kept on disk for as long as the engine stays the same."""

    @njit(cache=True, parallel=True, error_model="numpy")
    def values(
        codes: Ints, numbers: Floats, lengths: Ints, points: Floats, constants: Floats
    ) -> Floats:
        assert engine  # has to be closed over, see _digest
        n_rows = points.shape[1]
        depth = codes.shape[1] // 2 + 2
        result = np.empty((len(codes), n_rows))
        for b in prange(len(codes)):
            stack = np.empty((depth, n_rows))
            nothing = np.empty((1, 1, 1))
            run(
                codes[b], numbers[b], lengths[b], points, constants[b], stack, nothing,
                np.empty((1, 1), dtype=np.bool_), np.empty(n_rows), False,
            )  # fmt: skip
            result[b] = stack[0]
        return result

    @njit(cache=True, parallel=True, error_model="numpy")
    def derivatives(
        codes: Ints, numbers: Floats, lengths: Ints, points: Floats, constants: Floats
    ) -> Floats:
        assert engine
        n_rows = points.shape[1]
        n_constants = constants.shape[1]
        depth = codes.shape[1] // 2 + 2
        result = np.empty((len(codes), n_constants, n_rows))
        for b in prange(len(codes)):
            stack = np.empty((depth, n_rows))
            slopes = np.empty((depth, n_constants, n_rows))
            has = np.empty((depth, n_constants), dtype=np.bool_)
            run(
                codes[b], numbers[b], lengths[b], points, constants[b], stack, slopes,
                has, np.empty(n_rows), True,
            )  # fmt: skip
            result[b] = slopes[0]
        return result

    return values, derivatives


_values, _derivatives = _entry_points(ENGINE)
