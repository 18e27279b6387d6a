"""Readable formulas beside graph networks on Matbench.

Importing the package is light: torch and matbench are loaded by the subpackages that need
them, :mod:`matbench_segvae.segvae` and :mod:`matbench_segvae.benchmark`, and by the first
use of :class:`SEGVAERegressor` or :func:`fit_law`.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from matbench_segvae.errors import UserError

if TYPE_CHECKING:
    from matbench_segvae.algorithms.pair_laws.fit_law import fit_law
    from matbench_segvae.regressor.regressor import SEGVAERegressor

__all__ = ["SEGVAERegressor", "UserError", "__version__", "fit_law"]
__version__ = version("matbench_segvae")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load the estimator or the fit of laws, and torch with it, when it is first used."""
    if name == "SEGVAERegressor":
        from matbench_segvae.regressor.regressor import SEGVAERegressor

        return SEGVAERegressor
    if name == "fit_law":
        from matbench_segvae.algorithms.pair_laws.fit_law import fit_law

        return fit_law
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, including the one that is not yet loaded."""
    return sorted({*globals(), *__all__})
