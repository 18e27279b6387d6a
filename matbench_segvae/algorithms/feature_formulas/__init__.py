"""Formulas of features: one sum of short terms per fold, for tasks without defects.

A formula has at most 40 nodes (operators, features and numbers) and 8 features. How ``segvae``
finds it on the training part of a fold:

1. *Features.* matminer computes named features of structures and compositions: Magpie's statistics
   of elemental properties, stoichiometry, valence orbitals, the fraction ``x_Ni`` of every element;
   for structures also the geometry of layers: thickness, area per atom, mass per area, gaps,
   distances, coordination, surface composition. Units are given in
   :mod:`matbench_segvae.features.names`. Features are cached by the content of their inputs.
2. *Feature selection.* Forward selection takes a dozen features; up to 16 are all kept. An
   exponential link competes where the targets span more than a factor of ten.
3. *Term search.* SEGVAE generates short terms, products of powers of features such as
   ``x*sqrt(y)``, first for the target and then for the residual of the formula so far; up to a
   thousand of every length are kept. A quotient is a whole term, of one feature by another that
   does not change sign: products that contain quotients fit a few rows and miss others. Sums and
   numbers inside terms were tried and dropped; what they gain in selection they lose on rows not
   seen.
4. *Term selection.* Up to 8 terms are added by cross-validated absolute error; a beam search keeps
   the best twelve formulas of each size. Terms of a single feature compete with the generated
   terms. A classification has a logistic link and is fitted by log loss.
5. *Repeats.* Term selection depends on the random split. Steps 2 to 4 are therefore done three
   times, each with splits of its own, and the best formulas are compared on further splits that
   were not used to select any of them.
6. *Final fit* of the coefficients under absolute error. Predictions stay within the range of the
   training targets. Standard deviations follow the cross-validated errors of similar predictions.

All steps see the training part of the fold only. With more than 2,000 rows, steps 2 to 5 see a
random 2,000, and the constants are fitted to all.
"""
