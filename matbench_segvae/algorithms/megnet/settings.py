"""How a MEGNet is built and trained, with matgl or with the original package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MEGNetSettings:
    """How a network of matgl is built and trained.

    Attributes:
        defect_cutoff: Longest edge of the sparse defect graph, in Å.
        crystal_cutoff: Longest edge of the graph of all atoms, in Å.
        gaussian_sharpness: Distances enter through Gaussians
            ``exp(-gaussian_sharpness * (r - center)**2)``, in 1/Å²; matgl's default is 0.5.
        gain: Initial weights are drawn so that a layer changes the size of a signal by half
            of this, 2 keeping it; ``None`` leaves matgl's, under which it shrinks. A vacancy
            moves the averages over a whole supercell by so little that it would be lost on
            the way through twenty layers, and the network would learn nothing but the mean.
        standardise_readout: Whether the readout of a graph of all atoms is standardised over
            a batch before the last layers.
        members: Networks, each with its own initial weights and validation part, whose
            predictions are averaged.
        epochs: Passes over the training part, at the end of which the cosine schedule ends.
        warm_up: Epochs during which the learning rate grows to its full value.
        batch_size: Graphs per step.
        learning_rate: Largest step of Adam in the schedule.
        weight_decay: Share of the weights taken away per unit of the learning rate.
        loss: ``"l1_loss"``, ``"huber_loss"``, ``"smooth_l1_loss"`` or ``"mse_loss"``, in
            units of the targets' standard deviation.
        validation_share: Share of the training part that chooses the best epoch.
        validate_every: Epochs from one validation to the next.
        burn_in_share: Share of the epochs before which none is chosen. Early in the schedule
            the steps are large, and on a small validation part a chance minimum looks good.
        predict_batch: Graphs at once where no gradient is needed.
        threads: torch threads; graphs of a few nodes gain nothing from more than one.
    """

    # Graphs.
    defect_cutoff: float = 20.0
    crystal_cutoff: float = 5.0

    # Network.
    gaussian_sharpness: float = 0.5
    gain: float | None = None
    standardise_readout: bool = False
    members: int = 1

    # Training.
    epochs: int = 200
    warm_up: int = 0
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    loss: str = "l1_loss"

    # Choice of the best epoch.
    validation_share: float = 0.1
    validate_every: int = 2
    burn_in_share: float = 0.0

    # Computation.
    predict_batch: int = 128
    threads: int = 1


@dataclass(frozen=True)
class KerasSettings:
    """How a network of the original package is built and trained.

    Attributes:
        dense: Whether structures with defects become graphs of all atoms, too.
        defect_cutoff: Longest edge of the sparse defect graph, in Å.
        crystal_cutoff: Longest edge of the graph of all atoms, in Å.
        centers: Number of Gaussians that a distance is expanded in.
        width: Their width in Å, the package's own value.
        epochs: Largest number of passes over the training part; the cosine schedule's length.
        batch_size: Graphs per step.
        learning_rate: Adam's step at the start of the cosine schedule.
        loss: Name of a Keras loss, of targets in standard deviations.
        validation_share: Share of the training part that chooses the best epoch.
        burn_in_share: Share of the epochs before which none is chosen.
        patience: Epochs without a better validation error after which training ends.
    """

    # Graphs.
    dense: bool = False
    defect_cutoff: float = 20.0
    crystal_cutoff: float = 5.0

    # Network.
    centers: int = 100
    width: float = 0.5

    # Training.
    epochs: int = 200
    batch_size: int = 32
    learning_rate: float = 1e-3
    loss: str = "mae"

    # Choice of the best epoch.
    validation_share: float = 0.1
    burn_in_share: float = 0.5
    patience: int = 100
