"""Matbench's repository, as far as it reads submissions; its wheel is older."""

import gzip
import json

from matbench.bench import MatbenchBenchmark


def read_as_the_repository(path):
    """Read results as the main branch does: in gzip's format, and nothing else."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return MatbenchBenchmark.from_dict(json.load(file))
