"""The network of SEGVAE: a variational autoencoder over sequences of tokens.

After Popov, Lazarev, Belavin, Derkach and Ustyuzhanin, "Symbolic expression generation
via variational auto-encoder", PeerJ Computer Science 9:e1241 (2023): a bidirectional
LSTM encodes a formula as a normal distribution over latent vectors, and an LSTM that
sees the latent vector at every step decodes a sample of it into a formula.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from matbench_segvae.segvae.lstm import LSTM, Packing
from matbench_segvae.segvae.settings import NetworkSettings

# Which tokens may come next, shape (B, n_tokens), given the ids so far, shape (B, t).
NextTokens = Callable[[torch.Tensor], torch.Tensor]


class ExpressionVAE(nn.Module):
    """LSTM variational autoencoder over token sequences.

    Sequences are ids of shape ``(B, T)`` filled with 0, the end token, which also stands
    for the token before the first one.
    """

    def __init__(self, n_tokens: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(n_tokens, settings.embedding)
        self.dropout = nn.Dropout(settings.dropout)
        self.forward_encoder = LSTM(settings.embedding, settings.hidden)
        self.backward_encoder = LSTM(settings.embedding, settings.hidden)
        self.to_mean = nn.Linear(2 * settings.hidden, settings.latent)
        self.to_log_variance = nn.Linear(2 * settings.hidden, settings.latent)
        self.decoder = LSTM(settings.embedding + settings.latent, settings.hidden)
        self.to_logits = nn.Linear(settings.hidden, n_tokens)

    def encode(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of the latent vector, shape ``(B, latent)`` each."""
        lengths = (ids != 0).sum(1).clamp(min=1)
        packing = Packing.of(lengths)
        mirrored = lengths[packing.rows] - 1 - packing.steps
        states = [
            encoder(self.dropout(self.embedding(ids[packing.rows, steps])), packing.sizes)
            for encoder, steps in (
                (self.forward_encoder, packing.steps),
                (self.backward_encoder, mirrored),
            )
        ]
        both = torch.cat([state[packing.last] for state in states], dim=1)
        return self.to_mean(both), self.to_log_variance(both)

    def decode(self, ids: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Logits of every token given the ones before it, shape ``(B, T, n_tokens)``."""
        n_rows, length = ids.shape
        packing = Packing.of(torch.full((n_rows,), length, device=ids.device))
        logits = ids.new_empty(n_rows, length, self.to_logits.out_features, dtype=latent.dtype)
        logits[packing.rows, packing.steps] = self._logits(ids, latent, packing)
        return logits

    def _logits(self, ids: torch.Tensor, latent: torch.Tensor, packing: Packing) -> torch.Tensor:
        """Logits of the packed tokens, shape ``(N, n_tokens)``."""
        before = functional.pad(ids[:, :-1], (1, 0))[packing.rows, packing.steps]
        inputs = torch.cat([self.dropout(self.embedding(before)), latent[packing.rows]], dim=1)
        logits: torch.Tensor = self.to_logits(self.decoder(inputs, packing.sizes))
        return logits

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits, mean and log-variance for a batch of sequences."""
        mean, log_variance = self.encode(ids)
        return self.decode(ids, _draw(mean, log_variance)), mean, log_variance

    def reconstruction(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cross-entropy of formulas decoded from their own latent vectors.

        The first end token counts, the padding after it does not, and is not computed:
        most formulas are much shorter than the longest.

        Returns:
            Sum over a formula's tokens, averaged over the batch; mean and log-variance of
            the latent vectors, shape ``(B, latent)`` each.
        """
        mean, log_variance = self.encode(ids)
        packing = Packing.of(((ids != 0).sum(1) + 1).clamp(max=ids.shape[1]))
        logits = self._logits(ids, _draw(mean, log_variance), packing)
        targets = ids[packing.rows, packing.steps]
        entropy = functional.cross_entropy(logits, targets, reduction="sum")
        return entropy / len(ids), mean, log_variance

    @torch.no_grad()
    def sample(
        self,
        latent: torch.Tensor,
        max_length: int,
        allowed: NextTokens | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Sample one formula for each latent vector, token by token.

        Args:
            latent: Latent vectors, shape ``(B, latent)``.
            max_length: Most tokens of a formula.
            allowed: Which tokens may follow; the others get probability 0. Without it
                every token may, and a sample need not be a formula.
            generator: Source of randomness, on the device of the latent vectors.

        Returns:
            Ids, shape ``(B, max_length)``.
        """
        ids = torch.zeros(len(latent), max_length, dtype=torch.long, device=latent.device)
        # The terms of a token and of a latent vector in the gates are the same at every step.
        weight, bias = self.decoder.from_input.weight, self.decoder.from_input.bias
        of_token = weight[:, : self.settings.embedding]
        of_latent = weight[:, self.settings.embedding :]
        by_token = torch.addmm(bias, self.embedding.weight, of_token.t())
        by_latent = latent @ of_latent.t()
        hidden = latent.new_zeros(len(latent), self.settings.hidden)
        cell = hidden
        rows = torch.arange(len(latent), device=latent.device)
        token = ids.new_zeros(len(latent))
        for step in range(max_length):
            hidden, cell = self.decoder.step(by_token[token] + by_latent, (hidden, cell))
            logits = self.to_logits(hidden)
            if allowed is not None:
                logits = logits.masked_fill(~allowed(ids[rows, :step]), -torch.inf)
            token = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
            ids[rows, step] = token
            # Most formulas are short: continue with those that have not ended.
            going = token != 0
            if not going.any():
                break
            rows, token, by_latent = rows[going], token[going], by_latent[going]
            hidden, cell = hidden[going], cell[going]
        return ids


def _draw(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Latent vectors from normal distributions."""
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
