"""Training the network with Lightning, on random formulas first, then on the elite."""

from __future__ import annotations

from dataclasses import dataclass

import lightning as L
import torch

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

    def _shared_step(self, ids: torch.Tensor, prefix: str) -> torch.Tensor:
        """Reconstruction cross-entropy per formula plus the weighted KL divergence.

        Args:
            ids: Ids, shape ``(B, T)``.
            prefix: Of the names under which the parts are logged, per epoch.
        """
        reconstruction, mean, log_variance = self.network.reconstruction(ids)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        loss: torch.Tensor = reconstruction + self.training_settings.kl_weight * divergence
        figures = {"reconstruction": reconstruction, "divergence": divergence, "loss": loss}
        named = {prefix + name: value for name, value in figures.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(ids))
        return loss

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """One step on a batch of ids, shape ``(B, T)``."""
        return self._shared_step(batch, "")

    def validation_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """The loss of a batch that is not learned, shape ``(B, T)``."""
        return self._shared_step(batch, "validation_")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        settings = self.training_settings
        return torch.optim.Adam(self.parameters(), lr=settings.learning_rate, betas=settings.betas)
