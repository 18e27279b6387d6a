"""Settings of the network, the fits and the search, and the presets made of them.

Linear scaling: Keijzer, "Improving symbolic regression with interval arithmetic and linear
scaling", EuroGP 2003, LNCS 2610, 70, https://doi.org/10.1007/3-540-36599-0_7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import DEFAULT_PREDICATES, Grammar
from matbench_segvae.expressions.operators import NAMED_CONSTANTS


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Sizes of the network.

    Attributes:
        embedding: Size of a token's embedding.
        hidden: Size of the LSTM states.
        latent: Size of the latent vector.
        dropout: Share of embedding entries dropped in training.
    """

    embedding: int = 32
    hidden: int = 64
    latent: int = 32
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the network learns; the defaults are those of Popov et al. (2023).

    Attributes:
        learning_rate: Of Adam.
        betas: Of Adam.
        batch_size: Formulas per step.
        kl_weight: Weight of the Kullback-Leibler term beside the reconstruction.
    """

    # Optimiser
    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    batch_size: int = 256
    # Loss
    kl_weight: float = 0.5


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How hard to try to find a formula's constants.

    Every formula is screened; the best of a round are then polished.

    Attributes:
        screening_starts: Random starts for every formula and group.
        screening_steps: Steps from each of them, and of the joint fit after them.
        screening_rows: Rows of a table that random starts are tried on. Losses are always
            those of all rows.
        polished_share: Share of the formulas that are polished.
        polishing_starts: Random starts for those, beside where screening ended.
        polishing_steps: Steps from each of them, and of the joint fit after them.
        decay: Weight of the constants' squares, see
            :func:`~matbench_segvae.fitting.additive_problem.fit_constants`.
    """

    # Screening
    screening_starts: int = 3
    screening_steps: int = 6
    screening_rows: int = 128
    # Polishing
    polished_share: float = 0.1
    polishing_starts: int = 10
    polishing_steps: int = 15
    # Both
    decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How the network is pretrained, how a round of the search goes, and when it ends.

    Attributes:
        corpus_size: Random formulas to pretrain on.
        validation_size: Hold-out of random formulas, to measure the pretraining on.
        pretraining_epochs: Passes over the corpus.
        network: Sizes of the network.
        training: How the network learns, in pretraining and in the search.
        samples: Formulas of a round: samples of the network and mutations.
        generator: What writes the formulas that are no mutations: the ``"network"``, or chance,
            ``"random"``, as the corpus was written. Then no network is trained.
        grammar_mask: Whether the grammar's mask makes every sample a complete formula.
            Without it samples that are not formulas are discarded.
        local_share: Share of the samples drawn around the latent vectors of the elite
            instead of from the prior.
        local_noise: Standard deviation of the noise around them.
        mutation_share: Share of a round's formulas that are mutations of the best ones
            instead of samples of the network; none in the first round. With 1, for which the
            generator has to be ``"random"``, all of them are from the second round on.
        term_share: Share of the random mutations that add, drop or exchange a whole term of a
            sum, for sums whose terms are fitted with coefficients of their own.
        discard_duplicates: Whether formulas numerically equivalent to earlier ones, up to a
            factor, are discarded; only with linear scaling. A formula with the same tokens
            is never scored twice.
        linear_scaling: Whether formulas for a table get the best factor and offset before
            they are compared with the target (Keijzer 2003). Without it they are compared
            as they stand and hold no fitted constants.
        recent_rounds: Rounds whose formulas compete for the elite.
        elite_share: Size of the elite, as a share of the samples of the recent rounds.
        hall_of_fame: Best formulas of all rounds that stay in the elite however old they are.
        elite_passes: Times the network is trained on the elite in a round; with 0 it stays as it
            was pretrained.
        epochs: Most rounds of sampling and retraining.
        target_loss: The search ends once a loss is not above this.
        patience: Rounds without a better loss after which the search ends; ``None`` for
            no such end.
        max_seconds: Time after which the search ends with the round it is in; ``None``
            for no limit.

    Raises:
        UserError: If a number is out of its range.
    """

    # Pretraining
    corpus_size: int = 10_000
    validation_size: int = 500
    pretraining_epochs: int = 10
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    # Sampling, mutations and scoring
    samples: int = 2000
    generator: Literal["network", "random"] = "network"
    grammar_mask: bool = True
    local_share: float = 0.0
    local_noise: float = 0.5
    mutation_share: float = 0.8
    term_share: float = 0.0
    discard_duplicates: bool = True
    linear_scaling: bool = True

    # Population and retraining
    recent_rounds: int = 5
    elite_share: float = 0.02
    hall_of_fame: int = 0
    elite_passes: int = 1

    # When the search ends
    epochs: int = 60
    target_loss: float = 0.0
    patience: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("corpus_size", "epochs", "samples", "recent_rounds"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("pretraining_epochs", "validation_size", "hall_of_fame", "elite_passes"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _require(0 < self.elite_share <= 1, "elite_share", self.elite_share, "above 0, at most 1")
        for name in ("local_share", "mutation_share", "term_share"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "from 0 to 1")
        kept = self.mutation_share < 1 or self.generator == "random"
        allowed = "below 1, unless the generator is 'random'"
        _require(kept, "mutation_share", self.mutation_share, allowed)
        known = self.generator in ("network", "random")
        _require(known, "generator", self.generator, "'network' or 'random'")
        _require(self.local_noise >= 0, "local_noise", self.local_noise, "at least 0")
        if self.patience is not None:
            _require(self.patience >= 1, "patience", self.patience, "at least 1, or None")
        if self.max_seconds is not None:
            _require(self.max_seconds > 0, "max_seconds", self.max_seconds, "above 0, or None")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise UserError(f"SearchSettings: {name} is {value!r}, it has to be {allowed}")


PresetName = Literal["default", "paper"]

_PAPER_LATENTS = (8, 128)
_PAPER_CONSTANTS = ("-1", *(str(n) for n in range(1, 11)), "e", "pi")


def preset(name: PresetName = "default", latent: int | None = None) -> SearchSettings:
    """Settings of a search.

    ``"paper"`` is the method of Popov, Lazarev, Belavin, Derkach and Ustyuzhanin, PeerJ
    Computer Science 9:e1241 (2023): 40,000 random formulas and 10,000 to validate on, 50
    epochs; then 5,000 samples an epoch from the prior, without a mask, of which those that
    are formulas are scored as they stand, and the network is trained once on the best 5 %
    of the last five epochs; how many such epochs there are is our choice. ``"default"``
    masks the samples, fits constants, factor and offset, and mutates good formulas as well.

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
        network=NetworkSettings(embedding=128, hidden=128, latent=latent or most, dropout=0.1),
        training=TrainingSettings(
            learning_rate=5e-4, betas=(0.5, 0.999), kl_weight=0.5, batch_size=256
        ),
        samples=5_000,
        grammar_mask=False,
        mutation_share=0.0,
        discard_duplicates=False,
        linear_scaling=False,
        recent_rounds=5,
        elite_share=0.05,
        elite_passes=1,
        epochs=50,
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
