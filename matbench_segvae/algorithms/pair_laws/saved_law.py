"""Pair laws as they are stored with a result: read again and used on new structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pymatgen.core.structure import Structure

from matbench_segvae.algorithms.pair_laws.law import PairLaw
from matbench_segvae.algorithms.pair_laws.law_json import (
    FORMULAS_KEY,
    SHAPES_KEY,
    error_from_json,
    host_as_json,
    hosts_from_json,
    law_as_json,
    law_from_json,
    range_from_json,
)
from matbench_segvae.algorithms.pair_laws.law_numbers import normal_forms_as_json
from matbench_segvae.defects import (
    MANY_BODY_TERMS,
    MAX_STRAIN,
    DefectiveCell,
    Host,
    PairCounts,
    PairKind,
    columns_around,
    count_pairs,
    ordered_defect_kinds,
    ordered_pair_kinds,
    pairs_of,
    sparse_defects,
    term_columns,
)
from matbench_segvae.errors import UserError, cut
from matbench_segvae.expressions.figures import interval
from matbench_segvae.fitting.robust import STD_PER_MAE
from matbench_segvae.types import Floats

_RANGE_TOLERANCE = 1e-3  # Å; pair distances that agree so far are the same on a lattice
_SAME_DIRECTION = 1e-6  # relative; refits of energies that data determine differ by far more


@dataclass(frozen=True)
class Prediction:
    """What a law predicts for one structure.

    Attributes:
        defects: Such as ``"V_Mo + 2 V_S"``.
        energy_per_site: Energy per defect site, eV.
        total_energy: The same times the number of defects, eV.
        std_per_site: Standard deviation of `energy_per_site`, eV; see :meth:`SavedLaw.std`.
        extrapolates: Whether a pair is closer or farther apart than all pairs of its kind
            in the training data.
    """

    defects: str
    energy_per_site: float
    total_energy: float
    std_per_site: float
    extrapolates: bool


@dataclass(frozen=True, eq=False)
class SavedLaw:
    """A law with its refits and its validation error.

    Attributes:
        law: The law; defects on metal sites come first.
        resampled: The same law fitted to resampled training data.
        ranges: Shortest and longest distance in the training data by kind of pair, Å.
        hosts: Hosts of the training data.
        validation_mae: Cross-validated inside the training part, eV per defect site.
    """

    law: PairLaw
    resampled: tuple[PairLaw, ...]
    ranges: Mapping[PairKind, tuple[float, float]]
    hosts: tuple[Host, ...]
    validation_mae: float

    def description(self) -> dict[str, Any]:
        """Everything about the law in JSON's own types, some of it to be read by people."""
        return {
            "formula": "; ".join(self.law.lines(self.resampled)),
            "latex": self.law.latex(self.resampled),
            "complexity": self.law.complexity,
            "hosts": [host_as_json(host) for host in self.hosts],
            "constants": law_as_json(self.law),
            "constants_90_percent": self.intervals,
            "normal_forms": normal_forms_as_json(self.law, self.resampled),
            "distances_A": {str(kind): list(ends) for kind, ends in self.ranges.items()},
            "resampled": [law_as_json(refit) for refit in self.resampled],
            "validation_mae": self.validation_mae,
        }

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> SavedLaw:
        """Take back what :meth:`description` gave, after a way through JSON.

        Raises:
            ValueError: If something is missing or not what it should be.
        """
        try:
            hosts = hosts_from_json(described["hosts"])
            law = _in_order(law_from_json(described["constants"]), hosts)
            ranges = described["distances_A"].items()
            saved = cls(
                law=law,
                resampled=tuple(
                    _in_order(law_from_json(content), hosts) for content in described["resampled"]
                ),
                ranges={PairKind.parse(label): range_from_json(ends) for label, ends in ranges},
                hosts=hosts,
                validation_mae=error_from_json(described["validation_mae"], "validation_mae"),
            )
        except (KeyError, IndexError) as error:
            raise ValueError(f"it lacks {cut(error)}") from error
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"it does not describe a pair law: {error}") from error
        if any(_parts(other) != _parts(law) for other in saved.resampled):
            raise ValueError("its refits are of other kinds or formulas")
        if set(saved.ranges) != set(law.pair_formulas):
            raise ValueError("its fitted ranges are of other kinds of pairs than its formulas")
        return saved

    @property
    def intervals(self) -> dict[str, Any]:
        """The 90 % interval of every number of the law over its refits; empty without refits.

        Units are those of the law. The constants of a formula stand in the order in which
        they appear in it, for distances in Å.
        """
        if not self.resampled:
            return {}
        refits = [law_as_json(refit) for refit in self.resampled]
        numbers = {
            key: {kind: interval([refit[key][kind] for refit in refits]) for kind in kinds}
            for key, kinds in law_as_json(self.law).items()
            if key not in (FORMULAS_KEY, SHAPES_KEY)
        }
        if self.law.shared is not None:
            # Its constants are common to all kinds, and phases wrap: see the normal forms.
            return numbers
        constants = {
            str(kind): [
                interval([refit.pair_formulas[kind].constants[i] for refit in self.resampled])
                for i in range(len(formula.constants))
            ]
            for kind, formula in self.law.pair_formulas.items()
        }
        return {**numbers, "pair_constants": constants}

    @property
    def kinds(self) -> PairCounts:
        """Counts of no structures, with the kinds of defects and pairs the law knows."""
        return PairCounts.none(tuple(self.law.defect_energies), tuple(self.law.pair_formulas))

    def pairs_of(self, structures: Iterable[Structure]) -> PairCounts:
        """Count the pairs of structures, in the law's order of kinds.

        Raises:
            UserError: If a structure is of another host or has a kind of defect or pair that
                the law does not know.
        """
        return pairs_of(structures, like=self.kinds, hosts=self.hosts)

    @property
    def determines_defect_energies(self) -> bool:
        """Whether the data determine the energy of each kind of defect by itself.

        In training data of one composition they determine only one sum of them: refits then
        change all of them by the same factor. With too few refits to see that, it is assumed,
        and so it is of energies that are 0 in all of them.
        """
        kinds = list(self.law.defect_energies)
        laws = (self.law, *self.resampled)
        energies = np.array([[law.defect_energies[kind] for kind in kinds] for law in laws])
        energies = energies[:, energies.any(axis=0)]
        if len(laws) <= len(kinds) or not energies.size:
            return True
        sizes = np.linalg.svd(energies, compute_uv=False)
        return bool(sizes[-1] > _SAME_DIRECTION * sizes[0])

    def std(self, pairs: PairCounts) -> Floats:
        """Standard deviations of predicted energies per defect site, eV, shape ``(N,)``.

        That of the predictions of the refits to resampled data, and `STD_PER_MAE` times the
        law's mean absolute error in validation, which stands for what no law of pairs
        explains, in quadrature. The second part is that of structures like the training
        data's.

        Args:
            pairs: Pairs of ``N`` structures, with the kinds of this law in its order.
        """
        spread = np.zeros(len(pairs.counts))
        if len(self.resampled) > 1:
            spread = np.std([refit.predict(pairs) for refit in self.resampled], axis=0, ddof=1)
        return np.asarray(np.hypot(spread, STD_PER_MAE * self.validation_mae))

    def predict_cells(self, cells: Sequence[DefectiveCell]) -> Floats:
        """Predict energies per defect site, eV, of structures whose defects are known.

        Raises:
            UserError: If one has a kind of defect or pair that the law does not know.
        """
        return self.law.predict(count_pairs(cells, like=self.kinds))

    def predict(self, structure: Structure, max_strain: float = MAX_STRAIN) -> Prediction:
        """Predict the energy of a supercell with any number of known defects.

        Args:
            structure: The whole supercell.
            max_strain: Largest relative change of a length up to which a host is recognised.

        Raises:
            UserError: If it has another host, no defects, an unknown kind of defect or pair,
                or a distance at which the law has no value.
        """
        cell = sparse_defects(structure, self.hosts, max_strain)
        if not cell.defects:
            raise UserError(
                f"it is {cell.supercell} without defects: give structures with at least one of "
                f"{', '.join(self.law.defect_energies)}"
            )
        pairs = count_pairs([cell], like=self.kinds)
        energy = float(self.law.predict(pairs)[0])
        if not np.isfinite(energy):
            raise UserError("the law has no value at one of its pair distances")
        return Prediction(
            defects=_composition(pairs),
            energy_per_site=energy,
            total_energy=energy * len(cell.defects),
            std_per_site=float(self.std(pairs)[0]),
            extrapolates=self._extrapolates(pairs),
        )

    def _extrapolates(self, pairs: PairCounts) -> bool:
        low, high = np.array([self.ranges[kind] for kind in pairs.pair_kinds]).reshape(-1, 2).T
        below = pairs.distance < low[pairs.kind] - _RANGE_TOLERANCE
        above = pairs.distance > high[pairs.kind] + _RANGE_TOLERANCE
        return bool((below | above).any())


