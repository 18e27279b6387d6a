"""A pair law out of the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matbench_segvae.algorithms.pair_laws.law_json import error_from_json
from matbench_segvae.algorithms.pair_laws.saved_law import SavedLaw
from matbench_segvae.errors import UserError, cut, finite
from matbench_segvae.files import read_json
from matbench_segvae.reporting.leaderboard import FoldScore, rank, read_results
from matbench_segvae.reporting.submission import RESULTS
from matbench_segvae.running import FoldStore
from matbench_segvae.running.store import BrokenFoldFile

LAW_FILE = "law.json"
"""Name of the file of a law that was fitted to a user's own data."""

_LEVELS = "edges"  # what only laws of levels report
_REASON = 300  # characters of a reason: some come from other packages and quote whole files
_WANTED = (
    "give a finished fold of segvae (…/folds/<task>-fold_<number>.json), its submission "
    "folder (<benchmark>_segvae) or the folder of `law fit`"
)


@dataclass(frozen=True, eq=False)
class LawResult:
    """A law with its scores: on the test part of its fold, or on all data it was fitted to.

    Attributes:
        source: Where it was read from.
        task: Task name; that of the folder for a law that was fitted to a user's own data.
        fold: Fold number; ``None`` for a law of a user's own data.
        choice: Why this fold, if there was a choice, such as ``"of 0, 1, 2: the closest to
            the mean score"``; else empty.
        seed: Seed of the run, if recorded.
        mae: Mean absolute error of `predictions`, eV per defect site.
        predictions: Energy per defect site of the same structures by sample id, eV.
        saved: The law.
    """

    source: Path
    task: str
    fold: int | None
    choice: str
    seed: int | None
    mae: float
    predictions: Mapping[str, float]
    saved: SavedLaw

    @property
    def part(self) -> str:
        """Which data `mae` and `predictions` are of, in words."""
        return "the data it was fitted to" if self.fold is None else "the test part"

    @property
    def name(self) -> str:
        """Task, fold and why this fold, in words."""
        if self.fold is None:
            return self.task
        why = f" ({self.choice})" if self.choice else ""
        return f"{self.task}, fold {self.fold}{why}"


def read_law_result(path: Path, task: str | None = None, fold: int | None = None) -> LawResult:
    """Read the law of a finished fold, or one that was fitted to a user's own data.

    Args:
        path: File of a finished fold, a submission folder with any number of them, or the
            folder of ``law fit``.
        task: Task name; may be left out where there is only one.
        fold: Fold number; by default the fold whose score is closest to the mean of its task.

    Raises:
        UserError: If nothing can be read there, there is no such task or fold, the task has
            to be named, or the result is not one of segvae.
    """
    own = path / LAW_FILE if path.is_dir() else path
    if own.name == LAW_FILE and own.is_file():
        return _own_law(own)
    if path.is_dir():
        scores = _read_folder(path)
    elif path.exists():
        scores = [_read_file(path)]
    else:
        raise UserError(f"there is no '{path}': {_WANTED}")
    members = _of_task(path, scores, task)
    chosen, choice = _of_fold(path, members, fold)
    return _law_result(path, chosen, choice if path.is_dir() else "")


def _read_file(path: Path) -> FoldScore:
    try:
        return FoldScore.of(FoldStore.read(path))
    except BrokenFoldFile as error:
        raise UserError(f"cannot use '{path}', {cut(error, _REASON)}: {_WANTED}") from error


def _read_folder(path: Path) -> list[FoldScore]:
    if not (path / RESULTS).is_file() and not (path / "folds").is_dir():
        raise UserError(f"'{path}' is no submission folder: {_WANTED}")
    return read_results(path)


def _of_task(path: Path, scores: Sequence[FoldScore], task: str | None) -> list[FoldScore]:
    if task is None:
        scores = [score for score in scores if not _is_of_levels(score)] or scores
    tasks = list(dict.fromkeys(score.task for score in scores))
    if task is None and len(tasks) > 1:
        raise UserError(f"'{path}' holds several tasks: choose one with --task, {_listed(tasks)}")
    if task is not None and task not in tasks:
        raise UserError(f"'{path}' holds no task '{task}': it has {_listed(tasks)}")
    wanted = tasks[0] if task is None else task
    return [score for score in scores if score.task == wanted]


def _of_fold(path: Path, scores: Sequence[FoldScore], fold: int | None) -> tuple[FoldScore, str]:
    """The requested fold, or the one that stands for all, and why it does."""
    folds = {score.fold: score for score in scores}
    numbers = _listed(sorted(folds))
    if fold is not None:
        if fold not in folds:
            raise UserError(f"'{path}' holds no fold {fold} of {scores[0].task}: it has {numbers}")
        return folds[fold], ""
    # The leaderboard's rule, so that both show the same formula.
    typical = rank(scores)[scores[0].task][0].formula_fold
    if len(folds) == 1 or typical is None:
        return scores[0], ""
    return folds[typical], f"of {numbers}: the closest to the mean score"


def _law_result(path: Path, score: FoldScore, choice: str) -> LawResult:
    if _is_of_levels(score):
        raise UserError(
            f"'{path}', {cut(score.task)} fold {score.fold}, is a law of levels: only laws of "
            "energies can be shown or used, give a task whose target is an energy"
        )
    try:
        seed = score.params.get("seed")
        return LawResult(
            source=path,
            task=score.task,
            fold=score.fold,
            choice=choice,
            seed=None if seed is None else _seed(seed),
            mae=error_from_json(score.scores["mae"], "mae"),
            predictions=_predictions(score.predictions),
            saved=SavedLaw.from_description(score.params),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"'{path}', {cut(score.task)} fold {score.fold}, is a result of "
            f"'{cut(score.algorithm)}' and has no law of segvae that can be used "
            f"({cut(error, _REASON)}): {_WANTED}"
        ) from error


def _is_of_levels(score: FoldScore) -> bool:
    """Whether it is a law of HOMO, LUMO or gap."""
    return _LEVELS in score.params


def _own_law(path: Path) -> LawResult:
    """The law of a file that ``law fit`` wrote."""
    try:
        content = read_json(path)
        return LawResult(
            source=path,
            task=path.absolute().parent.name,
            fold=None,
            choice="",
            seed=_seed(content["seed"]),
            mae=error_from_json(content["training_mae"], "training_mae"),
            predictions=_predictions(content["predictions"]),
            saved=SavedLaw.from_description(content["law"]),
        )
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"'{path}' holds no law that can be used ({cut(error, _REASON)}): {_WANTED}"
        ) from error


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"its seed is {cut(value)!r}, no whole number")
    return value


def _predictions(content: Mapping[str, object]) -> dict[str, float]:
    return {name: finite(value, "predictions") for name, value in content.items()}


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
