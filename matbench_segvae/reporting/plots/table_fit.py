"""Pictures of a fit to a table: the Pareto front, and predictions against the target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from matbench_segvae.reporting.plots.style import save_figure

_SIZE = 4.0  # inches


def draw_front(
    complexities: Sequence[int], losses: Sequence[float], chosen: int, path: Path
) -> Path:
    """Draw loss against complexity, with the chosen formula marked.

    Args:
        complexities: Of the formulas.
        losses: Of the formulas; zeros are drawn at the lower edge.
        chosen: Position of the chosen one.
        path: Where to save the picture; its ending is the format.

    Raises:
        UserError: If it cannot be written.
    """
    return save_figure(lambda: _front_figure(complexities, losses, chosen), path)


def draw_fit_parity(
    truth: ArrayLike, predicted: ArrayLike, std: ArrayLike, target: str, path: Path
) -> Path:
    """Draw predictions of the training rows against their targets, with error bars.

    Args:
        truth: Targets, shape ``(N,)``.
        predicted: Predictions, shape ``(N,)``.
        std: Their standard deviations, shape ``(N,)``.
        target: Name of the target.
        path: Where to save the picture; its ending is the format.

    Raises:
        UserError: If it cannot be written.
    """
    return save_figure(lambda: _parity_figure(truth, predicted, std, target), path)


def _front_figure(complexities: Sequence[int], losses: Sequence[float], chosen: int) -> Figure:
    figure = Figure(figsize=(1.3 * _SIZE, _SIZE), layout="constrained")
    axis = figure.subplots()
    positive = [loss for loss in losses if loss > 0]
    least = min(positive, default=1.0)
    shown = [loss if loss > 0 else 0.1 * least for loss in losses]
    axis.plot(complexities, shown, marker="o", color="0.5", markersize=5, linewidth=1)
    axis.plot(complexities[chosen], shown[chosen], "o", color="C3", markersize=9, label="chosen")
    axis.set(xlabel="complexity", ylabel="loss")
    if positive:
        axis.set_yscale("log")
    axis.legend(frameon=False)
    return figure


def _parity_figure(truth: ArrayLike, predicted: ArrayLike, std: ArrayLike, target: str) -> Figure:
    values = np.asarray(truth, dtype=np.float64)
    figure = Figure(figsize=(_SIZE, _SIZE), layout="constrained")
    axis = figure.subplots()
    low, high = float(values.min()), float(values.max())
    axis.plot([low, high], [low, high], color="0.7", linewidth=1, zorder=1)
    axis.errorbar(
        values,
        np.asarray(predicted),
        yerr=np.asarray(std),
        fmt="o",
        markersize=3,
        alpha=0.6,
        elinewidth=0.5,
        zorder=2,
    )
    # A column's name is text, even with a dollar sign in it.
    axis.set_xlabel(f"{target}, table", parse_math=False)
    axis.set_ylabel(f"{target}, formula", parse_math=False)
    return figure
