"""The reference for pair laws: an energy for every kind and distance of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from matbench_segvae.algorithms.pair_laws.pair_energies import PairEnergies, fit_pair_energies
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.algorithms.pair_laws.supported_terms import supported_terms
from matbench_segvae.algorithms.pair_laws.training_pairs import TrainingPairs
from matbench_segvae.algorithms.protocol import AlgorithmCard, FoldContext
from matbench_segvae.defects import Host, pairs_of
from matbench_segvae.errors import UserError
from matbench_segvae.types import Floats


class PairTable:
    """Fits an energy for every kind and distance of pairs.

    No law that is a sum over defects and pairs has a smaller mean absolute error on the
    training data.
    """

    card: ClassVar[AlgorithmCard] = AlgorithmCard(
        algorithm="pair_table",
        algorithm_long=(
            "Every kind of defect has an energy, and so has every kind of pair at every lattice "
            "distance and direction; the energy of a structure is the sum over its defects and "
            "their pairs, a constant where structures differ in their number of defects and pairs "
            "are far apart, and a three-body term where cross-validation inside the training part "
            "supports it. "
            "Fitted by least absolute deviations, solved exactly as a linear program. "
            "Distances that were not in training are interpolated."
        ),
        authors="The matbench_segvae developers",
        bibtex_refs=(
            "@article{Wagner1959, title={Linear programming techniques for regression "
            "analysis}, author={Wagner, Harvey M.}, journal={Journal of the American "
            "Statistical Association}, volume={54}, pages={206--212}, year={1959}, "
            "doi={10.1080/01621459.1959.10501506}}",
            "@article{Huangfu2018, title={Parallelizing the dual revised simplex method}, "
            "author={Huangfu, Qi and Hall, J. A. Julian}, journal={Mathematical Programming "
            "Computation}, volume={10}, pages={119--142}, year={2018}, "
            "doi={10.1007/s12532-017-0130-5}}",
        ),
        notes=(
            "A reference, not a readable law: on the training data no formula of the pair "
            "distances has a smaller mean absolute error. On unseen structures a formula can "
            "do better where distances are missing from training or data are few."
        ),
        packages=("numpy", "scipy", "pymatgen"),
    )

    def __init__(self) -> None:
        self._energies: PairEnergies | None = None
        self._hosts: tuple[Host, ...] | None = None

    def fit(self, inputs: pd.Series, targets: pd.Series, context: FoldContext) -> None:
        """Fit the table to the training part of a fold.

        Args:
            inputs: Structures with point defects in a known host, indexed by sample id.
            targets: Energy per defect site, eV.
            context: What else is known about the fold.

        Raises:
            UserError: If the inputs are not such structures.
        """
        if context.input_type != "structure" or context.task_type != "regression":
            raise UserError(
                f"pair_table cannot run on {context.task}: it needs structures with point "
                f"defects and a regression target, this task has a {context.input_type} and is "
                f"a {context.task_type}"
            )
        data = TrainingPairs.of(inputs, targets, context.hosts)
        settings = PairLawSettings()
        self._energies = fit_pair_energies(
            data.pairs,
            data.energies,
            supported_terms(data, settings, context.seed),
            constant=data.has_constant,
        )
        self._hosts = context.hosts

    def predict(self, inputs: pd.Series) -> Floats:
        """Energies per defect site, eV; see :meth:`PairEnergies.predict`.

        Args:
            inputs: Structures, indexed by sample id.

        Raises:
            UserError: If a structure holds a kind of defect or pair not seen in training.
            RuntimeError: If called before `fit`.
        """
        fitted = self._fitted()
        return fitted.predict(pairs_of(inputs, like=fitted.pairs, hosts=self._hosts))

    def describe(self) -> Mapping[str, Any]:
        """The energies of defects, and kind, distance (Å) and energy (eV) of every pair."""
        fitted = self._fitted()
        pairs = fitted.pairs
        n_numbers = len(fitted.defect_energies) + len(fitted.pair_energies) + len(fitted.columns)
        n_numbers += fitted.constant != 0
        terms = [pairs.term_columns[column] for column in fitted.columns]
        factors = zip(terms, fitted.factors.tolist(), strict=True)
        return {
            "energy_per_structure_eV": fitted.constant,
            "many_body": {f"{term.key} {column}": value for (term, column), value in factors},
            "defect_energies_eV": dict(
                zip(pairs.defect_kinds, fitted.defect_energies.tolist(), strict=True)
            ),
            "pair_values": [
                {
                    "kind": str(pairs.pair_kinds[kind]),
                    "distance_A": distance,
                    "direction": direction,
                    "value_eV": value,
                }
                for kind, distance, direction, value in zip(
                    pairs.kind.tolist(),
                    pairs.distance.round(3).tolist(),
                    pairs.direction.round(3).tolist(),
                    fitted.pair_energies.tolist(),
                    strict=True,
                )
            ],
            "complexity": n_numbers,
            "parameters": n_numbers,
            "training_mae": fitted.training_mae,
        }

    def _fitted(self) -> PairEnergies:
        if self._energies is None:
            raise RuntimeError("fit has to be called before predict or describe")
        return self._energies
