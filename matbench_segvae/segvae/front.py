"""Making the front: candidates fitted, put in the user's units and ordered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matbench_segvae.expressions import FITTED, Expression, pareto_front
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.segvae.equations import Equation, values_of
from matbench_segvae.segvae.linear import linear_forms
from matbench_segvae.segvae.losses import Loss, huber
from matbench_segvae.segvae.polish import LinearFit, as_it_stands, polish
from matbench_segvae.segvae.scaling import in_original_units
from matbench_segvae.segvae.table_search import Candidate, Table

Array = NDArray[np.float64]


_ROUNDINGS = 4  # times that constants are tried as whole numbers


class FrontMaker:
    """Turns candidates of the search into the front the user sees.

    Attributes:
        scaled: The rows as the search sees them, features divided by their scales.
        loss: What the formulas are fitted under; Huber's gets its width from residuals.
    """

    def __init__(
        self,
        table: Table,
        scales: Array,
        names: Mapping[str, str],
        loss_name: str,
        linear: bool = True,
    ) -> None:
        """Set up.

        Args:
            table: The rows, features in the user's units.
            scales: What the search divided each feature by, shape ``(V,)``.
            names: What the search calls each feature, to its name for the user.
            loss_name: The loss asked for.
            linear: Whether formulas get an offset and a factor.
        """
        self._linear = linear
        self._table = table
        self.scaled = Table(table.points / scales, table.target, table.weights)
        self._scales = dict(zip(names, scales.tolist(), strict=True))
        self._names = dict(names)
        # Huber's width is known once residuals are: a robust fit comes first.
        self.loss = Loss("absolute" if loss_name == "huber" else loss_name)
        self._wants_huber = loss_name == "huber"

    def polished(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, LinearFit]]:
        """Fit every candidate under the loss; those undefined on the rows are left out."""
        fits = self._fits(candidates)
        if self._wants_huber and fits:
            least = min((fit for _, fit in fits), key=lambda fit: fit.loss)
            self.loss = huber(least.residuals, self._table.spread)
            fits = self._fits([candidate for candidate, _ in fits])
        return fits

    def fronts(
        self, fits: Sequence[tuple[Candidate, LinearFit]]
    ) -> tuple[tuple[Equation, ...], tuple[Equation, ...]]:
        """The Pareto front of the fits and of a constant, simplest first.

        Returns:
            The front, and another one of the formulas without any fitted number.
        """
        made: list[tuple[Equation, Candidate | None]] = []
        if self._linear or not fits:
            made.append((self._constant(), None))
        plain = []
        new = list(fits)
        for _ in range(_ROUNDINGS):
            for candidate, fit in new:
                made += [(equation, candidate) for equation in self._equations(candidate, fit)]
            plain += [(e, c) for e, c in made if FITTED not in e.expression.tokens]
            made = self._pareto(made)
            # Numbers next to whole ones read better as such, if the data do not object.
            known = {candidate.tokens for candidate, _ in new}
            survivors = dict.fromkeys(candidate for _, candidate in made if candidate)
            rounded = [r for candidate in survivors for r in _rounded(candidate)]
            new = self._fits([r for r in rounded if r.tokens not in known])
            if not new:
                break
        return tuple(e for e, _ in made), tuple(e for e, _ in self._pareto(plain))

    def _pareto(
        self, made: Sequence[tuple[Equation, Candidate | None]]
    ) -> list[tuple[Equation, Candidate | None]]:
        floor = self.loss.comparable(self._table.spread)
        return pareto_front(made, lambda m: m[0].complexity, lambda m: max(m[0].loss, floor))

    def _fits(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, LinearFit]]:
        fits = []
        for candidate in candidates:
            make = polish if self._linear else as_it_stands
            fit = make(self.scaled, candidate, tuple(self._names), self.loss)
            if fit is not None:
                fits.append((Candidate(candidate.tokens, fit.constants), fit))
        return fits

    def _constant(self) -> Equation:
        """The best constant: the simplest formula there is."""
        target, weights = self._table.target, self._table.weights
        value = float(np.average(target, weights=weights))
        if self.loss.name != "squared":
            order = np.argsort(target)
            share = np.cumsum(weights[order])
            value = float(target[order][np.searchsorted(share, 0.5 * share[-1])])
        return self._judged(Expression((FITTED,), (value,)))

    def _equations(self, candidate: Candidate, fit: LinearFit) -> list[Equation]:
        """Write ``offset + factor*f`` as formulas of the original features."""
        inner = in_original_units(Expression(candidate.tokens, fit.constants), self._scales)
        tokens = tuple(self._names.get(token, token) for token in inner.tokens)
        if not self._linear:
            return [self._judged(Expression(tokens, inner.constants))]
        factor = fit.factor * inner.factor
        mean = float(np.average(self._table.target - fit.residuals, weights=self._table.weights))
        forms = linear_forms(tokens, inner.constants, fit.offset, factor, mean)
        return [self._judged(form) for form in forms]

    def _judged(self, expression: Expression) -> Equation:
        values = values_of(expression, self._table.points, tuple(self._names.values()))
        residuals = self._table.target - values
        finite = bool(np.isfinite(residuals).all())
        loss = self.loss.mean(residuals, self._table.weights) if finite else math.inf
        return Equation(expression, loss)


def _rounded(candidate: Candidate) -> list[Candidate]:
    """The formula with one of its constants replaced by the next whole number."""
    found = []
    places = [i for i, token in enumerate(candidate.tokens) if token == FITTED]
    for number, (place, value) in enumerate(zip(places, candidate.constants, strict=True)):
        token = str(round(value)) if math.isfinite(value) else ""
        if token in NAMED_CONSTANTS:
            tokens = (*candidate.tokens[:place], token, *candidate.tokens[place + 1 :])
            rest = candidate.constants[:number] + candidate.constants[number + 1 :]
            found.append(Candidate(tokens, rest))
    return found
