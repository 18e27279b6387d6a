"""Pair laws: the energy of a set of defects as a sum over defects and pairs.

The energy is ``E = c0 + Σ eps(kind) + Σ K(r)`` over defects and pairs, and, where cross-validation
supports it, three-body terms such as ``Σ T/(r1*r2)`` over any two defects around a third. ``c0`` is
an energy that all structures have in common, an error of all cells. With a few kinds of pairs each
has a formula ``K`` of its own; with many, all have one formula with a small table of coefficients.
On a lattice the pair distances are discrete: the 743 structures of ``defects2d_mos2_v3`` hold 33 of
them, the 5,933 of ``defects2d_mos2_low`` 117. Energies are therefore an incidence matrix times the
values at those distances, and the cost of a formula does not depend on the number of structures.

How ``segvae`` finds a law on the training part of a fold:

1. *Three-body terms and constant.* Pair energies, one for each kind, distance and direction, are
   cross-validated inside the training part with and without a term. Terms have several forms, and
   are for any two defects around a kind of defect, or for two of given kinds. A term stays if the
   mean error decreases and a signed-rank test (Wilcoxon, p < 0.01) confirms it; a rank test is used
   because a few compact clusters dominate the mean error. There is a constant where structures
   differ in their number of defects and pairs reach four lattice constants.
2. *Pair energies.* A robust fit of the pair energies gives the target value and the weight for each
   pair distance. Structures that the pair energies fit exactly get no more weight than those at the
   median residual, since a formula will miss them by as much.
3. *Search.* SEGVAE searches a formula for each kind of pair on its own, and once more for the kind
   whose best formula has the largest residual. A law must be no larger beyond the data than at
   them, fall there at least about as fast as 1/r, and have neither poles nor fast oscillations in
   the range of the data; formulas that violate this are rejected
   (:class:`~matbench_segvae.algorithms.pair_laws.constraints.ConstraintSettings` switches either
   condition off). With three kinds of pairs or more, SEGVAE also searches one formula for all of
   them: a sum of shapes (products of powers, decays and a wave) whose constants all kinds have in
   common. Each shape has a coefficient for each kind of pair, a wave also a phase. A candidate is
   scored at once on all kinds by what the best law of at most 80 nodes leaves, every entry of the
   table counting one; which entries a law keeps is decided by dynamic programming
   (:mod:`~matbench_segvae.algorithms.pair_laws.shared_search`). With more than six kinds this is
   the only search.
4. *Joint fit.* The best combinations of formulas, of up to 40 nodes in all, are fitted together to
   the structures, under absolute error.
5. *Selection* by cross-validation inside the training part. Errors are compared as ratios,
   structure by structure: the mean would be that of the few whose closest pairs are held out. Of
   the laws whose errors are within a standard error of the smallest, the one with the fewest nodes
   is taken, then the one that changes sign least often beyond the data. Single defects and the only
   structure with the closest pair of a kind are in every fit. Up to 60 others are left out one by
   one, and errors of the fit to all of them count beside those
   (:mod:`~matbench_segvae.algorithms.pair_laws.held_out` says why); with more, but fewer than 300,
   the cross-validation is repeated with further splits. Constants have 90 % intervals from refits
   to resampled structures.

With fewer than three structures for each pair distance there is only the search of one formula with
a table, repeated from five seeds. Data with one or two kinds of pairs have no such table: there
kinds of the same two defects have the same formula. A law has at most as many nodes as there are
structures, and a third as many fitted numbers. With many structures, laws are compared on 2,000 of
them, and on those that are in every fit, and fitted to all at the end.

Where all training structures have the same composition, as in ``defects2d_mos2_v3``, the energies
of single defects are not determined separately. The commands that show a saved law or predict with
it report this. The standard deviation of a prediction combines, in quadrature, the spread of the
refits and 1.25 times the validation error (the standard deviation of normal errors with that mean
absolute value). It holds for structures like the training data's.
"""
