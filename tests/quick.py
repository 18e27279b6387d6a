"""Searches that take seconds."""

from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.segvae import SearchSettings
from matbench_segvae.segvae.settings import NetworkSettings

PAIR_LAWS = PairLawSettings(
    SearchSettings(
        corpus_size=800,
        pretraining_epochs=2,
        epochs=3,
        samples=250,
        network=NetworkSettings(embedding=16, hidden=32, latent=8),
    ),
    candidates=4,
    bootstrap_samples=5,
)
