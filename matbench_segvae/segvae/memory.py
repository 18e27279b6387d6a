"""What a search remembers: every score, the recent rounds, and the elite among them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from matbench_segvae.expressions import Expression, Grammar, pareto_front
from matbench_segvae.segvae.objective import Scored, Tokens


class Memory:
    """Scores of all formulas met, and which were met in recent rounds.

    Attributes:
        best: Score of every formula met, up to the order of commutative arguments.
        rounds: Rounds remembered so far.
        improved: Round, counted from 1, that found the smallest loss so far.
    """

    def __init__(self, grammar: Grammar, n_recent: int) -> None:
        self.best: dict[Tokens, Scored] = {}
        self.rounds = 0
        self.improved = 0
        self._grammar = grammar
        self._recent: deque[list[Tokens]] = deque(maxlen=n_recent)

    def add(self, formulas: Sequence[Tokens], scores: Iterable[Scored]) -> None:
        """Take in a round.

        Args:
            formulas: The formulas of the round, old and new.
            scores: Scores of those that are new.
        """
        before = self.leader
        self.best.update((scored.tokens, scored) for scored in scores)
        self._recent.append(list(formulas))
        self.rounds += 1
        after = self.leader
        if after is not None and (before is None or after.loss < before.loss):
            self.improved = self.rounds

    @property
    def leader(self) -> Scored | None:
        """The formula with the smallest loss, if there is any with a loss."""
        finite = (scored for scored in self.best.values() if math.isfinite(scored.loss))
        return min(finite, key=lambda scored: scored.loss, default=None)

    def elite(self, n_kept: int, n_champions: int) -> list[Tokens]:
        """The formulas to learn from, best first.

        Args:
            n_kept: How many of each recent round, on average.
            n_champions: How many of all rounds, beside those.
        """
        recent = dict.fromkeys(tokens for formulas in self._recent for tokens in formulas)
        kept = self._ranked(recent)[: n_kept * len(self._recent)]
        champions = self._ranked(self.best)[:n_champions] if n_champions else []
        return self._ranked(dict.fromkeys([*champions, *kept]))

    def _ranked(self, formulas: Iterable[Tokens]) -> list[Tokens]:
        """Formulas by loss; those without one only if there are no others."""
        known = [tokens for tokens in formulas if tokens in self.best]
        defined = [tokens for tokens in known if math.isfinite(self.best[tokens].loss)]
        return sorted(defined or known, key=lambda tokens: self.best[tokens].loss)

    def front(self) -> list[Scored]:
        """The Pareto front of complexity against loss, simplest first."""
        return pareto_front(
            self.best.values(),
            complexity=lambda scored: Expression(scored.tokens).complexity,
            loss=lambda scored: scored.loss,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and numbers that ``torch.load(weights_only=True)`` reads."""
        scores = list(self.best.values())
        constants = [np.asarray(scored.constants, dtype=np.float64) for scored in scores]
        flat = np.concatenate([c.ravel() for c in constants]) if constants else np.zeros(0)
        return {
            "formulas": self._encode([scored.tokens for scored in scores]),
            "losses": torch.tensor([scored.loss for scored in scores], dtype=torch.float64),
            "constants": torch.from_numpy(flat),
            "groups": torch.tensor([len(c) for c in constants], dtype=torch.long),
            "widths": torch.tensor([c.shape[1] for c in constants], dtype=torch.long),
            "recent": [self._encode(formulas) for formulas in self._recent],
            "rounds": self.rounds,
            "improved": self.improved,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        groups, widths = state["groups"].tolist(), state["widths"].tolist()
        ends = np.cumsum([k * c for k, c in zip(groups, widths, strict=True)], dtype=np.int64)
        parts = np.split(state["constants"].numpy(), ends[:-1]) if groups else []
        self.best = {
            tokens: Scored(tokens, loss, part.reshape(k, c).copy())
            for tokens, loss, part, k, c in zip(
                self._decode(state["formulas"]),
                state["losses"].tolist(),
                parts,
                groups,
                widths,
                strict=True,
            )
        }
        self._recent.clear()
        self._recent.extend(self._decode(ids) for ids in state["recent"])
        self.rounds = int(state["rounds"])
        self.improved = int(state["improved"])

    def _encode(self, formulas: Sequence[Tokens]) -> torch.Tensor:
        ids = np.zeros((len(formulas), self._grammar.max_length), dtype=np.int16)
        for row, tokens in enumerate(formulas):
            ids[row] = self._grammar.encode(tokens)
        return torch.from_numpy(ids)

    def _decode(self, ids: torch.Tensor) -> list[Tokens]:
        return [self._grammar.decode(row) for row in ids.tolist()]
