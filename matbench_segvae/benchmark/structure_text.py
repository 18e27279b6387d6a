"""Structures from the text of CIF, POSCAR and pymatgen JSON files, checked against what they say.

The readers of pymatgen take a file that was cut short for a smaller structure where they can:
one atom less is one more vacancy. The composition that a file states is therefore compared with
its atoms. Whatever these functions do not like they raise a ``ValueError`` about, in a line; the
caller knows the name of the file.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure
from pymatgen.io.cif import CifBlock, CifFile, CifParser
from pymatgen.io.vasp.inputs import Poscar

_UNKNOWN = ("", "?", ".")  # values of a CIF that say nothing
_COORDINATES = ("_atom_site_fract_x", "_atom_site_Cartn_x", "_atom_site_cartn_x")
_SPACE_GROUPS = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt")
_TOLERANCE = 1e-3  # atoms; formulas may be written with decimals
_MAX_LENGTH = 1e4  # Å; of a lattice vector


def parse_cif(text: str) -> Structure:
    """Read the one structure of a CIF, its symmetry operations applied.

    Args:
        text: Content of the file.

    Returns:
        All atoms of the cell, without oxidation states, labels and properties.

    Raises:
        ValueError: If it is no CIF with one ordered structure, or its atoms are not those of
            its own formula and number of formula units.
    """
    blocks = [b for b in CifFile.from_str(text).data.values() if _has_atoms(b)]
    if not blocks:
        raise ValueError("it holds no coordinates of atoms")
    if len(blocks) > 1:
        raise ValueError(f"it holds {len(blocks)} structures: give a file for each")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = CifParser.from_str(text, check_cif=False)
        structures = parser.parse_structures(primitive=False, on_error="raise")
    if any("Defaulting to P1" in str(warning) for warning in getattr(parser, "warnings", ())):
        _require_p1(blocks[0])
    structure = plain(structures[0])
    _require_formula(blocks[0], structure.composition)
    return structure


def parse_poscar(text: str) -> Structure:
    """Read a POSCAR or CONTCAR file.

    Args:
        text: Content of the file.

    Raises:
        ValueError: If it is none, does not name its elements, or has more or fewer
            coordinates than it counts.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            poscar = Poscar.from_str(text, read_velocities=False)
    except IndexError:
        raise ValueError("it ends before the last of the atoms that it counts") from None
    if not poscar.true_names:
        raise ValueError("it does not name its elements: add a line with them above the counts")
    structure = plain(poscar.structure)
    _require_count(text, len(structure))
    return structure


def parse_json(text: str) -> list[Structure]:
    """Read a structure, or a list of structures, as pymatgen writes them.

    Only lattice, elements and coordinates are taken: decoding anything else would let a file
    choose the classes that are loaded.

    Raises:
        ValueError: If it holds anything else.
    """
    content = json.loads(text)
    found = content if isinstance(content, list) else [content]
    return [_from_dict(one) for one in found]


def plain(structure: Structure) -> Structure:
    """The structure without oxidation states, labels, site properties and charge.

    Raises:
        ValueError: If it has no atoms, partly occupied sites, anything that is no element, or
            no finite cell and coordinates.
    """
    if not len(structure):
        raise ValueError("it has no atoms")
    if not structure.is_ordered:
        raise ValueError("it has partly occupied sites: give an ordered structure")
    symbols = [str(getattr(site.specie, "symbol", site.specie)) for site in structure]
    return plain_structure(structure.lattice.matrix, symbols, structure.frac_coords)


def plain_structure(matrix: Any, symbols: list[str], coords: Any) -> Structure:  # noqa: ANN401
    """Make a structure of a lattice (Å, vectors as rows), elements and fractional coordinates.

    Raises:
        ValueError: If they make no structure.
    """
    unknown = sorted({symbol for symbol in symbols if not Element.is_valid_symbol(symbol)})
    if unknown:
        raise ValueError(f"it has atoms of unknown elements: {', '.join(unknown[:5])}")
    vectors = np.asarray(matrix, dtype=float)
    places = np.asarray(coords, dtype=float)
    if vectors.shape != (3, 3) or places.shape != (len(symbols), 3):
        raise ValueError("it has no three lattice vectors, or not three coordinates for each atom")
    if not (np.isfinite(vectors).all() and np.isfinite(places).all()):
        raise ValueError("its lattice or coordinates are not finite")
    lengths = np.linalg.norm(vectors, axis=1)
    if not (lengths.min() > 0 and lengths.max() < _MAX_LENGTH):
        raise ValueError(f"it has lattice vectors of {lengths.min():.3g} to {lengths.max():.3g} Å")
    if abs(np.linalg.det(vectors / lengths[:, None])) < 1e-6:
        raise ValueError("its lattice vectors lie in one plane")
    return Structure(Lattice(vectors), symbols, places)


