"""Features of a structure's geometry, those of layers among them.

The stacking direction is normal to the pair of lattice vectors across which the widest empty
gap between planes of atoms opens. For a slab in a cell with vacuum that gap is the vacuum,
and the remainder of the cell is the layer; in a bulk crystal the gap is that between two
planes of atoms. For volumes and densities a wider gap is closed to 3.4 Å, because the height
of the vacuum is no property of the material. None of the features depends on the orientation
of the cell, its origin or the order of its sites.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.features.composition import elemental_data
from matbench_segvae.features.names import GEOMETRY, PROPERTIES, SURFACE_PROPERTIES
from matbench_segvae.types import Booleans, Floats, Ints

_BONDED = 1.2  # sums of covalent radii below which two atoms count as bonded
_REACHES = (3.5, 6.0, 12.0, 24.0)  # Å; the first in which every atom has a neighbour is used
_VACUUM = 8.0  # Å; wider gaps are vacuum, whose height is no property of the material
_CLOSED = 3.4  # Å; the gap between layers of graphite, to which vacuum is closed
_SURFACE_DEPTH = 0.5  # Å below the outermost atom that still counts as surface


@dataclass(frozen=True)
class _Layer:
    """A cell without its widest gap.

    Attributes:
        area: Area of the cell normal to the stacking direction, Å².
        height: Height of every site above the lowest, Å, shape ``(N,)``.
        gap: The widest gap, Å.
        inner_gap: The second widest gap, Å.
    """

    area: float
    height: Floats
    gap: float
    inner_gap: float


def geometry_features(structure: Structure) -> Floats:
    """Features in the order of :data:`~matbench_segvae.features.names.GEOMETRY`.

    Args:
        structure: Any crystal; oxidation states are ignored.

    Returns:
        Shape ``(F,)``, NaN where a property of an element is not known.
    """
    neutral = structure.copy()
    neutral.remove_oxidation_states()
    layer = _layer(neutral)
    found = {
        **_densities(neutral, layer),
        **_neighbours(neutral, layer),
    }
    return np.array([found[name] for name in GEOMETRY], dtype=np.float64)


def _densities(structure: Structure, layer: _Layer) -> dict[str, float]:
    """Masses, volumes and areas of a cell and of its layer."""
    n_atoms = structure.composition.num_atoms
    mass = float(structure.composition.weight)
    radius = float(np.nanmean(_site_properties(structure, "CovalentRadius"))) / 100
    thickness = float(layer.height.max())
    # The height of the vacuum is a choice of whoever made the cell.
    filled = 1 - max(layer.gap - _CLOSED, 0.0) * layer.area / structure.volume
    return {
        "density": float(structure.density) / filled,
        "volume_per_atom": structure.volume * filled / n_atoms,
        "packing_fraction": _packing_fraction(structure) / filled,
        "layer_thickness": thickness,
        "layer_gap": min(layer.gap, _VACUUM),
        "inner_gap": layer.inner_gap,
        "area_per_atom": layer.area / n_atoms,
        "areal_mass_density": mass / layer.area,
        # A plane of atoms has no thickness, but atoms have a size.
        "layer_density": mass / layer.area / (thickness + 2 * radius),
        "atoms_per_cell": n_atoms,
        "polarizability_per_area": float(_site_properties(structure, "Polarizability").sum())
        / layer.area,
    }


def _packing_fraction(structure: Structure) -> float:
    """Share of the volume inside atomic radii, by matminer; NaN where a radius is not known."""
    from matminer.featurizers.structure import DensityFeatures

    try:
        return float(DensityFeatures(["packing fraction"]).featurize(structure)[0])
    except (TypeError, AttributeError, ValueError):  # a noble gas, or a site shared by elements
        return float("nan")


def _neighbours(structure: Structure, layer: _Layer) -> dict[str, float]:
    """Distances, bonds, and the atoms at the surface."""
    first, second, distance = _pairs(structure)
    radii = _site_properties(structure, "CovalentRadius") / 100
    reach = radii[first] + radii[second]
    n_sites = len(structure)
    nearest = np.full(n_sites, np.inf)
    np.minimum.at(nearest, first, distance)
    # The nearest neighbour counts as bonded at any distance, so that every atom has a bond.
    bonded = (distance < _BONDED * reach) | (distance < nearest[first] + 1e-3)
    one, two, length = first[bonded], second[bonded], distance[bonded]
    coordination = np.bincount(one, minlength=n_sites)
    electronegativity = _site_properties(structure, "Electronegativity")
    polarity = np.abs(electronegativity[one] - electronegativity[two])
    top = layer.height >= layer.height.max() - _SURFACE_DEPTH
    surface = top | (layer.height <= _SURFACE_DEPTH)
    return {
        "neighbour_distance_min": float(nearest.min()),
        "neighbour_distance_mean": float(nearest.mean()),
        "neighbour_distance_max": float(nearest.max()),
        "bond_length_mean": float(length.mean()),
        "bond_length_dev": float(np.abs(length - length.mean()).mean()),
        "bond_stretch_mean": float((length / reach[bonded]).mean()),
        "bond_polarity_mean": float(polarity.mean()),
        "bond_polarity_max": float(polarity.max()),
        "coordination_min": float(coordination.min()),
        "coordination_mean": float(coordination.mean()),
        "coordination_max": float(coordination.max()),
        "bonds_per_area": float(len(one) / 2 / layer.area),
        "surface_fraction": float(surface.mean()),
        "surface_atoms_per_area": float(surface.sum() / layer.area),
        "surface_coordination": float(coordination[surface].mean()),
        **_surface_means(structure, surface),
        "surface_charge_contrast": float(
            electronegativity[surface].mean() - electronegativity.mean()
        ),
    }


def _surface_means(structure: Structure, surface: Booleans) -> dict[str, float]:
    """Means of elemental properties over the outermost atoms."""
    return {
        f"surface_{PROPERTIES[prop][0]}": float(_site_properties(structure, prop)[surface].mean())
        for prop in SURFACE_PROPERTIES
    }


def _layer(structure: Structure) -> _Layer:
    """The layer along the stacking direction, which is the one with the widest gap."""
    return max((_stacked(structure, axis) for axis in range(3)), key=lambda layer: layer.gap)


def _stacked(structure: Structure, axis: int) -> _Layer:
    """The layer parallel to two lattice vectors, stacked along ``axis``."""
    matrix = structure.lattice.matrix
    area = float(np.linalg.norm(np.cross(matrix[axis - 2], matrix[axis - 1])))
    period = structure.volume / area
    fraction = np.mod(structure.frac_coords[:, axis], 1.0)
    # Rounding at the cell's edge must not move an atom to its other side.
    fraction[np.isclose(fraction, 1.0, atol=1e-6)] = 0.0
    order = np.sort(fraction)
    gaps = np.diff(order, append=order[0] + 1.0)
    widest = int(gaps.argmax())
    lowest = order[(widest + 1) % len(order)]
    height = np.mod(fraction - lowest + 1e-6, 1.0) - 1e-6
    others = np.delete(gaps, widest)
    return _Layer(
        area=area,
        height=height * period,
        gap=float(gaps[widest] * period),
        inner_gap=float(others.max(initial=0.0) * period),
    )


def _pairs(structure: Structure) -> tuple[Ints, Ints, Floats]:
    """Neighbours of every site, periodic images among them: sites and distance in Å."""
    for reach in _REACHES:
        first, second, _, distance = structure.get_neighbor_list(reach)
        if len(np.unique(first)) == len(structure):
            return first, second, distance
    longest = math.ceil(max(structure.lattice.abc)) + 1.0
    first, second, _, distance = structure.get_neighbor_list(longest)
    return first, second, distance


def _site_properties(structure: Structure, prop: str) -> Floats:
    """An elemental property at every site, averaged where a site is shared, shape ``(N,)``."""
    data = elemental_data()
    return np.array(
        [
            sum(
                share * float(data.get_elemental_property(element, prop))
                for element, share in site.species.items()
            )
            / site.species.num_atoms
            for site in structure
        ]
    )
