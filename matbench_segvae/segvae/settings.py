"""How a search goes: its settings, frozen so that they can be saved with the results."""

from __future__ import annotations

from dataclasses import dataclass, field

from matbench_segvae.errors import UserError
from matbench_segvae.segvae.module import TrainingSettings
from matbench_segvae.segvae.network import NetworkSettings


@dataclass(frozen=True)
class SearchSettings:
    """How the network is pretrained and how long the search goes on.

    Attributes:
        corpus_size: Random formulas to pretrain on.
        pretraining_epochs: Passes over them.
        epochs: Most rounds of sampling and retraining.
        samples: Formulas written in a round.
        kept_share: Elite of the recent rounds, as a share of the samples in them.
        memory: Rounds that count as recent.
        passes: Times the network sees the elite in a round.
        network: Sizes of the network.
        training: How the network learns.
        validation_size: Further random formulas, to measure the pretraining on.
        masked: Whether the grammar's mask keeps every sample a complete formula. Without
            it samples that are not formulas are thrown away.
        deduplicated: Whether formulas that only say in other words what was said before are
            thrown away, told by their values up to a factor; only where they are scaled.
            The same words are never scored twice.
        scaled: Whether formulas for a table get a factor and an offset. Without, they are
            compared with the target as they stand and hold no fitted constants.
        champions: Best formulas of all rounds that stay in the elite however old they are.
        local_share: Share of the samples drawn around the latent vectors of the elite
            instead of from the prior.
        local_noise: Standard deviation of the noise around them.
        changed_share: Share of a round's formulas that are small changes to the best ones
            instead of samples of the network; none in the first round.
        target_loss: The search ends once a loss is not above this.
        patience: Rounds without a better loss after which the search ends; ``None`` for
            no such end.
        max_seconds: Time after which the search ends with the round it is in; ``None``
            for no limit.

    Raises:
        UserError: If a number is out of its range.
    """

    corpus_size: int = 10_000
    pretraining_epochs: int = 10
    epochs: int = 60
    samples: int = 2000
    kept_share: float = 0.02
    memory: int = 5
    passes: int = 1
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    validation_size: int = 500
    masked: bool = True
    deduplicated: bool = True
    scaled: bool = True
    champions: int = 0
    local_share: float = 0.0
    local_noise: float = 0.5
    changed_share: float = 0.8
    target_loss: float = 0.0
    patience: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("corpus_size", "epochs", "samples", "memory", "passes"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("pretraining_epochs", "validation_size", "champions"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _require(0 < self.kept_share <= 1, "kept_share", self.kept_share, "above 0, at most 1")
        _require(0 <= self.local_share <= 1, "local_share", self.local_share, "from 0 to 1")
        _require(
            0 <= self.changed_share < 1, "changed_share", self.changed_share, "from 0 to below 1"
        )
        _require(self.local_noise >= 0, "local_noise", self.local_noise, "at least 0")
        if self.patience is not None:
            _require(self.patience >= 1, "patience", self.patience, "at least 1, or None")
        if self.max_seconds is not None:
            _require(self.max_seconds > 0, "max_seconds", self.max_seconds, "above 0, or None")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise UserError(f"SearchSettings: {name} is {value!r}, it has to be {allowed}")
