"""SEGVAE on defects: a readable pair law found by a generator of formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from matbench_segvae.algorithms.base import AlgorithmCard, FoldContext
from matbench_segvae.algorithms.pair_law import (
    VARIABLES,
    PairLaw,
    SmoothLaw,
    pair_problem,
    pairs_of,
)
from matbench_segvae.defects import PairTable
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import (
    DEFAULT_PREDICATES,
    Expression,
    Grammar,
    no_free_factor,
)
from matbench_segvae.expressions.compiled import Floats, Program
from matbench_segvae.expressions.fitting import AdditiveProblem
from matbench_segvae.expressions.robust import LawFit, fit_absolute, predict, robust_weights
from matbench_segvae.isolation import isolated
from matbench_segvae.segvae import (
    AdditiveObjective,
    FitSettings,
    Scored,
    SearchSettings,
    pretrained,
    search,
)

PAIR_GRAMMAR = Grammar(
    variables=VARIABLES,
    operators=("add", "sub", "mul", "div", "square", "inv", "exp", "cos"),
    constants=(),
    max_length=14,
    max_fitted=4,
    predicates=(*DEFAULT_PREDICATES, no_free_factor),
)
"""The language of pair laws: what decays, oscillates and combines. Kept short, because
every kind of pair gets its own copy."""


@dataclass(frozen=True)
class PairLawSettings:
    """How a pair law is searched for and chosen.

    Attributes:
        search: The network and the length of the search.
        fit: How hard constants are fitted.
        validation_folds: Parts the training data are cut into to choose a formula.
        patience: Relative gain in validation error that justifies a longer formula.
    """

    search: SearchSettings = field(default_factory=lambda: SearchSettings(epochs=15, samples=2000))
    fit: FitSettings = field(default_factory=lambda: FitSettings(decay=5e-5))
    validation_folds: int = 5
    patience: float = 0.02


@dataclass(frozen=True)
class FrontEntry:
    """A formula of the Pareto front with its errors inside the training part.

    Attributes:
        scored: The formula as the search found it.
        fit: Its constants fitted to the whole training part under absolute error.
        validation_mae: Cross-validated inside the training part, eV per site.
    """

    scored: Scored
    fit: LawFit
    validation_mae: float


class SEGVAEPairLaw:
    """Searches a pair law ``K(r)`` with SEGVAE and predicts energies per defect site."""

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="segvae",
        algorithm_long=(
            "Symbolic expression generation via variational autoencoder. A recurrent "
            "variational autoencoder, pretrained on random formulas, writes candidate pair "
            "laws K(r) of the distance between two defects; constants are fitted, the best "
            "formulas retrain the network, and one formula is chosen by cross-validation "
            "inside the training part of the fold. The energy of a structure is the sum over "
            "its defects and their pairs."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(
            "@article{Popov2023, title={Symbolic expression generation via variational "
            "auto-encoder}, author={Popov, Sergei and Lazarev, Mikhail and Belavin, Vladislav "
            "and Derkach, Denis and Ustyuzhanin, Andrey}, journal={PeerJ Computer Science}, "
            "volume={9}, pages={e1241}, year={2023}, doi={10.7717/peerj-cs.1241}}",
            "@misc{Lazarev2025, title={Symbolic regression for defect interactions in 2D "
            "materials}, author={Lazarev, Mikhail and Ustyuzhanin, Andrey}, year={2025}, "
            "eprint={2512.20785}, archivePrefix={arXiv}}",
        ),
        notes="Inputs are the pair distances of the point defects, nothing else.",
        packages=("torch", "lightning", "numpy", "scipy", "scikit-learn", "sympy", "pymatgen"),
    )

    def __init__(self, settings: PairLawSettings | None = None) -> None:
        self.settings = settings or PairLawSettings()
        self._table: PairTable | None = None
        self._law: PairLaw | None = None
        self._front: list[FrontEntry] = []

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Search a pair law on the training part of a fold.

        Raises:
            UserError: If the inputs are not structures with pairs of point defects in a
                known host.
        """
        _check_task(context)
        table = pairs_of(inputs)
        if not table.pair_kinds:
            raise UserError(
                f"segvae on {context.task}, fold {context.fold}: no training structure holds "
                "two defects, so there is no pair law to find"
            )
        problem = pair_problem(table, targets.to_numpy(dtype=np.float64))
        with isolated(context.seed):
            self._front = self._search(problem, context)
        chosen = self._choose()
        self._table = table
        self._law = PairLaw.from_fit(chosen.scored.tokens, chosen.fit, table)

    def predict(self, inputs: pd.Series) -> NDArray[np.float64]:
        """Energies per defect site, eV.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
        """
        return self._fitted_law().predict(pairs_of(inputs, like=self._table))

    def describe(self) -> Mapping[str, Any]:
        """The law: formula, LaTeX, constants, complexity, and the front it came from."""
        law = self._fitted_law()
        return {
            "formula": "; ".join(law.lines()),
            "latex": law.latex(),
            "skeleton": str(law.skeleton),
            "complexity": law.complexity,
            "constants": law.constants(),
            "front": [
                {
                    "skeleton": str(Expression(entry.scored.tokens)),
                    "complexity": len(entry.scored.tokens),
                    "training_mae": entry.fit.mae,
                    "validation_mae": entry.validation_mae,
                }
                for entry in self._front
            ],
            "settings": asdict(self.settings),
        }

    def _fitted_law(self) -> PairLaw:
        if self._law is None:
            raise RuntimeError("fit() has to come first")
        return self._law

    def _search(self, problem: AdditiveProblem, context: FoldContext) -> list[FrontEntry]:
        """Search formulas, then fit and cross-validate those on the front."""
        robust = problem.reweighted(robust_weights(problem))
        smooth = SmoothLaw(problem)
        objective = AdditiveObjective(
            robust, VARIABLES, self.settings.fit, context.seed, admissible=smooth
        )
        module = pretrained(PAIR_GRAMMAR, self.settings.search, context.seed)
        found = search(
            PAIR_GRAMMAR, objective, module, self.settings.search, context.seed, context.report
        )
        return self._judge(found.front(), robust, smooth, context.seed)

    def _judge(
        self, found: Sequence[Scored], problem: AdditiveProblem, smooth: SmoothLaw, seed: int
    ) -> list[FrontEntry]:
        """Refit each formula of the front and cross-validate it in the training part."""
        n_rows = len(problem.target)
        n_folds = min(self.settings.validation_folds, n_rows)
        splitter = KFold(n_folds, shuffle=True, random_state=seed)
        splits = list(splitter.split(np.arange(n_rows)))
        entries = []
        for scored in found:
            with suppress(ValueError):  # no smooth fit under absolute error
                fit = self._refit(problem, scored.tokens, scored.constants, smooth)
                errors = [
                    _errors(
                        problem.subset(held),
                        scored.tokens,
                        self._refit(problem.subset(rest), scored.tokens, fit.constants, smooth),
                    )
                    for rest, held in splits
                ]
                entries.append(FrontEntry(scored, fit, float(np.concatenate(errors).mean())))
        if not entries:
            raise UserError("segvae found no formula that is smooth in the range of the data")
        return entries

    def _refit(
        self,
        problem: AdditiveProblem,
        tokens: tuple[str, ...],
        start: Floats,
        smooth: SmoothLaw,
    ) -> LawFit:
        """Fit a formula under absolute error, keeping it smooth for every kind of pair."""
        program = Program.compile([tokens], VARIABLES)

        def is_smooth(constants: Floats) -> bool:
            return all(bool(smooth(program, row[None], k)[0]) for k, row in enumerate(constants))

        return fit_absolute(problem, tokens, VARIABLES, start, self.settings.fit.decay, is_smooth)

    def _choose(self) -> FrontEntry:
        """The simplest formula that no longer one beats by more than the patience."""
        best = min(entry.validation_mae for entry in self._front)
        limit = best * (1 + self.settings.patience)
        return next(entry for entry in self._front if entry.validation_mae <= limit)


def _check_task(context: FoldContext) -> None:
    """Refuse tasks without structures or without a number to predict."""
    if context.input_type != "structure" or context.task_type != "regression":
        raise UserError(
            f"segvae cannot run on {context.task}: it needs structures with point defects and "
            f"a regression target, this task has a {context.input_type} and is a "
            f"{context.task_type}"
        )


def _errors(problem: AdditiveProblem, tokens: tuple[str, ...], fit: LawFit) -> Floats:
    """Absolute errors of a fitted law on other observations, shape ``(N,)``."""
    program = Program.compile([tokens], VARIABLES)
    predicted = predict(problem, program, fit.constants, fit.coefficients)
    return np.asarray(np.abs(predicted - problem.target))
