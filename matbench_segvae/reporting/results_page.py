"""The generated tables of ``README.md`` and ``leaderboard/README.md``.

A page holds them between markers, ``<!-- generated: NAME -->`` and ``<!-- end -->``; the names
are the keys of :func:`tables`. From the root of a clone,

    python -m matbench_segvae.reporting.results_page

computes them again from the committed submission folders; a test fails where a page is stale.
"""

from __future__ import annotations

import math
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.benchmark.folds import committed_metadata
from matbench_segvae.benchmark.published import published_scores
from matbench_segvae.benchmark.samples import TARGET
from matbench_segvae.errors import UserError
from matbench_segvae.files import write_text
from matbench_segvae.reporting.board_table import display_unit
from matbench_segvae.reporting.leaderboard import FoldScore, Row, rank, read_results, units_of
from matbench_segvae.reporting.low_density_table import LOW_DENSITY_TASKS, low_density_table
from matbench_segvae.reporting.markdown import NONE, markdown_table
from matbench_segvae.reporting.other_states import other_states_table
from matbench_segvae.reporting.seeds import SeedScore, read_seeds, spread_of
from matbench_segvae.reporting.shared_law_table import shared_law_table

LEADERBOARD = Path("leaderboard")
"""Where the submission folders are, seen from the root of a clone."""

PAGES = (Path("README.md"), LEADERBOARD / "README.md")
"""The pages with generated tables, seen from there."""

