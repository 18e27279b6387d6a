"""What is computed for each embedded data set: configurations, references, potentials."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from matbench_segvae.benchmark.xtb_method import (
    XtbSettings,
    relaxed_n2,
    relaxed_s8,
    single_point,
)
from matbench_segvae.defects import (
    HOSTS,
    Defect,
    Host,
    Supercell,
    defect_orbits,
    defective_structure,
    defects_on,
    placed_element,
)

DATA = Path(__file__).parent / "data"
"""Folder of the committed files."""

Sites = tuple[int, ...]
Keep = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]
"""Takes a name and what computes a result; gives the result, from its file if there is one."""


@dataclass(frozen=True)
class XtbRecipe:
    """An embedded data set before it is computed.

    Attributes:
        name: What it is called on the command line, such as ``"xtb-mos2"``.
        host: The pristine host.
        settings: Settings of the calculation.
        families: Label of each family of configurations to its numbers of defects by kind.
        sampled: At most so many inequivalent configurations of each family are taken; None
            for all of them. They are drawn evenly without replacement, from the seed.
        seed: Of the draw.
        references: Computes the energies that formation energies are relative to, eV, with
            ``mu_X`` among them for every element X that comes or goes.
        conditions: What the chemical potentials stand for.
    """

    name: str
    host: Host
    settings: XtbSettings
    families: Mapping[str, Mapping[str, int]]
    sampled: int | None
    seed: int
    references: Callable[[Keep, XtbSettings], dict[str, Any]]
    conditions: str

    @property
    def file(self) -> Path:
        """The committed file."""
        return DATA / f"{self.name.replace('-', '_')}.json.gz"

    def supercell(self, settings: XtbSettings) -> Supercell:
        """The pristine supercell."""
        return Supercell(self.host, settings.repeats, settings.repeats)

    def configurations(self, settings: XtbSettings | None = None) -> list[tuple[str, Sites]]:
        """Family and sites of every configuration, in the order of the data set.

        Args:
            settings: Settings of the calculation, of which ``repeats`` matters.
        """
        cell = self.supercell(settings or self.settings)
        return [
            (family, sites)
            for number, (family, counts) in enumerate(self.families.items())
            for sites in self._drawn(defect_orbits(cell, counts).representatives, number)
        ]

    def _drawn(self, representatives: Sequence[Sites], number: int) -> Sequence[Sites]:
        """The configurations of one family that are taken."""
        if self.sampled is None or len(representatives) <= self.sampled:
            return representatives
        rng = np.random.default_rng([self.seed, number])
        rows = np.sort(rng.choice(len(representatives), self.sampled, replace=False))
        return [representatives[row] for row in rows]

    def defects(self, family: str, sites: Sites, repeats: int) -> tuple[Defect, ...]:
        """The defects of a configuration.

        Args:
            family: Its label.
            sites: Its sites, those of the family's first kind first.
            repeats: Unit cells along each in-plane axis.
        """
        kinds = [kind for kind, n in self.families[family].items() for _ in range(n)]
        cell = Supercell(self.host, repeats, repeats)
        return defects_on(cell, dict(zip(sites, map(placed_element, kinds), strict=True)))


def _pristine_point(host: Host, settings: XtbSettings) -> dict[str, Any]:
    """Energy and gap of a pristine supercell, eV."""
    cell = Supercell(host, settings.repeats, settings.repeats)
    return dict(
        zip(("energy", "gap"), single_point(defective_structure(cell, ()), settings), strict=True)
    )


def _molecule(
    relaxed: Callable[[XtbSettings], tuple[float, list[list[float]]]], settings: XtbSettings
) -> dict[str, Any]:
    return dict(zip(("energy", "positions"), relaxed(settings), strict=True))


def _sulfur_rich(keep: Keep, settings: XtbSettings) -> dict[str, Any]:
    """``mu_S`` from the relaxed S8 crown, ``mu_Mo`` from it and pristine MoS2."""
    s8 = keep("S8", lambda: _molecule(relaxed_s8, settings))
    pristine = keep("pristine", lambda: _pristine_point(HOSTS["MoS2"], settings))
    mu_s = s8["energy"] / 8
    return {
        "pristine_energy": pristine["energy"],
        "pristine_gap": pristine["gap"],
        "s8_energy": s8["energy"],
        "s8_positions": s8["positions"],
        "mu_S": mu_s,
        "mu_Mo": pristine["energy"] / settings.repeats**2 - 2 * mu_s,
    }


def _nitrogen_rich(keep: Keep, settings: XtbSettings) -> dict[str, Any]:
    """``mu_N`` from the relaxed N2, ``mu_B`` from it and pristine h-BN, ``mu_C`` from graphene."""
    n2 = keep("N2", lambda: _molecule(relaxed_n2, settings))
    pristine = keep("pristine", lambda: _pristine_point(HOSTS["BN"], settings))
    graphene = keep("graphene", lambda: _pristine_point(HOSTS["C"], settings))
    mu_n = n2["energy"] / 2
    return {
        "pristine_energy": pristine["energy"],
        "pristine_gap": pristine["gap"],
        "n2_energy": n2["energy"],
        "n2_positions": n2["positions"],
        "graphene_energy": graphene["energy"],
        "mu_N": mu_n,
        "mu_B": pristine["energy"] / settings.repeats**2 - mu_n,
        "mu_C": graphene["energy"] / (2 * settings.repeats**2),
    }


_BN_KINDS = ("C_B", "V_B", "C_N", "V_N")


def _combinations(kinds: Sequence[str], largest: int) -> dict[str, dict[str, int]]:
    """Every combination of up to so many defects, such as ``"C_B+C_N"``, to its numbers."""
    found = [
        combination
        for size in range(1, largest + 1)
        for combination in itertools.combinations_with_replacement(kinds, size)
    ]
    return {"+".join(combination): dict(Counter(combination)) for combination in found}


RECIPES: Mapping[str, XtbRecipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            XtbRecipe(
                name="xtb-mos2",
                host=HOSTS["MoS2"],
                settings=XtbSettings(repeats=4),
                # As many vacancies as each family of the 2DMD data set has.
                families={
                    "X1": {"V_S": 1},
                    "V1": {"V_Mo": 1},
                    "X2": {"V_S": 2},
                    "V2": {"V_Mo": 1, "V_S": 1},
                    "V3": {"V_Mo": 1, "V_S": 2},
                },
                sampled=None,
                seed=0,
                references=_sulfur_rich,
                conditions="sulfur-rich",
            ),
            XtbRecipe(
                name="xtb-hbn",
                host=HOSTS["BN"],
                settings=XtbSettings(repeats=6),
                families=_combinations(_BN_KINDS, 3),
                sampled=30,
                seed=20261126,
                references=_nitrogen_rich,
                conditions="nitrogen-rich, carbon from graphene",
            ),
        )
    }
)
"""The embedded data sets by name."""


def formation_energy(
    defects: Sequence[Defect], energy: float, references: Mapping[str, float]
) -> float:
    """Formation energy of all defects of a supercell together, eV.

    ``E - E(pristine) + sum of mu of what was removed - sum of mu of what was placed``.
    """
    removed = sum(float(references[f"mu_{defect.removed}"]) for defect in defects)
    placed = sum(float(references[f"mu_{defect.placed}"]) for defect in defects if defect.placed)
    return energy - float(references["pristine_energy"]) + removed - placed
