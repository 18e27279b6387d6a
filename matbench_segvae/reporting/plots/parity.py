"""Parity plots: predictions against truth, one panel for each algorithm of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from matbench_segvae.errors import UserError
from matbench_segvae.reporting.board_table import display_unit
from matbench_segvae.reporting.leaderboard import FoldScore, Row, best_formula, rank
from matbench_segvae.reporting.plots.style import check_format, save_figure
from matbench_segvae.reporting.plots.task_data import loaded_task, require_samples

_PANEL = 2.9  # inches


def draw_parity(scores: Sequence[FoldScore], path: Path) -> Path:
    """Draw a row of panels per task, one for each algorithm, best first.

    The formula of the best algorithm that has one is printed below its row.

    Args:
        scores: Fold scores with predictions; classifications are left out.
        path: Where to save the picture; the suffix sets the format.

    Returns:
        The path.

    Raises:
        UserError: If the format is unknown, nothing can be drawn, a task's data cannot
            be had or lack a predicted sample, or the picture cannot be written.
    """
    check_format(path)
    board = {
        task: rows for task, rows in rank(scores).items() if all(r.metric == "mae" for r in rows)
    }
    if not board:
        raise UserError("nothing to draw: no regression among the results")
    return save_figure(lambda: _figure(board, scores), path)


def _figure(board: Mapping[str, Sequence[Row]], scores: Sequence[FoldScore]) -> Figure:
    n_columns = max(len(rows) for rows in board.values())
    figure = Figure(figsize=(_PANEL * n_columns, (_PANEL + 1.2) * len(board)), layout="constrained")
    strips = figure.subfigures(len(board), 1, squeeze=False)[:, 0]
    for strip, (task, rows) in zip(strips, board.items(), strict=True):
        truth, unit = _truth(task, scores)
        # Names come from files of others: a dollar sign in them starts no formula.
        strip.suptitle(task, fontweight="bold", parse_math=False)
        axes = strip.subplots(1, n_columns, sharex=True, sharey=True, squeeze=False)[0]
        for axis in axes[len(rows) :]:
            axis.set_visible(False)
        for axis, row in zip(axes, rows, strict=False):
            _panel(axis, row, truth, scores, unit)
        axes[0].set_ylabel(f"predicted, {unit}")
        best = best_formula(rows)
        if best is not None:
            strip.supxlabel(
                f"{best.algorithm}, fold {best.formula_fold}:\n"
                + str(best.formula).replace("; ", "\n"),
                fontsize=8,
                family="monospace",
                parse_math=False,
            )
    return figure


def _panel(
    axis: Axes, row: Row, truth: Mapping[str, float], scores: Sequence[FoldScore], unit: str
) -> None:
    """One algorithm: every test prediction of every fold."""
    pairs = np.array(
        [
            (truth[sample], value)
            for score in scores
            if (score.task, score.algorithm) == (row.task, row.algorithm)
            for sample, value in score.predictions.items()
        ]
    ).reshape(-1, 2)
    low, high = min(truth.values()), max(truth.values())
    axis.plot([low, high], [low, high], color="0.7", linewidth=1, zorder=1)
    axis.scatter(pairs[:, 0], pairs[:, 1], s=12, alpha=0.6, linewidths=0, zorder=2)
    factor, small_unit = display_unit(unit)
    mean, std = row.mean * factor, row.std * factor
    title = f"{row.algorithm}: MAE {mean:.1f} ± {std:.1f} {small_unit}"
    axis.set_title(title, fontsize=9, parse_math=False)
    axis.set_xlabel(f"true, {unit}")


def _truth(name: str, scores: Sequence[FoldScore]) -> tuple[dict[str, float], str]:
    """Targets by sample id and their unit; all samples that are predicted are among them."""
    task = loaded_task(name)
    for score in scores:
        if score.task == name:
            require_samples(score.predictions, task, f"fold {score.fold} of '{score.algorithm}'")
    targets = task.df[task.metadata["target"]]
    return {str(k): float(v) for k, v in targets.items()}, str(task.metadata["unit"] or "")
