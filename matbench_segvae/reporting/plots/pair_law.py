"""A pair law in pictures: the law beside the pair energies of data, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from matbench_segvae.algorithms.pair_laws.pair_energies import (
    ObservedPairEnergies,
    observed_pair_energies,
)
from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.defects import DefectiveCell, PairCounts, PairKind, count_pairs
from matbench_segvae.errors import UserError
from matbench_segvae.reporting.law_result import LawResult
from matbench_segvae.reporting.plots.style import check_format, save_figure
from matbench_segvae.reporting.plots.task_data import loaded_task, require_samples

_PANEL = 3.2  # inches
_N_POINTS = 200  # of a curve
_LARGEST = 9.0  # points, of a formula
_MOST_COLUMNS = 5  # panels beside each other
_BAND = (5, 95)  # percentiles of the refits
_GREY_LINE: dict[str, Any] = {"color": "0.7", "linewidth": 1, "zorder": 1}
_DOTS: dict[str, Any] = {"s": 14, "alpha": 0.6, "linewidths": 0, "zorder": 2, "rasterized": True}


def draw_law(result: LawResult, path: Path) -> Path:
    """Draw a law beside the data of its task.

    Above, for each kind of pair, ``K(r)`` over the distances it was fitted to, the 90 %
    interval of its refits to resampled data, and the pair energies of all structures of the
    task without any formula, larger for more structures (see
    :func:`~matbench_segvae.algorithms.pair_laws.pair_energies.observed_pair_energies`). Below,
    the predictions for the fold's test part against the truth, and their errors against the
    shortest pair distance; single defects have none and are left out there.

    Args:
        result: The law and its fold.
        path: Where to save the picture; its suffix gives the format.

    Returns:
        The path.

    Raises:
        UserError: If the format is unknown, the task's data cannot be had or are others than
            those of the result, or the picture cannot be written.
    """
    check_format(path)
    if result.fold is None:
        raise UserError(
            f"'{result.source}' keeps no structures to draw the law with: its picture is law.svg "
            "beside it"
        )
    structures, energies = _data(result)
    shown = _Shown(f"{result.task}, fold {result.fold}", "test part", result.predictions)
    pairs = result.saved.pairs_of(structures)
    return save_figure(lambda: _figure(result.saved, pairs, energies, shown), path)


def draw_fitted_law(
    saved: SavedLaw, cells: Sequence[DefectiveCell], energies: pd.Series, path: Path
) -> Path:
    """Draw a law beside the structures it was fitted to, as :func:`draw_law` does.

    Args:
        saved: The law.
        cells: The structures as their defects.
        energies: Energy per defect site of each, eV, by id.
        path: Where to save the picture; its suffix gives the format.

    Returns:
        The path.

    Raises:
        UserError: If the format is unknown or the picture cannot be written.
    """
    check_format(path)
    pairs = count_pairs(cells, like=saved.kinds)
    predicted = saved.law.predict(pairs).tolist()
    predictions = dict(zip(energies.index, predicted, strict=True))
    shown = _Shown("fitted to all structures", "structures fitted to", predictions)
    return save_figure(lambda: _figure(saved, pairs, energies, shown), path)


@dataclass(frozen=True)
class _Shown:
    """Predictions to show beside a law.

    Attributes:
        title: Of the picture.
        part: Which structures they are of.
        predictions: Energy per defect site by id, eV.
    """

    title: str
    part: str
    predictions: Mapping[str, float]


def _data(result: LawResult) -> tuple[pd.Series, pd.Series]:
    """Structures and energies per defect site (eV) of the whole task, by sample id."""
    task = loaded_task(result.task)
    require_samples(result.predictions, task, f"'{result.source}'")
    return task.df[str(task.metadata["input_type"])], task.df[str(task.metadata["target"])]


def _figure(saved: SavedLaw, pairs: PairCounts, energies: pd.Series, shown: _Shown) -> Figure:
    observed = observed_pair_energies(saved.law, pairs, energies.to_numpy(dtype=np.float64))
    n_columns = min(max(len(observed), 2), _MOST_COLUMNS)
    n_rows = -(-len(observed) // n_columns)
    size = (_PANEL * n_columns, (n_rows + 1) * _PANEL + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(shown.title, fontweight="bold")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(n_rows, 1))[:, 0]
    grid = above.subplots(n_rows, min(len(observed), n_columns), squeeze=False).ravel()
    axes = grid[: len(observed)]
    for axis in grid[len(observed) :]:
        axis.set_axis_off()
    formulas = _formulas(saved)
    for axis, data in zip(axes, observed, strict=True):
        _law_panel(axis, saved, data)
        _title(axis, str(data.kind), formulas[data.kind])
    axes[0].set_ylabel("K, eV")
    axes[0].legend(frameon=False, fontsize=8)
    samples = list(shown.predictions)
    predicted = np.array([shown.predictions[sample] for sample in samples])
    truth = energies.loc[samples].to_numpy(dtype=np.float64)
    parity, errors = below.subplots(1, 2)
    _parity_panel(parity, truth, predicted, shown.part)
    shortest = pd.Series(pairs.shortest, energies.index).loc[samples].to_numpy(dtype=np.float64)
    _error_panel(errors, shortest, 1000 * (predicted - truth), shown.part)
    return figure


def _law_panel(axis: Axes, saved: SavedLaw, data: ObservedPairEnergies) -> None:
    """One kind of pair: the law, its refits and the data's own pair energies."""
    kind = data.kind
    low, high = saved.ranges[kind]
    inside = data.distances[(data.distances >= low) & (data.distances <= high)]
    # With the data's own distances, or a narrow peak at one of them would go unseen.
    r = np.union1d(np.linspace(low, high, _N_POINTS), inside)
    axis.axhline(0, **_GREY_LINE)
    if saved.resampled:
        refits = [law.values(kind, r) for law in saved.resampled]
        band = np.nanpercentile(refits, _BAND, axis=0)
        axis.fill_between(r, *band, color="C0", alpha=0.25, linewidth=0, label="90 % of refits")
    axis.plot(r, saved.law.values(kind, r), color="C0", label="law")
    sizes = _sizes(data.n_structures.tolist())
    axis.scatter(data.distances, data.energies, sizes, "C1", alpha=0.7, label="data", zorder=3)
    _keep_in_sight(axis, np.concatenate([data.energies, saved.law.values(kind, inside), [0.0]]))
    axis.set_xlabel("distance r, Å")


