"""Pristine two-dimensional hosts: unit cell, symmetry, kinds of sites."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from matbench_segvae.defects.layers import Layer, LayerGroup, as_layer, layer_group, primitive
from matbench_segvae.errors import UserError, cut, finite
from matbench_segvae.types import Floats

SiteRow = tuple[str, tuple[float, float, float]]
"""Element and fractional coordinates in the unit cell."""

_DIGITS = 8  # of lattice constants and fractions; those beyond are noise of averaging
_MAX_LENGTH = 1000.0  # Å
_MIN_ANGLE = 5.0  # degrees; lattice vectors nearly along each other span no plane
_MAX_FRACTION = 10.0  # cells that an atom may be away from the first one
_TOO_CLOSE = 0.5  # Å; the bond of H2 is 0.74 Å long
_MAX_NAME = 200  # characters
_MAX_ATOMS = 200  # of a primitive cell; distances in larger ones take too long
_MAX_READ = 5000  # atoms of a cell whose primitive cell is found in reasonable time


@dataclass(frozen=True)
class Host:
    """A pristine monolayer, or any other crystal with two periodic axes.

    Attributes:
        name: Such as ``"MoS2"``.
        a: Length of the first axis of the primitive cell, in the plane, Å.
        b: Length of the second axis, Å.
        gamma: Angle between them, degrees.
        c: Cell height including vacuum, normal to the plane, Å. It identifies nothing.
        atoms: The atoms of the primitive cell, the most electropositive element first.
    """

    name: str
    a: float
    b: float
    gamma: float
    c: float
    atoms: tuple[SiteRow, ...]

    @classmethod
    def from_structure(cls, pristine: Structure, name: str | None = None) -> Host:
        """Make a host of a pristine crystal, with vacuum along any axis.

        The cell may be larger than the primitive one, which is found. Coordinates and lattice
        are averaged over the operations of the layer group, so that equivalent pairs of sites
        have the same distance.

        Args:
            pristine: The crystal without defects.
            name: Its name; the reduced formula by default.

        Raises:
            UserError: If it has partly occupied sites, or no vacuum along any axis, or atoms
                coincide, or there are too many of them.
        """
        _require_at_most(_MAX_READ, len(pristine), "cell")
        layer = primitive(as_layer(pristine))
        _require_at_most(_MAX_ATOMS, len(layer.elements), "primitive cell")
        group = layer_group(layer)
        plane, coords, heights = _averaged(layer, group)
        (a, _), (x, y) = plane
        b = math.hypot(x, y)
        fractions = np.column_stack([np.mod(coords, 1.0), 0.5 + heights / layer.cell_height])
        order = sorted(range(len(coords)), key=lambda atom: _rank(layer, group, atom))
        host = cls(
            name=name or pristine.composition.reduced_formula,
            a=round(float(a), _DIGITS),
            b=round(b, _DIGITS),
            gamma=round(math.degrees(math.atan2(y, x)), _DIGITS),
            c=round(layer.cell_height, _DIGITS),
            atoms=tuple((layer.elements[atom], _rounded(fractions[atom])) for atom in order),
        )
        _check(host)
        return host

    @cached_property
    def offsets(self) -> Floats:
        """Fractional coordinates of the unit cell's atoms, shape ``(n_atoms, 3)``."""
        return np.array([xyz for _, xyz in self.atoms])

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Elements of the unit cell's atoms, in order."""
        return tuple(element for element, _ in self.atoms)

    @cached_property
    def heights(self) -> Floats:
        """Å above the middle between the lowest and the highest atom, shape ``(n_atoms,)``."""
        heights = self.offsets[:, 2] * self.c
        return np.asarray(heights - (heights.min() + heights.max()) / 2)

    @cached_property
    def plane(self) -> Floats:
        """Both lattice vectors in the plane as rows, Å, shape ``(2, 2)``; the first along x."""
        angle = math.radians(self.gamma)
        return np.array([[self.a, 0.0], [self.b * math.cos(angle), self.b * math.sin(angle)]])

    @property
    def layer_group(self) -> LayerGroup:
        """Its symmetry."""
        return _layer_group(self)

    @property
    def site_kinds(self) -> tuple[str, ...]:
        """Kind of site of each atom of the unit cell.

        The element, such as ``"S"``; with a number, such as ``"S(1)"`` and ``"S(2)"``, where
        the symmetry makes not all sites of one element equivalent.
        """
        return _site_kinds(self)

    @cached_property
    def shortest_bond(self) -> float:
        """Distance between the nearest two atoms, Å."""
        images = np.array(list(itertools.product(range(-2, 3), repeat=2)))
        offsets = self.offsets[:, None, :2] - self.offsets[None, :, :2]
        in_plane = (offsets[:, :, None] + images) @ self.plane
        heights = (self.heights[:, None] - self.heights)[:, :, None]
        distances = np.hypot(np.linalg.norm(in_plane, axis=-1), heights)
        itself = (images == 0).all(axis=1) & np.eye(len(self.atoms), dtype=bool)[:, :, None]
        return float(distances[~itself].min())

    def as_json(self) -> dict[str, Any]:
        """The host in JSON's own types."""
        return {
            "name": self.name,
            "a": self.a,
            "b": self.b,
            "gamma": self.gamma,
            "c": self.c,
            "atoms": [[element, list(xyz)] for element, xyz in self.atoms],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Host:
        """Take back what :meth:`as_json` gave.

        Raises:
            ValueError: If something is missing or not what it should be.
        """
        try:
            _require_at_most(_MAX_ATOMS, len(content["atoms"]), "primitive cell")
            atoms = tuple(
                (str(element), (finite(x, "atoms"), finite(y, "atoms"), finite(z, "atoms")))
                for element, (x, y, z) in content["atoms"]
            )
            lengths = {
                key: finite(content[key], f"cell ({key})") for key in ("a", "b", "gamma", "c")
            }
            host = cls(name=content["name"], atoms=atoms, **lengths)
        except KeyError as error:
            raise ValueError(f"the host lacks {error}") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"it describes no host: {error}") from error
        _check(host)
        return host


