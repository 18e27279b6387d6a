"""The versions and the hardware that a result was made with."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

OWN_PACKAGE = "matbench_segvae"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python, this package, matbench and the given distributions.

    Args:
        packages: Distribution names; those that are not installed are left out.
    """
    found = {"python": platform.python_version()}
    for name in (OWN_PACKAGE, "matbench", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor model, number of usable cores, and the accelerator if torch sees one."""
    return {"cpu": _cpu_model(), "cores": _cores(), "accelerator": _accelerator()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _cores() -> int:
    # A container or a batch system may grant fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _accelerator() -> str | None:
    import sys

    # Only an algorithm that has loaded torch can have used an accelerator through it.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))
