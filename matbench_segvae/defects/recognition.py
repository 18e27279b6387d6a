"""Recognising the host of a structure, and the sites that its atoms are on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.defects.assignment import Assignment, assign
from matbench_segvae.defects.host_table import known_hosts
from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.lattice_match import LatticeMatch, lattice_matches
from matbench_segvae.defects.layers import Layer, as_layer
from matbench_segvae.defects.sparse import DefectiveCell, defects_on
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats

MAX_STRAIN = 0.03
"""Largest relative change of a length in the plane up to which a host is recognised."""

_MOST_STRAIN = 0.5  # beyond, any lattice fits any other
_LEAST_FAMILIAR = 0.4  # share of sites; below half, since strain changes the number of cells
_ANCHORS = 3  # atoms tried when looking for a rigid shift
_TRIED = 20  # inputs that stand for all of them
_FEW = 0.05  # share of sites; antisites up to here are believed without trying other hosts
_EQUAL_STRAIN = 1e-3  # of matches among which the atoms decide


def sparse_defects(
    structure: Structure,
    hosts: Iterable[Host] | None = None,
    max_strain: float = MAX_STRAIN,
) -> DefectiveCell:
    """Find out how a structure differs from its pristine host.

    The host and the supercell, which may have any integer matrix, are found from the lattice
    and the composition. Neither the order of the atoms nor their periodic images matter, nor
    rigid shifts, the cell height, oxidation states or labels. Atoms of relaxed structures are
    assigned to sites such that the sum of the squared distances is smallest.

    Args:
        structure: A whole supercell with few defects, with vacuum along any axis.
        hosts: What it may be a supercell of; all known hosts by default.
        max_strain: Largest relative change of a length in the plane, 0 to 0.5.

    Returns:
        Its defects; none for a pristine supercell.

    Raises:
        UserError: If it is no layer; if ``max_strain`` is out of range; if lattice and
            composition fit no host; if an atom is farther from its site than half the
            shortest bond or has none, as interstitials and adatoms; or if half of the sites
            or more are defective.
    """
    if not 0 <= max_strain <= _MOST_STRAIN:
        raise UserError(
            f"max_strain {max_strain} is no strain: give a fraction from 0 to {_MOST_STRAIN}, such "
            f"as {MAX_STRAIN}"
        )
    layer = as_layer(structure)
    chosen = tuple(known_hosts().values() if hosts is None else hosts)
    matches = _matches(layer, chosen, max_strain)
    best: Assignment | None = None
    believed = False
    for match, unavoidable in matches:
        if best is not None and not best.misplaced and best.differing < unavoidable:
            continue
        if believed and best is not None and match.strain > best.strain + _EQUAL_STRAIN:
            continue
        for shift in _shifts(layer, match):
            found = assign(layer, match, shift, best.spread if believed and best else np.inf)
            if found is None:
                continue
            if best is None or found.rank < best.rank:
                best = found
            if best.fits and best.differing - unavoidable <= _FEW * match.n_sites:
                # A host that is nearly symmetric also fits, less well, turned or shifted by that.
                believed = True
                if best.exact:
                    return _cell(best)
    if best is None:
        raise UserError(_no_host(structure, layer, chosen, max_strain))
    if best.misplaced:
        raise UserError(_misplaced(best))
    return _cell(best)


def are_defective(inputs: Sequence[object], hosts: Iterable[Host] | None = None) -> bool:
    """Whether inputs are structures with point defects in known hosts.

    Args:
        inputs: Anything, of which up to 20, evenly spaced, are looked at.
        hosts: What they may be supercells of; all known hosts by default.

    Returns:
        Whether at least half of those looked at are supercells with one defect or more.
    """
    chosen = tuple(known_hosts().values() if hosts is None else hosts)
    n_tried = min(len(inputs), _TRIED)
    tried = [inputs[i * len(inputs) // n_tried] for i in range(n_tried)]
    n_defective = sum(_is_defective(one, chosen) for one in tried)
    return 0 < len(tried) <= 2 * n_defective


def _is_defective(one: object, hosts: Sequence[Host]) -> bool:
    if not isinstance(one, Structure):
        return False
    try:
        return bool(sparse_defects(one, hosts).defects)
    except UserError:
        return False


def _matches(
    layer: Layer, hosts: Sequence[Host], max_strain: float
) -> list[tuple[LatticeMatch, int]]:
    """Lattice matches with the number of defects that the composition alone demands.

    Those with little strain and few defects come first: a smaller supercell under strain may
    have just as many sites as there are atoms.
    """
    matches = [
        (match, _unavoidable(layer, match))
        for host in hosts
        if _has_enough(layer, host)
        for match in lattice_matches(host, layer.plane, len(layer.elements), max_strain)
    ]
    matches = [(match, n) for match, n in matches if 2 * n < match.n_sites]
    return sorted(matches, key=lambda found: found[1] / found[0].n_sites + 10 * found[0].strain)


def _has_enough(layer: Layer, host: Host) -> bool:
    """Whether enough atoms are of the host's elements for half of its sites."""
    cells = abs(np.linalg.det(layer.plane)) / np.linalg.det(host.plane)
    familiar = sum(element in host.elements for element in layer.elements)
    return bool(familiar > _LEAST_FAMILIAR * cells * len(host.atoms))


