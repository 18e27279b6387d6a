"""Features of a composition, by matminer."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from pymatgen.core.composition import Composition

from matbench_segvae.features.names import NORMS, ORBITALS, PROPERTIES, STATISTICS
from matbench_segvae.types import Floats


def composition_features(composition: Composition) -> Floats:
    """Features of a composition, in the order of :func:`composition_names`.

    Statistics of Magpie's elemental properties and norms of the fractions (Ward et al., npj
    Comput. Mater. 2, 16028, 2016), valence orbitals (Meredig et al., Phys. Rev. B 89,
    094104, 2014), the ideal entropy of mixing ``-Σ x ln x`` in units of the gas constant,
    and the share ``x_El`` that each element has of the atoms.

    Args:
        composition: Any composition; oxidation states are ignored.

    Returns:
        Shape ``(F,)``, NaN where an element's property is not known.
    """
    neutral = composition.element_composition
    values = [value for featurizer in _featurizers() for value in featurizer.featurize(neutral)]
    shares = np.array([neutral.get_atomic_fraction(element) for element in neutral])
    entropy = -float(np.sum(shares * np.log(shares)))
    n_elements = len(_element_symbols())
    row = np.array([*values[:-n_elements], entropy, *values[-n_elements:]], dtype=np.float64)
    return row


@cache
def composition_names() -> tuple[str, ...]:
    """Names of the features, in order."""
    return (
        *(f"{ours}_{ending}" for ours, _ in PROPERTIES.values() for ending in STATISTICS.values()),
        *(f"norm_{p}" for p in NORMS),
        *(f"{orbital}_electrons_per_atom" for orbital in ORBITALS),
        *(f"{orbital}_electron_share" for orbital in ORBITALS),
        "mixing_entropy",
        *(f"x_{symbol}" for symbol in _element_symbols()),
    )


@cache
def elemental_data() -> Any:  # noqa: ANN401 - matminer is not typed
    """Magpie's tables of elemental properties, gaps left as NaN."""
    from matminer.utils.data import MagpieData

    data = MagpieData(impute_nan=False)
    # The table has 0.4 for Bi, between 6.8 for Pb and Po: a digit was lost. The CRC Handbook,
    # its source, gives 7.4.
    data.all_elemental_props["Polarizability"]["Bi"] = 7.4
    return data


@cache
def _featurizers() -> tuple[Any, ...]:
    """The featurizers of matminer, in the order of :func:`composition_names`."""
    # Here and not at the top of the module: matminer takes a second to import.
    from matminer.featurizers.composition import (
        ElementFraction,
        ElementProperty,
        Stoichiometry,
        ValenceOrbital,
    )

    with warnings.catch_warnings():
        # About the gaps of the tables, which are intended.
        warnings.simplefilter("ignore")
        properties = ElementProperty(elemental_data(), list(PROPERTIES), list(STATISTICS))
    return (
        properties,
        Stoichiometry(p_list=NORMS),
        ValenceOrbital(orbitals=ORBITALS, props=["avg", "frac"]),
        ElementFraction(),
    )


@cache
def _element_symbols() -> tuple[str, ...]:
    """Symbols in the order of matminer's ``ElementFraction``."""
    return tuple(str(label) for label in _featurizers()[-1].feature_labels())
