"""Names for the types that are used all over the package."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Booleans = NDArray[np.bool_]

Tokens = tuple[str, ...]
"""A formula in prefix order."""

Report = Callable[[str], None]
"""Takes a line of progress."""
