"""MEGNet on whole supercells, and the classes of rows that make it fast."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matgl.graph.data import collate_fn_graph
from matgl.models import MEGNet
from matgl.utils.training import ModelLightningModule
from pymatgen.core import Lattice, Structure
from pymatgen.core.operations import SymmOp

from matbench_segvae.algorithms.megnet.algorithm import DenseMEGNet, SparseMEGNet
from matbench_segvae.algorithms.megnet.class_network import ClassMEGNet
from matbench_segvae.algorithms.megnet.equivalence_classes import collapse, join
from matbench_segvae.algorithms.megnet.graphs import CrystalGraph
from matbench_segvae.algorithms.megnet.preparation import validation_split
from matbench_segvae.defects import HOSTS, Supercell, defective_structure, vacancies

MOS2 = HOSTS["MoS2"]


def cell(sites, repeats=4):
    host_cell = Supercell(MOS2, repeats, repeats)
    return defective_structure(host_cell, vacancies(host_cell, sites))


@pytest.fixture(scope="module")
def fitted(fold, fold_context, tmp_path_factory):
    """Trains a network on the first structures in an empty working directory."""

    def fit(kind, count, **settings):
        here = tmp_path_factory.mktemp("here")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            network = kind(replace(kind.defaults, **settings))
            network.fit(fold[0][:count], fold[1][:count], fold_context(seed=3))
        assert list(here.iterdir()) == []
        return network

    return fit


@pytest.fixture(scope="module")
def dense(fitted):
    return fitted(DenseMEGNet, 57, epochs=12, batch_size=8, burn_in_share=0.5)


@pytest.fixture(scope="module")
def sparse(fitted):
    quick = {"epochs": 12, "learning_rate": 5e-3, "loss": "mse_loss", "members": 1}
    return fitted(SparseMEGNet, 40, **quick)


def test_training_lowers_the_loss(dense):
    losses = dense._outcomes[0].losses
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < 0.75 * losses[0]


def test_what_is_read_out_is_standardised_with_the_weights_that_are_kept(dense, fold):
    """Averages that lag behind the weights would move all predictions."""
    (network,) = dense._networks
    rows, _ = validation_split(len(fold[0][:57]), dense.settings.validation_share, 3)
    graphs = dense._graphs(fold[0].iloc[rows], len(network.blocks))
    with torch.no_grad():
        read = network.readout(join(graphs), torch.zeros(len(graphs), 2))
    lag = (network.readout_norm.running_mean - read.mean(dim=0)) / (read.std(dim=0) + 1e-4)
    assert lag.abs().max() < 0.1


def test_predictions_have_the_scale_of_the_target(dense, fold):
    predictions = dense.predict(fold[2])
    assert predictions.shape == (len(fold[2]),)
    assert fold[1].min() - 1.0 < predictions.min() <= predictions.max() < fold[1].max() + 1.0
    assert abs(np.median(predictions) - np.median(fold[3])) < 0.3


def test_describes_itself_in_json_types(dense):
    import json

    facts = dense.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["node_types"] == ["S", "Mo", "X"]
    assert facts["parameters"] > 100_000
    assert facts["device"] in ("cpu", "cuda")


def images(structure):
    """The same crystal, written down differently."""
    turn = SymmOp.from_axis_angle_and_translation([0, 0, 1], 120)
    # Host cells have their first axis along x, on which a mirror plane of D3h stands upright.
    mirror = SymmOp.from_rotation_and_translation(np.diag([1.0, -1.0, 1.0]))
    moved, reordered = structure.copy(), Structure.from_sites(list(reversed(structure)))
    moved.translate_sites(range(len(moved)), [0.25, 0.5, 0.0], to_unit_cell=True)
    turned, mirrored = (structure.copy().apply_operation(op) for op in (turn, mirror))
    flipped = structure.copy().apply_operation(
        SymmOp.from_rotation_and_translation(np.diag([1.0, 1.0, -1.0]))
    )
    return {
        "moved": moved,
        "reordered": reordered,
        "turned": turned,
        "mirrored": mirrored,
        "flipped": flipped,
    }


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("sites", [[0, 20], [3, 17, 40]])
def test_symmetry_images_and_reordered_copies_are_predicted_alike(kind, sites, request):
    network = request.getfixturevalue(kind)
    structure = cell(sites)
    same = images(structure)
    first, *others = network.predict(pd.Series([structure, *same.values()]))
    assert others == pytest.approx([first] * len(same), abs=1e-4)


def test_a_rotation_of_the_defects_within_the_host_changes_nothing(dense, sparse):
    """Not the axes are turned here, but the vacancies, by the three-fold axis of the host."""
    structure = cell([])
    near, far = sorted(n.index for n in structure.get_neighbors(structure[0], 2.6))[:2]
    pair, turned = [0, near], [0, far]
    for network in (dense, sparse):
        a, b = network.predict(pd.Series([without(pair), without(turned)]))
        assert a == pytest.approx(b, abs=1e-4)


def without(sites):
    structure = cell([])
    structure.remove_sites(sites)
    return structure


def test_classes_give_what_all_rows_give():
    """The same parameters, output and gradient as matgl's own network on the whole graph."""
    torch.manual_seed(0)
    structures = [cell([0, 20]), cell([3, 17, 40], repeats=5), cell([1])]
    shaken = cell([0, 30])
    shaken.perturb(0.05, seed=1)  # no two rows are equal here
    structures.append(shaken)
    converter = CrystalGraph.from_training(structures, 5.0)
    raw = [converter.get_graph(s) for s in structures]
    plain = MEGNet(element_types=converter.element_types, cutoff=5.0)
    quick = ClassMEGNet(element_types=converter.element_types, cutoff=5.0)
    quick.load_state_dict(plain.state_dict())
    state = torch.zeros(2)
    graphs, lattices, states, _ = collate_fn_graph([(g, la, state, {"y": 0.0}) for g, la, _ in raw])
    expected = ModelLightningModule(plain)(graphs, lattices, state_attr=states)
    classes = [collapse(g, la, 3) for g, la, _ in raw]
    found = quick(join(classes), state_attr=states)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    expected.pow(2).sum().backward()
    found.pow(2).sum().backward()
    for one, other in zip(plain.parameters(), quick.parameters(), strict=True):
        if one.grad is not None:
            assert torch.allclose(one.grad, other.grad, atol=1e-4)


