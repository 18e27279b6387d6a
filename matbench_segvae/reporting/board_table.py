"""The leaderboard of a task as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from matbench_segvae.benchmark.published import PublishedScore
from matbench_segvae.errors import one_line
from matbench_segvae.reporting.leaderboard import Row

WITHIN = "EwT(20 meV)"
"""Header of the share of errors below 20 meV, by the name that IDAO 2022 gave it."""

_NONE = "–"


def display_unit(unit: str) -> tuple[float, str]:
    """The factor to show a quantity with, and the unit that it then has.

    >>> display_unit("eV/atom")
    (1000.0, 'meV/atom')
    """
    if unit.startswith("eV"):
        return 1000.0, f"m{unit}"
    return 1.0, "" if unit in ("None", "unitless") else unit


def board_table(
    rows: Sequence[Row], published: Sequence[PublishedScore], unit: str, width: int
) -> Table:
    """The rows of one task, and published scores below a line.

    Args:
        rows: At least one, best first.
        published: Scores to list below them.
        unit: Unit of the target.
        width: Of the terminal; columns that matter least are dropped for it.
    """
    regression = rows[0].metric == "mae"
    name = "MAE" if regression else "ROC-AUC"
    factor, shown_unit = display_unit(unit)
    columns = _columns(rows, published, name, factor)
    _drop_columns(columns, width)
    title = f"{rows[0].task}: {name}" + (f" in {shown_unit}" if regression and shown_unit else "")
    # Texts of one line, not markup: names of tasks and algorithms come from files of others.
    table = Table(title=Text(one_line(title)), title_style="bold", title_justify="left")
    for header in columns:
        table.add_column(header, justify="left" if header == "algorithm" else "right")
    for place, cells in enumerate(zip(*columns.values(), strict=True)):
        if place == len(rows):
            table.add_section()
        style = "bold" if place == 0 else "dim" if place >= len(rows) else ""
        table.add_row(*map(Text, cells), style=style)
    if published:
        standings = dict.fromkeys(score.standing for score in published)
        table.caption = f"below the line: {'; '.join(standings)}"
        table.caption_justify = "left"
    return table


def _columns(
    rows: Sequence[Row], published: Sequence[PublishedScore], name: str, factor: float
) -> dict[str, list[str]]:
    """Cells by header: those of the rows, then those of the published scores."""
    score_factor = factor if rows[0].metric == "mae" else 1.0
    columns = {
        "algorithm": [one_line(row.algorithm) for row in rows],
        f"{name} ± std": [
            spread_text(row.mean * score_factor, row.std * score_factor, row.metric) for row in rows
        ],
        "median": [_number(row.median_error, factor) or _NONE for row in rows],
        WITHIN: [_share(row.within_20_mev) or _NONE for row in rows],
        "max error": [_number(row.max_error, factor) for row in rows],
        "complexity": ["" if row.complexity is None else str(row.complexity) for row in rows],
        "parameters": [_count(row.cost.parameters) for row in rows],
        "fit s/fold": [_seconds(row.cost.fit_seconds) for row in rows],
        "predict s/1000": [_seconds(row.cost.predict_seconds) for row in rows],
        "device": [one_line(row.cost.device or "") for row in rows],
        "folds": [",".join(map(str, row.folds)) for row in rows],
    }
    if len({row.folds for row in rows}) == 1:
        del columns["folds"]
    for score in published:
        known = {
            "algorithm": score.model,
            f"{name} ± std": _published(score, factor),
            "median": _number(score.median, factor) or _NONE,
            WITHIN: _share(score.within_20_mev) or _NONE,
            "max error": _number(score.max_error, factor),
        }
        for header, column in columns.items():
            column.append(known.get(header, ""))
    return columns


def _drop_columns(columns: dict[str, list[str]], width: int) -> None:
    """Drop empty columns, then on a narrow terminal the least important ones."""
    for header in [header for header, cells in columns.items() if {"", _NONE} >= set(cells)]:
        del columns[header]
    dispensable = ("device", "predict s/1000", "parameters", "complexity", "max error")
    for header in (*dispensable, WITHIN, "median", "fit s/fold"):
        needed = sum(max(map(len, [name, *cells])) + 3 for name, cells in columns.items()) + 1
        if needed > width:
            columns.pop(header, None)


def spread_text(mean: float, std: float, metric: str) -> str:
    """Mean and standard deviation with sensible digits."""
    digits = 3 if metric == "rocauc" else _digits(mean)
    return f"{mean:.{digits}f} ± {std:.{digits}f}"


def _number(value: float | None, factor: float = 1.0) -> str:
    return "" if value is None else f"{value * factor:.{_digits(value * factor)}f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _published(score: PublishedScore, factor: float) -> str:
    if score.spread is None:
        return _number(score.mae, factor)
    return spread_text(score.mae * factor, score.spread * factor, "mae")


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value >= 0.095 or value == 0 else f"{value:.1g}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _digits(value: float) -> int:
    """Decimals that leave about three significant digits."""
    size = abs(value)
    return 1 if size >= 10 else 2 if size >= 1 else 4
