"""Readable formulas beside graph networks on Matbench.

Importing the package is light: torch and matbench are loaded by the parts that need
them, :mod:`matbench_segvae.segvae` and :mod:`matbench_segvae.benchmark`.
"""

from importlib.metadata import version

from matbench_segvae.errors import UserError

__all__ = ["UserError", "__version__"]

__version__ = version("matbench_segvae")
