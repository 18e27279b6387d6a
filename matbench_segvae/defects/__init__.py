"""Matter: pristine hosts, the defects of a structure, and the pairs they form."""

from matbench_segvae.defects.distances import plane_distances
from matbench_segvae.defects.hosts import HOSTS, Host
from matbench_segvae.defects.orbits import Orbits, canonical_sites, vacancy_orbits
from matbench_segvae.defects.pairs import PairCounts, count_pairs, same_defects, shortest_distances
from matbench_segvae.defects.sparse import (
    Defect,
    DefectiveCell,
    defective_structure,
    sparse_defects,
    vacancies,
)

__all__ = [
    "HOSTS",
    "Defect",
    "DefectiveCell",
    "Host",
    "Orbits",
    "PairCounts",
    "canonical_sites",
    "count_pairs",
    "defective_structure",
    "plane_distances",
    "same_defects",
    "shortest_distances",
    "sparse_defects",
    "vacancies",
    "vacancy_orbits",
]
