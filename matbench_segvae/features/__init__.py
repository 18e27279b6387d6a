"""Structures and compositions as tables of named, physical features."""

from matbench_segvae.features.names import unit_of
from matbench_segvae.features.table import feature_names, feature_table

__all__ = ["feature_names", "feature_table", "unit_of"]