def _unavoidable(layer: Layer, match: LatticeMatch) -> int:
    """How many sites at least are defective, by the numbers of atoms of each element."""
    cells = match.n_sites // len(match.host.atoms)
    atoms = Counter(layer.elements)
    sites = Counter(match.host.elements)
    return sum(max(0, n * cells - atoms[element]) for element, n in sites.items())


def _shifts(layer: Layer, match: LatticeMatch) -> Iterator[Floats]:
    """Yield rigid shifts that may bring a structure onto its host.

    Each is the place of an atom, ``(3,)`` in the terms of :func:`assign`, that comes to lie
    on a site.
    """
    yield np.zeros(3)
    host, places = match.host, match.places(layer)
    numbers = Counter(host.elements)
    present = [element for element in numbers if element in layer.elements]
    if not present:
        return
    rarest = min(present, key=numbers.__getitem__)
    atoms = [atom for atom, element in enumerate(layer.elements) if element == rarest]
    # A few are tried because one of them may be a defect itself or displaced.
    picked = [atoms[i * len(atoms) // _ANCHORS] for i in range(min(_ANCHORS, len(atoms)))]
    for atom in picked:
        for k, element in enumerate(host.elements):
            if element == rarest:
                site = np.array([*host.offsets[k, :2], host.heights[k]])
                yield site - places[atom]


def _cell(found: Assignment) -> DefectiveCell:
    """The structure as its defects."""
    cell, n_sites = found.supercell, found.supercell.n_sites
    if 2 * found.differing >= n_sites:
        raise UserError(
            f"the structure has the lattice of {cell} but differs on {found.differing} of its "
            f"{n_sites} sites: give structures with few defects"
        )
    changed = {
        site: now
        for site, (was, now) in enumerate(zip(cell.elements, found.occupants, strict=True))
        if was != now
    }
    return DefectiveCell(
        cell, defects_on(cell, changed), found.strain, float(found.distances.max(initial=0.0))
    )


def _misplaced(found: Assignment) -> str:
    """Which atom cannot be on a site of the host, and why."""
    atom, cell = found.misplaced[0], found.supercell
    site = int(found.nearest[atom])
    others = [int(other) for other in np.flatnonzero(found.sites == site) if other != atom]
    taken = f", which atom {others[0]} ({found.elements[others[0]]}) is on" if others else ""
    return (
        f"atom {atom} ({found.elements[atom]}) is on no site of {cell}: the nearest is site {site} "
        f"({cell.site_kinds[site]}), {found.to_nearest[atom]:.2f} Å away{taken}; interstitials and "
        f"adatoms are not supported, and atoms of relaxed structures have to be within half a bond "
        f"({cell.host.shortest_bond / 2:.2f} Å) of their site"
    )


def _no_host(structure: Structure, layer: Layer, hosts: Sequence[Host], max_strain: float) -> str:
    """Why a structure is a supercell of no host."""
    a, b = np.linalg.norm(layer.plane, axis=1)
    gamma = np.degrees(np.arctan2(layer.plane[1, 1], layer.plane[1, 0]))
    known = " or ".join(
        f"{host.name} ({host.a:.3f}, {host.b:.3f} Å, {host.gamma:.0f}°)" for host in hosts
    )
    return (
        f"{structure.composition.reduced_formula} with {len(layer.elements)} atoms and {a:.4f}, "
        f"{b:.4f} Å, {gamma:.1f}° in the plane is no supercell of {known} with defects on less "
        f"than half of its sites and a strain up to {100 * max_strain:.3g} %: give such "
        "structures, or the unit cell of their host"
    )
