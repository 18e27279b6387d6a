"""A law that may be chosen, with its errors inside the training part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.defects import PairCounts
from matbench_segvae.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class CandidateLaw:
    """A law with its errors inside the training part.

    Attributes:
        law: The law fitted to the whole training part.
        parameters: Number of fitted numbers: energies of defects, factors, constants of formulas.
        training_mae: Mean absolute error on the whole training part, eV per site.
        validation_errors: Absolute errors of structures that were left out of the fit, in
            cross-validation inside the training part, eV per site, shape ``(N,)``; means over
            repeats where there were several.
        fitted_errors: Errors of the same structures in the fit to all of them, shape ``(N,)``, if
            they count beside those.
        formula_of: Number of the formula of each kind of pair.
        pairs: Pairs of the training structures.
        refit: The same law fitted to some of the structures, given by their numbers; raises
            ``ValueError`` if no admissible constants are found.
    """

    law: PairLaw
    parameters: int
    training_mae: float
    validation_errors: Floats
    formula_of: tuple[int, ...]
    pairs: PairCounts = field(repr=False)
    refit: Callable[[Ints], PairLaw] = field(repr=False)
    fitted_errors: Floats | None = None

    @property
    def complexity(self) -> int:
        """Nodes of the law."""
        return self.law.complexity

    @property
    def validation_mae(self) -> float:
        """Mean of the validation errors, eV per site."""
        return float(self.validation_errors.mean())