def _in_order(law: PairLaw, hosts: Sequence[Host]) -> PairLaw:
    """The law with its kinds in the order of pair counts, which JSON files need not keep.

    Raises:
        ValueError: If factors or terms are of other kinds than formulas and defects are.
    """
    others = law.pair_scales.keys() ^ law.pair_formulas.keys()
    defects = ordered_defect_kinds(law.defect_energies, hosts)
    strange = {column for _, column in law.many_body} - set(columns_around(defects))
    if others or strange:
        names = sorted(map(str, others | strange))
        shown = cut(", ".join(names))
        raise ValueError(f"it has a number without its kind, or the reverse: {shown}")
    pairs = ordered_pair_kinds(law.pair_formulas, defects)
    columns = term_columns(MANY_BODY_TERMS.values(), defects)
    shared = law.shared
    if shared is not None:
        shared = replace(shared, table={kind: shared.table[kind] for kind in pairs})
    return replace(
        law,
        shared=shared,
        defect_energies={kind: law.defect_energies[kind] for kind in defects},
        pair_scales={kind: law.pair_scales[kind] for kind in pairs},
        pair_formulas={kind: law.pair_formulas[kind] for kind in pairs},
        many_body={column: law.many_body[column] for column in columns if column in law.many_body},
    )


def _parts(law: PairLaw) -> tuple[object, ...]:
    """The law without its numbers."""
    formulas = {kind: formula.tokens for kind, formula in law.pair_formulas.items()}
    shared = law.shared
    entries = None
    if shared is not None:
        table = {kind: [one is None for one in row] for kind, row in shared.table.items()}
        entries = (shared.formula.tokens, shared.lattice, table)
    has_constant = law.constant is not None
    return law.defect_energies.keys(), formulas, law.many_body.keys(), entries, has_constant


def _composition(pairs: PairCounts) -> str:
    """The defects of the first of some structures, such as ``"V_Mo + 2 V_S"``."""
    numbers = zip(pairs.composition[0].tolist(), pairs.defect_kinds, strict=True)
    return " + ".join(f"{n} {kind}" if n > 1 else kind for n, kind in numbers if n)
