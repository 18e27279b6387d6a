"""Matter: pristine hosts, the defects of a structure, and the pairs they form."""

from matbench_segvae.defects.host_table import HOSTS, known_hosts
from matbench_segvae.defects.hosts import Host
from matbench_segvae.defects.kinds import (
    PairKind,
    Planes,
    checked_defect_kind,
    numbers_by_defects,
    ordered_defect_kinds,
    ordered_pair_kinds,
    placed_element,
    shortest_distances,
)
from matbench_segvae.defects.many_body import (
    MANY_BODY_TERMS,
    THREE_BODY,
    ManyBodyTerm,
    TermColumn,
    columns_around,
    meaning,
    term_columns,
)
from matbench_segvae.defects.orbits import Orbits, defect_orbits
from matbench_segvae.defects.pairs import PairCounts, count_pairs, pairs_of
from matbench_segvae.defects.recognition import MAX_STRAIN, are_defective, sparse_defects
from matbench_segvae.defects.sparse import (
    Defect,
    DefectiveCell,
    defective_structure,
    defects_on,
    vacancies,
)
from matbench_segvae.defects.supercells import Supercell, plane_distances

__all__ = [
    "HOSTS",
    "MANY_BODY_TERMS",
    "MAX_STRAIN",
    "THREE_BODY",
    "Defect",
    "DefectiveCell",
    "Host",
    "ManyBodyTerm",
    "Orbits",
    "PairCounts",
    "PairKind",
    "Planes",
    "Supercell",
    "TermColumn",
    "are_defective",
    "checked_defect_kind",
    "columns_around",
    "count_pairs",
    "defect_orbits",
    "defective_structure",
    "defects_on",
    "known_hosts",
    "meaning",
    "numbers_by_defects",
    "ordered_defect_kinds",
    "ordered_pair_kinds",
    "pairs_of",
    "placed_element",
    "plane_distances",
    "shortest_distances",
    "sparse_defects",
    "term_columns",
    "vacancies",
]
