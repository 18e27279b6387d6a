"""The leaderboard: submissions are read, and their algorithms ranked by score, with their cost.

A submission is one of this package or any other in Matbench's form.
"""

from __future__ import annotations

import contextlib
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matbench_segvae.benchmark import task_summary
from matbench_segvae.errors import UserError, cut, finite_number
from matbench_segvae.files import read_json
from matbench_segvae.reporting.cost import Cost, Params, cost_of
from matbench_segvae.reporting.submission import INFO, RESULTS
from matbench_segvae.running import FoldResult, FoldStore
from matbench_segvae.running.store import MEDIAN_ERROR, WITHIN_20_MEV, BrokenFoldFile


@dataclass(frozen=True)
class FoldScore:
    """The scores of one fold.

    Attributes:
        task: Task name.
        algorithm: Name of the algorithm.
        fold: Fold number.
        scores: Matbench's scores, such as ``mae`` in the unit of the target.
        params: What the algorithm recorded beside its predictions.
        predictions: Predictions of the fold's test set by sample id.
    """

    task: str
    algorithm: str
    fold: int
    scores: Mapping[str, float]
    params: Params
    predictions: Mapping[str, float]

    @classmethod
    def of(cls, result: FoldResult) -> FoldScore:
        """The scores of a finished fold."""
        return cls(
            result.task,
            result.algorithm,
            result.fold,
            result.scores,
            result.params,
            result.predictions,
        )


@dataclass(frozen=True)
class Row:
    """One algorithm on one task.

    Attributes:
        task: Task name.
        algorithm: Name of the algorithm.
        metric: ``"mae"`` (smaller is better) or ``"rocauc"`` (larger is better).
        mean: Mean of the metric over the folds, in the unit of the target.
        std: Its standard deviation over the folds, the population's, as Matbench takes it.
        median_error: Mean over the folds of their median absolute errors, in the unit of the
            target; None unless every fold recorded it, which older ones did not.
        within_20_mev: Mean over the folds of the share of errors below 20 meV; None likewise,
            and for targets that are not in eV.
        max_error: Largest error of all folds, in the unit of the target; regression only.
        cost: Parameters, seconds and device, as far as they were recorded.
        formula: The formula of `formula_fold`, if the algorithm has formulas.
        formula_fold: The fold whose error is closest to the mean. Each fold has its own
            formula; this one is neither the luckiest nor the unluckiest.
        complexity: Complexity of that formula.
        folds: The folds it is made of.
    """

    task: str
    algorithm: str
    metric: str
    mean: float
    std: float
    median_error: float | None
    within_20_mev: float | None
    max_error: float | None
    cost: Cost
    formula: str | None
    formula_fold: int | None
    complexity: int | None
    folds: tuple[int, ...]

    @property
    def seconds(self) -> float | None:
        """Mean time to fit a fold, in s, if recorded."""
        return self.cost.fit_seconds


def read_results(directory: Path) -> list[FoldScore]:
    """Read every submission in a folder, finished or not.

    Args:
        directory: A folder of submission folders, or one submission folder. Folds that are
            stored but not yet in a submission count too.

    Returns:
        Scores of all folds found.

    Raises:
        UserError: If there is no such folder, no submission in it, or one that is damaged.
    """
    if not directory.is_dir():
        raise UserError(f"there is no folder '{directory}' to read results from")
    folders = submission_folders(directory)
    scores = [score for folder in folders for score in _read_folder(folder)]
    if not scores:
        raise UserError(
            f"no submission in '{directory}': a submission is a folder "
            f"<benchmark>_<algorithm> with a {RESULTS}, as `matbench-segvae run` writes it"
        )
    return scores


def submission_folders(directory: Path) -> list[Path]:
    """Where submissions may be: a folder itself, and the folders in it."""
    return [directory, *sorted(path for path in directory.iterdir() if path.is_dir())]


def _read_folder(folder: Path) -> list[FoldScore]:
    scores = _read_submission(folder) if (folder / RESULTS).is_file() else []
    done = {score.task for score in scores}
    return scores + [score for score in _read_folds(folder) if score.task not in done]


def _read_submission(folder: Path) -> list[FoldScore]:
    path = folder / RESULTS
    try:
        stored = read_json(path)
        algorithm = _algorithm_name(folder, str(stored["benchmark_name"]))
        return [
            FoldScore(
                task=str(task),
                algorithm=algorithm,
                fold=_fold_number(key),
                scores={name: _score(value) for name, value in fold["scores"].items()},
                params=dict(fold.get("parameters") or {}),
                predictions={sample: _prediction(v) for sample, v in fold["data"].items()},
            )
            for task, content in stored["tasks"].items()
            for key, fold in content["results"].items()
        ]
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"'{path}' is no results file in Matbench's form: {error}") from error


