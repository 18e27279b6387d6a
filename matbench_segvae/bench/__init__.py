"""Benchmarks of the engine: recovery of known formulas, ablation, throughput and scaling."""

from matbench_segvae.bench.nguyen import NGUYEN, RecoveryProblem
from matbench_segvae.bench.recovery import Attempt, attempt, rounded

__all__ = ["NGUYEN", "Attempt", "RecoveryProblem", "attempt", "rounded"]
