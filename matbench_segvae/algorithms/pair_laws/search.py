"""Searching a pair law: a formula for each kind of pair, then the law they make together.

Kinds of pairs meet only in the sums over a structure's pairs. Each kind's formula is
therefore searched by itself, against what free values at its distances would be, in the
metric in which the structures determine them; kinds that have a formula in common count as
one. The best combinations of the formulas found are fitted to the structures together,
under absolute error, and compared by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.pair_laws.constraints import PairConstraints
from matbench_segvae.algorithms.pair_laws.law import VARIABLES, nodes_of
from matbench_segvae.algorithms.pair_laws.settings import PAIR_GRAMMAR, PairLawSettings
from matbench_segvae.expressions import pareto_front
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.compiled import Program
from matbench_segvae.fitting.joint_fit import LawFit, fit_law
from matbench_segvae.fitting.robust import absolute_weights, robust_weights
from matbench_segvae.seeding import derived_seed, drawn_rows
from matbench_segvae.segvae import AdditiveObjective, Criteria, Scored, Search, pretrained
from matbench_segvae.types import Floats

Law = tuple[Scored, ...]


_ROUNDS = 4  # of reweighting; the weights to start from are nearly right


@dataclass(frozen=True, eq=False)
class Draft:
    """A law whose formulas keep the constants they came with.

    Attributes:
        law: A formula for each kind of pair.
        nodes: Complexity of the law.
        mae: Mean absolute error, eV per site.
    """

    law: Law
    nodes: int
    mae: float


class LawDrafts:
    """All combinations of some formulas.

    Args:
        problem: Structures as sums over pairs, with weights to start from.
        formulas: Formulas to choose from for each kind of pair.
        variables: Names of the formulas' variables.
        nodes_beside: Complexity of what stands beside the formulas.
    """

    def __init__(
        self,
        problem: AdditiveProblem,
        formulas: Sequence[Sequence[Scored]],
        variables: Sequence[str],
        nodes_beside: int,
    ) -> None:
        self._problem = problem
        self._nodes_beside = nodes_beside
        self._formulas = formulas
        self._columns = [
            [_column(problem, kind, scored, variables) for scored in choice]
            for kind, choice in enumerate(formulas)
        ]

    def promising(self, most_nodes: float, most_numbers: float, n_drafts: int) -> list[Draft]:
        """The combinations with the least sums of squares, judged by the absolute error.

        Args:
            most_nodes: Largest complexity of a law.
            most_numbers: Most fitted numbers of a law; the simplest law of all is there in
                any case.
            n_drafts: How many to judge.
        """
        n_linear = self._problem.linear.shape[1] + len(self._formulas)
        squares = _over_all([_squares(self._problem, k, c) for k, c in enumerate(self._formulas)])
        nodes = _over_all([[nodes_of([s.tokens], 0) for s in c] for c in self._formulas])
        nodes += self._nodes_beside
        numbers = _over_all([[s.constants.size for s in c] for c in self._formulas]) + n_linear
        allowed = (nodes <= most_nodes) & (numbers <= most_numbers)
        order = np.argsort(np.where(allowed, squares, np.inf), axis=None, kind="stable")
        chosen = order[: min(n_drafts, int(allowed.sum()))].tolist()
        simplest = int(np.argmin(nodes + numbers))
        return [
            self._draft(
                [int(i) for i in np.unravel_index(place, nodes.shape)], int(nodes.flat[place])
            )
            for place in dict.fromkeys([*chosen, simplest])
        ]

    def _draft(self, picked: Sequence[int], nodes: int) -> Draft:
        law = tuple(choice[i] for choice, i in zip(self._formulas, picked, strict=True))
        columns = [choice[i] for choice, i in zip(self._columns, picked, strict=True)]
        return Draft(law, nodes, self._mae(np.stack(columns, axis=1)))

    def _mae(self, columns: Floats) -> float:
        """Least absolute error over the coefficients of the linear part and the columns."""
        design = np.concatenate([self._problem.linear, columns], axis=1)
        design = design / np.maximum(np.linalg.norm(design, axis=0), np.finfo(float).tiny)
        target, weights = self._problem.target, self._problem.weights
        residuals = target
        for _ in range(_ROUNDS):
            weighted = design.T * weights
            # Of a few unknowns; a pseudo-inverse leaves open what the data leave open.
            inverse = np.linalg.pinv(weighted @ design, hermitian=True)
            residuals = target - design @ (inverse @ (weighted @ target))
            weights = absolute_weights(residuals)
        return float(np.abs(residuals).mean())


def _column(
    problem: AdditiveProblem, kind: int, scored: Scored, variables: Sequence[str]
) -> Floats:
    """What a formula adds to each structure, shape ``(N,)``, its factor left out."""
    assert problem.incidence is not None
    rows = problem.members[kind]
    program = Program.compile([scored.tokens], variables)
    values = program.values(problem.points[rows], scored.constants.reshape(1, -1))[0]
    return np.asarray(problem.incidence[:, rows] @ values)


def _squares(problem: AdditiveProblem, kind: int, choice: Sequence[Scored]) -> list[float]:
    """Reduced sums of squares that formulas leave of what their kind of pair is asked for."""
    return [len(problem.members[kind]) * scored.loss**2 for scored in choice]


def _over_all(each: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Sums over one entry of each list, for every choice of entries."""
    grids = np.meshgrid(*[np.asarray(values, dtype=np.float64) for values in each], indexing="ij")
    return np.asarray(np.sum(grids, axis=0))


