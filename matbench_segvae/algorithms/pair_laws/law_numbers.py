"""Every number of a law: what it means, its unit, its value and how certain that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matbench_segvae.algorithms.pair_laws.law import PairLaw, joined
from matbench_segvae.expressions.figures import figures, interval
from matbench_segvae.expressions.normal_form import NormalConstant


@dataclass(frozen=True)
class LawNumber:
    """A number of a law.

    Attributes:
        name: What it belongs to, and its name in the formula, such as ``"K[V_Mo-V_S], A"``.
        meaning: Such as ``"wavelength"``.
        value: Its value.
        interval: Its 90 % interval over refits; ``None`` without refits, or if it is not bounded.
        unit: Such as ``"eV Å²"``; empty if it has none or no simple one.
        fixed: Whether it is not fitted.
    """

    name: str
    meaning: str
    value: float
    interval: tuple[float, float] | None
    unit: str
    fixed: bool = False

    @property
    def figures(self) -> str:
        """The value to the digits that its interval justifies."""
        return figures(self.value, (self.value, self.value) if self.fixed else self.interval)

    @property
    def span(self) -> str:
        """The interval in words; ``"fixed"`` of a number that is not fitted."""
        if self.fixed:
            return "fixed"
        return " to ".join(map(figures, self.interval)) if self.interval else ""


def numbers_of(law: PairLaw, refits: Sequence[PairLaw] = ()) -> Iterator[LawNumber]:
    """All numbers of a law: those of defects, of many-body terms and of its formulas.

    Args:
        law: The law.
        refits: The same law fitted to resampled data.
    """
    for kind, value in law.defect_energies.items():
        ends = _interval([one.defect_energies[kind] for one in refits])
        yield LawNumber(f"eps {kind}", "energy of a defect", value, ends, "eV")
    for (term, kind), factor in law.many_body.items():
        ends = _interval([one.many_body[term, kind] for one in refits])
        yield LawNumber(f"{term.name}[{kind}]", "coefficient", factor, ends, term.unit)
    if law.constant is not None:
        ends = _interval([one.constant for one in refits if one.constant is not None])
        yield LawNumber("c0", "energy of every structure", law.constant, ends, "eV")
    for name, one in _of_formulas(law, refits):
        unit = one.unit or ""
        yield LawNumber(name, one.meaning, one.value, one.interval, unit, one.fixed)


def _of_formulas(law: PairLaw, refits: Sequence[PairLaw]) -> Iterator[tuple[str, NormalConstant]]:
    """The constants of a law's formulas with names, those of a table kind by kind."""
    table = law.shared_table(refits)
    if table is None or law.shared is None:
        for kinds, form in zip(law.sharing(), law.normal_forms(refits), strict=True):
            for one in form.constants:
                yield f"K[{joined(kinds)}], {one.name}", one
        return
    for name, one in table.common:
        yield f"K, {name}", one
    for kind in law.shared.table:
        for entry in table.entries(kind):
            yield f"K[{kind}], {entry.name}", entry.constant


def normal_forms_as_json(law: PairLaw, refits: Sequence[PairLaw] = ()) -> list[dict[str, Any]]:
    """The law's formulas as people write them, with their constants, in JSON's own types.

    Args:
        law: The law.
        refits: The same law fitted to resampled data.
    """
    forms = zip(law.sharing(), law.normal_forms(refits), strict=True)
    return [{"pairs": list(map(str, kinds)), **form.as_json()} for kinds, form in forms]


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    if not values:
        return None
    low, high = interval(values)
    return low, high
