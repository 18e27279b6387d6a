"""Finding algorithms through the entry points of installed packages."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

from matbench_segvae.algorithms.protocol import Algorithm
from matbench_segvae.errors import UserError

ENTRY_POINT_GROUP = "matbench_segvae.algorithms"


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def algorithm_names() -> list[str]:
    """Names of all installed algorithms, sorted."""
    return sorted(_entry_points())


def algorithm_class(name: str) -> type[Algorithm]:
    """Import the class behind an algorithm's name.

    Raises:
        UserError: If there is no such algorithm or its package cannot be imported.
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
        raise UserError(f"algorithm '{name}' cannot be imported: {error}") from error
    return loaded


def create_algorithm(name: str) -> Algorithm:
    """Make a fresh, unfitted algorithm.

    Raises:
        UserError: If there is no such algorithm or its package cannot be imported.
    """
    return algorithm_class(name)()


def algorithm_origins() -> dict[str, str]:
    """Where every installed algorithm comes from, found without importing any of them.

    Returns:
        Package and version by algorithm name, sorted by name.
    """
    origins = {}
    for name, point in sorted(_entry_points().items()):
        dist = point.dist
        origins[name] = f"{dist.name} {dist.version}" if dist else point.value
    return origins


def keep_triton_out() -> None:
    """Let nothing load triton from now on, if TensorFlow is there already and triton is not."""
    if "tensorflow" in sys.modules:
        # What Python takes for a package that cannot be imported.
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
