"""MEGNet on the sparse defect graph: the graph network that formulas are held against.

MEGNet is Chen et al., Chem. Mater. 31, 3564 (2019), doi 10.1021/acs.chemmater.9b01294, in
the implementation of matgl; its sparse defect graph is Kazeev et al., npj Comput. Mater. 9,
113 (2023), doi 10.1038/s41524-023-01062-z. Importing matgl creates a cache folder
under the home directory, ``~/.cache/matgl``; nothing is downloaded or kept there.
"""

from __future__ import annotations

from typing import ClassVar

from matbench_segvae.algorithms.base import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.networks.base import (
    ALL_ATOMS,
    DEFECTS,
    GraphKind,
    GraphNetwork,
)
from matbench_segvae.algorithms.networks.settings import MEGNetSettings
from matbench_segvae.algorithms.references import CHEN, KAZEEV


class SparseMEGNet(GraphNetwork):
    """matgl's MEGNet, trained by Lightning.

    On the defect benchmark a structure becomes a graph of its defect sites alone: a node's
    type says what is there and what was there, edges join all defects and their in-plane
    images within 20 Å. On other structure tasks it is matgl's graph of all atoms.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="megnet",
        algorithm_long=(
            "MEGNet of matgl on the sparse defect graph: nodes are the defect sites, their type "
            "is the kind of defect, edges reach to 20 Å with in-plane periodic images. Where a "
            "task has no defects, the graph of all atoms with a cutoff of 5 Å. Three networks, "
            "each with its own start and validation part, are averaged; of each, the epoch with "
            "the smallest error on a validation part of the training fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(CHEN, KAZEEV),
        notes="For a classification the network is fitted to 0 and 1 and its output clipped.",
        packages=("matgl", "torch", "torch_geometric", "lightning", "pymatgen"),
    )

    # Chosen on structures put aside within the training parts of defects2d_mos2_v3.
    defaults: ClassVar[MEGNetSettings] = MEGNetSettings(
        sharpness=4.0, learning_rate=3e-3, settled=0.75, members=3
    )

    def kind_for(self, context: FoldContext) -> GraphKind:
        """The graph of the defects where there are some, else that of all atoms."""
        return DEFECTS if context.on_defects else ALL_ATOMS
