"""Pretraining on random formulas, and a cache on disk of pretrained networks."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from matbench_segvae.expressions import Grammar
from matbench_segvae.files import cache_folder, require_regular, written_whole
from matbench_segvae.lightning_tools import (
    SeededSteps,
    TrainerOptions,
    isolated,
    resumable_trainer,
    run_trainer,
)
from matbench_segvae.seeding import derived_seed
from matbench_segvae.segvae.random_formulas import random_formulas
from matbench_segvae.segvae.settings import SearchSettings
from matbench_segvae.segvae.training import Batches, SEGVAEModule


class CorpusData(L.LightningDataModule):
    """Random formulas to pretrain on, and a hold-out to measure the pretraining on.

    Args:
        grammar: The language.
        settings: Sizes.
        seed: Seed of the formulas and of their order in each epoch.
    """

    def __init__(self, grammar: Grammar, settings: SearchSettings, seed: int) -> None:
        super().__init__()
        n_formulas = settings.corpus_size + settings.validation_size
        ids = torch.from_numpy(random_formulas(grammar, n_formulas, seed))
        # A small language may have fewer formulas: split them in proportion.
        n_training = max(1, round(len(ids) * settings.corpus_size / n_formulas))
        self.training, self.validation = ids[:n_training], ids[n_training:]
        self._batch_size = settings.training.batch_size
        self._seed = seed

    def train_dataloader(self) -> Batches:
        """The training formulas in the order of this epoch."""
        assert self.trainer is not None
        seed = derived_seed(self._seed, "corpus", self.trainer.current_epoch)
        return Batches(self.training, self._batch_size, seed)

    def val_dataloader(self) -> Batches | list[Any]:
        """The hold-out; no batches if it is empty."""
        return Batches(self.validation, self._batch_size) if len(self.validation) else []


Weights = dict[str, torch.Tensor]

# To be raised when the network, its training or the corpus changes.
_FORMAT = 3

_PRETRAINING = ("corpus_size", "validation_size", "pretraining_epochs", "network", "training")

# May differ when a search is resumed: they only decide when it ends.
_ENDS = ("epochs", "target_loss", "patience", "max_seconds")

# Folds and seeds of one run use few different networks.
_MOST_IN_PROCESS = 4

_in_process: dict[tuple[str, str], Weights] = {}


def pretrain(
    grammar: Grammar,
    settings: SearchSettings,
    seed: int,
    trainer_options: TrainerOptions | None = None,
) -> SEGVAEModule:
    """Train a new network on random formulas of a grammar.

    Each epoch's ``loss``, ``reconstruction`` and ``divergence``, and ``validation_loss`` on
    the hold-out, go to the trainer's loggers.

    Args:
        grammar: The language of the formulas.
        settings: Sizes and lengths.
        seed: Seed of the formulas, the initial weights and the training.
        trainer_options: Arguments of :class:`lightning.Trainer` beside or in place of ours,
            which write and print nothing.
    """
    data = CorpusData(grammar, settings, seed)
    with isolated(seed):
        module = SEGVAEModule(len(grammar.tokens), settings.network, settings.training)
        trainer = resumable_trainer(
            settings.pretraining_epochs, [SeededSteps(seed)], trainer_options
        )
        run_trainer(trainer, module, data)
    return module


def pretrained(grammar: Grammar, settings: SearchSettings, seed: int = 0) -> SEGVAEModule:
    """A network trained as :func:`pretrain` does, from the cache if it was trained before.

    The cache is the folder ``networks`` in the user's cache folder, or in the folder that
    ``MATBENCH_SEGVAE_CACHE`` names. A file in it that is damaged, or does not hold what its
    name stands for, is written anew; where nothing can be written, there is no cache.

    Args:
        grammar: The language of the formulas.
        settings: Sizes and lengths; those of the search itself do not matter.
        seed: Seed of the formulas, the initial weights and the training; the same for all
            searches by default, so that they share a network.
    """
    identity = _identity(grammar, {name: asdict(settings)[name] for name in _PRETRAINING}, seed)
    folder = cache_folder() / "networks"
    name = hashlib.sha256(identity.encode()).hexdigest()
    path = folder / f"{name}.pt"
    weights = _in_process.get((str(folder), identity)) or _read(path, identity)
    module = SEGVAEModule(len(grammar.tokens), settings.network, settings.training)
    if weights is None or not _matches(weights, module):
        weights = _copy(pretrain(grammar, settings, seed).state_dict())
        _write(path, identity, weights)
    _in_process.pop((str(folder), identity), None)
    while len(_in_process) >= _MOST_IN_PROCESS:
        del _in_process[next(iter(_in_process))]
    _in_process[str(folder), identity] = weights
    module.load_state_dict(weights)
    return module


def identity_of_search(grammar: Grammar, settings: SearchSettings, seed: int) -> str:
    """A sha256 of all that a search depends on, except when it ends."""
    chosen = {name: value for name, value in asdict(settings).items() if name not in _ENDS}
    return hashlib.sha256(_identity(grammar, chosen, seed).encode()).hexdigest()


def _identity(grammar: Grammar, settings: dict[str, Any], seed: int) -> str:
    """Everything that a network depends on, as JSON with one spelling."""
    content = {
        "format": _FORMAT,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "seed": seed,
        "settings": settings,
        "tokens": list(grammar.tokens),
        "variables": list(grammar.variables),
        "max_length": grammar.max_length,
        "max_fitted": grammar.max_fitted,
        "predicates": _predicates(grammar),
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _predicates(grammar: Grammar) -> list[str]:
    """Name of each predicate and a digest of its values for some random formulas.

    A name alone does not distinguish ``no_nesting_of("sin")`` from ``no_nesting_of("exp")``.
    """
    if not grammar.predicates:
        return []
    free = replace(grammar, predicates=())
    formulas = [free.decode(row) for row in random_formulas(free, 500, seed=0, max_rounds=20)]
    described = []
    for predicate in grammar.predicates:
        name = getattr(predicate, "__qualname__", type(predicate).__qualname__)
        values = bytes(bool(predicate(tokens)) for tokens in formulas)
        described.append(f"{name} {hashlib.sha256(values).hexdigest()}")
    return described


def _copy(weights: Weights) -> Weights:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _matches(weights: Weights, module: SEGVAEModule) -> bool:
    """Whether weights have the names and shapes of a network's."""
    expected = {name: tensor.shape for name, tensor in module.state_dict().items()}
    return expected == {name: tensor.shape for name, tensor in weights.items()}


def _digest(identity: str, weights: Weights) -> str:
    """Sha256 of an identity and all weights."""
    sha = hashlib.sha256(identity.encode())
    for name in sorted(weights):
        sha.update(name.encode())
        sha.update(weights[name].contiguous().numpy().tobytes())
    return sha.hexdigest()


def _read(path: Path, identity: str) -> Weights | None:
    """Weights from a file; ``None`` if it is damaged or belongs to another identity."""
    try:
        require_regular(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights: Weights = content["weights"]
        whole = content["identity"] == identity and content["sha256"] == _digest(identity, weights)
    except Exception:  # a damaged file can raise nearly anything; so can one of another kind
        return None
    return weights if whole else None


def _write(path: Path, identity: str, weights: Weights) -> None:
    """Write a file whole or not at all; where nothing can be written, do nothing."""
    content = {"identity": identity, "weights": weights, "sha256": _digest(identity, weights)}
    with suppress(OSError, RuntimeError):  # torch reports a full disk as RuntimeError
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            torch.save(content, file)
