"""Our results and published ones on the 5,933 low-density MoS2 structures, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from matbench_segvae.benchmark.published import PublishedScore, published_scores
from matbench_segvae.reporting.leaderboard import Row
from matbench_segvae.reporting.markdown import NONE, markdown_table

LOW_DENSITY_TASKS: Mapping[str, str] = MappingProxyType(
    {
        "defects2d_mos2_low": "DFT, 5,933 structures",
        "defects2d_mos2_low_transfer": "DFT, 131 singles and pairs → 5,802 triples, one fold",
        "defects2d_mos2_low_families": "DFT, one family of triples left out, six folds",
        "defects2d_mos2_low_gap": "DFT, HOMO–LUMO gap",
        "defects2d_mos2_low_homo": "DFT, HOMO",
    }
)
"""Tasks on these structures, and what they are."""


def low_density_table(board: Mapping[str, Sequence[Row]]) -> str:
    """Errors of every algorithm and every published model, task by task.

    Args:
        board: Our rows by task name, best first; tasks may be missing.

    Returns:
        Markdown; published results stand below ours and are marked, since they were not trained
        on our folds.

    Raises:
        UserError: If the table of published predictions cannot be had.
    """
    rows = []
    for task in LOW_DENSITY_TASKS:
        cells = [_ours(row) for row in board.get(task, ())]
        cells += [_published(score) for score in published_scores(task)]
        rows += [[f"`{task}`" if not place else "", *each] for place, each in enumerate(cells)]
    return markdown_table(["task", "model", "MAE, meV", "median, meV", "EwT(20 meV)"], rows)


def _ours(row: Row) -> list[str]:
    """Model, mean with its spread over the folds, median and share of small errors."""
    spread = row.std if len(row.folds) > 1 else None
    return [
        f"`{row.algorithm}`",
        _mev(row.mean, spread),
        _mev(row.median_error),
        _percent(row.within_20_mev),
    ]


def _published(score: PublishedScore) -> list[str]:
    """The same of a published model; the spread is the stated one."""
    return [
        f"{score.model}, published",
        _mev(score.mae, score.spread),
        _mev(score.median),
        _percent(score.within_20_mev),
    ]


def _mev(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return NONE
    return f"{1000 * value:.2f}" + ("" if spread is None else f" ± {1000 * spread:.2f}")


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"
