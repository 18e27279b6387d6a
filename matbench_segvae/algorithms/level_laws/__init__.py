"""Level laws: HOMO, LUMO and band gap of a set of defects from levels that shift each other.

Energies of band edges do not add up over defects: the highest occupied state belongs to one
defect. So every defect ``i`` has a level that its neighbours shift,
``e_i = eps(kind_i) + Σ_j D(kind_i <- kind_j, r_ij)``, and the HOMO of a structure is the soft
maximum ``T log Σ exp(e_i/T)`` over its defects, the LUMO the soft minimum. The shift ``D`` is
directed: what ``j`` does to ``i`` is not what ``i`` does to ``j``. It is not forced to vanish at
long distance, since in a periodic cell even a far neighbour shifts levels by a constant. The gap is
the LUMO less the HOMO, each fitted on its own.

Shifts are either free numbers for every class of pairs
(:class:`~matbench_segvae.algorithms.level_laws.level_table.LevelTable`, the bound) or sums of a few
shapes ``f_m(r)`` common to all kinds of pairs, with coefficients for each directed kind
(:class:`~matbench_segvae.algorithms.level_laws.level_law.LevelLaw`, to be read).
"""
