"""What `law fit` and `task new` ask in the same words: structures, energies, what those are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StructuresArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="STRUCTURES...",
        help="Files (CIF, POSCAR, extended XYZ, ase .db, pymatgen .json), or folders with them; "
        "whole supercells.",
    ),
]

EnergiesOption = Annotated[
    Path,
    typer.Option(
        help="CSV file: name of the structure's file, or id, and energy, eV.", metavar="FILE"
    ),
]

HostOption = Annotated[
    Path | None,
    typer.Option(help="Pristine unit cell. Default: found among the known hosts.", metavar="FILE"),
]

PerOption = Annotated[
    str,
    typer.Option(help="Formation energies are per defect site or in total.", metavar="site|total"),
]

PristineEnergyOption = Annotated[
    float | None,
    typer.Option(
        help="Energy of the pristine supercell, eV, if energies are total ones of DFT.",
        metavar="EV",
    ),
]

ChemicalPotentialsOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV file of element and chemical potential, eV, if energies are total ones.",
        metavar="FILE",
    ),
]
