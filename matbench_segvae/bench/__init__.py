"""Benchmarks of the engine: recovery of known formulas, ablation, throughput, scaling."""
