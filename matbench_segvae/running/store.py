"""One JSON file per finished fold, so that nothing finished is ever lost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from matbench_segvae.errors import UserError
from matbench_segvae.files import write_text
from matbench_segvae.running.result import FoldResult


class BrokenFoldFile(ValueError):
    """A stored fold that cannot be read; it has to be run again."""


@dataclass(frozen=True)
class FoldStore:
    """Finished folds of one algorithm on one benchmark.

    They lie in ``<out>/<benchmark>_<algorithm>/folds/<task>-fold_<i>.json``, inside the
    folder that becomes the submission.

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

    def save(self, result: FoldResult) -> Path:
        """Write a finished fold; a crash in the middle leaves the old file or none.

        Raises:
            UserError: If the folder cannot be written to.
        """
        target = self.path(result.task, result.fold)
        text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, text)
        except OSError as error:
            raise UserError(f"cannot write '{target}': {error.strerror}") from error
        return target

    def load(self, task: str, fold: int) -> FoldResult | None:
        """Read a finished fold.

        Returns:
            The fold, or ``None`` if it has not been run.

        Raises:
            BrokenFoldFile: If there is a file but no whole result of that fold in it.
        """
        path = self.path(task, fold)
        if not path.exists():
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
            return FoldResult.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise BrokenFoldFile(f"{path.name} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise BrokenFoldFile(f"{path.name} is broken: {error}") from error
