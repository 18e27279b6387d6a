"""Features on disk: every structure or composition is described once.

Rows are stored by the content of the structure or composition, the names of the features and
the versions of the libraries behind them: a change of any of these leads to new rows, and folds
share rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure

from matbench_segvae.files import cache_folder, written_whole
from matbench_segvae.types import Floats

# Increase it when the meaning of a feature changes.
_FORMAT = 2
_LIBRARIES = ("matminer", "pymatgen")


def content_hash(item: Structure | Composition) -> str:
    """Sha256 of what features depend on: lattice, positions and species."""
    sha = hashlib.sha256()
    if isinstance(item, Composition):
        amounts = sorted((str(species), float(amount)) for species, amount in item.items())
        sha.update(repr(amounts).encode())
        return sha.hexdigest()
    sha.update(np.ascontiguousarray(item.lattice.matrix, dtype=np.float64).tobytes())
    sha.update(np.ascontiguousarray(item.frac_coords, dtype=np.float64).tobytes())
    for site in item:
        shares = sorted((str(species), float(share)) for species, share in site.species.items())
        sha.update(repr(shares).encode())
    return sha.hexdigest()


class FeatureCache:
    """Rows of features by content, in 16 files by the first digit of the hash.

    The files are in the folder ``features`` in the user's cache folder, or in the folder that
    ``MATBENCH_SEGVAE_CACHE`` names. A damaged file counts as empty and is written again; where
    nothing can be written, there is no cache.
    """

    def __init__(self, kind: str, names: Sequence[str]) -> None:
        """Find the folder of the cache.

        Args:
            kind: Kind of the inputs, ``"structure"`` or ``"composition"``.
            names: Names of the features, in order.
        """
        facts = [str(_FORMAT), kind, *names, *(f"{name} {version(name)}" for name in _LIBRARIES)]
        self._identity = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
        self._folder = cache_folder() / "features" / f"{kind}-{self._identity}"
        self._width = len(names)

    def read(self, hashes: Sequence[str]) -> dict[str, Floats]:
        """The cached rows among those of some hashes."""
        found: dict[str, Floats] = {}
        requested = set(hashes)
        for digit in sorted({name[0] for name in requested}):
            rows = self._read(digit)
            found |= {name: rows[name] for name in requested & rows.keys()}
        return found

    def write(self, rows: Mapping[str, Floats]) -> None:
        """Add rows, each file whole or not at all."""
        for digit in sorted({name[0] for name in rows}):
            new = {name: row for name, row in rows.items() if name[0] == digit}
            self._write(digit, self._read(digit) | new)

    def _path(self, digit: str) -> Path:
        return self._folder / f"{digit}.npz"

    def _read(self, digit: str) -> dict[str, Floats]:
        """All rows of a file, none if it is not there or damaged."""
        try:
            with np.load(self._path(digit), allow_pickle=False) as content:
                names, values = content["names"].tolist(), content["values"]
        except Exception:  # a damaged file can raise nearly anything
            return {}
        if values.dtype != np.float64 or values.shape != (len(names), self._width):
            return {}
        return dict(zip(names, values, strict=True))

    def _write(self, digit: str, rows: Mapping[str, Floats]) -> None:
        names = sorted(rows)
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path(digit)) as file:
                np.savez_compressed(
                    file, names=np.array(names), values=np.stack([rows[n] for n in names])
                )
