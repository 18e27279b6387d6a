"""Formulas meet numbers: compiled evaluation, and fits of their constants."""