def _check(host: Host) -> None:
    """Raise UserError for a host that cannot exist or cannot be shown."""
    if not _can_be_shown(host.name):
        raise UserError(
            f"{cut(host.name)!r} cannot be the name of a host: use 1 to {_MAX_NAME} printable "
            "characters"
        )
    name, lengths = cut(host.name), (host.a, host.b, host.c)
    flat = not _MIN_ANGLE <= host.gamma <= 180 - _MIN_ANGLE
    if flat or not all(_TOO_CLOSE <= length < _MAX_LENGTH for length in lengths):
        raise UserError(
            f"host {name} has no cell: lengths {lengths}, gamma {host.gamma}; allowed are "
            f"{_TOO_CLOSE:g} to {_MAX_LENGTH:g} Å and {_MIN_ANGLE:g} to {180 - _MIN_ANGLE:g}°"
        )
    unknown = [element for element in host.elements if not Element.is_valid_symbol(element)]
    if unknown or not host.atoms:
        raise UserError(f"host {name} has no atoms of known elements")
    if not (np.abs(host.offsets) <= _MAX_FRACTION).all():
        raise UserError(
            f"host {name} has an atom with a fractional coordinate that is not between "
            f"-{_MAX_FRACTION:g} and {_MAX_FRACTION:g}"
        )
    if host.shortest_bond < _TOO_CLOSE:
        raise UserError(f"host {name} has two atoms at the same place")


def _can_be_shown(name: object) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= _MAX_NAME and name.isprintable()


def _require_at_most(limit: int, n_atoms: int, cell: str) -> None:
    """Raise UserError if a cell has more atoms than can be dealt with."""
    if n_atoms > limit:
        raise UserError(
            f"the {cell} of the host has {n_atoms:,} atoms, at most {limit:,} are allowed: give "
            "the pristine crystal in its smallest cell"
        )


def _averaged(layer: Layer, group: LayerGroup) -> tuple[Floats, Floats, Floats]:
    """Lattice vectors, coordinates in the plane and heights that have the symmetry exactly."""
    metric = layer.plane @ layer.plane.T
    rotations = [operation.rotation for operation in group.operations]
    metric = np.mean([rotation.T @ metric @ rotation for rotation in rotations], axis=0)
    # The Cholesky factor has its first row along x.
    plane = np.linalg.cholesky(metric)
    coords, heights = np.zeros_like(layer.coords), np.zeros_like(layer.heights)
    for operation in group.operations:
        images = layer.coords @ operation.rotation.T + operation.translation
        flipped = -layer.heights if operation.flips else layer.heights
        for image, height, element in zip(images, flipped, layer.elements, strict=True):
            offsets = image - layer.coords
            whole = np.round(offsets)
            apart = np.linalg.norm((offsets - whole) @ plane, axis=1)
            apart = np.hypot(apart, height - layer.heights)
            apart[[other != element for other in layer.elements]] = np.inf
            atom = int(apart.argmin())
            coords[atom] += image - whole[atom]
            heights[atom] += height
    n = len(group.operations)
    return plane, coords / n, heights / n


def _rank(layer: Layer, group: LayerGroup, atom: int) -> tuple[object, ...]:
    """Sorts atoms: electropositive elements first, outer sites first, upper sites first."""
    element = Element(layer.elements[atom])
    electronegativity = element.X if math.isfinite(element.X) else math.inf
    first = group.equivalent[atom]
    outer, height = (round(float(layer.heights[i]), 3) for i in (first, atom))
    return electronegativity, element.symbol, -abs(outer), first, -height, atom


def _rounded(xyz: Floats) -> tuple[float, float, float]:
    """Fractional coordinates without the noise of averaging."""
    x, y, z = (round(float(value), _DIGITS) % 1.0 for value in xyz)
    return x, y, z


@lru_cache(maxsize=64)
def _layer_group(host: Host) -> LayerGroup:
    """Compute :attr:`Host.layer_group`."""
    coords = host.offsets[:, :2]
    return layer_group(Layer(host.plane, coords, host.heights, host.elements, host.c))


@lru_cache(maxsize=64)
def _site_kinds(host: Host) -> tuple[str, ...]:
    """Compute :attr:`Host.site_kinds`."""
    first_of = host.layer_group.equivalent
    kinds = []
    for element, first in zip(host.elements, first_of, strict=True):
        same = [f for e, f in zip(host.elements, first_of, strict=True) if e == element]
        orbits = list(dict.fromkeys(same))
        kinds.append(element if len(orbits) == 1 else f"{element}({orbits.index(first) + 1})")
    return tuple(kinds)
