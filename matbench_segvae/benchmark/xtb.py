"""Computing the embedded data sets: small clusters of defects by GFN1-xTB.

Supercells are unrelaxed, periodic in all directions with the host's own vacuum, and sampled at
Γ. What is computed, and which chemical potentials the formation energies are for, is in
:mod:`~matbench_segvae.benchmark.xtb_recipes`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark.xtb_file import (
    XtbDataset,
    XtbEntry,
    XtbFailure,
    read_xtb_file,
    write_xtb_file,
)
from matbench_segvae.benchmark.xtb_method import XtbSettings, chemistry, single_point
from matbench_segvae.benchmark.xtb_recipes import RECIPES, Sites, XtbRecipe, formation_energy
from matbench_segvae.defects import defective_structure
from matbench_segvae.errors import UserError
from matbench_segvae.files import read_json, write_text
from matbench_segvae.types import Report


def recipe_named(name: str) -> XtbRecipe:
    """The recipe of an embedded data set.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in RECIPES:
        raise UserError(
            f"unknown data set {name!r}: those that can be computed are {', '.join(RECIPES)}"
        )
    return RECIPES[name]


def build(
    recipe: XtbRecipe,
    out: Path,
    report: Report = lambda line: None,
    settings: XtbSettings | None = None,
) -> Path:
    """Compute what is not yet finished of a data set, and write all of it into one file.

    A configuration that does not converge is listed in the file with the reason.

    Args:
        recipe: What to compute.
        out: Folder that keeps one file per finished configuration; made if missing.
            Files computed with other settings or versions are computed again.
        report: Takes one line of progress.
        settings: Settings of the calculation; those of the recipe by default.

    Returns:
        The assembled file inside the folder, such as ``xtb_mos2.json.gz``.

    Raises:
        UserError: If the extra ``xtb`` is missing or the folder cannot be written.
        RuntimeError: If a calculation of the references does not converge.
    """
    settings = settings or recipe.settings
    finished = _FinishedResults(out, _facts(recipe, settings), report)
    try:
        out.mkdir(parents=True, exist_ok=True)
        references = recipe.references(finished.get, settings)
        entries: list[XtbEntry] = []
        failures: list[XtbFailure] = []
        todo = recipe.configurations(settings)
        for number, (family, sites) in enumerate(todo, start=1):
            found = finished.get(
                f"{family}_{'-'.join(map(str, sites))}",
                lambda family=family, sites=sites: _computed(recipe, settings, family, sites),  # type: ignore[misc]
                f"{number}/{len(todo)} ",
            )
            if "failure" in found:
                failures.append(XtbFailure(family, sites, found["failure"]))
            else:
                defects = recipe.defects(family, sites, settings.repeats)
                formation = formation_energy(defects, found["energy"], references)
                entries.append(_entry(family, sites, found, formation))
        target = out / recipe.file.name
        dataset = XtbDataset(finished.facts, references, tuple(entries), tuple(failures))
        write_xtb_file(dataset, target)
    except OSError as error:
        raise UserError(
            f"cannot write to {out}: {error.strerror}; choose another folder"
        ) from error
    return target


def _computed(
    recipe: XtbRecipe, settings: XtbSettings, family: str, sites: Sites
) -> dict[str, Any]:
    """Energy and gap of a configuration, eV, or why there are none."""
    defects = recipe.defects(family, sites, settings.repeats)
    structure = defective_structure(recipe.supercell(settings), defects)
    try:
        energy, gap = single_point(structure, settings)
    except RuntimeError as error:
        return {"failure": str(error)}
    return {"energy": energy, "gap": gap}


@dataclass(frozen=True)
class _FinishedResults:
    """Finished results, one file each, so that an interrupted build can continue.

    Attributes:
        folder: Where the files are.
        facts: Settings and versions; results computed with others are not used.
        report: Takes one line per result that had to be computed.
    """

    folder: Path
    facts: Mapping[str, Any]
    report: Report

    def get(
        self, name: str, compute: Callable[[], dict[str, Any]], label: str = ""
    ) -> dict[str, Any]:
        """A finished result from its file; computed and kept if there is none."""
        path = self.folder / f"{name}.json"
        try:
            saved = read_json(path)
            if saved["settings"] == self.facts:
                return dict(saved["result"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # missing or incomplete: compute it again
        result = compute()
        write_text(path, json.dumps({"settings": self.facts, "result": result}))
        outcome = f"{result['energy']:.4f} eV" if "energy" in result else result["failure"]
        self.report(f"{label}{name}: {outcome}")
        return result


def _facts(recipe: XtbRecipe, settings: XtbSettings) -> dict[str, Any]:
    """Settings, versions and method, in JSON's own types."""
    chemistry()
    return {
        **asdict(settings),
        "tblite": version("tblite"),
        "ase": version("ase"),
        "host": recipe.host.as_json(),
        "k_points": "gamma",
        "periodic": [True, True, True],
        "relaxed": False,
        "formation_energy": "E - E_pristine + sum of mu of the removed atoms - sum of mu of the "
        f"placed atoms, {recipe.conditions}",
    }


def _entry(family: str, sites: Sites, found: Mapping[str, Any], formation: float) -> XtbEntry:
    """A finished configuration with its formation energy, eV."""
    return XtbEntry(
        kind=family,
        sites=sites,
        energy=found["energy"],
        gap=found["gap"],
        formation_energy=round(formation, 8),
        formation_energy_per_site=round(formation / len(sites), 8),
    )


def recompute(name: str, index: int) -> float:
    """Compute an entry of a committed file afresh with the settings saved in it.

    For maintainers and tests: it shows that the committed energies can be reproduced.

    Args:
        name: Name of the data set, such as ``"xtb-mos2"``.
        index: Position of the entry in the file.

    Returns:
        Its total energy, eV.

    Raises:
        UserError: If the extra ``xtb`` is missing or there is no such data set or entry.
    """
    recipe = recipe_named(name)
    dataset = read_xtb_file(recipe.file)
    if not 0 <= index < len(dataset.entries):
        raise UserError(f"{name} has no entry {index}: give 0 to {len(dataset.entries) - 1}")
    names = XtbSettings.__dataclass_fields__
    settings = XtbSettings(**{field: dataset.settings[field] for field in names})
    entry = dataset.entries[index]
    found = _computed(recipe, settings, entry.kind, entry.sites)
    if "failure" in found:
        raise RuntimeError(found["failure"])
    return float(found["energy"])
