"""One JSON file per finished fold, so that an interrupted run loses none of them."""

from __future__ import annotations

import json
import math
import os
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError, finite_number
from matbench_segvae.files import read_json, write_text

MATBENCH_NAME = "matbench_v0.1"
"""Name of Matbench's own benchmark, known without importing it."""


# Increased when the meaning of a stored file is modified; older files are then run again.
FORMAT = 1

DATA_CHECKSUM = "data_sha256"
"""Key of a result's parameters for the checksum of the task's data, if it has one."""

OFFICIAL = "official"
"""Key of a result's parameters for whether the data of a task of Matbench were its own."""

MEDIAN_ERROR = "median_error"
"""Key of a result's parameters for the median absolute error, in the unit of the target."""

WITHIN_20_MEV = "within_20_meV"
"""Key of a result's parameters for the share of absolute errors below 20 meV."""


@dataclass(frozen=True)
class FoldResult:
    """One algorithm's predictions for the test set of one fold, with scores and circumstances.

    Attributes:
        benchmark: Benchmark name.
        task: Task name.
        algorithm: Name of the algorithm's entry point.
        fold: Fold number.
        seed: Seed of the run.
        unit: Unit of the target.
        predictions: Sample id to prediction, in the order of the fold's test set.
        scores: Matbench's scores of the fold, such as ``mae`` or ``rocauc``.
        params: What the algorithm reports about itself, and seconds, seed, versions, hardware.
        stds: Standard deviation of each prediction, in the unit of the target, with the same
            keys; ``None`` if the algorithm has none.
    """

    benchmark: str
    task: str
    algorithm: str
    fold: int
    seed: int
    unit: str
    predictions: Mapping[str, float]
    scores: Mapping[str, float]
    params: Mapping[str, Any]
    stds: Mapping[str, float] | None = None

    @property
    def metric(self) -> str:
        """The score that ranks: ``"mae"`` for a regression, else ``"rocauc"``."""
        return "mae" if "mae" in self.scores else "rocauc"

    @property
    def score(self) -> float:
        """Value of `metric`."""
        return self.scores[self.metric]

    def as_dict(self) -> dict[str, Any]:
        """In JSON's own types."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FoldResult:
        """Make a result from what `as_dict` returned.

        Raises:
            ValueError: If it has another format, or fields are missing or of another type.
        """
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise ValueError("not a fold result of this version")
        fields = {name: value for name, value in stored.items() if name != "format"}
        try:
            result = cls(**fields)
        except TypeError as error:
            raise ValueError(f"not a complete fold result: {error}") from error
        wrong = next(_wrong_fields(result), None)
        if wrong is not None:
            raise ValueError(wrong)
        return result


def _wrong_fields(result: FoldResult) -> Iterator[str]:
    """What is wrong with fields that were read from a file, whose types are not known."""
    texts = (result.benchmark, result.task, result.algorithm, result.unit)
    if not all(isinstance(text, str) for text in texts):
        yield "names and unit are not all texts"
    if not _is_whole(result.fold) or result.fold < 0 or not _is_whole(result.seed):
        yield "fold and seed are not whole numbers, the fold from 0"
    if not _are_numbers(result.predictions):
        yield "predictions are not all finite numbers"
    if not _are_numbers(result.scores) or not {"mae", "rocauc"} & set(result.scores):
        yield "scores are not finite numbers with mae or rocauc among them"
    if not isinstance(result.params, dict):
        yield "its parameters are no object"
    if result.stds is not None and (
        not _are_numbers(result.stds) or list(result.stds) != list(result.predictions)
    ):
        yield "standard deviations are not one number for each prediction"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_numbers(values: object) -> bool:
    return isinstance(values, dict) and all(finite_number(v) is not None for v in values.values())


def data_facts(task: Any) -> dict[str, Any]:  # noqa: ANN401 - matbench is not typed
    """What the results of a task record whose data can be others tomorrow under the same name."""
    checksum = getattr(task, "checksum", None)
    if isinstance(checksum, str):
        # Where the task is not, its results are to be read all the same.
        return {DATA_CHECKSUM: checksum, "unit": str(task.metadata["unit"] or "")}
    # Finding results needs no matbench.
    from matbench_segvae.benchmark.matbench_data import data_file_of

    file = data_file_of(task)
    return {} if file is None else {DATA_CHECKSUM: file.sha256, OFFICIAL: file.is_official}


def fits_task(result: FoldResult, task: Any) -> bool:  # noqa: ANN401
    """Whether a result was made for a task's data as they are now."""
    expected = [str(i) for i in task.validation[task.folds_map[result.fold]]["test"]]
    made_for = result.params.get(DATA_CHECKSUM)
    now = data_facts(task).get(DATA_CHECKSUM)
    # Results of earlier versions do not say which file of Matbench's they were made for.
    unknown = made_for is None or now is None
    same = made_for == now or (unknown and str(task.benchmark_name) == MATBENCH_NAME)
    return list(result.predictions) == expected and same


