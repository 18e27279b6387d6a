"""What is handed in for the test part of a fold: numbers, one for each sample, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from matbench_segvae.errors import UserError, cut
from matbench_segvae.types import Floats


def in_order(values: Any, ids: Sequence[str], what: str, columns: int | None = None) -> Floats:  # noqa: ANN401
    """Finite numbers in the order of the samples.

    Args:
        values: A list, an array, or a Series or data frame that may be in another order of the
            samples' ids. One without ids, numbered from 0, is taken as it stands.
        ids: Of the samples.
        what: What the numbers are, for messages.
        columns: How many numbers each sample has; ``None`` for one.

    Returns:
        Shape ``(N,)``, or ``(N, columns)``; ``N`` is the number of values, whatever it should be.

    Raises:
        UserError: If they are no finite numbers, or those of other samples.
    """
    if isinstance(values, pd.Series | pd.DataFrame):
        values = _aligned(values, ids, what)
    if np.ma.isMaskedArray(values):
        n_masked = int(np.count_nonzero(np.ma.getmaskarray(values)))
        if n_masked:
            raise UserError(f"{n_masked} of {len(values)} {what} are masked: give all of them")
    if np.iscomplexobj(values):
        raise UserError(f"{what} are complex: give real numbers")
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} are no numbers: {error}") from error
    if columns is not None and (numbers.ndim != 2 or numbers.shape[1] != columns):
        raise UserError(f"{what} have the shape {numbers.shape}: give {columns} for each sample")
    if columns is None:
        numbers = numbers.reshape(-1)
    finite = np.isfinite(numbers)
    n_bad = int((~(finite if columns is None else finite.all(axis=1))).sum())
    if n_bad:
        raise UserError(
            f"{n_bad} of {len(numbers)} {what} are not finite: give a finite number for every "
            "sample"
        )
    return numbers


def _aligned(
    values: pd.Series | pd.DataFrame, ids: Sequence[str], what: str
) -> pd.Series | pd.DataFrame:
    """Values in the order of the ids, if they have ids."""
    index = values.index
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return values
    if not index.is_unique:
        raise UserError(f"{what} hold '{cut(index[index.duplicated()][0])}' twice")
    others = index.difference(pd.Index(ids), sort=False)
    if len(others):
        raise UserError(f"{what} are of other samples: '{cut(others[0])}' is none of the test part")
    lacking = pd.Index(ids).difference(index, sort=False)
    if len(lacking):
        raise UserError(
            f"{what} lack {len(lacking)} samples of the test part, '{lacking[0]}' first"
        )
    return values.loc[list(ids)]


def deviations(values: Any, ids: Sequence[str], what: str) -> list[float]:  # noqa: ANN401
    """Standard deviations in the order of the samples; see :func:`in_order`.

    Raises:
        UserError: If one is negative too, or there are more or fewer than samples.
    """
    numbers = in_order(values, ids, what)
    _require_as_many(numbers, ids, what)
    if (numbers < 0).any():
        raise UserError(f"one of the {what} is {numbers.min():g}: none may be below 0")
    return [float(number) for number in numbers]


def intervals(values: Any, ids: Sequence[str], what: str) -> list[tuple[float, float]]:  # noqa: ANN401
    """Confidence intervals in the order of the samples; see :func:`in_order`.

    Raises:
        UserError: If an upper end is below its lower one too, or there are more or fewer than
            samples.
    """
    numbers = in_order(values, ids, what, columns=2)
    _require_as_many(numbers, ids, what)
    if (numbers[:, 0] > numbers[:, 1]).any():
        low, high = numbers[numbers[:, 0] > numbers[:, 1]][0]
        raise UserError(f"one of the {what} is {low:g} to {high:g}: the lower end comes first")
    return [(float(low), float(high)) for low, high in numbers]


def _require_as_many(numbers: Floats, ids: Sequence[str], what: str) -> None:
    if len(numbers) != len(ids):
        raise UserError(f"there are {len(numbers)} {what} for {len(ids)} samples")
