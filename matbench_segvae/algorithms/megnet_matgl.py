"""The parts of matgl that are used here, imported in one place.

TensorFlow and triton, which torch's compiler loads, each bring an LLVM of their own, and the
second one to be loaded ends the process. matgl loads triton; beside a TensorFlow that is there
already it does without, as on machines that have no triton.
"""

from __future__ import annotations

import sys

if "tensorflow" in sys.modules:
    # What Python takes for a package that cannot be imported.
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]

from matgl.ext.pymatgen import Structure2Graph, get_element_list
from matgl.graph.converters import GraphConverter
from matgl.layers import EdgeSet2Set, MEGNetBlock, Set2SetReadOut
from matgl.models import MEGNet

__all__ = [
    "EdgeSet2Set",
    "GraphConverter",
    "MEGNet",
    "MEGNetBlock",
    "Set2SetReadOut",
    "Structure2Graph",
    "get_element_list",
]