_NETWORK_SEED = 0  # one pretrained network for all searches


@dataclass(frozen=True, eq=False)
class Candidate:
    """A law with its errors inside the training part.

    Attributes:
        fit: The law fitted to the whole training part.
        nodes: Its complexity.
        validation_errors: Absolute errors of structures that were left out of the fit, in
            cross-validation inside the training part, eV per site, shape ``(N,)``; means over
            its divisions where there were several.
    """

    fit: LawFit
    nodes: int
    validation_errors: Floats

    @property
    def validation_mae(self) -> float:
        """Mean of the validation errors, eV per site."""
        return float(self.validation_errors.mean())

    @property
    def parameters(self) -> int:
        """Number of fitted numbers: energies of defects, factors, constants of formulas."""
        constants = sum(values.size for values in self.fit.constants)
        return self.fit.linear.size + self.fit.scales.size + constants


class PairSearch:
    """The search for a law of one set of structures.

    Args:
        problem: Structures as sums over pairs.
        settings: How to search.
        seed: Source of all randomness.
        shortest: Shortest distance on the lattice for each kind of pair, Å.
        n_three_body: Number of three-body terms, the last columns of the problem's base.
    """

    def __init__(
        self,
        problem: AdditiveProblem,
        settings: PairLawSettings,
        seed: int,
        shortest: Sequence[float] = (),
        n_three_body: int = 0,
    ) -> None:
        self._problem = problem.reweighted(robust_weights(problem))
        self._settings = settings
        self._seed = seed
        self._physics = PairConstraints(problem, settings.physics, shortest)
        self._compared = self._drawn(settings.rows_compared)
        self._by_kind = self._problem.one_by_one()
        n_kinds = problem.linear.shape[1] - n_three_body
        self._beside = nodes_of([], n_kinds, n_three_body)

    def _drawn(self, most: int) -> AdditiveProblem:
        """Structures to compare laws on."""
        n_rows = len(self._problem.target)
        if n_rows <= most:
            return self._problem
        return self._problem.subset(drawn_rows(n_rows, most, self._seed))

    def run(self, report: Callable[[str], None]) -> list[Candidate]:
        """Search laws, simplest first; none if no formula satisfies the conditions."""
        kinds = range(len(self._by_kind))
        formulas = [self.formulas(kind, self._seed, report) for kind in kinds]
        if not all(formulas):
            return []
        for repeat in range(self._settings.repeats):
            worst = self._worst(formulas)
            seed = derived_seed(self._seed, "repeat", repeat)
            more = self.formulas(worst, seed, report)
            formulas[worst] = _united(formulas[worst], more)
        fits = [fit for law in self._combined(formulas) if (fit := self._joint_fit(law))]
        front = pareto_front(fits, self._nodes, lambda fit: fit.mae)
        found = [self.judged(fit) for fit in front[-self._settings.candidates :]]
        return [self._final(candidate) for candidate in found if candidate]

    def _worst(self, formulas: Sequence[Sequence[Scored]]) -> int:
        """The kind of pair whose best formula leaves the largest sum of squares."""
        left = [
            len(rows) * min(scored.loss for scored in choice) ** 2
            for rows, choice in zip(self._problem.members, formulas, strict=True)
        ]
        return int(np.argmax(left))

    def _final(self, candidate: Candidate) -> Candidate:
        """The same law fitted to all structures."""
        if self._compared is self._problem:
            return candidate
        with suppress(ValueError):
            fit = candidate.fit
            return replace(candidate, fit=self._fitted(self._problem, fit.formulas, fit.constants))
        return candidate

    def refit(self, fit: LawFit, rows: NDArray[np.int64]) -> LawFit:
        """The same formulas fitted to some of the structures, given by their numbers.

        Raises:
            ValueError: If no admissible constants are found.
        """
        return self._fitted(self._problem.subset(rows), fit.formulas, fit.constants)

    def formulas(self, kind: int, seed: int, report: Callable[[str], None]) -> list[Scored]:
        """Formulas for one kind of pair: the front, and the next best of every complexity.

        Args:
            kind: Number of the kind.
            seed: Source of the search's randomness.
            report: Takes lines of progress.
        """

        def admissible(program: Program, constants: Floats, _: int) -> NDArray[np.bool_]:
            return self._physics(program, constants, kind)

        settings, problem = self._settings, self._by_kind[kind]
        criteria = Criteria(admissible=admissible)
        objective = AdditiveObjective(problem, VARIABLES, settings.fit, seed, criteria)
        module = pretrained(PAIR_GRAMMAR, settings.search, _NETWORK_SEED)
        few = len(problem.points) <= PAIR_GRAMMAR.max_fitted
        how = replace(settings.search, target_loss=settings.exact) if few else settings.search
        found = Search(PAIR_GRAMMAR, objective, module, how, seed).run(report)
        every = [*found.front(), *found.best_per_complexity(settings.formulas_each)]
        return _united(every)

    def _combined(self, formulas: Sequence[Sequence[Scored]]) -> list[Law]:
        """Promising laws under the absolute error, their formulas' constants as they are."""
        drafts = LawDrafts(self._problem, formulas, VARIABLES, self._beside)
        settings = self._settings
        n_rows = len(self._problem.target)
        most_nodes = min(settings.most_nodes, n_rows / settings.rows_per_node)
        most_numbers = n_rows / settings.rows_per_number
        laws = drafts.promising(most_nodes, most_numbers, settings.drafts)
        laws.sort(key=lambda draft: (draft.mae, draft.nodes))
        chosen = laws[: settings.combinations]
        chosen += pareto_front(laws, lambda draft: draft.nodes, lambda draft: draft.mae)
        return list(dict.fromkeys(draft.law for draft in chosen))

    def _nodes(self, fit: LawFit) -> int:
        return nodes_of(fit.formulas, 0) + self._beside

    def _joint_fit(self, law: Law) -> LawFit | None:
        """Fit a law to all structures; none if it has no admissible constants."""
        with suppress(ValueError):
            return self._fitted(self._compared, [s.tokens for s in law], [s.constants for s in law])
        return None

    def judged(self, fit: LawFit) -> Candidate | None:
        """Cross-validate a law; none if it has no fit to some part of the structures."""
        n_rows = len(self._compared.target)
        n_divisions = -(-self._settings.validation_rows // n_rows)
        with suppress(ValueError):
            errors = [self._held_out(fit, self._seed + number) for number in range(n_divisions)]
            return Candidate(fit, self._nodes(fit), np.mean(errors, axis=0))
        return None

    def _held_out(self, fit: LawFit, seed: int) -> Floats:
        """Absolute errors of all structures in one division, each left out of its fit.

        Raises:
            ValueError: If the law has no fit to some part of the structures.
        """
        problem = self._compared
        n_rows = len(problem.target)
        n_folds = min(self._settings.validation_folds, n_rows)
        errors = np.empty(n_rows)
        splitter = KFold(n_folds, shuffle=True, random_state=seed)
        for rest, held in splitter.split(np.arange(n_rows)):
            part = self._fitted(problem.subset(rest), fit.formulas, fit.constants)
            test = problem.subset(held)
            errors[held] = np.abs(part.predict(test, VARIABLES) - test.target)
        return errors

    def _fitted(
        self,
        problem: AdditiveProblem,
        formulas: Sequence[tuple[str, ...]],
        start: Sequence[Floats],
    ) -> LawFit:
        programs = [Program.compile([tokens], VARIABLES) for tokens in formulas]

        def admissible(kind: int, constants: Floats) -> bool:
            return bool(self._physics(programs[kind], constants[None], kind)[0])

        return fit_law(problem, formulas, VARIABLES, start, self._settings.fit.decay, admissible)


def _united(*lists: Sequence[Scored]) -> list[Scored]:
    """Formulas of several lists, each once, with its best constants."""
    found: dict[tuple[str, ...], Scored] = {}
    for scored in chain.from_iterable(lists):
        known = found.get(scored.tokens)
        if known is None or scored.loss < known.loss:
            found[scored.tokens] = scored
    return list(found.values())
