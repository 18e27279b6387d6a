"""How a pair law is searched for: the language and the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings
from matbench_segvae.algorithms.pair_laws.law import VARIABLES
from matbench_segvae.algorithms.pair_laws.shapes import SHAPE_VARIABLES, stands_for_shapes
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar, no_free_factor
from matbench_segvae.segvae import FitSettings, SearchSettings

PAIR_GRAMMAR = Grammar(
    variables=VARIABLES,
    operators=("add", "sub", "mul", "div", "square", "inv", "exp", "cos"),
    constants=("1", "2"),
    max_length=20,
    max_fitted=6,
    predicates=(*DEFAULT_PREDICATES, no_free_factor),
)
"""The language of pair laws: what decays, oscillates and combines."""

SHAPE_GRAMMAR = Grammar(
    variables=SHAPE_VARIABLES,
    operators=("add", "mul", "div", "square", "cube", "inv", "exp", "cos"),
    constants=("1", "2"),
    max_length=24,
    max_fitted=6,
    predicates=(*DEFAULT_PREDICATES, stands_for_shapes),
)
"""The language of shapes that all kinds of pairs have in common: sums, with whole powers and the
lattice phase on offer."""


@dataclass(frozen=True)
class PairLawSettings:
    """How a pair law is searched for and chosen.

    Attributes:
        search: The network and the length of the search for each kind of pair.
        fit: How hard constants are fitted.
        interpolation_loss: Loss, eV, at which the search for a kind of pair ends if the kind
            has no more distances than a formula has constants, so that formulas can pass
            through all of them.
        extra_searches: Further searches, from another seed, each for the kind of pair whose
            best formula so far leaves the largest error: one search in four ends far from
            the best.
        formulas_per_complexity: Formulas of every complexity that are kept for each kind of
            pair, beside the front.
        shape_search: The network and the length of the search for shapes that all kinds of
            pairs have in common.
        shape_fit: How hard constants of shapes are fitted.
        shape_searches: Searches for common shapes, each from another seed, where structures are
            few, see `min_rows_per_distance`; one where they are many. Laws of one search are
            much alike; the cross-validation then has others to choose from.
        shape_sets: Sets of shapes of each search of which laws are made.
        shared_sizes: Sizes of those laws, as shares of the largest.
        min_kinds_shared: With fewer kinds of pairs there is no search for common shapes.
        max_kinds_own: With more kinds of pairs there are no formulas of their own.
        max_shared_nodes: Largest complexity of a law with common shapes, its table included.
        constraints: What a law has to satisfy.
        max_nodes: Largest complexity of the whole law.
        min_rows_per_node: Least number of training structures for each node of a law:
            with a handful of structures, some of many long formulas have small
            cross-validation errors by chance.
        min_rows_per_parameter: The same for each fitted number.
        min_rows_per_distance: With fewer training structures for each distance of a kind of
            pair (each direction by itself, where directions differ), kinds of pairs have one
            formula with a table of coefficients; with one or two kinds there is no such table,
            and kinds of the same two defects have the same formula.
        many_body: Whether there may be many-body terms, where cross-validation clearly
            supports them.
        many_body_repeats: Repeats of the cross-validation that decides on them.
        combinations_tried: Combinations of formulas that are judged with their constants as
            they are.
        combinations_fitted: Combinations that are fitted to the structures, beside the best
            one of every complexity.
        candidates: Laws of each search that are cross-validated.
        max_rows_compared: Laws are compared on so many training structures, drawn at random,
            and on those that are in every fit; the search uses all structures, and so does the
            final fit of each law.
        validation_folds: Folds of the cross-validation that chooses a law.
        max_rows_one_by_one: With at most so many structures to hold out, each is left out by itself
            instead.
        min_validation_rows: Cross-validation is repeated with other splits until so many
            structures have been held out: errors of few structures depend on which of them were
            held out together.
        min_gain: Relative gain in validation error that justifies a longer law.
        bootstrap_samples: Resamples of the training data for the intervals of the constants.
    """

    # The search for a formula of each kind of pair
    search: SearchSettings = field(
        default_factory=lambda: SearchSettings(epochs=60, samples=500, patience=12)
    )
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            # There are few points: starts are cheap, and a phase needs a lucky one.
            screening_starts=8,
            screening_steps=12,
            polishing_starts=30,
            decay=1e-9,
        )
    )
    interpolation_loss: float = 1e-4
    extra_searches: int = 1
    formulas_per_complexity: int = 3
    # The search for shapes that all kinds of pairs have in common
    shape_search: SearchSettings = field(
        default_factory=lambda: SearchSettings(
            epochs=40, samples=800, patience=10, mutation_share=0.7, term_share=0.4
        )
    )
    shape_fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            screening_starts=4,
            screening_steps=8,
            polishing_starts=12,
            polishing_steps=20,
            decay=1e-9,
        )
    )
    shape_searches: int = 5
    shape_sets: int = 6
    shared_sizes: tuple[float, ...] = (0.6, 0.75, 0.9, 1.0)
    min_kinds_shared: int = 3
    max_kinds_own: int = 6
    max_shared_nodes: int = 80
    # What a law may be
    constraints: ConstraintSettings = field(default_factory=ConstraintSettings)
    max_nodes: int = 40
    min_rows_per_node: float = 1.0
    min_rows_per_parameter: float = 3.0
    min_rows_per_distance: float = 3.0
    many_body: bool = True
    many_body_repeats: int = 5
    # Combining the formulas into laws
    combinations_tried: int = 3000
    combinations_fitted: int = 30
    # Choosing one law, and how certain its numbers are
    candidates: int = 12
    max_rows_compared: int = 2000
    validation_folds: int = 5
    max_rows_one_by_one: int = 60
    min_validation_rows: int = 300
    min_gain: float = 0.0
    bootstrap_samples: int = 30
