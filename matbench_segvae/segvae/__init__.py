"""SEGVAE: symbolic expression generation via variational autoencoder."""

from matbench_segvae.segvae.objective import AdditiveObjective, FitSettings, Objective, Scored
from matbench_segvae.segvae.search import SearchSettings, pretrain, search

__all__ = [
    "AdditiveObjective",
    "FitSettings",
    "Objective",
    "Scored",
    "SearchSettings",
    "pretrain",
    "search",
]
