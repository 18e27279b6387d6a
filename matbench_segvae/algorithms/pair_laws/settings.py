"""How a pair law is searched for: the language and the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings
from matbench_segvae.algorithms.pair_laws.law import VARIABLES
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


@dataclass(frozen=True)
class PairLawSettings:
    """How a pair law is searched for and chosen.

    Attributes:
        search: The network and the length of the search for each kind of pair.
        exact: Error, eV, at which a search for a kind of pair ends that has no more
            distances than a formula has numbers, and could go on to pass through them all.
        fit: How hard constants are fitted.
        physics: What a law has to satisfy.
        most_nodes: Largest complexity of the whole law.
        rows_per_node: Least number of training structures for each node of a law:
            cross-validation on a handful of them cannot tell which of many long formulas
            owe their errors to luck.
        rows_per_number: The same for each fitted number.
        rows_per_distance: Where there are fewer training structures for each distance of
            pairs, kinds of pairs of the same two defects may have a formula in common.
        three_body: Whether there may be a three-body term around a kind of defect, where
            validation inside the training part clearly speaks for it.
        three_body_divisions: Divisions of the training data on which that is decided.
        rows_compared: Laws are compared on at most so many training structures, drawn at
            random; the search sees all of them, and so does the final fit of each law.
        repeats: Further searches, from another seed, each for the kind of pair whose best
            formula so far leaves the most: one search in four ends far from the best.
        formulas_each: Formulas of every complexity for each kind of pair, beside the front.
        drafts: Combinations of formulas that are tried with their constants as they are.
        combinations: Combinations that are fitted to the structures, beside the best one of
            every complexity.
        candidates: Laws that are cross-validated.
        validation_folds: Parts the training data are cut into to choose a law.
        validation_rows: A few structures are cut up again, in other ways, until so many have
            been left out of a fit: how one division of a dozen falls is luck.
        patience: Relative gain in validation error that justifies a longer law.
        bootstrap: Resamples of the training data for the intervals of the constants.
    """

    search: SearchSettings = field(
        default_factory=lambda: SearchSettings(epochs=30, samples=2000, patience=8)
    )
    exact: float = 1e-4
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            # There are few points: starts are cheap, and a phase needs a lucky one.
            screening_starts=8,
            screening_steps=12,
            polishing_starts=30,
            decay=1e-9,
        )
    )
    physics: ConstraintSettings = field(default_factory=ConstraintSettings)
    most_nodes: int = 40
    rows_per_node: float = 1.0
    rows_per_number: float = 3.0
    rows_per_distance: float = 3.0
    three_body: bool = True
    three_body_divisions: int = 5
    rows_compared: int = 2000
    repeats: int = 1
    formulas_each: int = 3
    drafts: int = 3000
    combinations: int = 30
    candidates: int = 12
    validation_folds: int = 5
    validation_rows: int = 50
    patience: float = 0.0
    bootstrap: int = 30
