"""Two-dimensional crystals as layers: the periodic plane, the vacuum axis, the layer group."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import spglib
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats, Ints

MIN_VACUUM = 5.0
"""Å without atoms that make an axis the one out of the plane; van der Waals gaps are below 4 Å."""

SYMMETRY_TOLERANCE = 0.01
"""How far from their ideal places atoms may be for the layer group, Å (spglib's ``symprec``)."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A structure in the frame of its periodic plane.

    Attributes:
        plane: Both lattice vectors of the plane as rows, Å, shape ``(2, 2)``; the first is
            along x.
        coords: Fractional coordinates in the plane, shape ``(n, 2)``.
        heights: Å above the middle between the lowest and the highest atom, shape ``(n,)``.
        elements: Symbol of every atom.
        cell_height: Of the cell including vacuum, Å.
    """

    plane: Floats
    coords: Floats
    heights: Floats
    elements: tuple[str, ...]
    cell_height: float


@dataclass(frozen=True, eq=False)
class LayerOperation:
    """A symmetry operation of a layer.

    Attributes:
        rotation: Acts on columns of fractional coordinates in the plane, int, shape ``(2, 2)``.
        translation: In the plane, fractional, shape ``(2,)``.
        flips: Whether it turns the layer upside down.
    """

    rotation: Ints
    translation: Floats
    flips: bool


@dataclass(frozen=True, eq=False)
class LayerGroup:
    """The symmetry of a layer.

    Attributes:
        symbol: International symbol, such as ``"p-6m2"``.
        operations: All of them up to lattice translations.
        equivalent: For each atom the first one that is equivalent to it.
    """

    symbol: str
    operations: tuple[LayerOperation, ...]
    equivalent: tuple[int, ...]


def as_layer(structure: Structure) -> Layer:
    """Find the plane and the vacuum axis of a structure, whichever of its axes that is.

    Args:
        structure: With one of its axes out of the plane. Oxidation states, labels and site
            properties do not count.

    Raises:
        UserError: If a site is partly occupied, or there is no vacuum along any axis.
    """
    if not structure.is_ordered:
        raise UserError(f"{structure.formula} has partly occupied sites: give ordered structures")
    matrix, coords = structure.lattice.matrix, np.mod(structure.frac_coords, 1.0)
    starts, gaps = np.array([_largest_gap(column) for column in coords.T]).T
    spacings = 1 / np.linalg.norm(structure.lattice.inv_matrix, axis=0)  # of lattice planes, Å
    axis = int(np.argmax(gaps * spacings))
    if gaps[axis] * spacings[axis] < MIN_VACUUM:
        raise UserError(
            f"{structure.composition.reduced_formula} is no layer: its largest vacuum is "
            f"{gaps[axis] * spacings[axis]:.1f} Å; give two-dimensional crystals with "
            f"{MIN_VACUUM:.0f} Å of vacuum or more along one axis of the cell"
        )
    # Counting from the end of the vacuum joins a layer that the cell's boundary cuts. The small
    # number keeps the lowest atom from being wrapped to the top by rounding.
    coords[:, axis] = np.mod(coords[:, axis] - starts[axis] + 1e-9, 1.0)
    vectors = matrix[[(axis + 1) % 3, (axis + 2) % 3]]
    places = coords @ matrix
    normal = np.cross(*vectors)
    heights = places @ normal / np.linalg.norm(normal)
    return Layer(
        plane=_in_its_own_frame(vectors),
        coords=places @ vectors.T @ np.linalg.inv(vectors @ vectors.T),
        heights=heights - (heights.min() + heights.max()) / 2,
        elements=tuple(species.symbol for species in structure.species),
        cell_height=float(spacings[axis]),
    )


def _largest_gap(coords: Floats) -> tuple[float, float]:
    """Where the largest gap between periodic fractions ends, and how large it is."""
    ordered = np.sort(coords)
    gaps = np.diff(ordered, prepend=ordered[-1] - 1)
    end = int(np.argmax(gaps))
    return float(ordered[end]), float(gaps[end])


def _in_its_own_frame(vectors: Floats) -> Floats:
    """Two vectors of the plane, the first along x, from shape ``(2, 3)`` to ``(2, 2)``."""
    a, b = np.linalg.norm(vectors, axis=1)
    along = float(vectors[0] @ vectors[1]) / a
    return np.array([[a, 0.0], [along, np.sqrt(b**2 - along**2)]])


def layer_group(layer: Layer) -> LayerGroup:
    """Find the layer group with spglib.

    Raises:
        UserError: If spglib finds none, as where atoms coincide.
    """
    found = _dataset(layer)
    if found is None:
        raise UserError(
            f"no layer group of {Composition(Counter(layer.elements)).reduced_formula} can be "
            "found: give a pristine unit cell, no two atoms of which coincide"
        )
    operations = zip(found.rotations, found.translations, strict=True)
    return LayerGroup(
        symbol=str(found.international),
        operations=tuple(
            LayerOperation(rotation[:2, :2].astype(np.int64), shift[:2], bool(rotation[2, 2] < 0))
            for rotation, shift in operations
        ),
        equivalent=tuple(map(int, found.equivalent_atoms)),
    )


def _dataset(layer: Layer) -> Any:  # noqa: ANN401
    """What spglib says about a layer; None if it finds no symmetry."""
    height = float(np.ptp(layer.heights)) + 2 * MIN_VACUUM
    matrix = np.diag([0.0, 0.0, height])
    matrix[:2, :2] = layer.plane
    coords = np.column_stack([layer.coords, 0.5 + layer.heights / height])
    numbers = [Element(symbol).Z for symbol in layer.elements]
    try:
        return spglib.get_layergroup(
            (matrix.tolist(), coords.tolist(), numbers), aperiodic_dir=2, symprec=SYMMETRY_TOLERANCE
        )
    except spglib.SpglibError:  # older versions return None instead
        return None


def primitive(layer: Layer) -> Layer:
    """The layer in its smallest cell, whose axes are the shortest.

    Raises:
        UserError: See :func:`layer_group`.
    """
    shifts = [
        operation.translation
        for operation in layer_group(layer).operations
        if not operation.flips and (operation.rotation == np.eye(2)).all()
    ]
    if len(shifts) == 1:
        return layer
    vectors = _shortest_basis(np.array([[1, 0], [0, 1], *shifts]) @ layer.plane, len(shifts))
    coords = layer.coords @ layer.plane @ np.linalg.inv(vectors)
    kept: list[int] = []
    for atom in range(len(coords)):
        apart = coords[kept] - coords[atom]
        offsets = (apart - np.round(apart)) @ vectors
        same_height = np.abs(layer.heights[kept] - layer.heights[atom]) < 10 * SYMMETRY_TOLERANCE
        if not (same_height & (np.linalg.norm(offsets, axis=1) < 10 * SYMMETRY_TOLERANCE)).any():
            kept.append(atom)
    frame = _in_its_own_frame(np.column_stack([vectors, np.zeros(2)]))
    return Layer(
        plane=frame,
        coords=coords[kept],
        heights=layer.heights[kept],
        elements=tuple(layer.elements[atom] for atom in kept),
        cell_height=layer.cell_height,
    )


def _shortest_basis(generators: Floats, cells: int) -> Floats:
    """The shortest basis of the lattice that some vectors generate, rows of shape ``(2, 2)``.

    Args:
        generators: Vectors, Å, shape ``(n, 2)``; the first two span ``cells`` primitive cells.
        cells: How many primitive cells the first two span.
    """
    area = abs(float(np.linalg.det(generators[:2]))) / cells
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=2)))
    points = (generators[:, None] + steps @ generators[:2]).reshape(-1, 2)
    points = points[np.linalg.norm(points, axis=1) > SYMMETRY_TOLERANCE]
    points = points[np.lexsort((points[:, 1] < 0, np.round(np.linalg.norm(points, axis=1), 4)))]
    for first, second in itertools.combinations(points, 2):
        if abs(abs(np.linalg.det([first, second])) - area) < 0.05 * area:
            # With the obtuse angle that is usual for hexagonal layers, and right-handed.
            second = -second if first @ second > 1e-6 else second
            pair = np.array([first, second])
            return pair if np.linalg.det(pair) > 0 else pair[::-1]
    raise AssertionError("no two of the generators span a primitive cell")
