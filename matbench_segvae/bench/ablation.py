"""Ablation: searches with one choice of the default settings left out at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from matbench_segvae.errors import UserError
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.segvae.settings import FitSettings, NetworkSettings, SearchSettings

_ALL_CONSTANTS = tuple(NAMED_CONSTANTS)


@dataclass(frozen=True)
class Variant:
    """Differences from the default settings.

    Attributes:
        search: In :class:`~matbench_segvae.segvae.settings.SearchSettings`.
        fitting: In :class:`~matbench_segvae.segvae.settings.FitSettings`.
        estimator: Further arguments of the estimator.
    """

    search: Mapping[str, Any] = field(default_factory=dict)
    fitting: Mapping[str, Any] = field(default_factory=dict)
    estimator: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, rounds: int) -> dict[str, Any]:
        """Arguments of the estimator for searches of at most `rounds` rounds."""
        return {
            "search_settings": SearchSettings(**{**self.search, "epochs": rounds}),
            "fit_settings": FitSettings(**self.fitting),
            **self.estimator,
        }


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "default": Variant(),
        "samples-not-masked": Variant(search={"grammar_mask": False}),
        "duplicates-kept": Variant(search={"discard_duplicates": False}),
        "constants-as-tokens": Variant(estimator={"max_fitted": 0, "constants": _ALL_CONSTANTS}),
        "nothing-fitted": Variant(
            search={"linear_scaling": False}, estimator={"constants": _ALL_CONSTANTS}
        ),
        "one-start-per-fit": Variant(fitting={"screening_starts": 1, "polishing_starts": 1}),
        "elite-of-all-rounds": Variant(search={"hall_of_fame": 20}),
        "samples-around-good-formulas": Variant(search={"local_share": 0.4}),
        "no-mutations": Variant(search={"mutation_share": 0.0}),
        "half-mutations": Variant(search={"mutation_share": 0.5}),
        "hardly-any-network": Variant(search={"mutation_share": 0.95}),
        "paper-sized-network": Variant(
            search={"network": NetworkSettings(embedding=128, hidden=128, latent=128)}
        ),
        "absolute-loss": Variant(estimator={"loss": "absolute"}),
        "huber-loss": Variant(estimator={"loss": "huber"}),
    }
)
"""The default; each of its choices left out; options it does not use; losses for outliers."""


def variant(name: str) -> Variant:
    """A variant by name.

    Raises:
        UserError: If there is no such variant.
    """
    if name not in VARIANTS:
        raise UserError(f"unknown variant '{name}': choose from {', '.join(VARIANTS)}")
    return VARIANTS[name]
