"""The data of a task that results are drawn against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matbench_segvae.benchmark import load_task, make_task, quiet_matbench
from matbench_segvae.errors import UserError


def loaded_task(name: str) -> Any:  # noqa: ANN401 - matbench is not typed
    """A task with its table, whose sample ids are texts as in results.

    Raises:
        UserError: If there is no such task, or its data cannot be had.
    """
    with quiet_matbench():
        made = make_task(name)
        load_task(made)
    made.df = made.df.set_axis(made.df.index.map(str))
    return made


def require_samples(samples: Iterable[str], task: Any, source: str) -> None:  # noqa: ANN401
    """Refuse predictions for samples that a task does not have.

    Args:
        samples: Sample ids.
        task: As `loaded_task` returns it.
        source: What predicts them, for the message.

    Raises:
        UserError: If one is unknown.
    """
    known = set(task.df.index)
    unknown = next((sample for sample in samples if sample not in known), None)
    if unknown is not None:
        raise UserError(
            f"{source} predicts samples such as '{unknown}' that {task.dataset_name} does not "
            "have: give a result of this version of the task"
        )
