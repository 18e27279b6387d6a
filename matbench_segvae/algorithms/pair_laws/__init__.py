"""Pair laws: pair energies, the search, and laws as they are stored."""
