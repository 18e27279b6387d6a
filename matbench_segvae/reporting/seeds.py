"""Scores over several seeds, in a table beside a submission.

A submission holds one prediction for each sample, so the results of one seed. How much a
score depends on the seed is shown by ``seeds.csv``: one row for each task, seed and fold.
Folds of further seeds are under ``<out>/seed-<number>/``.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from matbench_segvae.errors import UserError, cut, finite_number
from matbench_segvae.files import read_text, write_text
from matbench_segvae.running import FoldResult, FoldStore
from matbench_segvae.running.store import BrokenFoldFile

SEEDS = "seeds.csv"
"""Name of the table in a submission folder."""


@dataclass(frozen=True)
class SeedScore:
    """Score of one fold with one seed.

    Attributes:
        task: Task name.
        seed: Seed of the run.
        fold: Fold number.
        metric: ``"mae"`` or ``"rocauc"``.
        score: Its value, in the unit of the target.
        seconds_fit: Time to fit, s.
    """

    task: str
    seed: int
    fold: int
    metric: str
    score: float
    seconds_fit: float


@dataclass(frozen=True)
class SeedSpread:
    """Mean score over the folds, for several seeds.

    Attributes:
        seeds: The seeds.
        mean: Mean over the seeds of a seed's mean over the folds.
        std: Standard deviation over the seeds, the sample's.
    """

    seeds: tuple[int, ...]
    mean: float
    std: float


def seed_folder(out: Path, seed: int, first: int) -> Path:
    """Where the results of a seed go: those of the first one to the folder itself."""
    return out if seed == first else out / f"seed-{seed}"


def stored_seeds(store: FoldStore, task: str, results: Sequence[FoldResult]) -> list[SeedScore]:
    """Scores of a finished task, of the submission itself and of all further seeds.

    Args:
        store: Where the submission's own folds are.
        task: Task name.
        results: All folds of the submission itself.
    """
    scores = [_score(result) for result in results]
    folds = [result.fold for result in results]
    for folder in sorted(store.out.glob("seed-*")):
        other = FoldStore(folder, store.benchmark, store.algorithm)
        try:
            found = [other.load(task, fold) for fold in folds]
        except BrokenFoldFile:
            continue
        if None not in found:
            scores += [_score(result) for result in found if result is not None]
    return sorted(scores, key=lambda score: (score.seed, score.fold))


def write_seeds(folder: Path, scores: Iterable[SeedScore]) -> None:
    """Write the table of a submission; tasks that are not in the scores stay in it.

    Without a second seed for any task there is no table.
    """
    new = list(scores)
    tasks = {score.task for score in new}
    every = [score for score in read_seeds(folder) if score.task not in tasks] + new
    if len({(score.task, score.seed) for score in every}) == len({s.task for s in every}):
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(SeedScore))
    writer.writerows(astuple(score) for score in sorted(every, key=lambda s: s.task))
    write_text(folder / SEEDS, text.getvalue())


def read_seeds(folder: Path) -> list[SeedScore]:
    """Read the table of a submission folder; empty if it has none.

    Raises:
        UserError: If it is damaged.
    """
    path = folder / SEEDS
    if not path.is_file():
        return []
    try:
        return [
            SeedScore(
                row["task"],
                int(row["seed"]),
                int(row["fold"]),
                row["metric"],
                _number(row["score"]),
                _number(row["seconds_fit"]),
            )
            for row in csv.DictReader(io.StringIO(read_text(path), newline=""))
        ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"'{path}' is no table of seeds: {error}") from error


def _number(text: str) -> float:
    """A number of the table.

    Raises:
        ValueError: If it is none, or not finite.
    """
    number = finite_number(float(text))
    if number is None:
        raise ValueError(f"a number is {cut(text)!r}")
    return number


def spread_of(scores: Iterable[SeedScore], task: str) -> SeedSpread | None:
    """Mean and spread of a task's score over seeds; none with fewer than two of them."""
    by_seed: dict[int, list[float]] = {}
    for score in scores:
        if score.task == task:
            by_seed.setdefault(score.seed, []).append(score.score)
    if len(by_seed) < 2:
        return None
    means = [statistics.fmean(values) for values in by_seed.values()]
    return SeedSpread(tuple(sorted(by_seed)), statistics.fmean(means), statistics.stdev(means))


def _score(result: FoldResult) -> SeedScore:
    return SeedScore(
        result.task,
        result.seed,
        result.fold,
        result.metric,
        result.score,
        round(finite_number(result.params.get("seconds_fit")) or 0.0, 2),
    )
