"""A structure that several tests of hosts share."""

import pytest
from pymatgen.core import Lattice, Structure


@pytest.fixture
def bismuth_selenide():
    """A quintuple layer Se-Bi-Se-Bi-Se, in which selenium has two kinds of sites."""
    a, c = 4.14, 30.0
    heights = [-3.6, -1.9, 0.0, 1.9, 3.6]
    columns = [(1 / 3, 2 / 3), (2 / 3, 1 / 3), (0, 0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)]
    coords = [(x, y, 0.5 + z / c) for (x, y), z in zip(columns, heights, strict=True)]
    return Structure(Lattice.hexagonal(a, c), ["Se", "Bi", "Se", "Bi", "Se"], coords)
