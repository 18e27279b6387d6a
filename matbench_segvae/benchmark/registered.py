"""Where the folders of the user's own tasks are, by task name."""

from __future__ import annotations

import json
from pathlib import Path

from matbench_segvae.errors import UserError
from matbench_segvae.files import TASKS_VARIABLE, read_json, tasks_folder, write_text

_FORMAT = 1
_FILE = "tasks.json"


def registered_tasks() -> dict[str, Path]:
    """Folders by task name, in the order they were registered.

    Raises:
        UserError: If the list cannot be read.
    """
    path = tasks_folder() / _FILE
    if not path.exists():
        return {}
    try:
        content = read_json(path)
        tasks = content["tasks"]
        if content.get("format") != _FORMAT or not isinstance(tasks, dict):
            raise ValueError(f"it is not of format {_FORMAT}")
        return {str(name): Path(folder) for name, folder in tasks.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read the list of your tasks, '{path}' ({reason}): remove it and register "
            "them again with `matbench-segvae task add`"
        ) from error


def register(name: str, folder: Path) -> None:
    """Keep where a task's folder is.

    Args:
        name: Task name, already checked.
        folder: Its folder.

    Raises:
        UserError: If another folder has the name, or the list cannot be written.
    """
    require_free(name, folder)
    _write_list({**registered_tasks(), name: folder.resolve()})


def require_free(name: str, folder: Path) -> None:
    """Check that a name is not that of a registered task in another folder.

    Raises:
        UserError: If it is, and that folder is still there.
    """
    for other, place in registered_tasks().items():
        same = place.resolve() == folder.resolve()
        # Results are files named for their task, and some file systems know no case.
        if other.lower() == name.lower() and place.exists() and not (same and other == name):
            raise UserError(
                f"{other!r} is already the name of your task in '{place}': choose another name, or "
                f"take it from the list with `matbench-segvae task remove {other}`"
            )


def unregister(name: str) -> Path:
    """Forget where a task's folder is; the folder itself stays.

    Returns:
        The folder.

    Raises:
        UserError: If no such task is registered, or the list cannot be written.
    """
    tasks = registered_tasks()
    if name not in tasks:
        known = ", ".join(tasks) or "none"
        raise UserError(f"{name!r} is not one of your tasks: registered are {known}")
    folder = tasks.pop(name)
    _write_list(tasks)
    return folder


def folder_of(name: str) -> Path:
    """The folder of a registered task.

    Raises:
        UserError: If no such task is registered, or its folder is gone.
    """
    tasks = registered_tasks()
    if name not in tasks:
        raise UserError(
            f"{name!r} is not one of your tasks: register its folder with "
            "`matbench-segvae task add FOLDER`"
        )
    if not tasks[name].is_dir():
        raise UserError(
            f"the folder of your task {name!r}, '{tasks[name]}', is gone: give its new place with "
            "`matbench-segvae task add FOLDER`, or take it from the list with "
            f"`matbench-segvae task remove {name}`"
        )
    return tasks[name]


def _write_list(tasks: dict[str, Path]) -> None:
    """Replace the list.

    Raises:
        UserError: If it cannot be written.
    """
    path = tasks_folder() / _FILE
    content = {"format": _FORMAT, "tasks": {name: str(place) for name, place in tasks.items()}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(
            f"cannot write the list of your tasks, '{path}' ({error.strerror}): set "
            f"{TASKS_VARIABLE} to a folder that can be written to"
        ) from error
