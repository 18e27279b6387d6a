"""The original MEGNet on TensorFlow, through its adapter."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from matbench_segvae.algorithms.megnet import keras_loading
from matbench_segvae.algorithms.megnet.keras import KerasDenseMEGNet, KerasMEGNet
from matbench_segvae.cli import main
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies
from matbench_segvae.errors import UserError

MOS2 = HOSTS["MoS2"]


def installed():
    return all(keras_loading.find_spec(name) for name in keras_loading._PACKAGES)


needs_extra = pytest.mark.skipif(not installed(), reason="the extra keras is not installed")


def cell(sites, repeats=4):
    host_cell = Supercell(MOS2, repeats, repeats)
    return defective_structure(host_cell, vacancies(host_cell, sites))


@pytest.fixture(scope="module")
def eager():
    """Without compiling its functions, which takes longer than a few short epochs."""
    tensorflow = keras_loading.load_libraries("megnet_keras").tensorflow
    tensorflow.config.run_functions_eagerly(True)
    yield tensorflow
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def fitted(fold, fold_context, tmp_path_factory):
    """Trains a network on the first structures; with its working directory and its report."""

    def fit(kind, count, **settings):
        here, lines = tmp_path_factory.mktemp("here"), []
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            network = kind(replace(kind.defaults, **settings))
            context = fold_context(seed=3, report=lines.append)
            network.fit(fold[0][:count], fold[1][:count], context)
        return network, here, lines

    return fit


@pytest.fixture(scope="module")
def sparse(fitted, eager):
    quick = {"epochs": 8, "learning_rate": 5e-3, "loss": "mse"}
    return fitted(KerasMEGNet, 40, **quick)


@pytest.fixture(scope="module")
def dense(fitted, eager):
    return fitted(KerasDenseMEGNet, 6, epochs=1)


@needs_extra
def test_training_lowers_the_loss_and_reports_its_progress(sparse):
    network, _, lines = sparse
    losses = network._outcome.losses
    assert len(losses) == 8
    assert np.mean(losses[1:]) < 0.8 * losses[0]
    assert lines[-1].startswith("epoch 8/8")


@needs_extra
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_predictions_have_the_scale_of_the_target(kind, fold, request):
    predictions = request.getfixturevalue(kind)[0].predict(fold[2])
    assert predictions.shape == (len(fold[2]),)
    assert fold[1].min() - 1.0 < predictions.min() <= predictions.max() < fold[1].max() + 1.0


@needs_extra
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_symmetry_images_and_reordered_copies_are_predicted_alike(kind, request):
    structure = cell([3, 17, 40])
    moved, flipped = structure.copy(), structure.copy()
    moved.translate_sites(range(len(moved)), [0.25, 0.5, 0.0], to_unit_cell=True)
    reordered = Structure.from_sites(list(reversed(structure)))
    upside = Structure(
        flipped.lattice, flipped.species, flipped.frac_coords * [1, 1, -1], to_unit_cell=True
    )
    images = pd.Series([structure, moved, reordered, upside])
    first, *others = request.getfixturevalue(kind)[0].predict(images)
    assert others == pytest.approx([first] * 3, abs=1e-4)


@needs_extra
def test_nothing_is_written_to_the_working_directory(sparse, dense):
    assert list(sparse[1].iterdir()) == []
    assert list(dense[1].iterdir()) == []


@needs_extra
def test_describes_itself_in_json_types(sparse, dense):
    for network, types in ((sparse[0], ["V_Mo", "V_S"]), (dense[0], ["S", "Mo", "X"])):
        facts = network.describe()
        assert json.loads(json.dumps(facts)) == facts
        assert facts["node_types"] == types
        assert facts["parameters"] > 100_000
        assert facts["device"] in ("cpu", "cuda")


@needs_extra
def test_same_seed_same_predictions_and_untouched_generators(fold, eager, fold_context):
    predictions = []
    random.seed(5)
    np.random.seed(6)  # noqa: NPY002 - megnet uses it
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    for seed in (3, 3):
        network = KerasMEGNet(replace(KerasMEGNet.defaults, epochs=1))
        network.fit(fold[0][:8], fold[1][:8], fold_context(seed=seed))
        predictions.append(network.predict(fold[2][:3]))
    assert np.array_equal(predictions[0], predictions[1])
    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


@needs_extra
def test_a_structure_without_bonds_is_refused(eager, fold_context):
    lonely = [Structure(Lattice.cubic(9.0 + 0.1 * i), ["Mo"], [[0, 0, 0]]) for i in range(3)]
    inputs = pd.Series(lonely, index=["one", "two", "three"])
    targets = pd.Series([1.0, 2.0, 3.0], index=inputs.index)
    with pytest.raises(UserError, match="one: no two atoms are within the cutoff"):
        KerasMEGNet().fit(inputs, targets, fold_context(benchmark="matbench_v0.1"))


def test_compositions_are_refused(fold_context):
    with pytest.raises(UserError, match="megnet_keras needs structures"):
        KerasMEGNet().fit(
            pd.Series(["Fe", "Ni"]), pd.Series([1.0, 2.0]), fold_context(input_type="formula")
        )


def test_a_missing_extra_is_one_line_that_names_it(monkeypatch, tmp_path, capsys):
    real = keras_loading.find_spec
    monkeypatch.setattr(
        keras_loading, "find_spec", lambda n: None if n == "tensorflow" else real(n)
    )
    assert main(["run", "--algorithm", "megnet_keras", "--fold", "0", "--out", str(tmp_path)]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    assert "(tensorflow)" in line and 'pip install "matbench_segvae[keras]"' in line


# Slow because a process of its own has to import TensorFlow, torch and matgl once more, which
# costs a tenth of all other tests; no order of imports inside this process shows the same.
@pytest.mark.slow
@needs_extra
def test_tensorflow_first_then_torch_and_matgl():
    """The other order is that of the tests above."""
    script = """
import tensorflow
import torch
import matbench_segvae.algorithms.megnet.keras
from pymatgen.analysis import local_env
from matbench_segvae.algorithms.megnet.keras_loading import load_libraries
libraries = load_libraries("megnet_keras")
assert not hasattr(local_env, "BrunnerNN_real")
print(float(torch.ones(2, requires_grad=True).sum() + float(tensorflow.ones(2)[0])))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_USE_LEGACY_KERAS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "3.0"
