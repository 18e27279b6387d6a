"""A formula for a table of numbers: the scikit-learn estimator and the steps of its fit.

One step is one function: distinct rows, features scaled by powers of ten
(:mod:`~matbench_segvae.regressor.table`), a search for candidate formulas
(:mod:`~matbench_segvae.regressor.table_search`), their final fit
(:mod:`~matbench_segvae.regressor.linear_fit`), the Pareto front in the units of the table and
the choice from it (:mod:`~matbench_segvae.regressor.front`).
"""
