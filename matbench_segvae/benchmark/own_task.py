"""A task of a user's own: a folder that holds all of it.

The folder is the task: structures, targets, folds fixed by sample id, what it is in words, and
a data card. It can be given to others, who register it and get the same folds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from matbench_segvae.benchmark import registered
from matbench_segvae.benchmark.croissant import croissant
from matbench_segvae.benchmark.folds import Splits
from matbench_segvae.benchmark.own_folds import check_folds
from matbench_segvae.benchmark.sample_checks import check_ids, check_structure, listed
from matbench_segvae.benchmark.samples import INPUT, TARGET
from matbench_segvae.benchmark.task_card import TaskCard, check_task_name
from matbench_segvae.benchmark.task_files import (
    CHECKSUMS,
    checksums_text,
    read_checksums,
    read_samples,
    read_structures_file,
    require_intact,
    samples_text,
    write_structures,
)
from matbench_segvae.defects import Host
from matbench_segvae.errors import UserError
from matbench_segvae.files import folder_written_whole, read_json

_CARD = "task.json"
_CROISSANT = "croissant.json"
_FILES = MappingProxyType({"structures": "structures.jsonl.gz", "samples": "samples.csv"})


@dataclass(frozen=True, eq=False)
class OwnTask:
    """A task with its data.

    Attributes:
        name: Task name: letters, digits, ``_`` and ``-``, a letter first.
        structures: Whole supercells with their defects, by sample id.
        targets: Target of each, in `unit`, with the same index.
        hosts: The pristine crystals of the structures; empty for all known ones.
        folds: Sample ids to train and to test on, by fold key.
        target: Name of the target.
        unit: Its unit; empty if it has none.
        description: What the task is.
        licence: Licence of the data.
        citation: What to cite, BibTeX or words.
    """

    name: str
    structures: pd.Series = field(repr=False)
    targets: pd.Series = field(repr=False)
    hosts: tuple[Host, ...]
    folds: Splits = field(repr=False)
    target: str = TARGET
    unit: str = "eV"
    description: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        """Check names, ids, targets, structures and folds.

        Raises:
            UserError: If one of them cannot be used.
        """
        check_task_name(self.name)
        ids = list(self.structures.index)
        check_ids(self.name, ids)
        if ids != list(self.targets.index):
            raise UserError(f"structures and targets of {self.name} have different ids or order")
        try:
            values = self.targets.to_numpy(dtype=float)
        except (TypeError, ValueError) as error:
            raise UserError(f"targets of {self.name} are no numbers: {error}") from error
        bad = [ids[i] for i in np.flatnonzero(~np.isfinite(values))]
        if bad:
            raise UserError(
                f"the target of {listed(bad)} of {self.name} is not finite: leave the sample out "
                "or give its number"
            )
        for sample, structure in self.structures.items():
            check_structure(str(sample), structure)
        check_folds(self.folds, ids)
        _ = self.card

    @property
    def card(self) -> TaskCard:
        """The task without its data."""
        values = self.targets.to_numpy(dtype=float)
        return TaskCard(
            name=self.name,
            target=self.target,
            unit=self.unit,
            description=self.description,
            licence=self.licence,
            citation=self.citation,
            hosts=self.hosts,
            n_samples=len(values),
            mad=round(float(np.abs(values - values.mean()).mean()), 12),
        )

    @property
    def samples(self) -> pd.DataFrame:
        """Structures and targets in one table, indexed by sample id."""
        index = pd.Index(list(map(str, self.structures.index)), name="mbid")
        columns = {INPUT: self.structures.to_list(), self.target: self.targets.to_numpy(float)}
        return pd.DataFrame(columns, index=index)


@dataclass(frozen=True)
class TaskFacts:
    """A task's folder without structures and targets.

    Attributes:
        card: Names, texts, hosts and figures.
        folds: Sample ids to train and to test on, by fold key.
        checksum: Of all that results depend on; texts may differ.
    """

    card: TaskCard
    folds: Splits
    checksum: str


def write_task(task: OwnTask, folder: Path) -> None:
    """Write a task to a folder, whole or not at all.

    The same task gives the same bytes.

    Args:
        task: The task.
        folder: Where to. It need not exist.

    Raises:
        UserError: If the folder holds anything else than this task, or cannot be written.
    """
    try:
        with folder_written_whole(folder, _require_same) as made:
            _write_files(task, made)
    except OSError as error:
        raise UserError(f"cannot write the task to '{folder}': {error.strerror}") from error


def read_task(folder: Path) -> OwnTask:
    """Read a task's folder.

    Args:
        folder: The folder.

    Returns:
        The task, its samples in the order of the folder.

    Raises:
        UserError: If it is no task's folder, a file was changed or is damaged, or files do not
            belong together.
    """
    facts = read_facts(folder)
    card = facts.card
    require_intact(folder, _FILES.values())
    targets, _ = read_samples(folder / _FILES["samples"], card.target)
    structures = dict(read_structures_file(folder / _FILES["structures"]))
    if list(structures) != list(targets) or len(targets) != card.n_samples:
        raise UserError(
            f"the files of '{folder}' have different samples: make it again with "
            "`matbench-segvae task new`"
        )
    return OwnTask(
        name=card.name,
        structures=pd.Series(structures, dtype=object),
        targets=pd.Series(targets, dtype=float),
        hosts=card.hosts,
        folds=facts.folds,
        target=card.target,
        unit=card.unit,
        description=card.description,
        licence=card.licence,
        citation=card.citation,
    )


def read_facts(folder: Path) -> TaskFacts:
    """Read what a task's folder says beside its structures and targets.

    Raises:
        UserError: If it is no task's folder, or a file was changed or is damaged.
    """
    require_intact(folder, (_CARD, _FILES["samples"]))
    path = folder / _CARD
    try:
        card = TaskCard.from_json(read_json(path))
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' is no task that can be used: {error}") from error
    targets, folds = read_samples(folder / _FILES["samples"], card.target)
    check_folds(folds, list(targets))
    listed = read_checksums(folder)
    decisive = [listed.get(name) for name in _FILES.values()]
    hosts = [host.as_json() for host in card.hosts]
    text = json.dumps([card.target, decisive, hosts], sort_keys=True)
    return TaskFacts(card, folds, hashlib.sha256(text.encode()).hexdigest())


def register_task(folder: Path) -> str:
    """Let a task be found by its name.

    Nothing is copied: what is kept is where the folder is.

    Args:
        folder: The task's folder.

    Returns:
        The task's name.

    Raises:
        UserError: If it is no task's folder, or its name is that of another task.
    """
    name = read_facts(folder).card.name
    registered.register(name, folder)
    return name


def _write_files(task: OwnTask, folder: Path) -> None:
    ids = list(map(str, task.structures.index))
    write_structures(folder / _FILES["structures"], zip(ids, task.structures, strict=True))
    targets = dict(zip(ids, task.targets.to_numpy(dtype=float).tolist(), strict=True))
    _write(folder / _FILES["samples"], samples_text(task.target, targets, task.folds))
    _write(folder / _CARD, _json(task.card.as_json()))
    names = [*_FILES.values(), _CARD]
    _write(folder / CHECKSUMS, checksums_text(folder, names))
    content = croissant(task.card, _FILES, list(task.folds), read_checksums(folder))
    _write(folder / _CROISSANT, _json(content))
    _write(folder / CHECKSUMS, checksums_text(folder, [*names, _CROISSANT]))


def _json(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))


def _require_same(folder: Path, made: Path) -> None:
    """Refuse a folder that holds anything else than the task that was just made."""
    new = read_checksums(made)
    try:
        require_intact(folder, new)
        same = read_checksums(folder) == new
    except UserError:
        same = False
    if not same:
        raise UserError(f"'{folder}' is there already and not the same task: choose another folder")
