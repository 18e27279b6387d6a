"""Names and units of the features, as they stand in formulas.

Names are ASCII identifiers, so that they can stand in formulas as they are. A statistic over
the atoms of a composition is the property's name followed by ``_min``, ``_max``, ``_range``,
``_mean``, ``_dev`` (mean absolute deviation from the mean) or ``_mode``.
"""

from __future__ import annotations

from collections.abc import Mapping

STATISTICS: Mapping[str, str] = {
    "minimum": "min",
    "maximum": "max",
    "range": "range",
    "mean": "mean",
    "avg_dev": "dev",
    "mode": "mode",
}
"""Statistics of matminer's ``ElementProperty``, to the endings of our names."""


PROPERTIES: Mapping[str, tuple[str, str]] = {
    "Number": ("atomic_number", ""),
    "MendeleevNumber": ("mendeleev_number", ""),
    "AtomicWeight": ("atomic_mass", "u"),
    "MeltingT": ("melting_point", "K"),
    "Column": ("column", ""),
    "Row": ("row", ""),
    "CovalentRadius": ("covalent_radius", "pm"),
    "Electronegativity": ("electronegativity", "Pauling"),
    "NsValence": ("s_electrons", ""),
    "NpValence": ("p_electrons", ""),
    "NdValence": ("d_electrons", ""),
    "NfValence": ("f_electrons", ""),
    "NValence": ("valence_electrons", ""),
    "NsUnfilled": ("s_holes", ""),
    "NpUnfilled": ("p_holes", ""),
    "NdUnfilled": ("d_holes", ""),
    "NfUnfilled": ("f_holes", ""),
    "NUnfilled": ("valence_holes", ""),
    "GSvolume_pa": ("elemental_volume", "Å³/atom"),
    "GSbandgap": ("elemental_gap", "eV"),
    "GSmagmom": ("elemental_moment", "μB/atom"),
    "SpaceGroupNumber": ("elemental_space_group", ""),
    "Polarizability": ("polarizability", "Å³"),
    "FirstIonizationEnergy": ("ionization_energy", "eV"),
    "HeatVaporization": ("vaporization_heat", "kJ/mol"),
}
"""Properties of Magpie's tables, to our names and units: Magpie's own 22 and three more."""


ORBITALS = ("s", "p", "d", "f")
NORMS = (0, 2, 3, 5, 7, 10)
SURFACE_PROPERTIES = ("Electronegativity", "CovalentRadius", "Polarizability", "Column", "Row")
"""Magpie's properties that are averaged over a layer's outermost atoms too."""


GEOMETRY: Mapping[str, str] = {
    "density": "g/cm³",
    "volume_per_atom": "Å³",
    "packing_fraction": "",
    "layer_thickness": "Å",
    "layer_gap": "Å",
    "inner_gap": "Å",
    "area_per_atom": "Å²",
    "areal_mass_density": "u/Å²",
    "layer_density": "u/Å³",
    "atoms_per_cell": "",
    "neighbour_distance_min": "Å",
    "neighbour_distance_mean": "Å",
    "neighbour_distance_max": "Å",
    "bond_length_mean": "Å",
    "bond_length_dev": "Å",
    "bond_stretch_mean": "",
    "bond_polarity_mean": "Pauling",
    "bond_polarity_max": "Pauling",
    "coordination_min": "",
    "coordination_mean": "",
    "coordination_max": "",
    "bonds_per_area": "1/Å²",
    "polarizability_per_area": "Å",
    "surface_fraction": "",
    "surface_atoms_per_area": "1/Å²",
    "surface_coordination": "",
    **{f"surface_{PROPERTIES[name][0]}": PROPERTIES[name][1] for name in SURFACE_PROPERTIES},
    "surface_charge_contrast": "Pauling",
}
"""Features of a structure's geometry, to their units; see :mod:`.geometry`."""


def unit_of(name: str) -> str:
    """Unit of a feature, empty for a number without one.

    Args:
        name: A column of :func:`~matbench_segvae.features.featurize`.

    Raises:
        KeyError: If there is no such feature.
    """
    units = _UNITS
    if name in units:
        return units[name]
    if name.startswith("x_"):  # an element's share of the atoms
        return ""
    raise KeyError(name)


_UNITS: dict[str, str] = {
    **{
        f"{ours}_{statistic}": unit
        for ours, unit in PROPERTIES.values()
        for statistic in STATISTICS.values()
    },
    **{f"{orbital}_electrons_per_atom": "" for orbital in ORBITALS},
    **{f"{orbital}_electron_share": "" for orbital in ORBITALS},
    **{f"norm_{p}": "" for p in NORMS},
    "mixing_entropy": "R",
    **GEOMETRY,
}
