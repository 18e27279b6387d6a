"""How a formula of features is searched for and chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

from matbench_segvae.segvae import SearchSettings


@dataclass(frozen=True)
class FeatureFormulaSettings:
    """How a formula of features is searched for and chosen.

    Attributes:
        most_nodes: Nodes of the formula at most: operators, features and numbers, its link
            included.
        most_features: Features in it at most.
        most_terms: Terms in it at most.
        screened: Features that the search writes terms of.
        common: Largest share of the rows that may have the same value of a feature.
        searches: Searches, each with divisions of the rows of its own, whose formulas compete.
        finalists: Formulas of each search that are compared with those of the others.
        final_repeats: Divisions of the rows that they are compared on.
        rounds: Times a search has terms written, each time for what is missing from the
            formula so far.
        per_size: Terms of each length that are kept each time.
        search: Sizes and lengths of one search.
        validation_folds: Parts of the training rows, one of which is held back.
        validation_repeats: Divisions of the rows into such parts.
        shortlist: Terms that are cross-validated for each formula to be made longer.
        beam: Formulas of each number of terms that are made longer.
        parsimony: Relative gain in loss that a node has to bring among formulas with as
            many terms.
        search_rows: Rows that features are screened and terms searched and chosen on; of
            more of them that many are drawn, for a classification evenly from both classes'
            shares. The constants are fitted to all rows.
    """

    most_nodes: int = 40
    most_features: int = 8
    most_terms: int = 8
    screened: int = 12
    common: float = 0.95
    searches: int = 3
    finalists: int = 4
    final_repeats: int = 5
    rounds: int = 2
    per_size: int = 1000
    search: SearchSettings = field(
        default_factory=lambda: SearchSettings(
            corpus_size=5000, pretraining_epochs=6, epochs=12, samples=1000
        )
    )
    validation_folds: int = 5
    validation_repeats: int = 2
    shortlist: int = 15
    beam: int = 12
    parsimony: float = 0.02
    search_rows: int = 2000