def _fold_number(key: str) -> int:
    """The number in Matbench's name of a fold; in another spelling it could count twice.

    Raises:
        ValueError: If the name is not Matbench's.
    """
    found = re.fullmatch("fold_(0|[1-9][0-9]{0,8})", key)
    if found is None:
        raise ValueError(f"a fold is {cut(key)!r}, and has to be fold_0, fold_1 and so on")
    return int(found[1])


def _score(value: object) -> float:
    """A score of a file.

    Raises:
        ValueError: If it is no finite number.
    """
    number = finite_number(value)
    if number is None:
        raise ValueError(f"a score is {cut(value)!r}")
    return number


def _prediction(value: object) -> float:
    """A prediction of a file, which for a class can be true or false.

    Raises:
        ValueError: If it is neither that nor a finite number.
    """
    number = finite_number(int(value) if isinstance(value, bool) else value)
    if number is None:
        raise ValueError(f"a prediction is {cut(value)!r}")
    return number


def _algorithm_name(folder: Path, benchmark: str) -> str:
    info = folder / INFO
    if info.is_file():
        name = read_json(info).get("algorithm")
        if name:
            return str(name)
    return folder.resolve().name.removeprefix(f"{benchmark}_")


def _read_folds(folder: Path) -> list[FoldScore]:
    scores = []
    for path in sorted((folder / "folds").glob("*-fold_*.json")):
        try:
            scores.append(FoldScore.of(FoldStore.read(path)))
        except BrokenFoldFile:
            # The next run makes it again; the other folds can be shown without it.
            continue
    return scores


def rank(scores: Iterable[FoldScore]) -> dict[str, list[Row]]:
    """Make the rows of every task, best first.

    Returns:
        Rows by task name, tasks in the order of their first appearance.

    Raises:
        UserError: If the folds of a task have no metric in common.
    """
    grouped: dict[str, dict[str, list[FoldScore]]] = {}
    for score in scores:
        grouped.setdefault(score.task, {}).setdefault(score.algorithm, []).append(score)
    board = {}
    for task, algorithms in grouped.items():
        metric = _common_metric([fold for folds in algorithms.values() for fold in folds])
        rows = [_row(folds, metric) for folds in algorithms.values()]
        board[task] = sorted(rows, key=lambda r: r.mean if r.metric == "mae" else -r.mean)
    return board


def _common_metric(folds: Sequence[FoldScore]) -> str:
    """The metric of a task, which every fold of every algorithm has.

    Raises:
        UserError: If one lacks it.
    """
    metric = "mae" if any("mae" in fold.scores for fold in folds) else "rocauc"
    for fold in folds:
        if metric not in fold.scores:
            wanted = "'mae' or 'rocauc'" if metric == "rocauc" else "'mae', which others have"
            raise UserError(
                f"{fold.task} fold {fold.fold} of '{fold.algorithm}' has no score {wanted}: every "
                "fold of a task needs the same"
            )
    return metric


def _row(folds: list[FoldScore], metric: str) -> Row:
    values = [fold.scores[metric] for fold in folds]
    mean = statistics.fmean(values)
    typical = min(folds, key=lambda fold: (abs(fold.scores[metric] - mean), fold.fold))
    errors = [fold.scores["max_error"] for fold in folds if "max_error" in fold.scores]
    formula = typical.params.get("formula")
    complexity = finite_number(typical.params.get("complexity"))
    return Row(
        task=folds[0].task,
        algorithm=folds[0].algorithm,
        metric=metric,
        mean=mean,
        std=statistics.pstdev(values),
        median_error=_mean_if_all(folds, MEDIAN_ERROR),
        within_20_mev=_mean_if_all(folds, WITHIN_20_MEV),
        max_error=max(errors, default=None),
        cost=cost_of([fold.params for fold in folds]),
        formula=str(formula) if formula else None,
        formula_fold=typical.fold if formula else None,
        complexity=None if complexity is None else int(complexity),
        folds=tuple(sorted(fold.fold for fold in folds)),
    )


def _mean_if_all(folds: Sequence[FoldScore], key: str) -> float | None:
    """Mean of what the folds recorded; None if one did not, since others would not stand for it."""
    recorded = [finite_number(fold.params.get(key)) for fold in folds]
    numbers = [value for value in recorded if value is not None and value >= 0]
    return statistics.fmean(numbers) if len(numbers) == len(folds) else None


def best_formula(rows: Sequence[Row]) -> Row | None:
    """The best row that has a formula, if any has."""
    return next((row for row in rows if row.formula), None)


def units_of(tasks: Iterable[str], scores: Iterable[FoldScore] = ()) -> dict[str, str]:
    """Units of the targets by task name, without tasks that are not known here.

    Args:
        tasks: Task names.
        scores: Results of tasks of a user's own say the unit too, which helps where the task
            itself is on another machine.
    """
    recorded = {score.task: score.params.get("unit") for score in scores}
    units = {name: unit for name, unit in recorded.items() if isinstance(unit, str)}
    for name in tasks:
        with contextlib.suppress(UserError):
            units[name] = task_summary(name).unit
    return units
