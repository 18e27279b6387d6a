"""Training the network with Lightning, on random formulas first, then on the elite."""

from __future__ import annotations

from dataclasses import dataclass

import lightning as L
import torch
from torch.nn import functional as F

from matbench_segvae.segvae.network import ExpressionVAE, NetworkSettings


@dataclass(frozen=True)
class TrainingSettings:
    """How the network learns; the defaults are those of Popov et al. (2023).

    Attributes:
        learning_rate: Of Adam.
        betas: Of Adam.
        kl_weight: Weight of the Kullback-Leibler term beside the reconstruction.
        batch_size: Formulas per step.
    """

    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    kl_weight: float = 0.5
    batch_size: int = 256


class SEGVAEModule(L.LightningModule):
    """The network, its loss and its optimiser."""

    def __init__(self, n_tokens: int, network: NetworkSettings, training: TrainingSettings) -> None:
        super().__init__()
        self.network = ExpressionVAE(n_tokens, network)
        self.training_settings = training

    def _loss(self, ids: torch.Tensor) -> torch.Tensor:
        """Reconstruction cross-entropy per formula plus the weighted KL divergence."""
        logits, mean, log_variance = self.network(ids)
        # The first end token is learned too, the filling behind it is not.
        counts = torch.cat([torch.ones_like(ids[:, :1]), ids[:, :-1]], dim=1) != 0
        entropy = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")
        reconstruction = (entropy.view_as(ids) * counts).sum(1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        self.log("reconstruction", reconstruction)
        self.log("divergence", divergence)
        total: torch.Tensor = reconstruction + self.training_settings.kl_weight * divergence
        return total

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """One step on a batch of ids, shape ``(B, T)``."""
        loss = self._loss(batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        settings = self.training_settings
        return torch.optim.Adam(self.parameters(), lr=settings.learning_rate, betas=settings.betas)
