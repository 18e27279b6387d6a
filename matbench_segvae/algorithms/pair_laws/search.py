"""Searching a pair law: a formula for each kind of pair, then the law they make together.

Kinds of pairs meet only in the sums over a structure's pairs. Each kind's formula is
therefore searched by itself, with fitted pair energies at its distances as the target and
the metric in which the structures determine them; kinds that have a formula in common count
as one. The best combinations of the formulas found are fitted to the structures together,
under absolute error, and compared by cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

import numpy as np

from matbench_segvae.algorithms.pair_laws.candidate import CandidateLaw
from matbench_segvae.algorithms.pair_laws.combinations import promising_combinations
from matbench_segvae.algorithms.pair_laws.constraints import PairConstraints
from matbench_segvae.algorithms.pair_laws.held_out import Predictor, Validation
from matbench_segvae.algorithms.pair_laws.law import VARIABLES, PairLaw, nodes_of
from matbench_segvae.algorithms.pair_laws.settings import PAIR_GRAMMAR, PairLawSettings
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.expressions import Expression, pareto_front
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.joint_fit import LawFit, fit_law
from matbench_segvae.fitting.robust import robust_weights
from matbench_segvae.seeding import derived_seed
from matbench_segvae.segvae import (
    AdditiveObjective,
    Criteria,
    FitSettings,
    Scored,
    Search,
    pretrained,
)
from matbench_segvae.types import Floats, Ints, Report, Tokens


class PairSearch:
    """The search for a law of one set of structures.

    Args:
        data: The structures and their energies.
        settings: How to search.
        seed: Source of all randomness.
        formula_of: Number of the formula of each kind of pair; by default every kind has its
            own.
        columns: Numbers of the descriptors that have a factor in the law, as columns of
            ``data.pairs.descriptors``.
    """

    def __init__(
        self,
        data: TrainingPairs,
        settings: PairLawSettings,
        seed: int,
        formula_of: Sequence[int] | None = None,
        columns: Sequence[int] = (),
    ) -> None:
        self.data = data
        self.settings = settings
        kinds = range(len(data.pairs.pair_kinds))
        self.formula_of = tuple(kinds if formula_of is None else formula_of)
        self._columns = tuple(columns)
        self._seed = seed
        problem = data.problem(self.formula_of, columns)
        shortest = data.shortest(self.formula_of)
        self._constraints = [
            PairConstraints(problem.points[rows], settings.constraints, low)
            for rows, low in zip(problem.members, shortest, strict=True)
        ]
        self._problem = problem.reweighted(robust_weights(problem))
        self._validation = Validation(data.pairs, settings, seed)
        self._compared = self._problem.subset(self._validation.rows)
        self._by_formula = self._problem.one_by_one()
        terms = [data.pairs.term_columns[column][0] for column in columns]
        n_beside = len(data.pairs.defect_kinds) + data.has_constant
        self._nodes_beside = nodes_of([], n_beside, terms)

    def run(self, report: Report) -> list[CandidateLaw]:
        """Search laws, simplest first; none if no formula satisfies the constraints."""
        numbers = range(len(self._by_formula))
        formulas = [self.formulas(number, self._seed, report) for number in numbers]
        if not all(formulas):
            return []
        for extra in range(self.settings.extra_searches):
            worst = self._worst(formulas)
            seed = derived_seed(self._seed, "repeat", extra)
            more = self.formulas(worst, seed, report)
            formulas[worst] = _united(formulas[worst], more)
        combinations = promising_combinations(
            self._problem, formulas, self._nodes_beside, self.settings
        )
        fits = [fit for law in combinations if (fit := self._joint_fit(law))]
        front = pareto_front(fits, self._complexity, lambda fit: fit.mae)
        found = [self.validated(fit) for fit in front[-self.settings.candidates :]]
        return [candidate for candidate in found if candidate]

    def formulas(self, number: int, seed: int, report: Report) -> list[Scored]:
        """Formulas for one kind of pair: the front, and the next best of every complexity.

        Args:
            number: Number of the formula in the law.
            seed: Source of the search's randomness.
            report: Takes lines of progress.
        """
        settings = self.settings
        objective = self.objective(number, settings.fit, seed)
        module = pretrained(PAIR_GRAMMAR, settings.search)
        how = settings.search
        if len(self._by_formula[number].points) <= PAIR_GRAMMAR.max_fitted:
            how = replace(how, target_loss=settings.interpolation_loss)
        found = Search(PAIR_GRAMMAR, objective, module, how, seed).run(report)
        every = [*found.front(), *found.best_per_complexity(settings.formulas_per_complexity)]
        return _united(every)

    def objective(self, number: int, fitting: FitSettings, seed: int) -> AdditiveObjective:
        """What scores formulas for one kind of pair.

        Args:
            number: Number of the formula in the law.
            fitting: How hard constants are fitted.
            seed: Source of the random starts.
        """
        criteria = Criteria(admissible=self._constraints[number])
        return AdditiveObjective(self._by_formula[number], VARIABLES, fitting, seed, criteria)

    def _worst(self, formulas: Sequence[Sequence[Scored]]) -> int:
        """The kind of pair whose best formula leaves the largest sum of squares."""
        squares = [
            len(rows) * min(scored.loss for scored in choice) ** 2
            for rows, choice in zip(self._problem.members, formulas, strict=True)
        ]
        return int(np.argmax(squares))

    def _joint_fit(self, law: Sequence[Scored]) -> LawFit | None:
        """Fit a law to the compared structures; none if it has no admissible constants."""
        with suppress(ValueError):
            formulas = [Expression(s.tokens).with_constants(s.constants.ravel()) for s in law]
            return self._fitted(self._compared, formulas)
        return None

    def validated(self, fit: LawFit) -> CandidateLaw | None:
        """Cross-validate a law; none if it has no fit to some of the training folds."""

        def fitted(problem: AdditiveProblem) -> Predictor:
            law = self._fitted(problem, fit.expressions)
            return lambda test: law.predict(test, VARIABLES)

        with suppress(ValueError):
            errors = self._validation.errors(self._compared, fitted)
            final = self._fitted_to_all(fit)
            constants = sum(values.size for values in final.constants)
            law = self.named(final)
            return CandidateLaw(
                law=law,
                parameters=final.linear.size + final.scales.size + constants,
                training_mae=final.mae,
                validation_errors=errors,
                formula_of=self.formula_of,
                pairs=self.data.pairs,
                refit=lambda rows: self.named(self.refit(final, rows)),
                fitted_errors=self._validation.errors_of_fit(law, self.data),
            )
        return None

    def _fitted_to_all(self, fit: LawFit) -> LawFit:
        """The same law fitted to all structures, as it is if that has no admissible constants."""
        if len(self._compared.target) < len(self._problem.target):
            with suppress(ValueError):
                return self._fitted(self._problem, fit.expressions)
        return fit

    def refit(self, fit: LawFit, rows: Ints) -> LawFit:
        """The same formulas fitted to some of the structures, given by their numbers.

        Raises:
            ValueError: If no admissible constants are found.
        """
        return self._fitted(self._problem.subset(rows), fit.expressions)

    def named(self, fit: LawFit) -> PairLaw:
        """A fit with its numbers named after kinds of defects and pairs."""
        return PairLaw.from_fit(
            fit, self.data.pairs, self.formula_of, self._columns, constant=self.data.has_constant
        )

    def _complexity(self, fit: LawFit) -> int:
        return nodes_of(fit.formulas, 0) + self._nodes_beside

    def _fitted(self, problem: AdditiveProblem, formulas: Sequence[Expression]) -> LawFit:
        """Fit the constants of a law together.

        Raises:
            ValueError: If no admissible constants are found.
        """
        programs = [Program.compile([formula.tokens], VARIABLES) for formula in formulas]

        def admissible(number: int, constants: Floats) -> bool:
            return bool(self._constraints[number](programs[number], constants[None])[0])

        return fit_law(problem, formulas, VARIABLES, self.settings.fit.decay, admissible)


def _united(*lists: Sequence[Scored]) -> list[Scored]:
    """Formulas of several lists, each once, with its best constants."""
    found: dict[Tokens, Scored] = {}
    for scored in chain.from_iterable(lists):
        known = found.get(scored.tokens)
        if known is None or scored.loss < known.loss:
            found[scored.tokens] = scored
    return list(found.values())
