"""Searches with one choice of the default settings changed, and how long they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from matbench_segvae.errors import named
from matbench_segvae.segvae import NetworkSettings


@dataclass(frozen=True)
class Variant:
    """Differences from the default settings.

    Attributes:
        search: In :class:`~matbench_segvae.segvae.settings.SearchSettings`.
        fitting: In :class:`~matbench_segvae.segvae.settings.FitSettings`.
    """

    search: Mapping[str, Any] = field(default_factory=dict)
    fitting: Mapping[str, Any] = field(default_factory=dict)


_ALONE = {"mutation_share": 0.0}

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "default": Variant(),
        # What the network contributes
        "random-formulas": Variant(search={"generator": "random"}),
        "not-retrained": Variant(search={"elite_passes": 0}),
        "no-network": Variant(
            search={"generator": "random", "mutation_share": 1.0, "samples": 500}
        ),
        "network-only": Variant(search=_ALONE),
        "random-only": Variant(search={"generator": "random", **_ALONE}),
        # The size of a round
        "rounds-of-250": Variant(search={"samples": 250}),
        "rounds-of-500": Variant(search={"samples": 500}),
        "rounds-of-1000": Variant(search={"samples": 1000}),
        # The other choices
        "samples-not-masked": Variant(search={"grammar_mask": False}),
        "duplicates-kept": Variant(search={"discard_duplicates": False}),
        "one-start-per-fit": Variant(fitting={"screening_starts": 1, "polishing_starts": 1}),
        "elite-of-all-rounds": Variant(search={"hall_of_fame": 20}),
        "samples-around-good-formulas": Variant(search={"local_share": 0.4}),
        "half-mutations": Variant(search={"mutation_share": 0.5}),
        "hardly-any-network": Variant(search={"mutation_share": 0.95}),
        "paper-sized-network": Variant(
            search={"network": NetworkSettings(embedding=128, hidden=128, latent=128)}
        ),
    }
)
"""The default, and what is changed in it."""


def variant(name: str) -> Variant:
    """A variant by name.

    Raises:
        UserError: If there is no such variant.
    """
    return named(name, VARIANTS, "variant")


@dataclass(frozen=True)
class Budget:
    """How long searches are.

    Attributes:
        cpu: CPU seconds of the process, pretraining left out.
        formulas: Scored formulas.
    """

    cpu: float
    formulas: int


_BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        "nguyen": Budget(6, 10_000),
        "livermore": Budget(6, 10_000),
        "oscillations": Budget(6, 10_000),
        "pairs": Budget(10, 10_000),
        "shapes": Budget(60, 10_000),
    }
)


def budget_of(suite: str) -> Budget:
    """How long the searches of a suite are by default.

    Raises:
        UserError: If there is no such suite.
    """
    return named(suite, _BUDGETS, "suite")
