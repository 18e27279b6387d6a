"""MEGNet on the whole supercell: what one would run without knowing about defects.

MEGNet is Chen et al., Chem. Mater. 31, 3564 (2019), doi 10.1021/acs.chemmater.9b01294, in
the implementation of matgl. The network is matgl's; that most atoms of a supercell see the
same as others do is used to evaluate it faster, with the same result (`networks.collapse`).
"""

from __future__ import annotations

from typing import ClassVar

from matbench_segvae.algorithms.base import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.networks.base import ALL_ATOMS, GraphKind, GraphNetwork
from matbench_segvae.algorithms.networks.settings import MEGNetSettings
from matbench_segvae.algorithms.references import CHEN


class DenseMEGNet(GraphNetwork):
    """matgl's MEGNet on the graph of all atoms with a cutoff of 5 Å, trained by Lightning.

    Args:
        settings: How the network is built and trained.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="megnet_dense",
        algorithm_long=(
            "MEGNet of matgl on the graph of all atoms of the supercell with a cutoff of 5 Å; "
            "it is not told where the defects are. What is read out of a graph is standardised "
            "over a batch before the last layers, without which matgl's MEGNet predicts the "
            "mean for dozens of epochs. The epoch with the smallest error on a validation part "
            "of the training fold is kept."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(CHEN,),
        notes="For a classification the network is fitted to 0 and 1 and its output clipped.",
        packages=("matgl", "torch", "torch_geometric", "lightning", "pymatgen"),
    )
    defaults: ClassVar[MEGNetSettings] = MEGNetSettings(
        gain=1.5,
        standardise_readout=True,
        epochs=100,
        batch_size=16,
        predict_batch=32,
    )

    def kind_for(self, context: FoldContext) -> GraphKind:
        """The graph of all atoms, whatever the task."""
        return ALL_ATOMS
