"""The search: mutate and sample formulas, score the new ones, keep the best, retrain.

:meth:`Search.round` is a round of the search. Lightning retrains the network on the elite
between two rounds; :class:`EliteData` and the callback after it are all that it needs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression, Grammar, canonical
from matbench_segvae.files import require_regular
from matbench_segvae.lightning_tools import (
    SeededSteps,
    TrainerOptions,
    isolated,
    resumable_trainer,
    run_trainer,
    written_between_epochs,
)
from matbench_segvae.seeding import derived_seed
from matbench_segvae.segvae.duplicates import Duplicates
from matbench_segvae.segvae.mutations import Mutations
from matbench_segvae.segvae.population import Population
from matbench_segvae.segvae.pretraining import identity_of_search
from matbench_segvae.segvae.random_formulas import FormulaMask, complete_rows, random_formulas
from matbench_segvae.segvae.scoring import Objective, Scored
from matbench_segvae.segvae.settings import SearchSettings
from matbench_segvae.segvae.training import Batches, SEGVAEModule
from matbench_segvae.types import Floats, Report, Tokens

_SIMPLIFICATION_PATIENCE = 3  # rounds without a simpler formula that is as good
_SUBSTITUTES = 64  # random formulas to train on while there is no elite


class Search:
    """A search for formulas with a small loss.

    All randomness of a round comes from the seed and the round's number, so that a resumed
    search continues as if it had never stopped.

    Args:
        grammar: The language of the formulas.
        objective: Fits and scores them. If it has ``state_dict`` and ``load_state_dict``,
            checkpoints hold its state.
        module: A pretrained network; it is trained further.
        settings: Sizes of a round, and when the search ends.
        seed: Seed of mutations, sampling and retraining.

    Attributes:
        population: All formulas scored so far.
        n_sampled: Formulas sampled from the network so far.
        leaders_by_source: How many of the leaders so far, one a round at most, were written by the
            ``"network"``, by chance, ``"random"``, or are a ``"mutation"``.
        front_by_source: The same for formulas that joined the Pareto front.
        metrics: Figures about the last round, for the loggers.
    """

    def __init__(
        self,
        grammar: Grammar,
        objective: Objective,
        module: SEGVAEModule,
        settings: SearchSettings,
        seed: int,
    ) -> None:
        self.population = Population(
            grammar, settings.recent_rounds, settings.hall_of_fame, settings.target_loss
        )
        self.n_sampled = 0
        self.metrics: dict[str, float] = {}
        self.leaders_by_source: Counter[str] = Counter()
        self.front_by_source: Counter[str] = Counter()
        self._grammar = grammar
        self._objective = objective
        self._module = module
        self._settings = settings
        self._seed = seed
        self._mask = FormulaMask(grammar) if settings.grammar_mask else None
        self._mutations = Mutations(grammar, self.population.best, settings.term_share)
        self._duplicates = Duplicates(grammar.variables)
        # State of the objective before the present round, while there is one.
        self._objective_before: Any = None

    def run(
        self,
        report: Report = lambda _: None,
        trainer_options: TrainerOptions | None = None,
        checkpoint: Path | None = None,
    ) -> Population:
        """Run rounds, and retrain the network after each, until the search is finished.

        Each epoch's ``best_loss``, ``front_size``, ``formulas`` (scored so far), ``sampled``
        (so far), ``valid_share`` and ``unique_share`` of the samples, ``reconstruction``,
        ``divergence`` and ``loss`` of the network, ``sampling_seconds`` and
        ``scoring_seconds`` go to the trainer's loggers.

        Args:
            report: Takes a line about the best formula after each round.
            trainer_options: Arguments of :class:`lightning.Trainer` beside or in place of
                ours, which write and print nothing: loggers, callbacks such as
                ``ModelCheckpoint``, ``accelerator``, ``max_time``, ``default_root_dir``.
            checkpoint: A checkpoint of the same search to resume. ``epochs``,
                ``target_loss``, ``patience`` and ``max_seconds`` may differ from those it
                was begun with; the time before the checkpoint counts.

        Returns:
            All formulas scored: their Pareto front among other things.

        Raises:
            UserError: If the checkpoint cannot be read or belongs to another search.
            KeyboardInterrupt: If the user interrupted; checkpoints stay.
        """
        if checkpoint is not None:
            _check(checkpoint, self._identity)
        with isolated(self._seed):
            trainer = resumable_trainer(
                self._settings.epochs,
                [SeededSteps(self._seed), _LogAndStop(self)],
                trainer_options,
                self._settings.max_seconds,
            )
            run_trainer(trainer, self._module, EliteData(self, report), checkpoint)
        return self.population

    def round(self) -> None:
        """Mutate, sample, discard what is not new, score and keep."""
        settings = self._settings
        self._objective_before = self._objective_state()
        started = time.perf_counter()

        # At least one formula of a round is none, unless all are to be mutations.
        most_mutations = settings.samples - (settings.mutation_share < 1)
        n_mutations = min(round(settings.mutation_share * settings.samples), most_mutations)
        mutations = self._mutate(n_mutations)
        n_generated = settings.samples - (n_mutations if mutations else 0)
        generated = self._generate(n_generated)
        formulas = list(dict.fromkeys([*generated, *mutations]))
        new = self._discard_known(formulas)
        proposed = time.perf_counter()

        scores = self._objective.score(new, mutations) if new else []
        leader, front = self.population.leader, self.population.front()
        self.population.add(formulas, scores)
        scored = time.perf_counter()

        self.n_sampled += n_generated if settings.generator == "network" else 0
        self._credit(leader, front, set(generated))
        self._objective_before = None
        self._measure(proposed - started, scored - proposed)

    def _credit(
        self, leader: Scored | None, front: Sequence[Scored], generated: Collection[Tokens]
    ) -> None:
        """Count where the new leader and the new members of the front come from."""

        def source(scored: Scored) -> str:
            return self._settings.generator if scored.tokens in generated else "mutation"

        before = {scored.tokens for scored in front}
        new = [scored for scored in self.population.front() if scored.tokens not in before]
        self.front_by_source.update(map(source, new))
        now = self.population.leader
        if now is not None and (leader is None or now.tokens != leader.tokens):
            self.leaders_by_source[source(now)] += 1

    def _mutate(self, n_formulas: int) -> dict[Tokens, Floats]:
        """Mutations of the best formulas, with constants to start their fits from."""
        front = self.population.front()
        if not n_formulas or not front:
            return {}
        # The purpose is part of the seed: another word would be another search.
        rng = np.random.default_rng(self._derived_seed("changes"))
        drawn = self._mutations.draw(self.population.parents(), n_formulas, rng)
        fronts = [*front, *self.population.constant_free_front()]
        return self._mutations.simplify(fronts) | drawn

    def _generate(self, n_formulas: int) -> list[Tokens]:
        """Formulas that are no mutations: samples of the network, or random ones."""
        if not n_formulas:
            return []
        if self._settings.generator == "network":
            return self._sample(n_formulas)
        ids = random_formulas(self._grammar, n_formulas, self._derived_seed("random"))
        unique = dict.fromkeys(canonical(self._grammar.decode(row)) for row in ids.tolist())
        return [tokens for tokens in unique if self._grammar.keeps(tokens)]

    def _sample(self, n_formulas: int) -> list[Tokens]:
        """Different formulas that satisfy the grammar, sampled from the network."""
        module = self._module
        generator = torch.Generator(module.device).manual_seed(self._derived_seed("sample"))
        was_training = module.training
        module.eval()
        latent = self._latent(n_formulas, generator)
        ids = module.network.sample(latent, self._grammar.max_length, self._mask, generator)
        module.train(was_training)
        rows = ids.cpu().numpy()
        complete = rows[complete_rows(self._grammar, rows)]
        unique = dict.fromkeys(canonical(self._grammar.decode(row)) for row in complete.tolist())
        self.metrics["valid_share"] = len(complete) / len(rows)
        self.metrics["unique_share"] = len(unique) / len(rows)
        return [tokens for tokens in unique if self._grammar.keeps(tokens)]

    @torch.no_grad()
    def _latent(self, n_vectors: int, generator: torch.Generator) -> torch.Tensor:
        """Latent vectors from the prior and around those of the elite, ``(n, latent)``."""
        settings, device = self._settings, self._module.device
        shape = (n_vectors, settings.network.latent)
        latent = torch.randn(shape, generator=generator, device=device)
        elite = self._elite()
        n_local = round(settings.local_share * n_vectors) if elite else 0
        if n_local:
            mean, _ = self._module.network.encode(self._encode(elite).to(device))
            chosen = torch.randint(len(elite), (n_local,), generator=generator, device=device)
            latent[:n_local] = mean[chosen] + settings.local_noise * latent[:n_local]
        return latent

    def _discard_known(self, formulas: Sequence[Tokens]) -> list[Tokens]:
        """The formulas that were not scored before, nor any that is numerically equivalent."""
        new = [tokens for tokens in formulas if tokens not in self.population.best]
        # Without a free factor, multiples of a formula are different formulas.
        if self._settings.discard_duplicates and self._settings.linear_scaling:
            return self._duplicates.discard_from(new)
        return new

    def _elite(self) -> list[Tokens]:
        n_each = max(1, round(self._settings.elite_share * self._settings.samples))
        return self.population.elite(n_each)

    def elite_batches(self) -> Batches:
        """The elite in batches to retrain the network on; random formulas if there is none.

        One empty batch if the network is not trained: Lightning wants a batch in every epoch.
        """
        settings = self._settings
        if settings.generator == "random" or not settings.elite_passes:
            none = torch.empty((0, self._grammar.max_length), dtype=torch.long)
            return Batches(none, settings.training.batch_size)
        elite = self._elite()
        if elite:
            ids = self._encode(elite)
        else:
            seed = derived_seed(self._seed, "substitutes", 0)
            ids = torch.from_numpy(random_formulas(self._grammar, _SUBSTITUTES, seed))
        ids = ids.repeat(settings.elite_passes, 1)
        return Batches(ids, settings.training.batch_size, self._derived_seed("order"))

    @property
    def finished(self) -> bool:
        """Whether the loss is small enough or has stagnated for long enough.

        A formula that is good enough is given some rounds to become simpler.
        """
        settings, leader = self._settings, self.population.leader
        stagnation = self.population.rounds - self.population.best_round
        if (
            leader is not None
            and leader.loss <= settings.target_loss
            and stagnation >= _SIMPLIFICATION_PATIENCE
        ):
            return True
        return settings.patience is not None and stagnation >= settings.patience

    def summary(self) -> str:
        """A line about the best formula so far."""
        leader = self.population.leader
        if leader is None:
            return "no formula so far is defined on the data"
        return f"{leader.loss:.4g}  {Expression(leader.tokens)}"

    def _measure(self, sampling_seconds: float, scoring_seconds: float) -> None:
        """Complete the metrics of the round, beside those of its samples."""
        leader = self.population.leader
        self.metrics |= {
            "best_loss": leader.loss if leader else float("inf"),
            "front_size": float(len(self.population.front())),
            "formulas": float(len(self.population.best)),
            "sampled": float(self.n_sampled),
            "sampling_seconds": sampling_seconds,
            "scoring_seconds": scoring_seconds,
        }

    def _derived_seed(self, purpose: str) -> int:
        """A seed for this purpose in this round."""
        return derived_seed(self._seed, purpose, self.population.rounds)

    def _encode(self, formulas: Sequence[Tokens]) -> torch.Tensor:
        """Ids of at least one formula, shape ``(n, max_length)``."""
        return torch.from_numpy(np.stack([self._grammar.encode(tokens) for tokens in formulas]))

    @cached_property
    def _identity(self) -> str:
        return identity_of_search(self._grammar, self._settings, self._seed)

    def _objective_state(self) -> Any:  # noqa: ANN401
        """State of the objective, if it has one."""
        give = getattr(self._objective, "state_dict", None)
        return give() if callable(give) else None

    def state_dict(self) -> dict[str, Any]:
        """The whole search, in types that ``torch.load(weights_only=True)`` reads.

        Inside a round it is the state before that round, which is then run again.
        """
        before = self._objective_before
        return {
            "identity": self._identity,
            "population": self.population.state_dict(),
            "n_sampled": self.n_sampled,
            "metrics": dict(self.metrics),
            "leaders_by_source": dict(self.leaders_by_source),
            "front_by_source": dict(self.front_by_source),
            "objective": self._objective_state() if before is None else before,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.population.load_state_dict(state["population"])
        self._mutations = Mutations(self._grammar, self.population.best, self._settings.term_share)
        self._duplicates = Duplicates(self._grammar.variables)
        self._duplicates.discard_from(list(self.population.best))
        self.n_sampled = int(state["n_sampled"])
        self.metrics = dict(state["metrics"])
        self.leaders_by_source = Counter(state.get("leaders_by_source", {}))
        self.front_by_source = Counter(state.get("front_by_source", {}))
        load = getattr(self._objective, "load_state_dict", None)
        if callable(load) and state["objective"] is not None:
            load(state["objective"])


class EliteData(L.LightningDataModule):
    """Runs a round of a search before each epoch and hands its elite to the trainer.

    Args:
        search: The search.
        report: Takes a line after each round.
    """

    def __init__(self, search: Search, report: Report) -> None:
        super().__init__()
        self._search = search
        self._report = report

    def train_dataloader(self) -> Batches:
        """Run the round of this epoch, unless it has been run, and give the elite."""
        trainer = self.trainer
        assert trainer is not None
        # Lightning asks for a loader before it knows that a resumed search has ended.
        if self._search.finished:
            trainer.should_stop = True
        # A search resumed inside or at the end of an epoch asks for that epoch's loader.
        elif self._search.population.rounds <= trainer.current_epoch:
            self._search.round()
            self._report(self._search.summary())
        return self._search.elite_batches()

    def state_dict(self) -> dict[str, Any]:
        """State of the search, for a checkpoint."""
        return self._search.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the search from a checkpoint."""
        self._search.load_state_dict(state)


class _LogAndStop(Callback):
    """Logs the metrics of each round and stops once the search is finished."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log_dict(self._search.metrics)
        trainer.should_stop |= self._search.finished


def _check(checkpoint: Path, identity: str) -> None:
    """Refuse a checkpoint that is damaged, not of a search, or of another one."""
    try:
        require_regular(checkpoint)
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        found = content[EliteData.__qualname__]["identity"]
        between = written_between_epochs(content)
    except Exception as error:  # a damaged file can raise nearly anything
        raise UserError(
            f"{checkpoint} is not a checkpoint of a search ({type(error).__name__}): "
            "give one that Search.run() wrote, or none to begin anew"
        ) from error
    if found != identity:
        raise UserError(
            f"{checkpoint} belongs to a search with another grammar, other settings or another "
            "seed: resume with those it was begun with"
        )
    if between:
        raise UserError(
            f"{checkpoint} was written after the last step of an epoch but before its end: "
            "give another one, best of those that ModelCheckpoint(every_n_epochs=1) writes"
        )
