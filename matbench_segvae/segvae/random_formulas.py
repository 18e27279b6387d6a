"""Random formulas to pretrain the network on, and the mask that keeps its samples valid."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch

from matbench_segvae.expressions import FITTED, Grammar
from matbench_segvae.types import Booleans, Floats, Ints, Tokens

# A random tree grows a leaf with this share once it has a few operators; smaller shares
# give longer formulas.
_LEAF_SHARE = 0.4


class FormulaMask:
    """Allows, at every step, the tokens that can still lead to a complete formula."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._fitted = grammar.ids.get(FITTED, -1)

    def after(self, ids: Ints) -> Booleans:
        """Mask of the tokens that may follow, shape ``(B, n_tokens)``.

        Args:
            ids: Ids sampled so far, shape ``(B, t)``.
        """
        arities = np.where(ids == 0, 0, self._grammar.arities[ids] - 1)
        missing = 1 + arities.sum(axis=1)
        return self._grammar.allowed(missing, ids.shape[1], (ids == self._fitted).sum(axis=1))

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """The same for tensors, as the network's sampling needs it."""
        return torch.from_numpy(self.after(ids.cpu().numpy())).to(ids.device)


def complete_rows(grammar: Grammar, ids: Ints) -> Booleans:
    """Which rows are one complete formula, shape ``(B,)``.

    Args:
        grammar: The language.
        ids: Ids, shape ``(B, T)``; what comes after a row's first end token does not count.
    """
    before_end = np.logical_and.accumulate(ids != 0, axis=1)
    missing = 1 + np.cumsum(np.where(before_end, grammar.arities[ids] - 1, 0), axis=1)
    before_last = np.pad(before_end[:, 1:], ((0, 0), (0, 1)))
    too_early = ((missing <= 0) & before_last).any(axis=1)
    fitted = ((ids == grammar.ids.get(FITTED, -1)) & before_end).sum(axis=1)
    complete = before_end[:, 0] & (missing[:, -1] == 0) & ~too_early
    return np.asarray(complete & (fitted <= grammar.max_fitted), dtype=np.bool_)


def random_formulas(grammar: Grammar, n_formulas: int, seed: int, max_rounds: int = 200) -> Ints:
    """Draw different random formulas that satisfy the grammar's predicates.

    Args:
        grammar: The language.
        n_formulas: How many to draw.
        seed: Seed of the draw.
        max_rounds: Rounds of drawing after which fewer formulas are accepted, for
            languages that do not have as many.

    Returns:
        Ids, shape ``(n, max_length)`` with ``n <= n_formulas``.
    """
    rng = np.random.default_rng(seed)
    weights = _token_weights(grammar)
    draws = (_draw(grammar, weights, n_formulas, rng) for _ in range(max_rounds))
    found: dict[Tokens, None] = {}
    for row in chain.from_iterable(draws):
        tokens = grammar.decode(row)
        if tokens not in found and grammar.keeps(tokens):
            found[tokens] = None
        if len(found) == n_formulas:
            break
    return np.stack([grammar.encode(tokens) for tokens in found])


def _token_weights(grammar: Grammar) -> Floats:
    """Relative frequency of each token: variables are drawn as often as named constants."""
    weights = np.zeros(len(grammar.tokens))
    operators = grammar.arities > 0
    weights[operators] = (1 - _LEAF_SHARE) / operators.sum()
    weights[0] = 1.0
    variables = [grammar.ids[name] for name in grammar.variables]
    constants = np.flatnonzero(grammar.arities == 0)
    constants = constants[~np.isin(constants, variables)]
    weights[variables] = _LEAF_SHARE / 2 / len(variables)
    if len(constants):
        weights[constants] = _LEAF_SHARE / 2 / len(constants)
    if grammar.fitted_constants:
        # A fitted constant can become any of the named ones, so it is drawn more often.
        weights[grammar.ids[FITTED]] = _LEAF_SHARE / 2
    return weights


def _draw(grammar: Grammar, weights: Floats, n_rows: int, rng: np.random.Generator) -> Ints:
    """Draw token after token, each with its weight among those allowed."""
    mask = FormulaMask(grammar)
    ids = np.zeros((n_rows, 0), dtype=np.int64)
    for _ in range(grammar.max_length):
        cumulated = np.cumsum(weights * mask.after(ids), axis=1)
        token = (rng.random((n_rows, 1)) * cumulated[:, -1:] < cumulated).argmax(axis=1)
        ids = np.concatenate([ids, token[:, None]], axis=1)
        if not token.any():
            break
    return np.pad(ids, ((0, 0), (0, grammar.max_length - ids.shape[1])))
