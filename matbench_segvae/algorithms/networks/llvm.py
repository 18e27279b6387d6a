"""TensorFlow and triton in one process.

Both bring an LLVM of their own, and the second one to be loaded ends the process. Torch's
compiler, which torch_geometric and matgl load, asks for triton but does without it, as on
machines that have none.
"""

from __future__ import annotations

import sys


def keep_triton_out() -> None:
    """Let nothing load triton from now on, if TensorFlow is there already and triton is not."""
    if "tensorflow" in sys.modules:
        # What Python takes for a package that cannot be imported.
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
