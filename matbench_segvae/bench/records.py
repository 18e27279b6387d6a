"""Finished searches, a JSON line each, in a file from which the same command resumes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from matbench_segvae.errors import UserError

R = TypeVar("R")


def stored(store: Path, record: type[R]) -> list[R]:
    """The records of a file, none if there is no such file.

    Args:
        store: The file.
        record: A dataclass.

    Raises:
        UserError: If the file holds something else.
    """
    if not store.exists():
        return []
    try:
        lines = store.read_text(encoding="utf-8").splitlines()
        return [record(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"'{store}' holds no searches to go on from ({error}): name another file"
        ) from error


def append(store: Path, record: Any) -> None:  # noqa: ANN401
    """Append a record, a dataclass of JSON values, to a file.

    Raises:
        UserError: If the file cannot be written.
    """
    try:
        with store.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")
    except OSError as error:
        raise UserError(f"cannot write '{store}': {error.strerror}") from error
