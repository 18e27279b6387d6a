"""Inputs with defects are told from all others by what they are."""

import pandas as pd

from matbench_segvae.algorithms.segvae import SEGVAE
from matbench_segvae.benchmark import load_task, make_task
from matbench_segvae.defects import (
    HOSTS,
    Host,
    Supercell,
    are_defective,
    defective_structure,
    vacancies,
)

CELL = Supercell(HOSTS["BN"], 4, 4)
DEFECTIVE = defective_structure(CELL, vacancies(CELL, [0]))


def test_half_of_the_inputs_decide():
    pristine = CELL.structure()
    assert are_defective([DEFECTIVE, pristine])
    assert not are_defective([DEFECTIVE, pristine, pristine])
    assert not are_defective([pristine])
    assert not are_defective([])
    assert not are_defective([DEFECTIVE.composition, "BN", None])


def test_only_the_given_hosts_count():
    assert not are_defective([DEFECTIVE], [HOSTS["MoS2"]])
    strange = Host("X", 4.2, 5.1, 90.0, 20.0, (("Zr", (0.0, 0.0, 0.5)), ("Se", (0.5, 0.5, 0.5))))
    cell = Supercell(strange, 3, 3)
    structure = defective_structure(cell, vacancies(cell, [0]))
    assert not are_defective([structure])
    assert are_defective([structure], [strange])


def test_tasks_without_defects_stay_tasks_of_features(matminer_data):
    for name in ("matbench_jdft2d", "matbench_steels"):
        task = make_task(name)
        load_task(task)
        inputs, _ = task.get_train_and_val_data(0)
        assert not are_defective(inputs.to_list()), name


def test_the_search_is_chosen_by_the_inputs_whatever_the_benchmark(fold_context, monkeypatch):
    chosen = []
    for kind in ("SEGVAEPairLaw", "FeatureFormula"):
        monkeypatch.setattr(
            f"matbench_segvae.algorithms.segvae.{kind}.fit",
            lambda *_, kind=kind: chosen.append(kind),
        )
    monolayers = [Supercell(host, 1, 1).structure() for host in HOSTS.values()]
    for inputs, benchmark in (
        ([DEFECTIVE] * 3, "own_tasks"),
        (monolayers, "defects2d_v0.1"),
    ):
        targets = pd.Series([0.0] * len(inputs))
        SEGVAE().fit(pd.Series(inputs), targets, fold_context(benchmark=benchmark))
    assert chosen == ["SEGVAEPairLaw", "FeatureFormula"]
