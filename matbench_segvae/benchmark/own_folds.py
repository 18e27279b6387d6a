"""Folds of a task of a user's own: shuffled, by groups, or as a table says.

Shuffled folds are made as those of Matbench (Dunn et al., npj Comput. Mater. 6, 138 (2020),
doi 10.1038/s41524-020-00406-3), with the same random state.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sklearn.model_selection import KFold

from matbench_segvae.benchmark.folds import N_FOLDS, RANDOM_STATE, Splits
from matbench_segvae.benchmark.sample_checks import listed
from matbench_segvae.errors import UserError

TRAIN = "train"
TEST = "test"
_MOST_GROUPS = 1000  # each is a fold, which lists all samples and fits every algorithm once


def folds_of(
    ids: Sequence[str],
    table: pd.DataFrame | None = None,
    group: str | None = None,
    split: str | None = None,
) -> Splits:
    """Make the folds of a task.

    Args:
        ids: Sample ids, in the order of the task.
        table: Columns that `group` and `split` may name, indexed by sample id.
        group: Column of groups: one fold for each of its values, tested on that group alone.
        split: Column that says ``train`` or ``test``: one fold. Rows without a value are in
            neither.

    Returns:
        Ids to train and to test on, for every fold: ``KFold(5, shuffle=True,
        random_state=18012019)`` where no column is named.

    Raises:
        UserError: If both columns are named, there is no such column or id, or there are too
            few samples or groups.
    """
    if group is not None and split is not None:
        raise UserError("folds are made by groups or by a column of train/test: choose one")
    if group is not None:
        return _leave_one_out(ids, _column(ids, table, group))
    if split is not None:
        return _aslisted(ids, _column(ids, table, split))
    return _shuffled(ids)


def check_folds(folds: Splits, ids: Sequence[str]) -> None:
    """Check folds that were read or made by somebody else.

    Args:
        folds: Fold key to ``train`` and ``test`` to sample ids.
        ids: All sample ids.

    Raises:
        UserError: If folds are not named ``fold_0``, ``fold_1`` and so on, a part is missing or
            empty, an id is unknown or doubled, or one is both trained and tested on.
    """
    names = [f"fold_{number}" for number in range(len(folds))]
    if not folds or list(folds) != names:
        raise UserError(
            f"folds are named {listed(list(folds)) or 'nothing'}: name them fold_0, fold_1, …"
        )
    known = set(ids)
    for name, fold in folds.items():
        if set(fold) != {TRAIN, TEST} or not fold[TRAIN] or not fold[TEST]:
            raise UserError(f"{name} needs samples to train on and others to test on")
        both = [*fold[TRAIN], *fold[TEST]]
        unknown = [sample for sample in both if sample not in known]
        if unknown:
            raise UserError(f"{name} has samples that the task does not: {listed(unknown)}")
        if len(set(both)) != len(both):
            doubled = [sample for sample in dict.fromkeys(both) if both.count(sample) > 1]
            raise UserError(f"{name} has samples twice: {listed(doubled)}")


def _shuffled(ids: Sequence[str]) -> Splits:
    if len(ids) < N_FOLDS:
        raise UserError(
            f"{len(ids)} samples are too few for {N_FOLDS} folds: add samples, or say which are "
            "trained on by a column of train/test"
        )
    folds = KFold(N_FOLDS, shuffle=True, random_state=RANDOM_STATE).split(list(ids))
    return _numbered([([ids[i] for i in train], [ids[i] for i in test]) for train, test in folds])


def _leave_one_out(ids: Sequence[str], column: pd.Series) -> Splits:
    labels = column.map(_text).to_dict()
    missing = [sample for sample in ids if not labels[sample]]
    if missing:
        raise UserError(f"column {column.name!r} has no group for {listed(missing)}")
    groups = list(dict.fromkeys(labels[sample] for sample in ids))
    if not 2 <= len(groups) <= _MOST_GROUPS:
        raise UserError(
            f"column {column.name!r} has {len(groups)} group{'s' * (len(groups) != 1)}: leaving "
            f"one out takes 2 to {_MOST_GROUPS}"
        )
    parts: list[tuple[list[str], list[str]]] = []
    for group in groups:
        train = [sample for sample in ids if labels[sample] != group]
        parts.append((train, [sample for sample in ids if labels[sample] == group]))
    return _numbered(parts)


def _aslisted(ids: Sequence[str], column: pd.Series) -> Splits:
    labels = {sample: label.lower() for sample, label in column.map(_text).items()}
    wrong = [sample for sample in ids if labels[sample] not in (TRAIN, TEST, "")]
    if wrong:
        values = list(dict.fromkeys(_text(column[sample]) for sample in wrong))
        raise UserError(
            f"column {column.name!r} says {listed(values)} for {listed(wrong)}: it has to say "
            f"{TRAIN} or {TEST}, or nothing"
        )
    parts = {part: [s for s in ids if labels[s] == part] for part in (TRAIN, TEST)}
    empty = [part for part, members in parts.items() if not members]
    if empty:
        raise UserError(f"column {column.name!r} says {empty[0]} for no sample: name at least one")
    return _numbered([(parts[TRAIN], parts[TEST])])


def _column(ids: Sequence[str], table: pd.DataFrame | None, name: str) -> pd.Series:
    """A column of the table, with a value for every id."""
    names = [] if table is None else list(map(str, table.columns))
    if table is None or name not in names:
        raise UserError(f"there is no column {name!r}: choose from {', '.join(names) or 'none'}")
    missing = [sample for sample in ids if sample not in table.index]
    if missing:
        raise UserError(f"the table with column {name!r} has no row for {listed(missing)}")
    return table.loc[list(ids), name]


def _text(value: object) -> str:
    """A cell as text; a cell without a value is empty, and 1.0 is the group 1."""
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _numbered(parts: Sequence[tuple[list[str], list[str]]]) -> Splits:
    return {
        f"fold_{number}": {TRAIN: train, TEST: test} for number, (train, test) in enumerate(parts)
    }
