"""The contestants, behind one small protocol and found through entry points."""

from matbench_segvae.algorithms.base import Algorithm, AlgorithmCard, FoldContext
from matbench_segvae.algorithms.registry import algorithm_names, create_algorithm

__all__ = ["Algorithm", "AlgorithmCard", "FoldContext", "algorithm_names", "create_algorithm"]
