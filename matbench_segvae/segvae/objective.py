"""What a formula is worth: its loss on the data with the best constants found for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from matbench_segvae.expressions import FITTED
from matbench_segvae.expressions.evaluate import Batch
from matbench_segvae.expressions.fitting import AdditiveProblem, Fit, fit_constants

Tokens = tuple[str, ...]

# Given formulas, their constants for one group of points, shape (B, C), and the number of
# the group, says which may be kept, shape (B,).
Admissible = Callable[[Batch, torch.Tensor, int], torch.Tensor]

_LARGEST_CHUNK = 1024  # formulas; more at once no longer saves time


def everything(batch: Batch, constants: torch.Tensor, group: int) -> torch.Tensor:
    """Admit all formulas."""
    return torch.ones(batch.n_formulas, dtype=torch.bool)


@dataclass(frozen=True)
class Scored:
    """A formula with its loss and the constants that gave it.

    Attributes:
        tokens: The formula.
        loss: Root mean squared error, weighted, beyond what free values at the points would
            leave; infinite if the formula is not defined on the data or not admissible.
        constants: Constants in each group, shape ``(K, C)`` with the formula's own ``C``.
    """

    tokens: Tokens
    loss: float
    constants: torch.Tensor


class Objective(Protocol):
    """Scores formulas; the search knows nothing else about the data."""

    def score(self, formulas: Sequence[Tokens]) -> list[Scored]:
        """Fit and score formulas, in the order given."""


@dataclass(frozen=True)
class FitSettings:
    """How hard to try to find a formula's constants.

    Attributes:
        screening_starts: Random starts for every formula and group.
        screening_steps: Steps from each of them, and of the joint fit after them.
        polished_share: Share of the formulas that are fitted again, harder.
        polishing_starts: Random starts for those, beside where screening ended.
        polishing_steps: Steps from each of them, and of the joint fit after them.
        decay: Weight of the constants' squares, see
            :func:`~matbench_segvae.expressions.fitting.fit_constants`.
        cells: Formulas times points fitted at once, which bounds memory.
    """

    screening_starts: int = 3
    screening_steps: int = 6
    polished_share: float = 0.1
    polishing_starts: int = 10
    polishing_steps: int = 20
    decay: float = 5e-5
    cells: int = 100_000


class AdditiveObjective:
    """Scores formulas on an :class:`AdditiveProblem` by fitting their constants.

    A fit that is not admissible counts as undefined, so that constants found from another
    start, or another formula, take its place.
    """

    def __init__(
        self,
        problem: AdditiveProblem,
        variables: Sequence[str],
        settings: FitSettings,
        seed: int,
        admissible: Admissible = everything,
    ) -> None:
        self._admissible = admissible
        self._problem = problem
        self._variables = tuple(variables)
        self._settings = settings
        self._generator = torch.Generator().manual_seed(seed)
        self._n_observations = len(problem.target)
        # A single group needs no taking apart, and its condensed data serve as they are.
        self._one_by_one = problem.one_by_one() if problem.n_groups > 1 else [problem]

    def score(self, formulas: Sequence[Tokens]) -> list[Scored]:
        """Fit and score formulas: all of them briefly, the most promising ones harder."""
        settings = self._settings
        size = min(_LARGEST_CHUNK, max(1, settings.cells // len(self._problem.points)))
        scored: list[Scored] = []
        for first in range(0, len(formulas), size):
            chunk = formulas[first : first + size]
            scored += self._fit(chunk, settings.screening_starts, settings.screening_steps)
        n_polished = max(1, round(settings.polished_share * len(scored)))
        order = sorted(range(len(scored)), key=lambda i: scored[i].loss)[:n_polished]
        for first in range(0, len(order), size):
            picked = order[first : first + size]
            before = [scored[i] for i in picked]
            after = self._fit(
                [s.tokens for s in before],
                settings.polishing_starts,
                settings.polishing_steps,
                before,
            )
            for position, old, new in zip(picked, before, after, strict=True):
                scored[position] = min(old, new, key=lambda s: s.loss)
        return scored

    def _fit(
        self,
        formulas: Sequence[Tokens],
        n_starts: int,
        n_steps: int,
        previous: Sequence[Scored] = (),
    ) -> list[Scored]:
        """Fit each formula from random starts, and from where it was before if given."""
        batch = Batch(formulas, self._variables)
        starts = [self._best_starts(formulas, batch.width, n_starts, n_steps)]
        if previous:
            starts.append(_stack([s.constants for s in previous], batch.width))
        fits = [self._joint_fit(batch, start, steps) for start in starts for steps in (0, n_steps)]
        best = fits[0]
        for fit in fits[1:]:
            best = fit.where(fit.loss < best.loss, best)
        # What is not admissible has an infinite loss, whatever its error.
        errors = torch.where(torch.isfinite(best.loss), best.error, torch.inf)
        losses = (errors / self._n_observations).sqrt().tolist()
        return [
            Scored(tokens, loss, best.constants[i, :, : tokens.count(FITTED)].clone())
            for i, (tokens, loss) in enumerate(zip(formulas, losses, strict=True))
        ]

    def _joint_fit(self, batch: Batch, start: torch.Tensor, n_steps: int) -> Fit:
        """Fit the constants of all groups together; what is not admissible is undefined."""
        fit = fit_constants(self._problem, batch, start, n_steps, self._settings.decay)
        for group in range(self._problem.n_groups):
            fit.loss[~self._admissible(batch, fit.constants[:, group], group)] = torch.inf
        return fit

    def _best_starts(
        self, formulas: Sequence[Tokens], width: int, n_starts: int, n_steps: int
    ) -> torch.Tensor:
        """Find good constants for each group by itself, from several random starts.

        Groups meet only in the residual. Looking for them one by one needs a lucky start
        for each, not for all at once.

        Returns:
            Constants, shape ``(B, K, C)``.
        """
        if width == 0:
            n_starts = 1
        batch = Batch(list(formulas) * n_starts, self._variables)
        best = []
        for group, problem in enumerate(self._one_by_one):
            start = self._random_start((batch.n_formulas, 1, width))
            fit = fit_constants(problem, batch, start, n_steps, self._settings.decay)
            fit.loss[~self._admissible(batch, fit.constants[:, 0], group)] = torch.inf
            winner = fit.loss.view(n_starts, -1).argmin(dim=0)
            per_start = fit.constants[:, 0].view(n_starts, len(formulas), width)
            best.append(per_start[winner, torch.arange(len(formulas))])
        return torch.stack(best, dim=1)

    def _random_start(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """Constants of either sign around 1, the size that data in natural units ask for."""
        normal = torch.randn(shape, generator=self._generator, dtype=torch.float64)
        sign = torch.where(torch.rand(shape, generator=self._generator) < 0.5, -1.0, 1.0)
        return sign * (0.8 * normal).exp()


def _stack(constants: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Stack constants of different lengths into ``(B, K, width)``, filled with 0."""
    return torch.stack(
        [torch.nn.functional.pad(values, (0, width - values.shape[1])) for values in constants]
    )
