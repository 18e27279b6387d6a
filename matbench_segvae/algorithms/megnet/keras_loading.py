"""Loading the original ``megnet`` package, which needs older versions of other packages.

megnet 1.3.2 needs TensorFlow with Keras 2, and classes of pymatgen under names they no longer
have. Both are provided here; pymatgen's old names exist only while megnet is imported.
"""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from matbench_segvae.errors import UserError, missing_extra

_PACKAGES = ("tensorflow", "tf_keras", "megnet")
# Names in pymatgen.analysis.local_env that megnet imports, and what they are called today.
_RENAMED = {
    "BrunnerNN_real": "BrunnerNNReal",
    "BrunnerNN_reciprocal": "BrunnerNNReciprocal",
    "BrunnerNN_relative": "BrunnerNNRelative",
}

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@dataclass(frozen=True)
class Libraries:
    """The modules that the adapter works with.

    Attributes:
        tensorflow: TensorFlow.
        keras: Keras 2, as TensorFlow and megnet have it.
        models: ``megnet.models``.
        graph: ``megnet.data.graph``.
    """

    tensorflow: Any
    keras: Any
    models: Any
    graph: Any


def load_libraries(algorithm: str) -> Libraries:
    """Import TensorFlow and the original megnet.

    Args:
        algorithm: Name of the algorithm, for messages.

    Raises:
        UserError: If one of them is not installed, or TensorFlow was loaded with Keras 3 in
            this process before.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise missing_extra(algorithm, missing, "keras")
    # TensorFlow reads this when its Keras is first used, so it has to stay set.
    os.environ[_LEGACY_KERAS] = "1"
    with _variable(_LOG_LEVEL, "3"):
        tensorflow = import_module("tensorflow")
        # Keras 2 reports itself under the name of its package.
        if not tensorflow.keras.layers.Layer.__module__.startswith("tf_keras"):
            raise UserError(
                f"{algorithm} needs Keras 2, but TensorFlow was loaded with Keras 3: set "
                f"{_LEGACY_KERAS}=1 before TensorFlow is imported"
            )
        with _old_names():
            models = import_module("megnet.models")
            graph = import_module("megnet.data.graph")
    return Libraries(tensorflow, tensorflow.keras, models, graph)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, unless it is set, for the time of the block."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextmanager
def _old_names() -> Iterator[None]:
    """Give pymatgen's classes their old names, too, for the time of the block."""
    local_env = import_module("pymatgen.analysis.local_env")
    added = [old for old in _RENAMED if not hasattr(local_env, old)]
    for old in added:
        setattr(local_env, old, getattr(local_env, _RENAMED[old]))
    try:
        yield
    finally:
        for old in added:
            delattr(local_env, old)


@contextmanager
def seeded(libraries: Libraries, seed: int) -> Iterator[None]:
    """Seed Python, numpy and TensorFlow, and restore the state of their generators afterwards.

    Keras draws initial weights from TensorFlow's generator, megnet the order of the batches
    from numpy's.

    Args:
        libraries: TensorFlow and Keras.
        seed: Seed of all of them inside the block.
    """
    # TensorFlow has no public function that returns its global seed.
    eager = import_module("tensorflow.python.eager.context")
    python, tensorflow = random.getstate(), eager.global_seed()
    numpy = np.random.get_state()  # noqa: NPY002 - the generator that megnet uses
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    libraries.keras.utils.set_random_seed(seed)
    try:
        with warnings.catch_warnings():
            # Keras warns about how megnet uses it: nothing a user could act on.
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        libraries.tensorflow.random.set_seed(tensorflow)
        logger.setLevel(level)
