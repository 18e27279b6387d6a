"""The contestants, behind one small protocol and found through entry points."""

from matbench_segvae.algorithms.base import Algorithm, AlgorithmCard, FoldContext
from matbench_segvae.algorithms.networks.llvm import keep_triton_out
from matbench_segvae.algorithms.registry import algorithm_names, create_algorithm

# Here, because everything that loads torch's compiler is imported after this package.
keep_triton_out()

__all__ = ["Algorithm", "AlgorithmCard", "FoldContext", "algorithm_names", "create_algorithm"]
