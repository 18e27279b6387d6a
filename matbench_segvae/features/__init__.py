"""Structures and compositions as tables of named, physical features."""

from matbench_segvae.features.featurize import feature_names, feature_table
from matbench_segvae.features.names import unit_of

__all__ = ["feature_names", "feature_table", "unit_of"]
