"""The tasks of ``defects2d_v0.1``, on matbench's own class.

The methods are those of Matbench. Folds, metadata and data come from this package, and
instances can be pickled and copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from matbench_segvae.benchmark._matbench import (
    MatbenchTask,
    ReadBack,
    RecursiveDotDict,
    dotted,
    ordinary,
)
from matbench_segvae.benchmark.folds import (
    BENCHMARK_NAME,
    Splits,
    check_benchmark,
    check_tasks,
    committed_metadata,
    committed_splits,
    sample_ids,
)
from matbench_segvae.benchmark.recorded_values import deviations, in_order, intervals
from matbench_segvae.benchmark.samples import SAMPLES
from matbench_segvae.errors import UserError


class DefectTask(ReadBack, MatbenchTask):
    """One task of ``defects2d_v0.1``; see :class:`matbench.task.MatbenchTask`.

    Attributes:
        dataset_name: Name of the task.
        benchmark_name: Always ``"defects2d_v0.1"``.
        df: Structures and targets by sample id, or None while not loaded.
        info: What the data set is, in words.
        metadata: What Matbench keeps about a data set.
        validation: Sample ids to train and to test on, by fold key.
        folds: Fold numbers.
        results: What was recorded, by fold key.
    """

    _NAMED_BY: ClassVar = ("task", MatbenchTask._DATASET_KEY)

    def __init__(
        self, dataset_name: str, autoload: bool = True, benchmark: str = BENCHMARK_NAME
    ) -> None:
        """Set up a task.

        Args:
            dataset_name: Name of the task.
            autoload: Load structures and targets at once.
            benchmark: Name of the benchmark; there is one.

        Raises:
            UserError: If there is no such task or benchmark, or the data cannot be had.
        """
        check_benchmark(benchmark)
        check_tasks([dataset_name])
        self.benchmark_name = BENCHMARK_NAME
        metadata, splits = committed_metadata()[dataset_name], committed_splits()[dataset_name]
        self._set_up(dataset_name, metadata, splits)
        if autoload:
            self.load()

    def _set_up(self, name: str, metadata: Mapping[str, Any], splits: Splits) -> None:
        """What Matbench's own class sets up from its files."""
        self.dataset_name = name
        self.metadata = dotted(metadata)
        self.validation = dotted(splits)
        self.info = f"{self.metadata.description}\n{self.metadata.reference}"
        self.folds_keys = list(self.validation)
        self.folds_nums = list(range(len(self.folds_keys)))
        self.folds_map = dict(zip(self.folds_nums, self.folds_keys, strict=True))
        self.folds = self.folds_nums
        self.results = RecursiveDotDict({})
        self.df: pd.DataFrame | None = None
        self._properties: pd.DataFrame | None = None

    def load(self) -> None:
        """Load structures and targets into memory, unless they are there.

        Raises:
            UserError: If the data cannot be had.
        """
        if self.df is None:
            samples = self._samples()
            # What is known beside the target stays out of Matbench's data frame, which hands
            # out test rows too.
            self.df = samples.iloc[:, :2]
            self._properties = samples.iloc[:, 2:].select_dtypes("number")

    def training_properties(self, fold_number: int) -> pd.DataFrame | None:
        """Other measured properties of the training samples of a fold.

        Args:
            fold_number: Number of the fold.

        Returns:
            Columns in eV, such as ``homo`` and ``lumo`` where the target is the gap, in the
            order of the training data; ``None`` if the task has none.

        Raises:
            UserError: If there is no such fold.
            ValueError: If the data are not loaded.
        """
        self._check_fold(fold_number)
        self._check_is_loaded()
        if self._properties is None or self._properties.empty:
            return None
        ids = list(self.validation[self.folds_map[fold_number]].train)
        return self._properties.loc[ids, :]

    def _samples(self) -> pd.DataFrame:
        """Structures and targets by sample id."""
        samples = SAMPLES[self.dataset_name]()
        samples.index = sample_ids(self.dataset_name, len(samples))
        samples.index.name = "mbid"
        return samples

    def get_train_and_val_data(self, fold_number: int, as_type: str = "tuple") -> Any:  # noqa: ANN401
        """Inputs and targets to train on; see Matbench.

        Args:
            fold_number: Number of the fold.
            as_type: ``"tuple"`` for inputs and targets, ``"df"`` for one data frame.

        Returns:
            Two series, or a data frame, indexed by sample id.

        Raises:
            UserError: If there is no such fold.
        """
        self._check_fold(fold_number)
        return super().get_train_and_val_data(fold_number, as_type)

    def get_test_data(
        self, fold_number: int, as_type: str = "tuple", include_target: bool = False
    ) -> Any:  # noqa: ANN401
        """Inputs to predict the targets of; see Matbench.

        Args:
            fold_number: Number of the fold.
            as_type: ``"tuple"`` or ``"df"``.
            include_target: Return the targets too.

        Returns:
            A series or a data frame, indexed by sample id.

        Raises:
            UserError: If there is no such fold.
        """
        self._check_fold(fold_number)
        return super().get_test_data(fold_number, as_type, include_target)

    def record(
        self,
        fold_number: int,
        predictions: Any,  # noqa: ANN401
        ci: Any = None,  # noqa: ANN401
        std: Any = None,  # noqa: ANN401
        params: dict[str, Any] | None = None,
    ) -> None:
        """Record predictions for the test data of a fold; see Matbench.

        Args:
            fold_number: Number of the fold.
            predictions: One finite number per test sample, eV, in their order; a Series with the
                samples' ids may be in any order.
            ci: 95 % confidence intervals, shape ``(N, 2)``; give this or ``std``.
            std: Standard deviations, shape ``(N,)``, none below 0.
            params: Anything about the algorithm on this fold, in JSON's own types.

        Raises:
            UserError: If there is no such fold, or values are no numbers, not finite or of other
                samples.
            ValueError: If the data are not loaded or the lengths differ.
        """
        self._check_fold(fold_number)
        # Scoring needs the truth; Matbench would notice only after keeping the data.
        self._check_is_loaded()
        ids = list(self.validation[self.folds_map[fold_number]].test)
        where = f"of {self.dataset_name} fold {fold_number}"
        values = in_order(predictions, ids, f"predictions {where}").tolist()
        spans = None if ci is None else intervals(ci, ids, f"intervals {where}")
        sizes = None if std is None else deviations(std, ids, f"standard deviations {where}")
        before = self.is_recorded[fold_number]
        with np.errstate(invalid="ignore"):
            super().record(fold_number, values, ci=spans, std=sizes, params=params)
        # Matbench keeps what was recorded before, and has no interval for a deviation of 0.
        if sizes and not before:
            uncertainty = self.results[self.folds_map[fold_number]].uncertainty
            for sample, value, size in zip(ids, values, sizes, strict=True):
                if size == 0:
                    uncertainty[sample].update(ci_lower=value, ci_upper=value)

    def _get_data_from_df(self, ids: Sequence[str], as_type: str) -> Any:  # noqa: ANN401
        """Samples by id, as Matbench hands them out.

        Structures are copies: what an algorithm does to them stays out of the other folds.
        """
        assert self.df is not None
        relevant = self.df.loc[list(ids)].copy()
        structures = relevant[self.metadata.input_type]
        relevant[self.metadata.input_type] = [structure.copy() for structure in structures]
        if as_type == "df":
            return relevant
        return relevant[self.metadata.input_type], relevant[self.metadata.target]

    def validate(self) -> None:
        """Check that every fold is recorded in full; see Matbench.

        Raises:
            ValueError: If folds or samples are missing or too many.
            KeyError: If keys of the results are missing or too many.
            TypeError: If predictions or scores are no floats.
        """
        # Matbench's check adds every key it looks for to the results.
        before = ordinary(self.results)
        try:
            super().validate()
        finally:
            self.results = dotted(before)

    def as_dict(self) -> dict[str, Any]:
        """The content of a file of results.

        Returns:
            Ordinary dictionary, independent of this task.
        """
        return dict(ordinary(super().as_dict()))

    def __getstate__(self) -> dict[str, Any]:
        """The state without matbench's dotted dictionaries, which cannot be pickled."""
        return {key: ordinary(value) for key, value in self.__dict__.items()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for key, value in state.items():
            nested = key in ("metadata", "validation", "results")
            self.__dict__[key] = dotted(value) if nested else value

    def _check_fold(self, number: int) -> None:
        """Refuse folds that do not exist."""
        if number not in self.folds_map:
            raise UserError(
                f"fold {number} of {self.dataset_name} does not exist: "
                f"choose from {', '.join(map(str, self.folds))}"
            )
