"""Plots: predictions against truth, pair laws, fits of tables."""
