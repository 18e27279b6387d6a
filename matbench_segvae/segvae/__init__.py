"""SEGVAE: symbolic expression generation via variational autoencoder."""

from matbench_segvae.segvae.additive import AdditiveObjective, FitSettings
from matbench_segvae.segvae.module import SEGVAEModule, TrainingSettings
from matbench_segvae.segvae.network import NetworkSettings
from matbench_segvae.segvae.objective import Objective, Scored
from matbench_segvae.segvae.presets import paper_grammar, preset
from matbench_segvae.segvae.pretraining import pretrain, pretrained
from matbench_segvae.segvae.search import search
from matbench_segvae.segvae.settings import SearchSettings

__all__ = [
    "AdditiveObjective",
    "FitSettings",
    "NetworkSettings",
    "Objective",
    "SEGVAEModule",
    "Scored",
    "SearchSettings",
    "TrainingSettings",
    "paper_grammar",
    "preset",
    "pretrain",
    "pretrained",
    "search",
]
