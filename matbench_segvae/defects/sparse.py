"""A defective supercell as the few sites where it differs from its host.

The idea of describing a defective crystal by its defects alone is that of Kazeev et al.,
npj Comput. Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pymatgen.core.structure import Structure

from matbench_segvae.defects.supercells import Supercell
from matbench_segvae.errors import UserError


@dataclass(frozen=True)
class Defect:
    """One host site that is empty or holds another element.

    Attributes:
        site: Site number in the host supercell.
        removed: Kind of the host's site: its element, with a number as in ``"S(2)"`` where
            sites of the element are not all equivalent.
        placed: Element found instead, or None for a vacancy.
        coords: Fractional coordinates of the host site in the supercell.
    """

    site: int
    removed: str
    placed: str | None
    coords: tuple[float, float, float]

    @property
    def kind(self) -> str:
        """Kröger-Vink-like name without charge: ``"V_Mo"``, ``"Se_S"``, ``"V_S(2)"``."""
        return f"{self.placed or 'V'}_{self.removed}"


@dataclass(frozen=True)
class DefectiveCell:
    """A structure, described by its host and its defects.

    Attributes:
        supercell: The pristine supercell that it is made of.
        defects: Ascending by site.
        strain: Largest relative change of a length in the plane from the pristine supercell.
        displacement: Of the atom that is farthest from its site, Å, without the strain and
            rigid shifts.
    """

    supercell: Supercell
    defects: tuple[Defect, ...]
    strain: float = 0.0
    displacement: float = 0.0


def defects_on(supercell: Supercell, occupants: Mapping[int, str | None]) -> tuple[Defect, ...]:
    """Describe sites that are empty or hold other elements than the host has there.

    Args:
        supercell: The pristine supercell.
        occupants: Site number to the element there, or None for a vacancy.

    Returns:
        One defect per site where the element is another one, ascending by site.

    Raises:
        UserError: If there is no such site.
    """
    elements, kinds = supercell.elements, supercell.site_kinds
    outside = [site for site in occupants if not 0 <= site < len(elements)]
    if outside:
        raise UserError(
            f"{supercell} has no site {outside[0]}: give sites from 0 to {len(elements) - 1}"
        )
    changed = sorted((site, now) for site, now in occupants.items() if now != elements[site])
    coords = supercell.coords.tolist() if changed else []
    return tuple(Defect(site, kinds[site], now, tuple(coords[site])) for site, now in changed)


def vacancies(supercell: Supercell, sites: Iterable[int]) -> tuple[Defect, ...]:
    """Describe empty sites.

    Returns:
        One vacancy per site, ascending by site.

    Raises:
        UserError: If there is no such site.
    """
    return defects_on(supercell, dict.fromkeys(sites))


def defective_structure(supercell: Supercell, defects: Iterable[Defect]) -> Structure:
    """Build the whole supercell with defects in it.

    Args:
        supercell: The pristine supercell.
        defects: What to remove or replace; see :func:`defects_on`.

    Returns:
        The unrelaxed structure, sites in the order of their site numbers.

    Raises:
        UserError: If a defect names a site that does not exist, is of another kind or has a
            defect already.
    """
    elements: list[str | None] = list(supercell.elements)
    free = dict(enumerate(supercell.site_kinds))
    for defect in defects:
        if free.pop(defect.site, None) != defect.removed:
            raise UserError(
                f"{defect.kind} cannot be on site {defect.site} of {supercell}: "
                f"take a free site of {defect.removed} below {len(elements)}"
            )
        elements[defect.site] = defect.placed
    kept = [(site, element) for site, element in enumerate(elements) if element]
    coords = supercell.coords[[site for site, _ in kept]]
    return Structure(supercell.lattice, [element for _, element in kept], coords)
