"""Fixtures shared by all tests."""

import functools
import os
from dataclasses import replace
from pathlib import Path

import pytest

# Kernels and networks work on a handful of numbers here, and pools of threads spend several times
# as long on waiting for work. Has to be set before numba and torch are imported.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from matbench_segvae.algorithms import FoldContext
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.benchmark import OwnTask, folds_of, load_task, make_task
from matbench_segvae.defects import HOSTS
from matbench_segvae.segvae import NetworkSettings, SearchSettings

LOW_DENSITY_ARCHIVES = {"mos2-low-public", "mos2-low-private"}
"""Files for which a mirror may have one table of the same defects instead."""

SIBLING_MIRROR = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep downloads, pretrained networks and registered tasks out of the user's folders."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MATBENCH_SEGVAE_TASKS", str(tmp_path_factory.mktemp("tasks")))
    patch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def mirror():
    """The folder with the published data files, if there is one on this machine."""
    chosen = os.environ.get("MATBENCH_SEGVAE_DATA")
    folder = Path(chosen) if chosen else SIBLING_MIRROR
    if not (folder / "2dmd").is_dir():
        pytest.skip("no mirror of the data: set MATBENCH_SEGVAE_DATA")
    return folder.resolve()


@pytest.fixture(scope="session")
def data_source():
    """Where data files are looked for: a mirror if there is one, else the cache or the network."""
    patch = pytest.MonkeyPatch()
    if not os.environ.get("MATBENCH_SEGVAE_DATA") and SIBLING_MIRROR.is_dir():
        patch.setenv("MATBENCH_SEGVAE_DATA", str(SIBLING_MIRROR))
    yield
    patch.undo()


def fetch_or_skip(names):
    from matbench_segvae.benchmark.datasets import fetch
    from matbench_segvae.errors import UserError

    try:
        for name in names:
            fetch(name)
    except UserError as error:
        if not str(error).startswith("cannot download"):
            raise
        pytest.skip(f"no mirror of the data and no network: {error}")


@pytest.fixture(scope="session")
def published_predictions(data_source):
    """Make the table of published predictions available, or skip the test."""
    fetch_or_skip(["dft-table"])


@pytest.fixture(scope="session")
def dft_data(data_source):
    """Make the DFT data available, or skip the test."""
    from matbench_segvae.benchmark.datasets import CATALOGUE, mirror_folder
    from matbench_segvae.benchmark.low_density import STAND_IN

    folder = mirror_folder()
    stand_in = folder is not None and (folder / STAND_IN).is_file()
    fetch_or_skip(CATALOGUE.keys() - (LOW_DENSITY_ARCHIVES if stand_in else set()))


@pytest.fixture(scope="session")
def v3_table(dft_data):
    """The 743 rebuilt structures and their energies, by 2DMD id."""
    from matbench_segvae.benchmark.samples import v3_samples

    return v3_samples()


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """A machine without mirror and with an empty cache; returns the cache folder."""
    monkeypatch.delenv("MATBENCH_SEGVAE_DATA", raising=False)
    monkeypatch.delenv("MATBENCH_SEGVAE_URL", raising=False)
    monkeypatch.setenv("MATBENCH_SEGVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def matminer_data(monkeypatch):
    """Two of Matbench's own data sets, where matminer finds them."""
    folder = Path(os.environ.get("MATMINER_DATA") or SIBLING_MIRROR / "matbench_v0.1").resolve()
    for name in ("matbench_steels", "matbench_jdft2d"):
        if not (folder / f"{name}.json.gz").is_file():
            pytest.skip(f"{name} is not on this machine: set MATMINER_DATA")
    monkeypatch.setenv("MATMINER_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def xtb_task():
    """The embedded task with its data; to be read only, since all tests share it."""
    task = make_task("defects2d_xtb_mos2")
    load_task(task)
    return task


@pytest.fixture
def own_task(xtb_task, monkeypatch, tmp_path):
    """A task of a user's own with thirty structures; none is registered."""
    monkeypatch.setenv("MATBENCH_SEGVAE_TASKS", str(tmp_path / "user"))
    samples = xtb_task.df.iloc[:30]
    ids = [f"{kind}.cif" for kind in samples.index]
    structures = samples["structure"].set_axis(ids)
    targets = samples["formation_energy_per_site"].set_axis(ids)
    return OwnTask("my_task", structures, targets, (HOSTS["MoS2"],), folds_of(ids))


@pytest.fixture(scope="session")
def dft_task(dft_data):
    """Gives a task of DFT data by its name, loaded once; to be read only."""

    @functools.cache
    def loaded(name):
        task = make_task(name)
        load_task(task)
        return task

    return loaded


@pytest.fixture
def two_threads():
    """Let torch use two threads, so that a test sees whether the number comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def fold_context(tmp_path_factory):
    """Makes contexts of a fold of the embedded task, each with a scratch folder of its own."""

    def make(**changes):
        facts = {
            "benchmark": "defects2d_v0.1",
            "task": "defects2d_xtb_mos2",
            "fold": 0,
            "input_type": "structure",
            "task_type": "regression",
            "target": "formation_energy_per_site",
            "unit": "eV",
            "seed": 0,
        }
        return FoldContext(**(facts | changes), scratch=tmp_path_factory.mktemp("scratch"))

    return make


@pytest.fixture(scope="session")
def quick_search():
    """A search of a second; tests with the same grammar share its pretrained network."""
    return SearchSettings(
        corpus_size=500,
        validation_size=10,
        pretraining_epochs=2,
        epochs=3,
        samples=150,
        network=NetworkSettings(embedding=16, hidden=32, latent=8),
    )


@pytest.fixture(scope="session")
def quick_pair_laws(quick_search):
    """A search for pair laws that takes a second or two."""
    return PairLawSettings(
        replace(quick_search, samples=250),
        shape_search=replace(quick_search, samples=100),
        shape_sets=2,
        extra_searches=0,
        combinations_tried=300,
        combinations_fitted=5,
        candidates=4,
        bootstrap_samples=5,
    )


@pytest.fixture(scope="session")
def quick_own_formulas(quick_pair_laws):
    """The same with a formula for each kind of pair and none in common."""
    return replace(quick_pair_laws, min_kinds_shared=1000)
