"""How a MEGNet of matgl is built and trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MEGNetSettings:
    """How the network is built and trained.

    Attributes:
        defect_cutoff: Longest edge of the sparse defect graph, in Å.
        crystal_cutoff: Longest edge of the graph of all atoms, in Å.
        sharpness: Distances enter through Gaussians ``exp(-sharpness * (r - center)**2)``,
            in 1/Å²; matgl's default is 0.5.
        gain: Initial weights are drawn so that a layer changes the size of a signal by half
            of this, 2 keeping it; ``None`` leaves matgl's, under which it shrinks. A vacancy
            moves the averages over a whole supercell by so little that it would be lost on
            the way through twenty layers, and the network would learn nothing but the mean.
        standardise_readout: Whether what is read out of a graph of all atoms is standardised
            over a batch before the last layers.
        epochs: Passes over the training part, at the end of which the cosine schedule ends.
        warm_up: Epochs during which the learning rate grows to its full value.
        batch_size: Graphs per step.
        predict_batch: Graphs at once where no gradient is needed.
        learning_rate: Largest step of Adam in the schedule.
        weight_decay: Share of the weights taken away per unit of the learning rate.
        loss: ``"l1_loss"``, ``"huber_loss"``, ``"smooth_l1_loss"`` or ``"mse_loss"``, in
            units of the targets' standard deviation.
        validate_every: Epochs from one look at the validation part to the next.
        validation_share: Share of the training part kept aside to choose the best epoch.
        settled: Share of the epochs before which none is chosen. Early in the schedule the
            steps are large, and on a small validation part a lucky one looks good.
        members: Networks, each with its own start and validation part, whose predictions
            are averaged.
        threads: torch threads; graphs of a few nodes gain nothing from more than one.
    """

    defect_cutoff: float = 20.0
    crystal_cutoff: float = 5.0
    sharpness: float = 0.5
    gain: float | None = None
    standardise_readout: bool = False
    epochs: int = 200
    warm_up: int = 0
    batch_size: int = 32
    predict_batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    loss: str = "l1_loss"
    validate_every: int = 2
    validation_share: float = 0.1
    settled: float = 0.0
    members: int = 1
    threads: int = 1
