"""Settings with a name: the published method, and the one that does better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar
from matbench_segvae.expressions.operators import NAMED_CONSTANTS
from matbench_segvae.segvae.module import TrainingSettings
from matbench_segvae.segvae.network import NetworkSettings
from matbench_segvae.segvae.settings import SearchSettings

PresetName = Literal["default", "paper"]

_PAPER_LATENTS = (8, 128)
_PAPER_CONSTANTS = ("-1", *(str(n) for n in range(1, 11)), "e", "pi")


def preset(name: PresetName = "default", latent: int | None = None) -> SearchSettings:
    """Settings of a search.

    ``"paper"`` is the method of Popov, Lazarev, Belavin, Derkach and Ustyuzhanin, PeerJ
    Computer Science 9:e1241 (2023): 40,000 random formulas and 10,000 to validate on, 50
    epochs; then 5,000 samples an epoch from the prior, not masked, of which those that are
    formulas are scored as they stand, and the best 5 % of the last five epochs are learned
    once; how many such epochs there are is our choice. ``"default"`` masks the samples,
    fits constants, factor and offset, and tries small changes to good formulas as well.

    Args:
        name: ``"default"`` or ``"paper"``.
        latent: Size of the latent vector in place of the preset's; 8 to 128 for the paper.

    Raises:
        UserError: If there is no such preset, or the paper's method had no such latent.
    """
    if name == "default":
        return SearchSettings(network=NetworkSettings(latent=latent or NetworkSettings().latent))
    if name != "paper":
        raise UserError(f"unknown preset '{name}': choose from default, paper")
    least, most = _PAPER_LATENTS
    if latent is not None and not least <= latent <= most:
        raise UserError(f"preset 'paper' takes a latent of {least} to {most}, not {latent}")
    return SearchSettings(
        corpus_size=40_000,
        validation_size=10_000,
        pretraining_epochs=50,
        epochs=50,
        samples=5_000,
        kept_share=0.05,
        memory=5,
        passes=1,
        network=NetworkSettings(embedding=128, hidden=128, latent=latent or most, dropout=0.1),
        training=TrainingSettings(
            learning_rate=5e-4, betas=(0.5, 0.999), kl_weight=0.5, batch_size=256
        ),
        masked=False,
        deduplicated=False,
        scaled=False,
        changed_share=0.0,
    )


def paper_grammar(
    variables: Sequence[str],
    operators: Sequence[str] = ("add", "sub", "mul", "div", "sin", "cos", "exp", "log"),
) -> Grammar:
    """The language of the published method: up to 30 tokens, constants only as tokens.

    Args:
        variables: Names of the variables.
        operators: Names of the operators.
    """
    return Grammar(
        variables=tuple(variables),
        operators=tuple(operators),
        constants=tuple(name for name in _PAPER_CONSTANTS if name in NAMED_CONSTANTS),
        fitted_constants=False,
        max_length=30,
        predicates=DEFAULT_PREDICATES,
    )
