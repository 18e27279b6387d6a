"""The network of SEGVAE: a variational autoencoder over sequences of tokens.

After Popov, Lazarev, Belavin, Derkach and Ustyuzhanin, "Symbolic expression generation
via variational auto-encoder", PeerJ Computer Science 9:e1241 (2023): a bidirectional
LSTM reads a formula into a normal distribution over latent vectors, and an LSTM that
sees the latent vector at every step writes a formula from a sample of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

# Given the ids written so far, shape (B, t), says which may come next, shape (B, n_tokens).
NextTokens = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the network.

    Attributes:
        embedding: Size of a token's embedding.
        hidden: Size of the LSTM states.
        latent: Size of the latent vector.
        dropout: Share of embedding entries dropped in training.
    """

    embedding: int = 64
    hidden: int = 96
    latent: int = 32
    dropout: float = 0.1


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
        self.encoder = nn.LSTM(
            settings.embedding, settings.hidden, batch_first=True, bidirectional=True
        )
        self.to_mean = nn.Linear(2 * settings.hidden, settings.latent)
        self.to_log_variance = nn.Linear(2 * settings.hidden, settings.latent)
        self.decoder = nn.LSTM(
            settings.embedding + settings.latent, settings.hidden, batch_first=True
        )
        self.to_logits = nn.Linear(settings.hidden, n_tokens)

    def encode(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of the latent vector, shape ``(B, latent)`` each."""
        lengths = (ids != 0).sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.embedding(ids)), lengths, batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.encoder(packed)  # state: (2, B, hidden)
        both = torch.cat([state[0], state[1]], dim=1)
        return self.to_mean(both), self.to_log_variance(both)

    def decode(self, ids: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Logits of every token given the ones before it, shape ``(B, T, n_tokens)``."""
        before = torch.cat([torch.zeros_like(ids[:, :1]), ids[:, :-1]], dim=1)
        steps = self.dropout(self.embedding(before))
        inputs = torch.cat([steps, latent[:, None].expand(-1, ids.shape[1], -1)], dim=2)
        hidden, _ = self.decoder(inputs)
        logits: torch.Tensor = self.to_logits(hidden)
        return logits

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits, mean and log-variance for a batch of sequences."""
        mean, log_variance = self.encode(ids)
        latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decode(ids, latent), mean, log_variance

    @torch.no_grad()
    def sample(
        self,
        latent: torch.Tensor,
        max_length: int,
        allowed: NextTokens,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Write one formula for each latent vector, token by token.

        Args:
            latent: Latent vectors, shape ``(B, latent)``.
            max_length: Number of tokens to write.
            allowed: Which tokens may follow; the others get probability 0.
            generator: Source of randomness.

        Returns:
            Ids, shape ``(B, max_length)``.
        """
        ids = torch.zeros(len(latent), 0, dtype=torch.long, device=latent.device)
        token = ids.new_zeros(len(latent), 1)
        state = None
        for _ in range(max_length):
            step = torch.cat([self.embedding(token), latent[:, None]], dim=2)
            hidden, state = self.decoder(step, state)
            logits = self.to_logits(hidden[:, 0])
            logits = logits.masked_fill(~allowed(ids), -torch.inf)
            token = torch.multinomial(logits.softmax(1), 1, generator=generator)
            ids = torch.cat([ids, token], dim=1)
            if not token.any():
                break
        return nn.functional.pad(ids, (0, max_length - ids.shape[1]))
