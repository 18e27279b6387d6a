"""Trials of the engine: does it find known formulas, and how fast is it."""

from matbench_segvae.bench.nguyen import NGUYEN, RecoveryProblem
from matbench_segvae.bench.recovery import Attempt, attempt, rounded

__all__ = ["NGUYEN", "Attempt", "RecoveryProblem", "attempt", "rounded"]
