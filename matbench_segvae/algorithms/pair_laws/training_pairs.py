"""What a pair law is fitted to: structures as counts of defects and pairs, with energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from matbench_segvae.defects import (
    MAX_STRAIN,
    Host,
    PairCounts,
    count_pairs,
    shortest_distances,
    sparse_defects,
)
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.types import Floats

_FAR = 4.0  # lattice constants, at which pairs hardly interact


@dataclass(frozen=True, eq=False)
class TrainingPairs:
    """Structures and their energies.

    Attributes:
        pairs: Defects and pairs of ``N`` structures.
        energies: Energy per defect site, eV, shape ``(N,)``.
        hosts: The structures' hosts, sorted by name.
    """

    pairs: PairCounts
    energies: Floats
    hosts: tuple[Host, ...]

    @classmethod
    def of(
        cls,
        structures: pd.Series,
        energies: pd.Series,
        hosts: Sequence[Host] | None = None,
        max_strain: float = MAX_STRAIN,
    ) -> TrainingPairs:
        """Find the defects of structures and count their pairs.

        Args:
            structures: Defective supercells, pymatgen structures.
            energies: Energy per defect site, eV, in the same order.
            hosts: What they may be supercells of; all known hosts by default.
            max_strain: Largest relative change of a length up to which a host is recognised.

        Raises:
            UserError: If a structure is a supercell of none of them.
        """
        cells = [sparse_defects(structure, hosts, max_strain) for structure in structures]
        found = sorted({cell.supercell.host for cell in cells}, key=lambda host: host.name)
        return cls(count_pairs(cells), energies.to_numpy(dtype=np.float64), tuple(found))

    @property
    def has_constant(self) -> bool:
        """Whether laws have an energy that all structures have in common.

        Where pair energies vanish within the data it is what is left of pairs far apart, and
        without it no law is right for single defects, pairs and triples at once. Data of one
        number of defects cannot tell it from the energies of defects, and where pairs are close to
        each other in all structures nothing but the choice of a formula would.
        """
        if len(set(self.pairs.n_sites.tolist())) < 2:
            return False
        lengths = [host.a for host in self.hosts]
        return float(self.pairs.distance.max(initial=0.0)) >= _FAR * max(lengths)

    def are_few(self, per_class: float) -> bool:
        """Whether there are fewer structures than so many for each class of pairs."""
        return len(self.energies) < per_class * len(self.pairs.distance)

    def problem(
        self,
        formula_of: Sequence[int] | None = None,
        columns: Sequence[int] = (),
    ) -> AdditiveProblem:
        """Pose the fit of a pair law.

        Args:
            formula_of: Number of the formula of each kind of pair; by default every kind has
                its own.
            columns: Numbers of the descriptors that have a factor, as columns of
                ``pairs.descriptors``.
        """
        pairs = self.pairs
        per_site = 1 / pairs.n_sites[:, None]
        ones = np.ones((len(self.energies), int(self.has_constant)))
        factors = pairs.descriptors[:, list(columns)]
        linear = np.concatenate([pairs.composition, factors, ones], axis=1)
        numbers = np.asarray(self._numbers(formula_of), dtype=np.int64)
        return AdditiveProblem(
            points=pairs.distance[:, None],
            group=numbers[pairs.kind],
            n_groups=len(set(numbers.tolist())),
            incidence=pairs.counts * per_site,
            linear=linear * per_site,
            target=np.asarray(self.energies, dtype=np.float64),
            weights=np.ones(len(self.energies)),
        )

    def shortest(self, formula_of: Sequence[int] | None = None) -> list[float]:
        """The shortest distance on the lattice at which each formula is needed, Å.

        Args:
            formula_of: Number of the formula of each kind of pair; by default every kind has
                its own.
        """
        numbers = self._numbers(formula_of)
        kinds = shortest_distances(self.hosts, self.pairs.pair_kinds)
        return [
            min(low for low, number in zip(kinds, numbers, strict=True) if number == formula)
            for formula in sorted(set(numbers))
        ]

    def _numbers(self, formula_of: Sequence[int] | None) -> list[int]:
        return list(range(len(self.pairs.pair_kinds)) if formula_of is None else formula_of)