def _formulas(saved: SavedLaw) -> dict[PairKind, str]:
    """The formula of each kind of pair as matplotlib writes it."""
    forms = zip(saved.law.sharing(), saved.law.normal_forms(saved.resampled), strict=True)
    # Fractions inside of fractions would be too small to read.
    texts = ((kinds, form.latex.replace(r"\frac", r"\dfrac")) for kinds, form in forms)
    return {kind: f"$K = {text}$ eV" for kinds, text in texts for kind in kinds}


def _title(axis: Axes, kind: str, formula: str) -> None:
    """The kind of pair, and below it the formula, as large as the panel is wide."""
    width = TextPath((0, 0), formula, size=_LARGEST).get_extents().width
    size = _LARGEST * min(1.0, 72 * 0.85 * _PANEL / width)
    axis.set_title(f"{kind}\n{formula}", fontsize=size, pad=8)


def _keep_in_sight(axis: Axes, values: np.ndarray) -> None:
    """Cut off peaks of a curve that would flatten everything else."""
    low, high = values.min(), values.max()
    bottom, top = axis.get_ylim()
    axis.set_ylim(max(bottom, 2 * low - high), min(top, 2 * high - low))


def _sizes(counts: Sequence[int]) -> list[float]:
    """Areas of dots; a hundred times the structures make a dot five times as large."""
    return [10 * (1 + 2 * np.log10(max(count, 1))) for count in counts]


def _parity_panel(axis: Axes, truth: np.ndarray, predicted: np.ndarray, part: str) -> None:
    """Predictions against truth, eV per defect site."""
    mae = 1000 * float(np.abs(predicted - truth).mean())
    both = np.concatenate([truth, predicted])
    axis.plot([both.min(), both.max()], [both.min(), both.max()], **_GREY_LINE)
    axis.scatter(truth, predicted, **_DOTS)
    axis.set_title(f"{part}: MAE {mae:.1f} meV per defect site", fontsize=9)
    axis.set_xlabel("true, eV per defect site")
    axis.set_ylabel("predicted, eV per defect site")


def _error_panel(axis: Axes, shortest: np.ndarray, errors: np.ndarray, part: str) -> None:
    """Errors, meV per defect site, against the shortest pair distance, Å."""
    axis.axhline(0, **_GREY_LINE)
    axis.scatter(shortest, errors, **_DOTS)
    axis.set_title(f"{part}: errors by distance", fontsize=9)
    axis.set_xlabel("shortest pair distance, Å")
    axis.set_ylabel("predicted less true, meV per site")
