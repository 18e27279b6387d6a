"""A level law to be read: shapes, a small table of coefficients, levels and a temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from matbench_segvae.algorithms.level_laws.band_edges import BandEdge
from matbench_segvae.algorithms.level_laws.elimination import FittedLevels
from matbench_segvae.algorithms.level_laws.shifts import VARIABLES
from matbench_segvae.expressions import Expression, parse

_TITLES = {"homo": "HOMO", "lumo": "LUMO", "band_gap": "gap"}


def starting_shapes(lattice_constant: float) -> tuple[Expression, ...]:
    """Shapes to start from: a constant, a decay, and damped waves of two wavelengths.

    The shorter wavelength is the lattice constant, as in the pair energies of MoS2; the longer
    one that of the cell that holds three unit cells.

    Args:
        lattice_constant: ``a`` of the host, Å.
    """
    a = lattice_constant
    texts = ["1", f"exp(-r/{1.1 * a!r})"]
    for wavelength, length in ((a, 1.4 * a), (np.sqrt(3.0) * a, 2.7 * a)):
        wave = f"{2 * np.pi / float(wavelength)!r}*r"
        damping = f"exp(-r/{length!r})"
        texts += [f"{damping}*cos({wave})", f"{damping}*cos({wave} - 1.57)"]
    return tuple(parse(text, VARIABLES) for text in texts)


def law_lines(edge: BandEdge, law: FittedLevels, digits: int = 4) -> list[str]:
    """The law of a band edge in lines, numbers in eV and Å.

    Args:
        edge: What the law is of.
        law: The fit.
        digits: Significant digits.
    """
    minus = "" if edge.is_maximum else "-"
    levels = zip(law.shifts.data.defect_kinds, (edge.sign * law.fit.levels).tolist(), strict=True)
    title, temperature = _TITLES[edge.name], f"{law.fit.temperature:.{digits}g}"
    lines = [
        f"{title} = {minus}T*log(sum_i exp({minus}e_i/T)), T = {temperature}",
        "e_i = eps_i + sum_j D[i <- j](r_ij)",
        f"eps = {', '.join(f'{kind} {value:.{digits}g}' for kind, value in levels)}",
    ]
    for number, shape in _used_shapes(law):
        lines.append(f"f{number + 1} = {shape.to_string(digits)}")
    for kind, row in zip(law.shifts.data.pair_kinds, edge.sign * law.coefficients, strict=True):
        terms = [
            f"{row[number]:+.{digits}g}*f{number + 1}" for number in range(len(row)) if row[number]
        ]
        if terms:
            lines.append(f"D[{kind}] = {' '.join(terms).lstrip('+')}")
    return lines


def law_numbers(law: FittedLevels) -> int:
    """How many numbers were fitted: levels, coefficients, constants of shapes, temperature."""
    constants = sum(shape.n_constants for _, shape in _used_shapes(law))
    return len(law.fit.levels) + len(law.fit.coefficients) + constants + 1


def law_nodes(law: FittedLevels) -> int:
    """Complexity: every shape once, and a node for each level, coefficient and the temperature."""
    shapes = sum(shape.complexity for _, shape in _used_shapes(law))
    return len(law.fit.levels) + len(law.fit.coefficients) + shapes + 1


def law_description(edge: BandEdge, law: FittedLevels) -> dict[str, Any]:
    """The law in JSON's own types, numbers in full precision, in eV and Å."""
    data, coefficients = law.shifts.data, edge.sign * law.coefficients
    shapes = dict(_used_shapes(law))
    levels = (edge.sign * law.fit.levels).tolist()
    return {
        "levels_eV": dict(zip(data.defect_kinds, levels, strict=True)),
        "shapes": {f"f{number + 1}": shape.to_string() for number, shape in shapes.items()},
        "coefficients_eV": {
            str(kind): {f"f{number + 1}": float(row[number]) for number in shapes if row[number]}
            for kind, row in zip(data.pair_kinds, coefficients, strict=True)
            if row.any()
        },
        "temperature_eV": law.fit.temperature,
        "parameters": law_numbers(law),
        "complexity": law_nodes(law),
        "training_mae": law.fit.mae,
        "candidates": [{"coefficients": n, "validation_mae": mae} for n, mae in law.validation],
    }


def _used_shapes(law: FittedLevels) -> Sequence[tuple[int, Expression]]:
    """Number and formula of the shapes that some kind has."""
    used = np.flatnonzero(law.shifts.used.any(axis=0)).tolist()
    return [(number, law.shapes[number]) for number in used]
