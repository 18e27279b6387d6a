"""Finished searches, a JSON line each, in a file from which the same command resumes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from matbench_segvae.errors import UserError, cut, one_line
from matbench_segvae.files import require_regular

R = TypeVar("R")


def stored(store: Path, record: type[R]) -> list[R]:
    """The records of a file, which is made if it is not there.

    A last line without an end, as an interrupted search leaves it, is taken out.

    Args:
        store: The file.
        record: A dataclass.

    Raises:
        UserError: If the file holds something else or cannot be written.
    """
    try:
        # Whether it can be written is better known before the first search than after it.
        if store.exists():
            require_regular(store)
        with store.open("a+b") as file:
            file.seek(0)
            content = file.read()
            if content.startswith(b"{"):
                content = content[: content.rfind(b"\n") + 1]
                file.truncate(len(content))
    except OSError as error:
        raise UserError(f"cannot write '{store}': {error.strerror}") from error
    try:
        return [record(**json.loads(line)) for line in content.decode().splitlines()]
    except (ValueError, TypeError, RecursionError) as error:
        reason = cut(one_line(str(error)))
        raise UserError(
            f"'{store}' holds no searches to go on from ({reason}): name another file"
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