def test_a_standardised_readout_sees_one_vacancy_among_many_atoms():
    """Without it, another place of a vacancy hardly moves the output before training."""
    torch.manual_seed(0)
    converter = CrystalGraph(("Mo", "S", "X"), 5.0)
    raw = [converter.get_graph(cell([0, 20 + i], repeats=5)) for i in range(6)]
    graphs, state = join([collapse(g, la, 3) for g, la, _ in raw]), torch.zeros(6, 2)
    spread = {
        standardise: ClassMEGNet(standardise, element_types=converter.element_types, cutoff=5.0)(
            graphs, state_attr=state
        ).std()
        for standardise in (False, True)
    }
    assert spread[True] > 100 * spread[False]


def test_an_ideal_cell_has_few_classes_and_a_shaken_one_has_as_many_as_rows():
    converter = CrystalGraph(("Mo", "S", "X"), 5.0)
    graph, lattice, _ = converter.get_graph(cell([0, 20], repeats=8))
    level = collapse(graph, lattice, 3).levels[-1]
    assert len(level.edge_from) < graph.edge_index.shape[1] / 3
    assert float(level.edge_share.sum()) == pytest.approx(1.0, abs=1e-5)
    shaken = cell([0, 20])
    shaken.perturb(0.05, seed=1)
    graph, lattice, _ = converter.get_graph(shaken)
    assert len(collapse(graph, lattice, 3).levels[-1].node_from) == len(shaken)


def test_a_crystal_without_neighbours_does_not_disturb_others():
    lonely = Structure(Lattice.cubic(9.0), ["Mo"], [[0, 0, 0]])
    converter = CrystalGraph(("Mo", "S", "X"), 5.0)
    network = ClassMEGNet(element_types=converter.element_types, cutoff=5.0).eval()
    raw = [converter.get_graph(s) for s in (lonely, cell([0]))]
    classes = [collapse(g, la, 3) for g, la, _ in raw]
    together = network(join(classes), state_attr=torch.zeros(2, 2))
    alone = [network(c, state_attr=torch.zeros(1, 2)) for c in classes]
    assert torch.isfinite(together).all()
    assert together.tolist() == pytest.approx([a.item() for a in alone], abs=1e-5)
