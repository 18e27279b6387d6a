"""The search: sample formulas, score them, keep the best, retrain on what was kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import lightning as L
import torch
from torch.utils.data import DataLoader

from matbench_segvae.expressions import Expression, Grammar, canonical, pareto_front
from matbench_segvae.isolation import isolated, silent_trainer
from matbench_segvae.segvae.corpus import FormulaMask, random_formulas
from matbench_segvae.segvae.module import SEGVAEModule, TrainingSettings
from matbench_segvae.segvae.network import NetworkSettings
from matbench_segvae.segvae.objective import Objective, Scored, Tokens

Report = Callable[[str], None]


@dataclass(frozen=True)
class SearchSettings:
    """How the network is pretrained and how long the search goes on.

    Attributes:
        corpus_size: Random formulas to pretrain on.
        pretraining_epochs: Passes over them.
        epochs: Rounds of sampling and retraining.
        samples: Formulas sampled in a round.
        kept_share: Share of a round's formulas that joins the elite.
        memory: Rounds after which a round's elite is forgotten.
        passes: Times the network sees the elite in a round.
        network: Sizes of the network.
        training: How the network learns.
    """

    corpus_size: int = 10_000
    pretraining_epochs: int = 10
    epochs: int = 12
    samples: int = 1000
    kept_share: float = 0.05
    memory: int = 5
    passes: int = 4
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)


def pretrain(grammar: Grammar, settings: SearchSettings, seed: int) -> SEGVAEModule:
    """Train a new network on random formulas of a grammar.

    Args:
        grammar: The language of the formulas.
        settings: Sizes and lengths.
        seed: Seed of the formulas, the initial weights and the training.
    """
    corpus = torch.from_numpy(random_formulas(grammar, settings.corpus_size, seed))
    with isolated(seed):
        module = SEGVAEModule(len(grammar.tokens), settings.network, settings.training)
        loader: DataLoader[torch.Tensor] = DataLoader(
            corpus,  # type: ignore[arg-type]  # a tensor is a sequence of its rows
            batch_size=settings.training.batch_size,
            shuffle=True,
        )
        silent_trainer(settings.pretraining_epochs, accelerator="cpu").fit(module, loader)
    return module


class SearchLoop(L.LightningDataModule):
    """Feeds the network, every epoch anew, with the best formulas it has written.

    Lightning asks for a new loader at the start of each epoch; that is where a round of
    the search takes place.

    Attributes:
        best: Best score of every formula met, up to the order of commutative arguments.
        n_sampled: Formulas the network has written so far.
    """

    def __init__(
        self,
        grammar: Grammar,
        objective: Objective,
        settings: SearchSettings,
        seed: int,
        report: Report,
    ) -> None:
        super().__init__()
        self.best: dict[Tokens, Scored] = {}
        self.n_sampled = 0
        self._grammar = grammar
        self._objective = objective
        self._settings = settings
        self._report = report
        self._mask = FormulaMask(grammar)
        self._generator = torch.Generator().manual_seed(seed)
        self._elite: deque[list[Scored]] = deque(maxlen=settings.memory)

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        """Run one round and hand out the elite."""
        assert self.trainer is not None
        module = self.trainer.lightning_module
        assert isinstance(module, SEGVAEModule)
        self._round(module)
        elite = {scored.tokens: None for kept in self._elite for scored in kept}
        ids = [torch.from_numpy(self._grammar.encode(tokens)) for tokens in elite]
        return DataLoader(
            ids * self._settings.passes,  # type: ignore[arg-type]  # a list is a dataset
            batch_size=self._settings.training.batch_size,
            shuffle=True,
        )

    def _round(self, module: SEGVAEModule) -> None:
        """Sample, discard, score and keep."""
        formulas = self._sample(module)
        new = [tokens for tokens in formulas if tokens not in self.best]
        for scored in self._objective.score(new) if new else []:
            self.best[scored.tokens] = scored
        ranked = sorted((self.best[tokens] for tokens in formulas), key=lambda s: s.loss)
        n_kept = max(1, round(self._settings.kept_share * self._settings.samples))
        self._elite.append(ranked[:n_kept])
        leader = min(self.best.values(), key=lambda s: s.loss)
        self._report(f"{leader.loss:.4g}  {Expression(leader.tokens)}")

    def _sample(self, module: SEGVAEModule) -> list[Tokens]:
        """Different formulas from the latent prior that satisfy the grammar."""
        module.eval()
        shape = (self._settings.samples, self._settings.network.latent)
        latent = torch.randn(shape, generator=self._generator).to(module.device)
        ids = module.network.sample(
            latent, self._grammar.max_length, self._mask, self._generator
        ).tolist()
        module.train()
        self.n_sampled += len(ids)
        unique = dict.fromkeys(canonical(self._grammar.decode(row)) for row in ids)
        return [tokens for tokens in unique if self._grammar.keeps(tokens)]


def search(
    grammar: Grammar,
    objective: Objective,
    module: SEGVAEModule,
    settings: SearchSettings,
    seed: int,
    report: Report = lambda _: None,
) -> list[Scored]:
    """Look for formulas with a small loss.

    Args:
        grammar: The language of the formulas.
        objective: Fits and scores them.
        module: A pretrained network; it is trained further.
        settings: Sizes and lengths.
        seed: Seed of sampling and retraining.
        report: Takes a line about the best formula after each round.

    Returns:
        The Pareto front of complexity against loss, simplest first.
    """
    loop = SearchLoop(grammar, objective, settings, seed, report)
    with isolated(seed):
        trainer = silent_trainer(
            settings.epochs, accelerator="cpu", reload_dataloaders_every_n_epochs=1
        )
        trainer.fit(module, loop)
    return pareto_front(
        loop.best.values(),
        complexity=lambda scored: Expression(scored.tokens).complexity,
        loss=lambda scored: scored.loss,
    )
