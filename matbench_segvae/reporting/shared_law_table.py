"""A law of one formula for all kinds of pairs, as a page shows it: formula, table, energies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.algorithms.pair_laws.shared_table import Entry, column_names
from matbench_segvae.errors import UserError
from matbench_segvae.reporting.leaderboard import FoldScore, Row
from matbench_segvae.reporting.markdown import NONE, markdown_table


def shared_law_table(scores: Sequence[FoldScore], row: Row | None) -> str:
    """The law of the fold that stands for a row of the board, in Markdown.

    Args:
        scores: All folds.
        row: The row; ``None`` gives nothing.

    Raises:
        UserError: If that fold has no law of one formula for all kinds of pairs.
    """
    if row is None:
        return ""
    key = (row.task, row.algorithm, row.formula_fold)
    found = [one for one in scores if (one.task, one.algorithm, one.fold) == key]
    try:
        saved = SavedLaw.from_description(found[0].params)
    except (IndexError, ValueError) as error:
        raise UserError(f"{row.task}: fold {row.formula_fold} has no law: {error}") from error
    return _written(saved, found[0].params)


def _written(saved: SavedLaw, params: Mapping[str, Any]) -> str:
    law, refits = saved.law, saved.resampled
    table = law.shared_table(refits)
    if table is None or law.shared is None:
        return "\n".join(["```", *law.lines(refits), "```", ""])
    entries = {kind: table.entries(kind) for kind in law.shared.table}
    columns = column_names(entries.values())
    header = ["pair", *(_heading(name, entries.values()) for name in columns)]
    rows = []
    for kind, row in entries.items():
        of_column = {one.name: one.constant.figures for one in row}
        rows.append([str(kind), *(of_column.get(name, NONE) for name in columns)])
    beside = [*law.many_body_lines(refits), *law.energy_lines(refits)]
    numbers = f"{law.complexity} nodes, {params['parameters']} fitted numbers"
    return "\n".join(
        [
            f"$$K_{{ab}}(r) = {table.latex}$$",
            "",
            f"{markdown_table(header, rows)}",
            "```",
            *beside,
            "```",
            "",
            f"({numbers}; energies in eV, distances in Å)",
            "",
        ]
    )


def _heading(name: str, rows: Iterable[Sequence[Entry]]) -> str:
    """Name of a column with the unit of its entries."""
    units = {one.constant.unit for row in rows for one in row if one.name == name}
    unit = units.pop() if len(units) == 1 else None
    return f"{name}, {unit}" if unit else name