def _has_atoms(block: CifBlock) -> bool:
    return any(key in block.data for key in _COORDINATES)


def _require_p1(block: CifBlock) -> None:
    """Refuse a CIF whose symmetry could not be understood, so that atoms would be missing."""
    names = [_value(block, key) for key in _SPACE_GROUPS]
    name = next((name for name in names if name is not None), "P1")
    if re.sub(r"[\s_'\"]", "", name).upper() != "P1":
        raise ValueError(f"its space group '{name}' is not known and it lists no operations")


def _require_formula(block: CifBlock, atoms: Composition) -> None:
    """Compare the atoms of the cell with the formula sum and the number of formula units.

    By the standard, the cell holds the formula that many times. The files of pymatgen have
    the formula of the whole cell and beside it how many times it holds the reduced one.
    """
    formula = _value(block, "_chemical_formula_sum")
    if formula is None:
        return
    try:
        stated = Composition(formula.replace(",", " "))
    except ValueError:
        raise ValueError(f"its formula '{formula}' cannot be read") from None
    units_text = _value(block, "_cell_formula_units_Z")
    try:
        units = None if units_text is None else float(units_text)
    except ValueError:
        raise ValueError(f"its number of formula units '{units_text}' is no number") from None
    if units is None:
        # Any whole number of formulas may be in the cell.
        units = max(1, round(atoms.num_atoms / stated.num_atoms)) if stated.num_atoms else 1
        allowed = [stated * units]
    else:
        allowed = [stated * units]
        if units == stated.get_reduced_composition_and_factor()[1]:
            allowed.append(stated)
    if not any(_same(atoms, one) for one in allowed):
        raise ValueError(
            f"it has the atoms {atoms.formula} where its own formula, '{formula}' with "
            f"{units:g} formula units in the cell, has {allowed[-1].formula}: it was cut short or "
            "edited; give the whole file"
        )


def _same(one: Composition, other: Composition) -> bool:
    elements = set(one.elements) | set(other.elements)
    return all(abs(one[element] - other[element]) < _TOLERANCE for element in elements)


def _value(block: CifBlock, key: str) -> str | None:
    """Value of a key, whatever its case; ``None`` if it says nothing."""
    for name, value in block.data.items():
        if name.lower() == key.lower():
            text = str(value[0] if isinstance(value, list) and value else value).strip()
            return None if text in _UNKNOWN else text
    return None


def _require_count(text: str, n_atoms: int) -> None:
    """Refuse a POSCAR with further coordinates after those of its atoms."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if i > 5 and _says_direct(line)), len(lines))
    after = lines[start + 1 + n_atoms : start + 2 + n_atoms]
    if after and len(_numbers(after[0])) >= 3:
        raise ValueError(f"it has more coordinates than the {n_atoms} atoms that it counts")


def _says_direct(line: str) -> bool:
    """Whether a line says ``Direct`` or ``Cartesian``; two letters are an element."""
    word = (line.split() or [""])[0]
    return word[:1].lower() in ("d", "c", "k") and len(word) != 2


def _numbers(line: str) -> list[float]:
    """The numbers that a line begins with."""
    found = []
    for word in line.split():
        try:
            found.append(float(word))
        except ValueError:
            break
    return found


def _from_dict(content: object) -> Structure:
    """One structure of pymatgen's JSON."""
    if not isinstance(content, Mapping) or content.get("@class") not in ("Structure", None):
        raise ValueError("it is no structure as pymatgen writes it")
    symbols, coords = [], []
    try:
        for site in content["sites"]:
            species = site["species"][0]
            if len(site["species"]) > 1 or abs(float(species.get("occu", 1)) - 1) > _TOLERANCE:
                raise ValueError("it has partly occupied sites: give an ordered structure")
            symbols.append(str(species["element"]))
            coords.append([float(x) for x in site["abc"]])
        return plain_structure(content["lattice"]["matrix"], symbols, coords)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no structure as pymatgen writes it: {error}") from error
