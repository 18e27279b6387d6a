"""Algorithms behind one small protocol, found through entry points."""

from matbench_segvae.algorithms.protocol import Algorithm, AlgorithmCard, FoldContext
from matbench_segvae.algorithms.registry import algorithm_names, create_algorithm, keep_triton_out

# Here, because everything that loads torch's compiler is imported after this package.
keep_triton_out()


__all__ = ["Algorithm", "AlgorithmCard", "FoldContext", "algorithm_names", "create_algorithm"]
