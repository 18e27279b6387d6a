"""What a task of a user's own is, without its data: names, texts, hosts and figures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matbench_segvae.benchmark._matbench import mbv01_metadata
from matbench_segvae.benchmark.folds import committed_metadata
from matbench_segvae.benchmark.samples import INPUT
from matbench_segvae.defects import Host
from matbench_segvae.errors import UserError

OWN_BENCHMARK = "own_tasks"
"""The benchmark's name in files with results of tasks of a user's own."""


FORMAT = 1
"""Increased when a task's files get another meaning."""


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TAKEN = ("id", INPUT, "sample_id")  # columns of the data card
# No brackets or dollar signs, which tables and plots would take for markup.
_UNIT = re.compile(r"[\w /^*.()·°%-]{0,40}")


@dataclass(frozen=True)
class TaskCard:
    """A task without its data.

    Attributes:
        name: Task name: letters, digits, ``_`` and ``-``, a letter first.
        target: Name of the target column.
        unit: Its unit; empty if it has none.
        description: What the task is.
        licence: Licence of the data.
        citation: What to cite, BibTeX or words.
        hosts: The pristine crystals of the structures.
        n_samples: Number of samples.
        mad: Mean absolute deviation of the target from its mean, in its unit.
    """

    name: str
    target: str
    unit: str
    description: str
    licence: str
    citation: str
    hosts: tuple[Host, ...]
    n_samples: int
    mad: float

    def __post_init__(self) -> None:
        """Check names and texts."""
        check_task_name(self.name)
        taken = self.target in _TAKEN or self.target.startswith("fold_")
        if taken or not _NAME.fullmatch(self.target):
            raise UserError(
                f"target {self.target!r} of {self.name} cannot be a column's name: use letters, "
                f"digits, _ and -, a letter first, and none of {', '.join(_TAKEN)} and fold_…"
            )
        if not _UNIT.fullmatch(self.unit):
            raise UserError(
                f"unit {self.unit!r} of {self.name} cannot be shown: use up to 40 letters, "
                "digits, spaces and / ^ * . ( ) - %"
            )

    @property
    def metadata(self) -> dict[str, Any]:
        """What Matbench keeps about a data set, in JSON's own types."""
        unit = f" ({self.unit})" if self.unit else ""
        return {
            "input_type": INPUT,
            "task_type": "regression",
            "target": self.target,
            "unit": self.unit,
            "n_samples": self.n_samples,
            "num_entries": self.n_samples,
            "mad": self.mad,
            "columns": {
                INPUT: "Pymatgen Structure of the whole unrelaxed supercell with its defects.",
                self.target: f"Target variable{unit}.",
            },
            "description": self.description,
            "reference": self.citation,
            "bibtex_refs": [self.citation] if self.citation else [],
            "licence": self.licence,
            "source": "own",
        }

    def as_json(self) -> dict[str, Any]:
        """In JSON's own types."""
        return {
            "format": FORMAT,
            "name": self.name,
            "target": self.target,
            "unit": self.unit,
            "description": self.description,
            "licence": self.licence,
            "citation": self.citation,
            "hosts": [host.as_json() for host in self.hosts],
            "metadata": self.metadata,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TaskCard:
        """Make a card from what :meth:`as_json` returned.

        Raises:
            ValueError: If it has another format, or fields are missing or of another type.
            UserError: If a name cannot be used.
        """
        if content.get("format") != FORMAT:
            raise ValueError(f"it has format {content.get('format')!r}, not {FORMAT}")
        texts = ("name", "target", "unit", "description", "licence", "citation")
        try:
            if not all(isinstance(content[key], str) for key in texts):
                raise ValueError(f"{', '.join(texts)} are not all texts")
            facts = content["metadata"]
            mad, n_samples = float(facts["mad"]), int(facts["n_samples"])
            hosts = tuple(Host.from_json(host) for host in content["hosts"])
        except KeyError as error:
            raise ValueError(f"it has no {error}") from error
        except TypeError as error:
            raise ValueError(f"it is not complete: {error}") from error
        if not math.isfinite(mad) or n_samples < 1:
            raise ValueError(f"its figures are {mad} and {n_samples}")
        return cls(
            **{key: content[key] for key in texts}, hosts=hosts, n_samples=n_samples, mad=mad
        )


def check_task_name(name: str) -> None:
    """Check that a name can be that of a task of a user's own.

    Raises:
        UserError: If it has other characters than are allowed, or a task of this package or of
            Matbench has it.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot be the name of a task: use up to 64 letters, digits, _ and -, a "
            "letter first"
        )
    taken = {known.lower() for known in (*committed_metadata(), *mbv01_metadata)}
    # Results are files named for their task, and some file systems know no case.
    if name.lower() in taken:
        raise UserError(f"{name!r} is the name of a task that is built in: choose another name")