_MARKED = re.compile(r"(<!-- generated: ([a-z0-9-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

_DEFECT_TASKS = {
    "defects2d_xtb_mos2": "embedded",
    "defects2d_xtb_hbn": "embedded",
    "defects2d_mos2_v3": "DFT",
    "defects2d_mos2_transfer": "DFT, pairs → triples, one fold",
    "defects2d_mos2_x2": "DFT, 19 structures",
    "defects2d_mos2_v2": "DFT, 15 structures",
    **LOW_DENSITY_TASKS,
}

_PER_SITE = {task for task in _DEFECT_TASKS if committed_metadata()[task]["target"] == TARGET}

_MATBENCH_TASKS = ("matbench_jdft2d", "matbench_steels")

_ALGORITHMS = (
    "segvae",
    "pair_table",
    "paper_formula",
    "megnet",
    "megnet_dense",
    "megnet_keras",
    "dummy",
)

_BRIEF_TASKS = {
    "defects2d_mos2_low": "5,933 structures",
    "defects2d_mos2_low_transfer": "131 singles and pairs → 5,802 triples",
    "defects2d_mos2_low_families": "families of triples left out",
    "defects2d_mos2_v3": "743 triples",
    "defects2d_xtb_mos2": "embedded",
    "defects2d_xtb_hbn": "embedded",
}

_BRIEF_ALGORITHMS = ("segvae", "pair_table", "megnet", "dummy")

_SEEDED = ("segvae", "megnet")

_IN_SAMPLE = {"paper_formula"}
"""Algorithms whose constants were fitted to all structures, those of the test parts included."""

_LAW_TASK = "defects2d_mos2_low"
"""The task whose law stands on the pages."""

_COST_TASK, _COST_FOLD = "defects2d_mos2_v3", 0


def tables(leaderboard: Path) -> dict[str, str]:
    """Every generated table.

    Args:
        leaderboard: The folder of the submission folders.

    Returns:
        Markdown by name, each with a line break at its end.

    Raises:
        UserError: If the folder holds no submission or one that is damaged, or the table of
            published predictions cannot be had.
    """
    scores = read_results(leaderboard)
    board = rank(scores)
    seeds = {a: _seeds_of(leaderboard, a) for a in _SEEDED}
    fold = {
        score.algorithm: score
        for score in scores
        if (score.task, score.fold) == (_COST_TASK, _COST_FOLD)
    }
    return {
        "errors": _errors(board, _DEFECT_TASKS, _ALGORITHMS),
        "errors-in-brief": _errors(board, _BRIEF_TASKS, _BRIEF_ALGORITHMS),
        "low-density": low_density_table(board),
        "seeds": _seeds(seeds, board),
        "cost": _cost(fold),
        "low-density-law": shared_law_table(scores, _row(board, _LAW_TASK, "segvae")),
        "other-states": other_states_table(scores),
        "pair-law": _code(_law_lines(fold["segvae"].params)),
        **{task.replace("_", "-"): _published(board[task][0]) for task in _MATBENCH_TASKS},
        "feature-formula": _feature_formula(board[_MATBENCH_TASKS[0]][0]),
    }


def _row(board: Mapping[str, Sequence[Row]], task: str, algorithm: str) -> Row | None:
    """The row of an algorithm on a task, if it was run."""
    return next((row for row in board.get(task, ()) if row.algorithm == algorithm), None)


def fill(page: str, generated: Mapping[str, str]) -> str:
    """Put tables between their markers.

    Args:
        page: Text of a page.
        generated: Tables by name.

    Returns:
        The page with its tables as they are now.

    Raises:
        UserError: If the page has a marker for a table that there is not.
    """

    def table(found: re.Match[str]) -> str:
        head, name, _, end = found.groups()
        if name not in generated:
            raise UserError(f"unknown table '{name}': choose from {', '.join(generated)}")
        return f"{head}{generated[name]}{end}"

    return _MARKED.sub(table, page)


def main(root: Path = Path()) -> int:
    """Write all pages with their tables as they are now.

    Args:
        root: Root of a clone.

    Returns:
        The exit status: 0, or 2 after one line on stderr.
    """
    try:
        generated = tables(root / LEADERBOARD)
        for page in PAGES:
            text = (root / page).read_text(encoding="utf-8")
            write_text(root / page, fill(text, generated))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _errors(
    board: Mapping[str, Sequence[Row]], tasks: Mapping[str, str], algorithms: Sequence[str]
) -> str:
    """Mean absolute errors of the tasks with results, meV per site; of levels, meV.

    Args:
        board: Rows of each task.
        tasks: What stands behind the name of each task.
        algorithms: The columns.
    """
    rows = []
    for task, note in tasks.items():
        found = {row.algorithm: row for row in board.get(task, ())}
        if not found:
            continue
        cells = [_error(found[name]) if name in found else NONE for name in algorithms]
        rows.append([f"`{task}` ({note})", *cells])
    return markdown_table(["task", *map(_heading, algorithms)], rows)


def _error(row: Row) -> str:
    """Mean over the folds, and its spread where there are several."""
    mean, std = 1000 * row.mean, 1000 * row.std
    return f"{mean:.1f} ± {std:.1f}" if len(row.folds) > 1 else f"{mean:.1f}"


def _seeds(seeds: Mapping[str, Sequence[SeedScore]], board: Mapping[str, Sequence[Row]]) -> str:
    """Means over several seeds, in the unit that the task is shown in."""
    tasks = [task for task in (*_DEFECT_TASKS, *_MATBENCH_TASKS) if task in board]
    units = units_of(tasks)
    rows = []
    for task in tasks:
        factor, unit = display_unit(units[task])
        unit = f"{unit} per site" if task in _PER_SITE else unit
        cells = [_over_seeds(scores, task, factor) for scores in seeds.values()]
        rows.append([f"`{task}`", unit, *cells])
    return markdown_table(["task", "unit", *map(_heading, seeds)], rows)


def _over_seeds(scores: Sequence[SeedScore], task: str, factor: float) -> str:
    spread = spread_of(scores, task)
    if spread is None:
        return NONE
    mean, std = factor * spread.mean, factor * spread.std
    # Two digits of the spread say how many of the mean are worth printing.
    decimals = min(2, max(0, 1 - math.floor(math.log10(std)))) if std else 2
    return f"{mean:.{decimals}f} ± {std:.{decimals}f} ({len(spread.seeds)} seeds)"


def _seeds_of(leaderboard: Path, algorithm: str) -> list[SeedScore]:
    """Scores of an algorithm with all its seeds, on every benchmark."""
    folders = sorted(leaderboard.glob(f"*_v0.1_{algorithm}"))
    return [score for folder in folders for score in read_seeds(folder)]


def _cost(fold: Mapping[str, FoldScore]) -> str:
    """What accuracy costs on one fold: an algorithm a column."""
    names = [name for name in _ALGORITHMS if name in fold and name != "dummy"]
    found = [fold[name].params for name in names]
    predict = [1000 * p["seconds_predict"] / p["n_test"] for p in found]
    rows = [
        ["MAE of the fold, meV per site", *(f"{1000 * fold[n].scores['mae']:.1f}" for n in names)],
        ["fitted numbers", *(f"{p['parameters']:,}" for p in found)],
        ["nodes of the formula", *(_nodes(p) for p in found)],
        ["seconds to fit", *(_seconds(p["seconds_fit"]) for p in found)],
        ["seconds to predict 1,000 structures", *map(_seconds, predict)],
    ]
    return markdown_table(["", *map(_heading, names)], rows)


def _law_lines(params: Mapping[str, object]) -> list[str]:
    """The lines of a pair law."""
    saved = SavedLaw.from_description(params)
    return saved.law.lines(saved.resampled)


def _nodes(params: Mapping[str, object]) -> str:
    """Complexity of what has a formula; a table of numbers has none."""
    return str(params["complexity"]) if "formula" in params else NONE


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _published(ours: Row) -> str:
    """One formula per fold among the published scores of Matbench's leaderboard."""
    factor, unit = display_unit(units_of([ours.task])[ours.task])
    mean, std = factor * ours.mean, factor * ours.std
    rows = [(mean, f"**`{ours.algorithm}`, one formula**", f"**{mean:.1f} ± {std:.1f}**")]
    rows += [(s.mae, s.model, f"{s.mae:.1f}") for s in published_scores(ours.task)]
    return markdown_table([f"`{ours.task}`", unit], [cells for _, *cells in sorted(rows)])


def _feature_formula(row: Row) -> str:
    """The formula of the fold closest to the mean, a few terms a line."""
    return _code(textwrap.wrap(str(row.formula), 90, subsequent_indent="    "))


def _heading(algorithm: str) -> str:
    return f"`{algorithm}`" + (" (in-sample)" if algorithm in _IN_SAMPLE else "")


def _code(lines: Iterable[str]) -> str:
    return "\n".join(["```", *lines, "```", ""])


if __name__ == "__main__":
    sys.exit(main())
