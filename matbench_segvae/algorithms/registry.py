"""Finding algorithms through the entry points of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from matbench_segvae.algorithms.protocol import Algorithm
from matbench_segvae.errors import UserError, missing_extra, one_line

ENTRY_POINT_GROUP = "matbench_segvae.algorithms"

# Optional dependencies of this package's own algorithms, by the extra that brings them.
_EXTRAS = {
    "megnet": "megnet",
    "megnet_dense": "megnet",
    "megnet_keras": "keras",
    "megnet_keras_dense": "keras",
}


class AlgorithmLoadError(UserError):
    """An algorithm that is registered but cannot be loaded, in one line."""


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def algorithm_names() -> list[str]:
    """Names of all installed algorithms, sorted."""
    return sorted(_entry_points())


def algorithm_class(name: str) -> type[Algorithm]:
    """Import the class behind an algorithm's name.

    Raises:
        UserError: If there is no such algorithm.
        AlgorithmLoadError: If it cannot be loaded, or the extra that it needs is not
            installed.
    """
    found = _entry_points()
    if name not in found:
        raise UserError(
            f"unknown algorithm '{name}': choose from {', '.join(sorted(found))} "
            f"(others register under the entry-point group '{ENTRY_POINT_GROUP}')"
        )
    keep_triton_out()
    try:
        loaded: type[Algorithm] = found[name].load()
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        ours = package == "matbench_segvae"
        if isinstance(error, ModuleNotFoundError) and name in _EXTRAS and not ours:
            missing = missing_extra(name, [package], _EXTRAS[name])
            raise AlgorithmLoadError(str(missing)) from error
        raise AlgorithmLoadError(f"algorithm '{name}' cannot be imported: {error}") from error
    # Code of somebody else, which can raise anything, and even exit.
    except (Exception, SystemExit) as error:
        raise AlgorithmLoadError(
            f"algorithm '{name}' cannot be loaded from {found[name].value}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return loaded


def load_failures(names: Iterable[str]) -> dict[str, str]:
    """Why algorithms cannot be loaded, in one line by name; empty if all can.

    Raises:
        UserError: If one does not exist.
    """
    failures = {}
    for name in names:
        try:
            algorithm_class(name)
        except AlgorithmLoadError as error:
            failures[name] = one_line(str(error))
    return failures


def create_algorithm(name: str) -> Algorithm:
    """Make a fresh, unfitted algorithm.

    Raises:
        UserError: As :func:`algorithm_class`.
    """
    return algorithm_class(name)()


def algorithm_origins() -> dict[str, str]:
    """Package and version of every installed algorithm, without importing any of them.

    Returns:
        Package and version by algorithm name, sorted by name.
    """
    origins = {}
    for name, point in sorted(_entry_points().items()):
        dist = point.dist
        origins[name] = f"{dist.name} {dist.version}" if dist else point.value
    return origins


def keep_triton_out() -> None:
    """Block the import of triton once TensorFlow is loaded, unless triton is loaded too."""
    if "tensorflow" in sys.modules:
        # Python treats a None in here as a package that cannot be imported.
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
