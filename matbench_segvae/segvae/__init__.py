"""SEGVAE: symbolic expression generation via variational autoencoder."""

from matbench_segvae.segvae.pretraining import pretrain, pretrained
from matbench_segvae.segvae.scoring import AdditiveObjective, Criteria, Objective, Scored
from matbench_segvae.segvae.search import Search
from matbench_segvae.segvae.settings import (
    FitSettings,
    NetworkSettings,
    SearchSettings,
    TrainingSettings,
    paper_grammar,
    preset,
)
from matbench_segvae.segvae.training import SEGVAEModule

__all__ = [
    "AdditiveObjective",
    "Criteria",
    "FitSettings",
    "NetworkSettings",
    "Objective",
    "SEGVAEModule",
    "Scored",
    "Search",
    "SearchSettings",
    "TrainingSettings",
    "paper_grammar",
    "preset",
    "pretrain",
    "pretrained",
]
