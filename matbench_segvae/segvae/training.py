"""The network as a Lightning module, and the batches it is trained on."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import torch

from matbench_segvae.segvae.network import ExpressionVAE
from matbench_segvae.segvae.settings import NetworkSettings, TrainingSettings


class Batches:
    """Formulas in a random order, cut into batches.

    A loader for Lightning that a checkpoint in the middle of an epoch can be resumed from,
    and quicker than torch's, which puts batches together row by row.

    Args:
        ids: Ids, shape ``(N, T)``.
        batch_size: Rows in a batch; the last one may have fewer.
        seed: Seed of the order; ``None`` keeps the order as it is.
    """

    def __init__(self, ids: torch.Tensor, batch_size: int, seed: int | None = None) -> None:
        if seed is not None:
            ids = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))]
        self._batches = torch.split(ids, batch_size)  # one empty batch, if there are no rows
        self._first = 0  # of the next pass
        self._n_given = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[torch.Tensor]:
        first, self._first = self._first, 0
        for number in range(first, len(self)):
            self._n_given = number + 1
            yield self._batches[number]

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch were given."""
        return {"given": self._n_given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the batches that were given."""
        self._first = state["given"]


class SEGVAEModule(L.LightningModule):
    """The network, its loss and its optimiser."""

    def __init__(self, n_tokens: int, network: NetworkSettings, training: TrainingSettings) -> None:
        super().__init__()
        self.network = ExpressionVAE(n_tokens, network)
        self.training_settings = training

    def _shared_step(self, ids: torch.Tensor, prefix: str) -> torch.Tensor:
        """Reconstruction cross-entropy per formula plus the weighted KL divergence.

        Args:
            ids: Ids, shape ``(B, T)``.
            prefix: Of the names under which the terms are logged, per epoch.
        """
        reconstruction, mean, log_variance = self.network.reconstruction(ids)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        loss: torch.Tensor = reconstruction + self.training_settings.kl_weight * divergence
        terms = {"reconstruction": reconstruction, "divergence": divergence, "loss": loss}
        named = {prefix + name: value for name, value in terms.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(ids))
        return loss

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor | None:
        """One step on a batch of ids, shape ``(B, T)``; none if it is empty."""
        return self._shared_step(batch, "") if len(batch) else None

    def validation_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """The loss of a batch of the hold-out, shape ``(B, T)``."""
        return self._shared_step(batch, "validation_")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        settings = self.training_settings
        return torch.optim.Adam(self.parameters(), lr=settings.learning_rate, betas=settings.betas)