def to_json_types(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Turn numpy values, tuples and mappings into JSON's own types.

    Numbers that JSON has no name for (NaN, infinities) become ``None``; anything unknown
    becomes its text.
    """
    if isinstance(value, Mapping):
        return {str(key): to_json_types(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays and scalars, pandas Series
        return to_json_types(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [to_json_types(entry) for entry in value]
    return str(value)


class BrokenFoldFile(ValueError):
    """A stored fold that cannot be read; it has to be run again."""


@dataclass(frozen=True)
class FoldStore:
    """Finished folds of one algorithm on one benchmark.

    They are in ``<out>/<benchmark>_<algorithm>/folds/<task>-fold_<i>.json``, inside the
    folder that becomes the submission. The traceback of a fold that failed is beside them, in
    ``errors/<task>-fold_<i>.txt``, until the fold is finished.

    Attributes:
        out: Folder of all results.
        benchmark: Benchmark name.
        algorithm: Name of the algorithm's entry point.
    """

    out: Path
    benchmark: str
    algorithm: str

    @property
    def folder(self) -> Path:
        """The submission folder that the folds belong to."""
        return self.out / f"{self.benchmark}_{self.algorithm}"

    def path(self, task: str, fold: int) -> Path:
        """Where a fold is or would be."""
        return self.folder / "folds" / f"{task}-fold_{fold}.json"

    def error_path(self, task: str, fold: int) -> Path:
        """Where the traceback of a fold is or would be."""
        return self.folder / "errors" / f"{task}-fold_{fold}.txt"

    def require_writable(self) -> None:
        """Try whether the folder can be made and written to, before anything is computed.

        Nothing is left of the attempt.

        Raises:
            UserError: If it cannot.
        """
        try:
            made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            for path in made:
                path.rmdir()
        except OSError as error:
            raise UserError(f"cannot write to '{self.folder}': {error.strerror}") from error

    def save(self, result: FoldResult) -> Path:
        """Write a finished fold; a crash in the middle leaves the old file or none.

        Raises:
            UserError: If the folder cannot be written to.
        """
        text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
        target = _write(self.path(result.task, result.fold), text)
        self.error_path(result.task, result.fold).unlink(missing_ok=True)
        return target

    def save_error(self, task: str, fold: int, error: BaseException) -> Path:
        """Write the traceback of a fold that failed.

        Raises:
            UserError: If the folder cannot be written to.
        """
        text = "".join(traceback.format_exception(error))
        # A message can hold what no encoding has, such as half of a surrogate pair.
        readable = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return _write(self.error_path(task, fold), readable)

    def load(self, task: str, fold: int) -> FoldResult | None:
        """Read a finished fold.

        Returns:
            The fold, or ``None`` if it has not been run.

        Raises:
            BrokenFoldFile: If there is a file but no whole result of that fold in it.
        """
        path = self.path(task, fold)
        # Unlike Path.exists() this is false where a name is too long to be there.
        if not os.path.exists(path):  # noqa: PTH110
            return None
        result = self.read(path)
        found = (result.benchmark, result.algorithm, result.task, result.fold)
        if found != (self.benchmark, self.algorithm, task, fold):
            raise BrokenFoldFile(f"{path.name} holds another fold: {'/'.join(map(str, found))}")
        return result

    @staticmethod
    def read(path: Path) -> FoldResult:
        """Read a fold file.

        Raises:
            BrokenFoldFile: If it cannot be read or holds no whole result.
        """
        try:
            return FoldResult.from_dict(read_json(path))
        except OSError as error:
            raise BrokenFoldFile(f"{path.name} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise BrokenFoldFile(f"{path.name} is broken: {error}") from error


def _write(path: Path, text: str) -> Path:
    """Write a text file, its folder made if missing.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error
    return path
