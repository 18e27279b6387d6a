"""Searching one formula for all kinds of pairs, with a table of coefficients.

SEGVAE searches sets of shapes. Each is scored at once on all kinds of pairs by what the best law
of limited size leaves of the fitted pair energies. For the best sets, coefficients are left out to
make laws of several sizes, and the laws are fitted to the structures under absolute error and
compared by cross-validation inside the training part.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from matbench_segvae.algorithms.pair_laws.candidate import CandidateLaw
from matbench_segvae.algorithms.pair_laws.held_out import Predictor, Validation
from matbench_segvae.algorithms.pair_laws.law import PairLaw, linear_numbers, nodes_of
from matbench_segvae.algorithms.pair_laws.pair_energies import fit_pair_energies
from matbench_segvae.algorithms.pair_laws.settings import SHAPE_GRAMMAR, PairLawSettings
from matbench_segvae.algorithms.pair_laws.shape_objective import (
    ShapeConstraints,
    ShapeObjective,
    ShapeProblem,
)
from matbench_segvae.algorithms.pair_laws.shapes import (
    ShapeValues,
    formula_nodes,
    shape_values,
    terms_of,
)
from matbench_segvae.algorithms.pair_laws.shared_shapes import SharedShapes
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.expressions import Expression
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.fitting.robust import COARSE_FLOOR, absolute_weights
from matbench_segvae.fitting.shared_fit import SharedFit, fit_shared_law
from matbench_segvae.seeding import derived_seed
from matbench_segvae.segvae import FitSettings, Scored, Search, pretrained
from matbench_segvae.types import Booleans, Floats, Ints, Report, Tokens

_SAME = 1e-4  # eV per site; energies that differ by less are the same


@dataclass(frozen=True, eq=False)
class _Draft:
    """A law to be fitted: shapes, constants to start from, and which coefficients it has."""

    tokens: Tokens
    constants: Floats
    kept: Booleans

    @property
    def nodes(self) -> int:
        """Nodes of the formula and its table."""
        return formula_nodes(self.tokens) + int(self.kept.sum())


class SharedSearch:
    """The search for a law with one formula for all kinds of pairs.

    Args:
        data: Structures of one host and their energies.
        settings: How to search.
        seed: Source of all randomness.
        columns: Numbers of the descriptors that have a factor in the law, as columns of
            ``data.pairs.descriptors``.
    """

    def __init__(
        self,
        data: TrainingPairs,
        settings: PairLawSettings,
        seed: int,
        columns: Sequence[int] = (),
    ) -> None:
        self._data, self._settings, self._seed = data, settings, seed
        self._columns = tuple(columns)
        self._lattice = data.hosts[0].a
        terms = [data.pairs.term_columns[column][0] for column in columns]
        n_beside = len(data.pairs.defect_kinds) + data.has_constant
        self._nodes_beside = nodes_of([], n_beside, terms)
        self._validation = Validation(data.pairs, settings, seed)
        self._energies, problem = self._table()
        self._problem = problem
        self._compared = problem.subset(self._validation.rows)
        self._points = self._phased(data.pairs.distance)
        shortest = min(data.shortest())
        self._constraints = ShapeConstraints(self._points, settings.constraints, shortest)

    def run(self, report: Report) -> list[CandidateLaw]:
        """Search laws, simplest first; none if no set of shapes satisfies the constraints."""
        shapes = self.shape_problem()
        few = self._data.are_few(self._settings.min_rows_per_distance)
        repeats = range(1, self._settings.shape_searches if few else 1)
        seeds = [self._seed, *(derived_seed(self._seed, "repeat", repeat) for repeat in repeats)]
        sets = [one for seed in seeds for one in self._searched(shapes, seed, report)]
        drafts = [draft for scored in _different(sets) for draft in self._drafts(scored, shapes)]
        found = self._candidates(drafts, len(seeds) * self._settings.candidates)
        return sorted(found, key=lambda candidate: candidate.complexity)

    def _searched(self, shapes: ShapeProblem, seed: int, report: Report) -> list[Scored]:
        """The best sets of shapes of one search."""
        settings = self._settings
        objective = self.objective(shapes, settings.shape_fit, seed)
        module = pretrained(SHAPE_GRAMMAR, settings.shape_search)
        search = Search(SHAPE_GRAMMAR, objective, module, settings.shape_search, seed)
        found = search.run(report)
        every = [*found.front(), *found.best_per_complexity(2)]
        return _different(every)[: settings.shape_sets]

    def objective(self, shapes: ShapeProblem, fitting: FitSettings, seed: int) -> ShapeObjective:
        """What scores sets of shapes.

        Args:
            shapes: The pair energies, see :meth:`shape_problem`.
            fitting: How hard constants are fitted.
            seed: Source of the random starts.
        """
        n_structures, room = len(self._problem.target), self._max_nodes - self._nodes_beside
        return ShapeObjective(shapes, n_structures, room, fitting, self._constraints, seed)

    @property
    def _max_nodes(self) -> int:
        n_rows = len(self._problem.target)
        most = self._settings.max_shared_nodes
        return min(most, int(n_rows / self._settings.min_rows_per_node))

    @property
    def _max_coefficients(self) -> int:
        n_numbers = int(len(self._problem.target) / self._settings.min_rows_per_parameter)
        return n_numbers - int(self._problem.linear.shape[1])

    def _table(self) -> tuple[Floats, AdditiveProblem]:
        """Pair energies, and the problem weighted so that squares count as absolute errors."""
        data = self._data
        table = fit_pair_energies(
            data.pairs, data.energies, self._columns, constant=data.has_constant
        )
        residuals = data.energies - table.predict(data.pairs)
        problem = data.problem(columns=self._columns)
        if table.training_mae > 1e-9 * np.abs(data.energies).max():
            problem = problem.reweighted(absolute_weights(residuals, COARSE_FLOOR))
        return table.pair_energies, problem

    def shape_problem(self) -> ShapeProblem:
        """Pair energies in the metric in which the structures determine them."""
        pairs = self._data.pairs
        matrix = self._problem.reduced_matrix
        return ShapeProblem.of(
            pairs.distance, pairs.kind, matrix.T @ matrix, self._energies, self._lattice
        )

    def _drafts(self, scored: Scored, shapes: ShapeProblem) -> list[_Draft]:
        """Laws of several sizes with one set of shapes."""
        constants = scored.constants[0]
        values = shape_values(scored.tokens, constants, shapes.points)
        beside = self._nodes_beside + formula_nodes(scored.tokens)
        drafts: dict[bytes, _Draft] = {}
        for share in self._settings.shared_sizes:
            room = min(
                round(share * self._max_nodes) - beside, self._max_coefficients - len(constants)
            )
            if room > 0:
                kept, _ = shapes.allocated(values, room)
                drafts[kept.tobytes()] = _Draft(scored.tokens, constants, kept)
        return list(drafts.values())

    def _candidates(self, drafts: Sequence[_Draft], most: int) -> list[CandidateLaw]:
        """Fit laws, cross-validate the best of them, and fit those to all structures."""
        fits = [(draft, fit) for draft in drafts if (fit := self._fitted(self._compared, draft))]
        found = [self._validated(draft, fit) for draft, fit in self._distinct(fits)[:most]]
        return [one for one in found if one]

    def _distinct(self, fits: Sequence[tuple[_Draft, SharedFit]]) -> list[tuple[_Draft, SharedFit]]:
        """Laws, best first; of those with the same energies the one with the fewest nodes."""
        chosen: list[tuple[_Draft, SharedFit]] = []
        energies: list[Floats] = []
        for draft, fit in sorted(fits, key=lambda pair: pair[1].mae):
            own = fit.predict(self._compared, ShapeValues(draft.tokens, self._points))
            same = (i for i, one in enumerate(energies) if np.abs(one - own).max() < _SAME)
            place = next(same, None)
            if place is None:
                chosen.append((draft, fit))
                energies.append(own)
            elif draft.nodes < chosen[place][0].nodes:
                chosen[place], energies[place] = (draft, fit), own
        return chosen

    def _fitted(self, problem: AdditiveProblem, draft: _Draft) -> SharedFit | None:
        """Fit a law; none if its shapes are undefined."""
        with suppress(ValueError):
            return self._fit(problem, draft)
        return None

    def _fit(self, problem: AdditiveProblem, draft: _Draft) -> SharedFit:
        def admissible(constants: Floats) -> bool:
            return bool(self._constraints([draft.tokens], constants[None])[0])

        shapes = ShapeValues(draft.tokens, self._points)
        return fit_shared_law(problem, shapes, draft.constants, draft.kept, admissible)

    def _validated(self, draft: _Draft, fit: SharedFit) -> CandidateLaw | None:
        """Cross-validate a law; none if it has no fit to some of the training folds."""
        better = replace(draft, constants=fit.constants)
        shapes = ShapeValues(draft.tokens, self._points)

        def fitted(some: AdditiveProblem) -> Predictor:
            law = self._fit(some, better)
            return lambda test: law.predict(test, shapes)

        with suppress(ValueError):
            errors = self._validation.errors(self._compared, fitted)
            final = self._fit(self._problem, better)
            settled = replace(draft, constants=final.constants)

            def refit(rows: Ints) -> PairLaw:
                return self._named(settled, self._fit(self._problem.subset(rows), settled))

            law = self._named(settled, final)
            return CandidateLaw(
                law=law,
                parameters=final.linear.size + int(draft.kept.sum()) + final.constants.size,
                training_mae=final.mae,
                validation_errors=errors,
                formula_of=(0,) * len(draft.kept),
                pairs=self._data.pairs,
                refit=refit,
                fitted_errors=self._validation.errors_of_fit(law, self._data),
            )
        return None

    def _named(self, draft: _Draft, fit: SharedFit) -> PairLaw:
        """A fit with its numbers named after kinds of defects and pairs."""
        pairs = self._data.pairs
        rows = zip(fit.coefficients.tolist(), draft.kept.tolist(), strict=True)
        table = [
            tuple(value if kept else None for value, kept in zip(*row, strict=True)) for row in rows
        ]
        shared = SharedShapes(
            Expression(draft.tokens, tuple(fit.constants.tolist())),
            self._lattice,
            dict(zip(pairs.pair_kinds, table, strict=True)),
        )
        numbers = linear_numbers(fit.linear, pairs, self._columns, constant=self._data.has_constant)
        return PairLaw.from_shared(shared, **numbers)

    def _phased(self, distances: Floats) -> Floats:
        """Distances, Å, with the phase of the lattice, shape ``(R, 2)``."""
        return np.column_stack([distances, 2 * np.pi * distances / self._lattice])


def _different(found: Sequence[Scored]) -> list[Scored]:
    """Sets of shapes, best first, of those that differ only in the order of terms the best."""
    sets: dict[tuple[Tokens, ...], Scored] = {}
    for scored in sorted(found, key=lambda scored: scored.loss):
        sets.setdefault(tuple(sorted(terms_of(scored.tokens))), scored)
    return list(sets.values())
