"""Pair laws: their energies, their search, and what is stored of them."""
