"""How a formula of features is searched for and chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

from matbench_segvae.segvae import SearchSettings


@dataclass(frozen=True)
class FeatureFormulaSettings:
    """How a formula of features is searched for and chosen.

    Attributes:
        max_nodes: Largest number of operators, features and numbers in the formula, its link
            included.
        max_features: Largest number of features in it.
        max_terms: Largest number of terms in it.
        max_search_rows: Rows that features are selected and terms are generated and chosen on.
            If there are more, that many are drawn, for a classification with the shares of
            both classes. The constants are fitted to all rows.
        selected_features: Features that terms are generated from.
        max_share_of_one_value: Largest share of the rows with the same value of a feature;
            features above it are not used.
        search: Sizes and lengths of one search for terms.
        generation_rounds: Times that terms are generated in a search, each time for the
            residuals of the formula so far.
        terms_per_length: Generated terms of each length that are kept each time.
        beam_width: Formulas of each number of terms that the beam search extends.
        shortlisted_terms: Terms that are cross-validated for each formula to be extended.
        parsimony: Relative gain in loss that a node has to bring among formulas with as
            many terms.
        validation_folds: Folds of a cross-validation inside the training part.
        validation_repeats: Repeats of the cross-validation, each with splits of its own.
        searches: Searches, each with splits of its own, whose formulas compete.
        finalists_per_search: Formulas of each search that enter the final comparison.
        final_repeats: Cross-validation repeats of the final comparison.
    """

    # Size of the formula.
    max_nodes: int = 40
    max_features: int = 8
    max_terms: int = 8

    # Rows and features that are searched on.
    max_search_rows: int = 2000
    selected_features: int = 12
    max_share_of_one_value: float = 0.95

    # Generation of terms.
    search: SearchSettings = field(
        default_factory=lambda: SearchSettings(
            corpus_size=5000, pretraining_epochs=6, epochs=12, samples=1000
        )
    )
    generation_rounds: int = 2
    terms_per_length: int = 1000

    # Beam search for the sum of terms.
    beam_width: int = 12
    shortlisted_terms: int = 15
    parsimony: float = 0.02

    # Cross-validation, and the comparison of several searches.
    validation_folds: int = 5
    validation_repeats: int = 2
    searches: int = 3
    finalists_per_search: int = 4
    final_repeats: int = 5
