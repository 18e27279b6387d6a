"""From the results of a run to a folder that can be submitted to Matbench."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbench_segvae.errors import UserError, raise_all
from matbench_segvae.files import folder_replaced, read_json
from matbench_segvae.reporting.seeds import SEEDS
from matbench_segvae.reporting.submission import INFO, RESULTS
from matbench_segvae.reporting.submission.check import Violation, check_submissions, require_name
from matbench_segvae.reporting.submission.info import broken_rules, info_text
from matbench_segvae.reporting.submission.notebook import (
    NOTEBOOK,
    executed_notebook,
    recorded_parameters,
)
from matbench_segvae.reporting.submission.script import SCRIPT


@dataclass(frozen=True)
class MadeSubmission:
    """A submission folder that was assembled and checked.

    Attributes:
        folder: The submission folder.
        violations: Rules that it breaks nevertheless.
        warnings: What else the user should know.
    """

    folder: Path
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...]


def make_submission(results: Path, out: Path, authors: str | None = None) -> MadeSubmission:
    """Assemble a submission folder and check it.

    It holds the results as they are, ``info.json`` with the exact versions recorded in the
    folds as requirements, ``run.py``, the scores of further seeds if there are any, and a
    notebook that was executed on the results.
    Nothing is written before all of it is there.

    Args:
        results: Folder of one algorithm's finished run, or a folder with one such folder.
        out: The folder to make or to bring up to date, ``<benchmark>_<algorithm>``.
        authors: Who submits it; by default the authors the algorithm names.

    Raises:
        UserError: If there are no finished results, they are of another benchmark than the
            folder's name, ``info.json`` breaks a rule, a package to run notebooks with is
            missing, the notebook fails, or the folder cannot be written.
    """
    out = out.resolve()
    benchmark = require_name(out)
    _require_room(out)
    source = _source(results)
    require_name(source)
    recorded = _read(source / RESULTS)
    if recorded.get("benchmark_name") != benchmark:
        raise UserError(
            f"'{source / RESULTS}' is of {recorded.get('benchmark_name')}, so '{out.name}' cannot "
            f"be its name: choose {recorded.get('benchmark_name')}_<algorithm>"
        )
    info, warnings = _info(source, recorded, authors)
    raise_all([f"{source / INFO}: {message}" for message in broken_rules(info)])
    algorithm = source.resolve().name.removeprefix(f"{benchmark}_")
    with tempfile.TemporaryDirectory(prefix="matbench_segvae-") as scratch:
        made = Path(scratch)
        table = [source / SEEDS] if (source / SEEDS).is_file() else []
        _copy([source / RESULTS, source / SCRIPT, *table], made)
        (made / INFO).write_text(info_text(info), encoding="utf-8")
        notebook = executed_notebook(algorithm, info, recorded, made)
        (made / NOTEBOOK).write_text(notebook, encoding="utf-8")
        names = [RESULTS, INFO, SCRIPT, NOTEBOOK, *(path.name for path in table)]
        _publish([made / name for name in names], out)
    return MadeSubmission(out, tuple(check_submissions([out])), tuple(warnings))


def _require_room(out: Path) -> None:
    """Refuse a target that could not be replaced, before anything is made."""
    if out.exists() and not out.is_dir():
        raise UserError(f"'{out}' is a file: give a folder to make")
    if Path.cwd().is_relative_to(out):
        raise UserError(
            f"the working directory is in '{out}', which is replaced: start from another folder"
        )


def _source(folder: Path) -> Path:
    """The one folder with finished results."""
    if not folder.is_dir():
        raise UserError(f"there is no folder '{folder}' to take results from")
    if (folder / RESULTS).is_file():
        return folder
    found = sorted(path.parent for path in folder.glob(f"*/{RESULTS}"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"'{folder}' holds several results: choose one of its folders {names}")
    if not found:
        raise UserError(
            f"no finished results in '{folder}': give a folder with a {RESULTS}, which "
            "`matbench-segvae run` writes once all folds of a task are finished"
        )
    return found[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


def _info(
    source: Path, recorded: Mapping[str, Any], authors: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The content of ``info.json``, and warnings about it."""
    info = _read(source / INFO)
    if authors is not None:
        info["authors"] = authors
    versions = [_versions(params) for params in recorded_parameters(recorded)]
    differing = sorted({n for a in versions for b in versions for n in a if b.get(n, a[n]) != a[n]})
    merged = {name: number for found in versions for name, number in found.items()}
    if merged:
        info["requirements"] = {"python": _pins(merged)}
    warnings = []
    if differing:
        warnings.append(
            f"folds were run with different versions of {', '.join(differing)}: the requirements "
            "name the last one's"
        )
    return info, warnings


def _versions(params: Mapping[str, Any]) -> dict[str, str]:
    """The versions that a fold was run with; those that are no texts are left out."""
    found = params.get("versions")
    named = found.items() if isinstance(found, Mapping) else ()
    return {str(name): version for name, version in named if isinstance(version, str)}


def _pins(versions: Mapping[str, str]) -> list[str]:
    """Exact requirements; without the label of a local build, which no index has."""
    return [f"{name}=={v.partition('+')[0]}" for name, v in versions.items() if name != "python"]


def _copy(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        try:
            shutil.copyfile(file, folder / file.name)
        except OSError as error:
            raise UserError(
                f"cannot read '{file}' ({error.strerror}): `matbench-segvae run` writes it"
            ) from error


def _publish(files: Iterable[Path], out: Path) -> None:
    """Put files into a folder, all of them or none; what else is in the folder stays."""
    try:
        with folder_replaced(out) as made:
            for file in files:
                shutil.copyfile(file, made / file.name)
    except shutil.Error as error:
        raise UserError(f"'{out}' holds something that is no file or folder") from error
    except OSError as error:
        raise UserError(f"cannot write to '{out}': {error.strerror}") from error
