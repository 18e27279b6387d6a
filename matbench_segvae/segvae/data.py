"""What the network learns from: random formulas first, then the best it has written itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
import numpy as np
import torch

from matbench_segvae.expressions import Expression, Grammar, canonical
from matbench_segvae.expressions.compiled import Floats
from matbench_segvae.segvae.changes import Changes
from matbench_segvae.segvae.corpus import FormulaMask, complete_rows, random_formulas
from matbench_segvae.segvae.duplicates import Duplicates
from matbench_segvae.segvae.memory import Memory
from matbench_segvae.segvae.module import SEGVAEModule
from matbench_segvae.segvae.objective import Objective, Tokens
from matbench_segvae.segvae.settings import SearchSettings
from matbench_segvae.segvae.training import derived_seed

Report = Callable[[str], None]

_TIDYING = 3  # rounds without a simpler formula that is as good


class Batches:
    """Formulas in a random order, cut into batches.

    A loader for Lightning that a checkpoint in the middle of an epoch can be resumed from,
    and quicker than torch's, which puts batches together row by row.

    Args:
        ids: Ids, shape ``(N, T)``.
        batch_size: Rows in a batch; the last one may have fewer.
        seed: Seed of the order; ``None`` keeps the order as it is.
    """

    def __init__(self, ids: torch.Tensor, batch_size: int, seed: int | None = None) -> None:
        if seed is not None:
            ids = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))]
        self._batches = torch.split(ids, batch_size) if len(ids) else ()
        self._first = 0  # to give in the next pass
        self._given = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[torch.Tensor]:
        first, self._first = self._first, 0
        for number in range(first, len(self)):
            self._given = number + 1
            yield self._batches[number]

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch were given."""
        return {"given": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batches that were given."""
        self._first = state["given"]


class CorpusData(L.LightningDataModule):
    """Random formulas to pretrain on, and others to measure the pretraining.

    Args:
        grammar: The language.
        settings: Sizes.
        seed: Seed of the formulas and of their order in each epoch.
    """

    def __init__(self, grammar: Grammar, settings: SearchSettings, seed: int) -> None:
        super().__init__()
        wanted = settings.corpus_size + settings.validation_size
        ids = torch.from_numpy(random_formulas(grammar, wanted, seed))
        # A small language has fewer formulas than asked for: cut them in proportion.
        n_training = max(1, round(len(ids) * settings.corpus_size / wanted))
        self.training, self.validation = ids[:n_training], ids[n_training:]
        self._batch_size = settings.training.batch_size
        self._seed = seed

    def train_dataloader(self) -> Batches:
        """The training formulas in the order of this epoch."""
        assert self.trainer is not None
        seed = derived_seed(self._seed, "corpus", self.trainer.current_epoch)
        return Batches(self.training, self._batch_size, seed)

    def val_dataloader(self) -> Batches | list[Any]:
        """The formulas held back; none if the settings ask for none."""
        return Batches(self.validation, self._batch_size) if len(self.validation) else []


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
        self.memory = Memory(grammar, settings.memory, settings.champions, settings.target_loss)
        self.n_sampled = 0
        self.metrics: dict[str, float] = {}
        self._grammar = grammar
        self._objective = objective
        self._settings = settings
        self._seed = seed
        self._report = report
        self._identity = identity
        self._mask = FormulaMask(grammar) if settings.masked else None
        self._changes = Changes(grammar, self.memory.best)
        self._duplicates = Duplicates(grammar.variables)
        # State of the objective before the round that is under way, if one is.
        self._before_round: Any = None

    @property
    def finished(self) -> bool:
        """Whether the loss is small enough or has not become smaller for long enough.

        A formula that is good enough is given some rounds to become simpler.
        """
        settings, leader = self._settings, self.memory.leader
        idle = self.memory.rounds - self.memory.improved
        if leader is not None and leader.loss <= settings.target_loss and idle >= _TIDYING:
            return True
        return settings.patience is not None and idle >= settings.patience

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
        n_changed = round(self._settings.changed_share * self._settings.samples) if changed else 0
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
        """Changes to the front and the elite, with constants to start from."""
        n_drawn = round(self._settings.changed_share * self._settings.samples)
        front = self.memory.front()
        if not n_drawn or not front:
            return {}
        seed = derived_seed(self._seed, "changes", self.memory.rounds)
        drawn = self._changes.drawn(self.memory.stock(), n_drawn, np.random.default_rng(seed))
        return self._changes.shorter([*front, *self.memory.plain_front()]) | drawn

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
        n_kept = max(1, round(self._settings.kept_share * self._settings.samples))
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
        self._changes = Changes(self._grammar, self.memory.best)
        self.n_sampled = int(state["n_sampled"])
        self.metrics = dict(state["metrics"])
        load = getattr(self._objective, "load_state_dict", None)
        if callable(load) and state["objective"] is not None:
            load(state["objective"])
