"""The population of a search: every score, the recent rounds, fronts and elite."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from typing import Any

import numpy as np
import torch

from matbench_segvae.expressions import FITTED, Grammar, pareto_front
from matbench_segvae.expressions.expression import complexity_of
from matbench_segvae.segvae.scoring import Scored
from matbench_segvae.types import Tokens

_KEPT_PER_COMPLEXITY = 10  # formulas of each complexity to mutate

_ByComplexity = dict[int, list[Scored]]  # the best few of every complexity, best first


class Population:
    """Scores of all formulas so far, and which of them occurred in recent rounds.

    Attributes:
        best: Score of every formula, up to the order of commutative arguments.
        rounds: Rounds so far.
        best_round: Round, counted from 1, that found the best formula so far.
    """

    def __init__(
        self,
        grammar: Grammar,
        n_recent: int,
        hall_of_fame_size: int,
        floor: float = 0.0,
    ) -> None:
        """Start empty.

        Args:
            grammar: The language.
            n_recent: Rounds whose formulas compete for the elite.
            hall_of_fame_size: Best formulas of all rounds that stay in the elite.
            floor: Loss that is good enough; smaller ones count as equal to it.
        """
        self.best: dict[Tokens, Scored] = {}
        self.rounds = 0
        self.best_round = 0
        self._grammar = grammar
        self._recent: deque[list[Tokens]] = deque(maxlen=n_recent)
        self._hall_of_fame_size = hall_of_fame_size
        self._floor = floor
        # Kept up to date, because looking through all scores every round takes long.
        self._fronts: dict[int, list[Scored]] = {}  # by number of fitted constants
        self._hall_of_fame: list[Scored] = []
        self._by_complexity: _ByComplexity = {}
        self._constant_free_by_complexity: _ByComplexity = {}

    def add(self, formulas: Sequence[Tokens], scores: Iterable[Scored]) -> None:
        """Add a round.

        Args:
            formulas: The formulas of the round, known and new.
            scores: Scores of those that are new.
        """
        before = self.leader
        self._keep(list(scores))
        self._recent.append(list(formulas))
        self.rounds += 1
        if self.leader is not before:
            self.best_round = self.rounds

    def _keep(self, scores: Sequence[Scored]) -> None:
        """Keep scores, and update the fronts, the hall of fame and the best per complexity."""
        self.best.update((scored.tokens, scored) for scored in scores)
        finite = [scored for scored in scores if math.isfinite(scored.loss)]
        self._hall_of_fame = nsmallest(
            self._hall_of_fame_size, [*self._hall_of_fame, *finite], key=_loss
        )
        constant_free = [scored for scored in finite if math.isfinite(scored.constant_free_loss)]
        _keep_best(finite, self._by_complexity, _loss)
        _keep_best(constant_free, self._constant_free_by_complexity, _constant_free_loss)
        for n_fitted, new in _grouped(finite, _n_fitted).items():
            front = self._fronts.get(n_fitted, [])
            self._fronts[n_fitted] = self._pareto([*front, *new], tolerance=0)

    def _pareto(
        self,
        scores: Sequence[Scored],
        tolerance: float = 1e-3,
        loss: Callable[[Scored], float] = lambda scored: scored.loss,
    ) -> list[Scored]:
        """The Pareto front of some scores; losses that are good enough count as equal."""
        return pareto_front(
            scores, _complexity, lambda scored: max(loss(scored), self._floor), tolerance
        )

    @property
    def leader(self) -> Scored | None:
        """The formula with the smallest loss, if there is any with a loss.

        Where several are good enough, the simplest of them.
        """
        fronts = self.fronts()
        return self._pareto(fronts, tolerance=0)[-1] if fronts else None

    def elite(self, n_each: int) -> list[Tokens]:
        """The formulas to train on, best first: hall of fame, and the best of recent rounds.

        Args:
            n_each: How many of each recent round, on average.
        """
        recent = dict.fromkeys(tokens for formulas in self._recent for tokens in formulas)
        kept = self._ranked(recent)[: n_each * len(self._recent)]
        hall_of_fame = [scored.tokens for scored in self._hall_of_fame]
        return self._ranked(dict.fromkeys([*hall_of_fame, *kept]))

    def parents(self) -> list[list[Scored]]:
        """Pools of formulas to mutate: the fronts, and the best few of every complexity."""
        return [
            self.fronts(),
            self.constant_free_front(),
            self.best_per_complexity(),
            self.constant_free(),
        ]

    def _ranked(self, formulas: Iterable[Tokens]) -> list[Tokens]:
        """Formulas by loss; those without one only if there are no others."""
        known = [tokens for tokens in formulas if tokens in self.best]
        defined = [tokens for tokens in known if math.isfinite(self.best[tokens].loss)]
        return sorted(defined or known, key=lambda tokens: self.best[tokens].loss)

    def front(self) -> list[Scored]:
        """The Pareto front of complexity against loss, simplest first."""
        return self._pareto(self.fronts())

    def fronts(self) -> list[Scored]:
        """The Pareto fronts of formulas with no fitted constant, with one, with two and so on."""
        return [scored for n in sorted(self._fronts) for scored in self._fronts[n]]

    def constant_free_front(self) -> list[Scored]:
        """The Pareto front of formulas without any fitted number."""
        return self._pareto(self.constant_free(), loss=_constant_free_loss)

    def best_per_complexity(self, n_each: int = _KEPT_PER_COMPLEXITY) -> list[Scored]:
        """The best few formulas of every complexity, the simplest first.

        Args:
            n_each: How many, at most the ten that are kept.
        """
        return _simplest_first(self._by_complexity, n_each)

    def constant_free(self) -> list[Scored]:
        """The best few formulas of every complexity without any fitted number."""
        return _simplest_first(self._constant_free_by_complexity, _KEPT_PER_COMPLEXITY)

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and numbers that ``torch.load(weights_only=True)`` reads."""
        scores = list(self.best.values())
        constants = [np.asarray(scored.constants, dtype=np.float64) for scored in scores]
        flat = np.concatenate([c.ravel() for c in constants]) if constants else np.zeros(0)
        return {
            "formulas": self._encode([scored.tokens for scored in scores]),
            "losses": torch.tensor([scored.loss for scored in scores], dtype=torch.float64),
            "constant_free_losses": torch.tensor(
                [scored.constant_free_loss for scored in scores], dtype=torch.float64
            ),
            "constants": torch.from_numpy(flat),
            "groups": torch.tensor([len(c) for c in constants], dtype=torch.long),
            "widths": torch.tensor([c.shape[1] for c in constants], dtype=torch.long),
            "recent": [self._encode(formulas) for formulas in self._recent],
            "rounds": self.rounds,
            "best_round": self.best_round,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        groups, widths = state["groups"].tolist(), state["widths"].tolist()
        ends = np.cumsum([k * c for k, c in zip(groups, widths, strict=True)], dtype=np.int64)
        constants = np.split(state["constants"].numpy(), ends[:-1]) if groups else []
        self.best, self._fronts, self._hall_of_fame = {}, {}, []
        self._by_complexity, self._constant_free_by_complexity = {}, {}
        self._keep(
            [
                Scored(tokens, loss, values.reshape(k, c).copy(), constant_free_loss)
                for tokens, loss, constant_free_loss, values, k, c in zip(
                    self._decode(state["formulas"]),
                    state["losses"].tolist(),
                    state["constant_free_losses"].tolist(),
                    constants,
                    groups,
                    widths,
                    strict=True,
                )
            ]
        )
        self._recent.clear()
        self._recent.extend(self._decode(ids) for ids in state["recent"])
        self.rounds = int(state["rounds"])
        self.best_round = int(state["best_round"])

    def _encode(self, formulas: Sequence[Tokens]) -> torch.Tensor:
        ids = np.zeros((len(formulas), self._grammar.max_length), dtype=np.int16)
        for row, tokens in enumerate(formulas):
            ids[row] = self._grammar.encode(tokens)
        return torch.from_numpy(ids)

    def _decode(self, ids: torch.Tensor) -> list[Tokens]:
        return [self._grammar.decode(row) for row in ids.tolist()]


def _complexity(scored: Scored) -> int:
    return complexity_of(scored.tokens)


def _loss(scored: Scored) -> float:
    return scored.loss


def _n_fitted(scored: Scored) -> int:
    return scored.tokens.count(FITTED)


def _constant_free_loss(scored: Scored) -> float:
    return scored.constant_free_loss


def _keep_best(
    scores: Iterable[Scored], best: _ByComplexity, loss: Callable[[Scored], float]
) -> None:
    """Add formulas that are among the best of their complexity."""
    for complexity, new in _grouped(scores, _complexity).items():
        known = best.get(complexity, [])
        best[complexity] = nsmallest(_KEPT_PER_COMPLEXITY, [*known, *new], key=loss)


def _simplest_first(best: _ByComplexity, n_each: int) -> list[Scored]:
    return [scored for complexity in sorted(best) for scored in best[complexity][:n_each]]


def _grouped(scores: Iterable[Scored], key: Callable[[Scored], int]) -> dict[int, list[Scored]]:
    groups: dict[int, list[Scored]] = {}
    for scored in scores:
        groups.setdefault(key(scored), []).append(scored)
    return groups
