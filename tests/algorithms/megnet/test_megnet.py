"""MEGNet on sparse defect graphs and on crystals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure

from matbench_segvae.algorithms.megnet.algorithm import SparseMEGNet
from matbench_segvae.algorithms.megnet.graphs import CrystalGraph, SparseDefectGraph, planar_edges
from matbench_segvae.algorithms.megnet.settings import MEGNetSettings
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies
from matbench_segvae.errors import UserError

QUICK = MEGNetSettings(epochs=6)
MOS2 = HOSTS["MoS2"]


def cell(sites, repeats=4):
    host_cell = Supercell(MOS2, repeats, repeats)
    return defective_structure(host_cell, vacancies(host_cell, sites))


@pytest.fixture(scope="module")
def trained(fold, tmp_path_factory, fold_context):
    """A network trained in an empty working directory, and what that left there."""
    here = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        network = SparseMEGNet(replace(QUICK, epochs=25, learning_rate=5e-3, loss="mse_loss"))
        network.fit(fold[0], fold[1], fold_context(seed=3))
    return network, here


def test_training_lowers_the_loss(trained):
    losses = trained[0]._outcomes[0].losses
    assert len(losses) == 25
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_predictions_have_the_scale_of_the_target(trained, fold):
    predictions = trained[0].predict(fold[2])
    assert predictions.shape == (len(fold[2]),)
    assert fold[1].min() - 1.0 < predictions.min() <= predictions.max() < fold[1].max() + 1.0
    assert abs(np.median(predictions) - np.median(fold[3])) < 0.2


def test_nothing_is_written_to_the_working_directory(trained):
    assert list(trained[1].iterdir()) == []


def test_describes_itself_in_json_types(trained):
    import json

    facts = trained[0].describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["epochs"] == 25
    assert 0 <= facts["best_epoch"][0] < 25
    assert facts["parameters"] > 100_000
    assert facts["node_types"] == ["V_Mo", "V_S"]
    assert 0.0 < facts["validation_mae"] < 1.0


def test_same_seed_same_predictions_and_untouched_global_state(two_threads, fold, fold_context):
    torch.manual_seed(11)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    predictions = []
    for _ in range(2):
        network = SparseMEGNet(QUICK)
        network.fit(fold[0], fold[1], fold_context(seed=3))
        predictions.append(network.predict(fold[2]))
    assert np.array_equal(*predictions)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    other = SparseMEGNet(QUICK)
    other.fit(fold[0], fold[1], fold_context(seed=4))
    assert not np.array_equal(predictions[0], other.predict(fold[2]))


def test_a_prediction_does_not_depend_on_its_batch(trained, fold):
    together = trained[0].predict(fold[2])
    alone = [trained[0].predict(fold[2].iloc[[i]])[0] for i in range(5)]
    assert together[:5] == pytest.approx(alone, abs=1e-5)


def test_symmetry_images_and_reordered_copies_are_predicted_alike(trained):
    structure = cell([0, 20])
    moved = structure.copy()
    moved.translate_sites(range(len(moved)), [0.25, 0.5, 0.0], to_unit_cell=True)
    reordered = Structure.from_sites(list(reversed(structure)))
    first, *others = trained[0].predict(pd.Series([structure, moved, reordered]))
    assert others == pytest.approx([first, first], abs=1e-4)


def test_lone_vacancies_in_a_large_cell(trained):
    """No edge is shorter than the cutoff there; alone or in company, the answer is the same."""
    lone = [cell([0], repeats=8), cell([1], repeats=8)]
    batch = trained[0].predict(pd.Series(lone))
    mixed = trained[0].predict(pd.Series([*lone, cell([0, 20])]))[:2]
    assert np.isfinite(batch).all()
    assert batch == pytest.approx(mixed, abs=1e-5)


def test_defects_not_seen_in_training_are_refused(trained):
    antisite = cell([])
    antisite.replace(0, "W" if antisite[0].specie.symbol == "Mo" else "Se")
    with pytest.raises(UserError, match=r"odd-one: defect kind '\w+' does not occur"):
        trained[0].predict(pd.Series([antisite], index=["odd-one"]))


def test_a_structure_without_known_host_is_refused(fold_context):
    rocksalt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    inputs = pd.Series([cell([0]), cell([1, 16]), rocksalt], index=list("abc"))
    with pytest.raises(UserError, match="is no layer"):
        SparseMEGNet(QUICK).fit(
            inputs, pd.Series([1.0, 2.0, 3.0], index=list("abc")), fold_context(seed=3)
        )


def test_compositions_are_refused(fold_context):
    with pytest.raises(UserError, match="structures"):
        SparseMEGNet().fit(
            pd.Series(["Fe", "Ni"]),
            pd.Series([1.0, 2.0]),
            fold_context(benchmark="matbench_v0.1", input_type="composition"),
        )


def test_edges_stay_in_the_plane_and_come_in_pairs():
    lattice = np.array([[10.0, 0, 0], [-5.0, 75**0.5, 0], [0, 0, 4.0]])
    coords = np.array([[0.1, 0.1, 0.4], [0.9, 0.1, 0.6]])
    edges, offsets = planar_edges(coords, lattice, 12.0)
    assert (offsets[:, 2] == 0).all()
    vectors = (coords[edges[1]] + offsets - coords[edges[0]]) @ lattice
    lengths = np.linalg.norm(vectors, axis=1)
    assert (lengths <= 12.0).all() and (lengths > 0).all()
    # Brute force over far more images than can be within reach.
    ticks = [(a, b, 0) for a in range(-4, 5) for b in range(-4, 5)]
    everything = [
        np.linalg.norm((coords[j] + t - coords[i]) @ lattice)
        for i in range(2)
        for j in range(2)
        for t in np.array(ticks)
    ]
    assert len(lengths) == sum(1e-6 < length <= 12.0 for length in everything)
    assert np.isclose(vectors.sum(axis=0), 0).all()  # every edge has its opposite


def test_the_sparse_graph_has_one_node_per_defect():
    structures = [cell([0, 20, 33]), cell([1])]
    converter = SparseDefectGraph.from_training(structures, cutoff=20.0)
    graph, lattice, _ = converter.get_graph(structures[0])
    assert graph.num_nodes == 3
    assert set(converter.element_types) == {"V_Mo", "V_S"}
    assert lattice.shape == (1, 3, 3)


def test_the_pristine_cell_has_no_graph():
    with pytest.raises(UserError, match="at least one defect"):
        SparseDefectGraph(["V_S"], 20.0).get_graph(cell([]))


def test_crystals_with_unseen_elements(fold_context):
    def cscl(a, b, length):
        return Structure(Lattice.cubic(length), [a, b], [[0] * 3, [0.5] * 3])

    known = [cscl("Cs", "Cl", 4.0 + 0.02 * i) for i in range(8)]
    inputs = pd.Series(known, index=[f"s{i}" for i in range(8)])
    targets = pd.Series(np.arange(8) % 2 == 0, index=inputs.index)
    network = SparseMEGNet(replace(QUICK, epochs=2))
    network.fit(
        inputs,
        targets,
        fold_context(benchmark="matbench_v0.1", task_type="classification"),
    )
    odd = pd.Series([cscl("Rb", "Cl", 4.0), cscl("K", "I", 4.1)])
    predictions = network.predict(odd)
    assert ((predictions >= 0) & (predictions <= 1)).all()
    graph, _, _ = CrystalGraph(("Cl", "X"), 5.0).get_graph(odd.iloc[0])
    assert sorted(set(graph.node_type.tolist())) == [0, 1]
