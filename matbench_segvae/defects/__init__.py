"""Matter: pristine hosts, the defects of a structure, and the pairs they form."""

from matbench_segvae.defects.distances import plane_distances
from matbench_segvae.defects.hosts import HOSTS, Host
from matbench_segvae.defects.kinds import (
    PairKind,
    Planes,
    numbers_by_defects,
    ordered_defect_kinds,
    ordered_pair_kinds,
    shortest_distances,
)
from matbench_segvae.defects.many_body import (
    MANY_BODY_TERMS,
    THREE_BODY,
    ManyBodyTerm,
    TermColumn,
    term_columns,
)
from matbench_segvae.defects.orbits import Orbits, canonical_sites, vacancy_orbits
from matbench_segvae.defects.pairs import PairCounts, count_pairs, pairs_of
from matbench_segvae.defects.sparse import (
    Defect,
    DefectiveCell,
    defective_structure,
    sparse_defects,
    vacancies,
)

__all__ = [
    "HOSTS",
    "MANY_BODY_TERMS",
    "THREE_BODY",
    "Defect",
    "DefectiveCell",
    "Host",
    "ManyBodyTerm",
    "Orbits",
    "PairCounts",
    "PairKind",
    "Planes",
    "TermColumn",
    "canonical_sites",
    "count_pairs",
    "defective_structure",
    "numbers_by_defects",
    "ordered_defect_kinds",
    "ordered_pair_kinds",
    "pairs_of",
    "plane_distances",
    "shortest_distances",
    "sparse_defects",
    "term_columns",
    "vacancies",
    "vacancy_orbits",
]
