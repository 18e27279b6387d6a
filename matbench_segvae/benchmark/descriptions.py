"""What our tasks are, in words, and whom to cite; goes into the committed metadata."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_HUANG = """@article{Huang2023,
  author = {Huang, Pengru and Lukin, Ruslan and Faleev, Maxim and Kazeev, Nikita and
            Al-Maeeni, Abdalaziz Rashid and Andreeva, Daria V. and Ustyuzhanin, Andrey and
            Tormasov, Alexander and Castro Neto, A. H. and Novoselov, Kostya S.},
  title = {Unveiling the complex structure-property correlation of defects in 2D materials
           based on high throughput datasets},
  journal = {npj 2D Materials and Applications}, volume = {7}, pages = {6}, year = {2023},
  doi = {10.1038/s41699-023-00369-1}
}"""
_KAZEEV = """@article{Kazeev2023,
  author = {Kazeev, Nikita and Al-Maeeni, Abdalaziz Rashid and Romanov, Ignat and
            Faleev, Maxim and Lukin, Ruslan and Tormasov, Alexander and
            Castro Neto, A. H. and Novoselov, Kostya S. and Huang, Pengru and
            Ustyuzhanin, Andrey},
  title = {Sparse representation for machine learning the properties of defects in 2D
           materials},
  journal = {npj Computational Materials}, volume = {9}, pages = {113}, year = {2023},
  doi = {10.1038/s41524-023-01062-z}
}"""
_LAZAREV = """@misc{Lazarev2025,
  author = {Lazarev, Mikhail and Ustyuzhanin, Andrey},
  title = {Symbolic regression for defect interactions in 2D materials},
  eprint = {2512.20785}, archivePrefix = {arXiv}, year = {2025}
}"""
_GRIMME = """@article{Grimme2017,
  author = {Grimme, Stefan and Bannwarth, Christoph and Shushkov, Philip},
  title = {A Robust and Accurate Tight-Binding Quantum Chemical Method for Structures,
           Vibrational Frequencies, and Noncovalent Interactions of Large Molecular Systems
           Parametrized for All spd-Block Elements (Z = 1-86)},
  journal = {Journal of Chemical Theory and Computation}, volume = {13}, pages = {1989},
  year = {2017}, doi = {10.1021/acs.jctc.7b00118}
}"""

_DFT: dict[str, Any] = {
    "level": "dft",
    "source": "2DMD",
    "reference": "Huang et al., npj 2D Mater. Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1",
    "bibtex_refs": [_HUANG, _KAZEEV, _LAZAREV],
}
_CELL = "from unrelaxed 8 x 8 MoS2 supercells (DFT, PBE)"

DESCRIPTIONS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "defects2d_mos2_v3": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent triple "
            f"vacancy, one Mo and two S, {_CELL}. Structures rebuilt from distances.",
        },
        "defects2d_mos2_v2": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent pair of "
            f"vacancies, one Mo and one S, {_CELL}. Structures rebuilt from distances.",
        },
        "defects2d_mos2_x2": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent pair of "
            f"S vacancies {_CELL}. Structures rebuilt from distances.",
        },
        "defects2d_mos2_transfer": {
            **_DFT,
            "description": "Learn from all single and double vacancies and predict the formation "
            f"energy per site of all triple ones, one Mo and two S, {_CELL}. One fold.",
        },
        "defects2d_xtb_mos2": {
            "level": "xtb",
            "source": "embedded",
            "reference": "Computed for this benchmark with GFN1-xTB: Grimme et al., J. Chem. "
            "Theory Comput. 13, 1989 (2017), doi 10.1021/acs.jctc.7b00118",
            "bibtex_refs": [_GRIMME],
            "description": "Predict the formation energy per site of every inequivalent set of up "
            "to three vacancies, at most one Mo and two S, from unrelaxed 4 x 4 MoS2 supercells "
            "(GFN1-xTB, Γ point, sulfur-rich chemical potentials from S8).",
        },
    }
)
"""Task name to description, reference, citations, data source and level of theory."""
