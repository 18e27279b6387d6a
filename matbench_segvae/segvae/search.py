"""The search: sample formulas, score them, keep the best, retrain on what was kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression, Grammar, canonical
from matbench_segvae.lightning_tools import (
    SeededSteps,
    TrainerOptions,
    build_trainer,
    isolated,
    run_trainer,
)
from matbench_segvae.seeding import derived_seed
from matbench_segvae.segvae.duplicates import Duplicates
from matbench_segvae.segvae.mutations import Mutations
from matbench_segvae.segvae.population import Population
from matbench_segvae.segvae.pretraining import identity_of_search
from matbench_segvae.segvae.random_formulas import FormulaMask, complete_rows, random_formulas
from matbench_segvae.segvae.scoring import Objective
from matbench_segvae.segvae.settings import SearchSettings
from matbench_segvae.segvae.training import Batches, SEGVAEModule
from matbench_segvae.types import Floats, Report, Tokens

_SIMPLIFICATION_PATIENCE = 3  # rounds without a simpler formula that is as good


class SearchData(L.LightningDataModule):
    """Feeds the network, every epoch anew, with the best formulas it has written.

    Lightning asks for a new loader before each epoch; that is where a round of the search
    takes place. All randomness of a round comes from the seed and the round's number, so
    that a resumed search goes on as if it had never stopped.

    Args:
        grammar: The language.
        objective: Fits and scores formulas.
        settings: Sizes and lengths.
        seed: Seed of all sampling.
        report: Takes a line after each round.
        identity: Names the search, so that no other one goes on from its checkpoint.

    Attributes:
        memory: Scores of all formulas met so far.
        n_sampled: Formulas the network has written so far.
        metrics: Figures about the last round, for the loggers.
    """

    def __init__(
        self,
        grammar: Grammar,
        objective: Objective,
        settings: SearchSettings,
        seed: int,
        report: Report,
        identity: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        self.memory = Population(
            grammar, settings.memory, settings.hall_of_fame, settings.target_loss
        )
        self.n_sampled = 0
        self.metrics: dict[str, float] = {}
        self._grammar = grammar
        self._objective = objective
        self._settings = settings
        self._seed = seed
        self._report = report
        self._identity = identity
        self._mask = FormulaMask(grammar) if settings.masked else None
        self._changes = Mutations(grammar, self.memory.best)
        self._duplicates = Duplicates(grammar.variables)
        # State of the objective before the round that is under way, if one is.
        self._before_round: Any = None

    @property
    def finished(self) -> bool:
        """Whether the loss is small enough or has not become smaller for long enough.

        A formula that is good enough is given some rounds to become simpler.
        """
        settings, leader = self._settings, self.memory.leader
        stagnation = self.memory.rounds - self.memory.improved
        if (
            leader is not None
            and leader.loss <= settings.target_loss
            and stagnation >= _SIMPLIFICATION_PATIENCE
        ):
            return True
        return settings.patience is not None and stagnation >= settings.patience

    def train_dataloader(self) -> Batches:
        """Run the round of this epoch, unless it has been run, and give the elite."""
        trainer = self.trainer
        assert trainer is not None
        # Lightning asks for a loader before it knows that a resumed search has ended.
        if self.finished:
            trainer.should_stop = True
        # A search resumed inside or at the end of an epoch asks for that epoch's loader.
        elif self.memory.rounds <= trainer.current_epoch:
            module = trainer.lightning_module
            assert isinstance(module, SEGVAEModule)
            self._round(module)
        rows = self._encode(self._elite() or self._substitutes()).repeat(self._settings.passes, 1)
        seed = derived_seed(self._seed, "order", self.memory.rounds)
        return Batches(rows, self._settings.training.batch_size, seed)

    def _round(self, module: SEGVAEModule) -> None:
        """Sample, change, discard, score and keep."""
        self._before_round = self._objective_state()
        started = time.perf_counter()
        changed = self._changed()
        n_changed = round(self._settings.mutation_share * self._settings.samples) if changed else 0
        sampled = self._sample(module, self._settings.samples - n_changed)
        formulas = list(dict.fromkeys([*sampled, *changed]))
        new = [tokens for tokens in formulas if tokens not in self.memory.best]
        # Without a free factor, multiples of a formula are different formulas.
        if self._settings.deduplicated and self._settings.scaled:
            new = self._duplicates.new(new)
        written = time.perf_counter()
        self.memory.add(formulas, self._objective.score(new, changed) if new else [])
        self._before_round = None
        leader = self.memory.leader
        self.metrics |= {
            "best_loss": leader.loss if leader else float("inf"),
            "front_size": float(len(self.memory.front())),
            "formulas": float(len(self.memory.best)),
            "sampling_seconds": written - started,
            "scoring_seconds": time.perf_counter() - written,
        }
        self._report(
            f"{leader.loss:.4g}  {Expression(leader.tokens)}"
            if leader
            else "no formula so far is defined on the data"
        )

    def _changed(self) -> dict[Tokens, Floats]:
        """Mutations to the front and the elite, with constants to start from."""
        n_drawn = round(self._settings.mutation_share * self._settings.samples)
        front = self.memory.front()
        if not n_drawn or not front:
            return {}
        seed = derived_seed(self._seed, "changes", self.memory.rounds)
        drawn = self._changes.drawn(self.memory.parents(), n_drawn, np.random.default_rng(seed))
        return self._changes.shorter([*front, *self.memory.constant_free_front()]) | drawn

    def _sample(self, module: SEGVAEModule, n_samples: int) -> list[Tokens]:
        """Different formulas that satisfy the grammar, written by the network."""
        seed = derived_seed(self._seed, "sample", self.memory.rounds)
        generator = torch.Generator(module.device).manual_seed(seed)
        was_training = module.training
        module.eval()
        latent = self._latent(module, n_samples, generator)
        ids = module.network.sample(latent, self._grammar.max_length, self._mask, generator)
        module.train(was_training)
        rows = ids.cpu().numpy()
        complete = rows[complete_rows(self._grammar, rows)]
        unique = dict.fromkeys(canonical(self._grammar.decode(row)) for row in complete.tolist())
        self.n_sampled += len(rows)
        self.metrics["sampled"] = float(self.n_sampled)
        self.metrics["valid_share"] = len(complete) / len(rows)
        self.metrics["unique_share"] = len(unique) / len(rows)
        return [tokens for tokens in unique if self._grammar.keeps(tokens)]

    @torch.no_grad()
    def _latent(
        self, module: SEGVAEModule, n_samples: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Latent vectors from the prior and around those of the elite, ``(n, latent)``."""
        settings, device = self._settings, module.device
        shape = (n_samples, settings.network.latent)
        latent = torch.randn(shape, generator=generator, device=device)
        elite = self._elite()
        n_local = round(settings.local_share * n_samples) if elite else 0
        if n_local:
            mean, _ = module.network.encode(self._encode(elite).to(device))
            chosen = torch.randint(len(elite), (n_local,), generator=generator, device=device)
            latent[:n_local] = mean[chosen] + settings.local_noise * latent[:n_local]
        return latent

    def _elite(self) -> list[Tokens]:
        n_kept = max(1, round(self._settings.elite_share * self._settings.samples))
        return self.memory.elite(n_kept)

    def _substitutes(self) -> list[Tokens]:
        """Random formulas to learn from where no sample was one."""
        rows = random_formulas(self._grammar, 64, derived_seed(self._seed, "substitutes", 0))
        return [self._grammar.decode(row) for row in rows.tolist()]

    def _encode(self, formulas: list[Tokens]) -> torch.Tensor:
        rows = np.zeros((len(formulas), self._grammar.max_length), dtype=np.int64)
        for row, tokens in enumerate(formulas):
            rows[row] = self._grammar.encode(tokens)
        return torch.from_numpy(rows)

    def _objective_state(self) -> Any:  # noqa: ANN401
        """State of the objective, where it has one."""
        give = getattr(self._objective, "state_dict", None)
        return give() if callable(give) else None

    def state_dict(self) -> dict[str, Any]:
        """The whole search, in types that ``torch.load(weights_only=True)`` reads."""
        before = self._before_round
        return {
            "identity": self._identity(),
            "memory": self.memory.state_dict(),
            "n_sampled": self.n_sampled,
            "metrics": dict(self.metrics),
            "objective": self._objective_state() if before is None else before,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.memory.load_state_dict(state["memory"])
        self._duplicates = Duplicates(self._grammar.variables)
        self._duplicates.new(list(self.memory.best))
        self._changes = Mutations(self._grammar, self.memory.best)
        self.n_sampled = int(state["n_sampled"])
        self.metrics = dict(state["metrics"])
        load = getattr(self._objective, "load_state_dict", None)
        if callable(load) and state["objective"] is not None:
            load(state["objective"])


class _Rounds(Callback):
    """Logs the figures of each round and ends the search where it is good enough."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data = _search_data(trainer)
        pl_module.log_dict(data.metrics)
        trainer.should_stop |= data.finished


def _search_data(trainer: L.Trainer) -> SearchData:
    data: Any = getattr(trainer, "datamodule", None)
    assert isinstance(data, SearchData)
    return data


def search(
    grammar: Grammar,
    objective: Objective,
    module: SEGVAEModule,
    settings: SearchSettings,
    seed: int,
    report: Report = lambda _: None,
    trainer_options: TrainerOptions | None = None,
    checkpoint: Path | None = None,
) -> Population:
    """Look for formulas with a small loss.

    Each epoch's ``best_loss``, ``front_size``, ``formulas`` (scored so far), ``valid_share``
    and ``unique_share`` of the samples, ``reconstruction``, ``divergence`` and ``loss`` of
    the network, ``sampling_seconds`` and ``scoring_seconds`` go to the trainer's loggers.

    Args:
        grammar: The language of the formulas.
        objective: Fits and scores them. If it has ``state_dict`` and ``load_state_dict``,
            checkpoints hold its state.
        module: A pretrained network; it is trained further.
        settings: Sizes and lengths.
        seed: Seed of sampling and retraining.
        report: Takes a line about the best formula after each round.
        trainer_options: Arguments of :class:`lightning.Trainer` to go beside or in place of
            ours, which write and print nothing: loggers, callbacks such as
            ``ModelCheckpoint``, ``accelerator``, ``max_time``, ``default_root_dir``.
        checkpoint: A checkpoint of the same search to go on from. ``epochs``,
            ``target_loss``, ``patience`` and ``max_seconds`` may have changed since; the
            time is counted over all parts.

    Returns:
        What the search remembers: the Pareto front among other things.

    Raises:
        UserError: If the checkpoint cannot be read or belongs to another search.
        KeyboardInterrupt: If the user interrupted; checkpoints stay.
    """

    def identity() -> str:
        return identity_of_search(grammar, settings, seed)

    data = SearchData(grammar, objective, settings, seed, report, identity)
    if checkpoint is not None:
        _check(checkpoint, identity())
    with isolated(seed):
        trainer = build_trainer(
            settings.epochs,
            [SeededSteps(seed), _Rounds()],
            trainer_options,
            settings.max_seconds,
        )
        run_trainer(trainer, module, data, checkpoint)
    return data.memory


def _check(checkpoint: Path, identity: str) -> None:
    """Refuse a checkpoint that is damaged, not of a search, or of another one."""
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        found = content[SearchData.__qualname__]["identity"]
        loop = content["loops"]["fit_loop"]
        epochs = loop["epoch_progress"]["current"]
        between = loop["epoch_loop.batch_progress"]["is_last_batch"]
        between &= epochs["processed"] < epochs["ready"]
    except Exception as error:  # a damaged file can raise nearly anything
        raise UserError(
            f"{checkpoint} is not a checkpoint of a search ({type(error).__name__}): "
            "give one that search() wrote, or none to begin anew"
        ) from error
    if found != identity:
        raise UserError(
            f"{checkpoint} belongs to a search with another grammar, other settings or another "
            "seed: resume with those it was begun with"
        )
    if between:
        # Lightning then takes the next epoch for the rest of this one if its length differs.
        raise UserError(
            f"{checkpoint} was written after the last step of an epoch but before its end: "
            "give another one, best of those that ModelCheckpoint(every_n_epochs=1) writes"
        )
