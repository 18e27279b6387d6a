"""The table of features of many structures or compositions."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure

from matbench_segvae.errors import UserError
from matbench_segvae.features.cache import FeatureCache, content_hash
from matbench_segvae.features.composition import composition_features, composition_names
from matbench_segvae.features.geometry import geometry_features
from matbench_segvae.features.names import GEOMETRY
from matbench_segvae.types import Floats, Report

_SERIAL = 2000  # inputs below which starting further processes takes longer than it saves
_AT_ONCE = 20_000  # inputs whose features are in memory together
_CHUNK = 50  # inputs that a process takes at a time


def feature_names(input_type: str) -> tuple[str, ...]:
    """Columns of :func:`feature_table`.

    Args:
        input_type: ``"structure"`` or ``"composition"``.
    """
    geometry = tuple(GEOMETRY) if input_type == "structure" else ()
    return (*geometry, *composition_names())


def feature_table(
    inputs: pd.Series,
    input_type: str,
    report: Report = lambda _: None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Describe structures or compositions by named features.

    Rows that were computed before come from the cache (:class:`.cache.FeatureCache`); the others
    are computed, in several processes if there are many. Equal inputs are described once.

    Args:
        inputs: Structures or compositions (or their formulas), indexed by sample id.
        input_type: ``"structure"`` or ``"composition"``.
        report: Takes lines of progress.
        columns: Features to keep, all by default; a few of them save memory.

    Returns:
        A row for each input, a column for each feature of :func:`feature_names` or of
        ``columns``, in the units of :func:`.names.unit_of`; NaN where an element's property
        is not known.

    Raises:
        UserError: If an input is not of the input type.
    """
    names = feature_names(input_type)
    kept = list(names if columns is None else columns)
    places = [names.index(name) for name in kept]
    cache = FeatureCache(input_type, names)
    batches = []
    for first in range(0, len(inputs), _AT_ONCE):
        batch = inputs.iloc[first : first + _AT_ONCE]
        items = [_item(value, name, input_type) for name, value in batch.items()]
        batches.append(_rows(items, input_type, cache, report)[:, places])
    data = np.concatenate(batches) if batches else np.empty((0, len(kept)))
    return pd.DataFrame(data, index=inputs.index, columns=kept)


def _rows(
    items: Sequence[Structure | Composition],
    input_type: str,
    cache: FeatureCache,
    report: Report,
) -> Floats:
    """All features of some inputs, shape ``(N, F)``; computed rows are cached."""
    hashes = [content_hash(item) for item in items]
    rows = cache.read(hashes)
    missing = {h: item for h, item in zip(hashes, items, strict=True) if h not in rows}
    if missing:
        report(f"describing {len(missing)} {input_type}s")
        values = describe_all(list(missing.values()))
        new = dict(zip(missing, values, strict=True))
        cache.write(new)
        rows |= new
    return np.array([rows[h] for h in hashes])


def describe(item: Structure | Composition) -> Floats:
    """Features of one structure or composition, in the order of :func:`feature_names`."""
    with warnings.catch_warnings():
        # About missing electronegativities, such as of noble gases: the value is NaN.
        warnings.simplefilter("ignore")
        if isinstance(item, Composition):
            return composition_features(item)
        return np.concatenate([geometry_features(item), composition_features(item.composition)])


def describe_all(items: Sequence[Structure | Composition]) -> list[Floats]:
    """Features of many structures or compositions."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if len(items) < _SERIAL or workers == 1:
        return [describe(item) for item in items]
    # Not forked: threads of torch and numba in this process do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(describe, items, chunksize=_CHUNK))


def _item(value: object, name: object, input_type: str) -> Structure | Composition:
    """An input as pymatgen's own class."""
    if input_type == "structure":
        if isinstance(value, Structure) and len(value):
            return value
        raise UserError(f"sample {name}: a structure is needed, not {type(value).__name__}")
    try:
        composition = Composition(value)
    except (ValueError, TypeError) as error:
        raise UserError(f"sample {name}: '{value}' is not a composition: {error}") from error
    if not composition:
        raise UserError(f"sample {name}: the composition is empty")
    return composition
