"""What every sample of a task of a user's own has to fulfil."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.benchmark.task_files import elements_of
from matbench_segvae.errors import UserError

_SHOWN = 5  # values that a message lists
_LONGEST = 200  # characters of a sample id


def check_ids(name: str, ids: Sequence[object]) -> None:
    """Check that ids are texts that can be told apart and printed.

    Args:
        name: Task name.
        ids: Sample ids.

    Raises:
        UserError: If an id is no such text, or two samples have it.
    """
    wrong = [i for i in ids if not isinstance(i, str) or not _can_be_shown(i)]
    if wrong:
        raise UserError(
            f"{listed(wrong)} cannot be the id of a sample of {name}: use 1 to {_LONGEST} "
            "printable characters, no space first or last"
        )
    doubled = [i for i, count in Counter(ids).items() if count > 1]
    if doubled:
        raise UserError(f"{name} has the id {listed(doubled)} twice: give every sample its own")


def _can_be_shown(text: str) -> bool:
    return 1 <= len(text) <= _LONGEST and text.isprintable() and text == text.strip()


def check_structure(sample: str, structure: object) -> None:
    """Check that every site of a structure has one element and a finite place.

    Raises:
        UserError: If not, or it is no structure.
    """
    if not isinstance(structure, Structure) or not len(structure):
        raise UserError(f"sample {sample!r} is no structure with atoms, but {structure!r:.60}")
    try:
        elements_of(structure)
    except ValueError as error:
        raise UserError(
            f"sample {sample!r} cannot be used ({error}): every site needs one element"
        ) from error
    if not np.isfinite(structure.frac_coords).all():
        raise UserError(f"sample {sample!r} has coordinates that are not finite")


def listed(values: Sequence[object]) -> str:
    """Values for a message: the first ones, and how many more there are."""
    shown = ", ".join(map(repr, values[:_SHOWN]))
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
