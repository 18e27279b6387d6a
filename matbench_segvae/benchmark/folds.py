"""Sample ids, folds and metadata of the tasks of this package: committed, and how they were made.

Folds are made as Matbench made its own (Dunn et al., npj Comput. Mater. 6, 138 (2020),
doi 10.1038/s41524-020-00406-3): five, shuffled, with one fixed random state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from matbench_segvae.benchmark.samples import FAMILY, INPUT, SAMPLES, TARGET
from matbench_segvae.errors import UserError
from matbench_segvae.files import write_text

HUANG = """@article{Huang2023,
  author = {Huang, Pengru and Lukin, Ruslan and Faleev, Maxim and Kazeev, Nikita and
            Al-Maeeni, Abdalaziz Rashid and Andreeva, Daria V. and Ustyuzhanin, Andrey and
            Tormasov, Alexander and Castro Neto, A. H. and Novoselov, Kostya S.},
  title = {Unveiling the complex structure-property correlation of defects in 2D materials
           based on high throughput datasets},
  journal = {npj 2D Materials and Applications}, volume = {7}, pages = {6}, year = {2023},
  doi = {10.1038/s41699-023-00369-1}
}"""

KAZEEV = """@article{Kazeev2023,
  author = {Kazeev, Nikita and Al-Maeeni, Abdalaziz Rashid and Romanov, Ignat and
            Faleev, Maxim and Lukin, Ruslan and Tormasov, Alexander and
            Castro Neto, A. H. and Novoselov, Kostya S. and Huang, Pengru and
            Ustyuzhanin, Andrey},
  title = {Sparse representation for machine learning the properties of defects in 2D
           materials},
  journal = {npj Computational Materials}, volume = {9}, pages = {113}, year = {2023},
  doi = {10.1038/s41524-023-01062-z}
}"""

_LAZAREV = """@misc{Lazarev2025,
  author = {Lazarev, Mikhail and Ustyuzhanin, Andrey},
  title = {Symbolic regression for defect interactions in 2D materials},
  eprint = {2512.20785}, archivePrefix = {arXiv}, year = {2025}
}"""

_GRIMME = """@article{Grimme2017,
  author = {Grimme, Stefan and Bannwarth, Christoph and Shushkov, Philip},
  title = {A Robust and Accurate Tight-Binding Quantum Chemical Method for Structures,
           Vibrational Frequencies, and Noncovalent Interactions of Large Molecular Systems
           Parametrized for All spd-Block Elements (Z = 1-86)},
  journal = {Journal of Chemical Theory and Computation}, volume = {13}, pages = {1989},
  year = {2017}, doi = {10.1021/acs.jctc.7b00118}
}"""

_DFT: dict[str, Any] = {
    "level": "dft",
    "source": "2DMD",
    "reference": "Huang et al., npj 2D Mater. Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1",
    "bibtex_refs": [HUANG, KAZEEV, _LAZAREV],
}

_CELL = "from unrelaxed 8 x 8 MoS2 supercells (DFT, PBE)"
_LOW = f"V_Mo, V_S, Se_S and W_Mo, at most one of them on a metal site, {_CELL}"

DESCRIPTIONS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "defects2d_mos2_v3": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent triple "
            f"vacancy, one Mo and two S, {_CELL}. Structures rebuilt from distances.",
        },
        "defects2d_mos2_v2": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent pair of "
            f"vacancies, one Mo and one S, {_CELL}. Structures rebuilt from distances.",
        },
        "defects2d_mos2_x2": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent pair of "
            f"S vacancies {_CELL}. Structures rebuilt from distances.",
        },
        "defects2d_mos2_transfer": {
            **_DFT,
            "description": "Learn from all single and double vacancies and predict the formation "
            f"energy per site of all triple ones, one Mo and two S, {_CELL}. One fold.",
        },
        "defects2d_mos2_low": {
            **_DFT,
            "description": "Predict the formation energy per site of every inequivalent set of up "
            f"to three of {_LOW}.",
        },
        "defects2d_mos2_low_transfer": {
            **_DFT,
            "description": "Learn from all single defects and pairs and predict the formation "
            f"energy per site of all triples of {_LOW}. One fold.",
        },
        "defects2d_mos2_low_families": {
            **_DFT,
            "description": "Learn from five families of triples and predict the formation energy "
            f"per site of the sixth, for triples of {_LOW}. Six folds.",
        },
        "defects2d_mos2_low_gap": {
            **_DFT,
            "description": "Predict the HOMO-LUMO gap of every inequivalent set of up to three of "
            f"{_LOW}.",
        },
        "defects2d_mos2_low_homo": {
            **_DFT,
            "description": "Predict the highest occupied level of every inequivalent set of up to "
            f"three of {_LOW}.",
        },
        "defects2d_xtb_mos2": {
            "level": "xtb",
            "source": "embedded",
            "reference": "Computed for this benchmark with GFN1-xTB: Grimme et al., J. Chem. "
            "Theory Comput. 13, 1989 (2017), doi 10.1021/acs.jctc.7b00118",
            "bibtex_refs": [_GRIMME],
            "description": "Predict the formation energy per site of every inequivalent set of up "
            "to three vacancies, at most one Mo and two S, from unrelaxed 4 x 4 MoS2 supercells "
            "(GFN1-xTB, Γ point, sulfur-rich chemical potentials from S8).",
        },
        "defects2d_xtb_hbn": {
            "level": "xtb",
            "source": "embedded",
            "reference": "Computed for this benchmark with GFN1-xTB: Grimme et al., J. Chem. "
            "Theory Comput. 13, 1989 (2017), doi 10.1021/acs.jctc.7b00118",
            "bibtex_refs": [_GRIMME],
            "description": "Predict the formation energy per site of every inequivalent set of one "
            "or two defects C_B, C_N, V_B, V_N, and of a sample of three, from unrelaxed 6 x 6 "
            "h-BN supercells (GFN1-xTB, Γ point, nitrogen-rich chemical potentials, carbon from "
            "graphene).",
        },
    }
)
"""Task name to description, reference, citations, data source and level of theory."""


BENCHMARK_NAME = "defects2d_v0.1"
"""The benchmark's name in files with results."""


RANDOM_STATE = 18012019
N_FOLDS = 5
N_TRANSFER_TRAIN: Mapping[str, int] = MappingProxyType(
    {"defects2d_mos2_transfer": 36, "defects2d_mos2_low_transfer": 131}
)
"""Rows of the transfer tasks, their first, that are trained on: singles and pairs."""


TARGETS: Mapping[str, str] = MappingProxyType(
    {
        TARGET: "Formation energy divided by the number of defects (eV).",
        "band_gap": "Difference between the lowest unoccupied and the highest occupied level (eV).",
        "homo": "Highest occupied level (eV).",
    }
)
"""What each target is."""


_DATA = Path(__file__).parent / "data"
VALIDATION_FILE = _DATA / f"{BENCHMARK_NAME}_validation.json"
METADATA_FILE = _DATA / f"{BENCHMARK_NAME}_metadata.json"
Splits = dict[str, dict[str, list[str]]]
"""Fold key to ``train`` and ``test`` to sample ids."""


def sample_ids(task: str, n: int) -> list[str]:
    """Name samples in Matbench's pattern.

    Args:
        task: Task name, such as ``"defects2d_mos2_v3"``.
        n: Number of samples.

    Returns:
        Ids such as ``"defects2d-mos2-v3-001"``, in source order.
    """
    width = math.floor(math.log10(n)) + 1
    return [f"{task.replace('_', '-')}-{i:0{width}d}" for i in range(1, n + 1)]


def make_splits(task: str, samples: pd.DataFrame) -> Splits:
    """Make the folds of a task.

    Args:
        task: Task name.
        samples: Its samples; with a column of families every fold leaves out one.

    Returns:
        Ids to train and to test on, for every fold.
    """
    ids = sample_ids(task, len(samples))
    if task in N_TRANSFER_TRAIN:
        tests = [np.arange(N_TRANSFER_TRAIN[task], len(ids))]
    elif FAMILY in samples:
        families = samples[FAMILY].to_numpy()
        tests = [np.flatnonzero(families == family) for family in sorted(set(families))]
    else:
        folds = KFold(N_FOLDS, shuffle=True, random_state=RANDOM_STATE).split(ids)
        tests = [test for _, test in folds]
    return _with_training([[ids[i] for i in test] for test in tests], ids)


def _with_training(tests: Sequence[Sequence[str]], ids: Sequence[str]) -> Splits:
    """Folds by their test parts: everything else is trained on."""
    splits = {}
    for number, test in enumerate(tests):
        held_out = set(test)
        train = [label for label in ids if label not in held_out]
        splits[f"fold_{number}"] = {"train": train, "test": list(test)}
    return splits


@lru_cache(maxsize=1)
def committed_splits() -> Mapping[str, Splits]:
    """Read the committed folds.

    Returns:
        Task name to its folds.
    """
    sizes = {task: facts["n_samples"] for task, facts in committed_metadata().items()}
    return {
        task: _with_training(tests, sample_ids(task, sizes[task]))
        for task, tests in _read(VALIDATION_FILE)["tests"].items()
    }


@lru_cache(maxsize=1)
def committed_metadata() -> Mapping[str, dict[str, Any]]:
    """Read the committed metadata.

    Returns:
        Task name to what Matbench keeps about a task: ``n_samples``, ``target``,
        ``unit``, ``task_type``, ``input_type``, ``mad``, ``description``, ``reference``,
        ``bibtex_refs``; and the data ``source`` and ``level`` (``dft`` or ``xtb``).
    """
    metadata: Mapping[str, dict[str, Any]] = _read(METADATA_FILE)
    return metadata


def write_committed(folder: Path = _DATA) -> None:
    """Make both committed files again; needs all data.

    For maintainers, and for the test that compares the committed files with fresh ones: folds
    never change within a version of the benchmark, so the files are written for a new one only.

    Args:
        folder: Where to write them.

    Raises:
        UserError: If a data file cannot be had.
    """
    samples = {task: make() for task, make in SAMPLES.items()}
    splits = {task: make_splits(task, frame) for task, frame in samples.items()}
    tests = {task: [fold["test"] for fold in folds.values()] for task, folds in splits.items()}
    head = {
        "benchmark": BENCHMARK_NAME,
        "method": "sklearn.model_selection.KFold",
        "n_splits": N_FOLDS,
        "shuffle": True,
        "random_state": RANDOM_STATE,
        "transfer": {
            task: f"trained on the first {n} samples" for task, n in N_TRANSFER_TRAIN.items()
        },
        "families": "one fold for each family of defects, in the order of their names",
        "training": "all samples of a task that are not in the test part",
    }
    metadata = {task: {**_facts(frame), **DESCRIPTIONS[task]} for task, frame in samples.items()}
    validation = json.dumps({"metadata": head, "tests": tests}, separators=(",", ":"))
    write_text(folder / VALIDATION_FILE.name, validation + "\n")
    write_text(folder / METADATA_FILE.name, json.dumps(metadata, indent=1) + "\n")


def _facts(samples: pd.DataFrame) -> dict[str, Any]:
    """What Matbench keeps about a data set."""
    name = samples.columns[1]
    target = samples[name]
    return {
        "input_type": INPUT,
        "task_type": "regression",
        "target": name,
        "unit": "eV",
        "n_samples": len(samples),
        "num_entries": len(samples),
        "mad": round(float((target - target.mean()).abs().mean()), 12),
        "columns": {
            INPUT: "Pymatgen Structure of the whole unrelaxed supercell with its defects.",
            name: f"Target variable. {TARGETS[name]}",
        },
    }


def _read(path: Path) -> Any:  # noqa: ANN401
    """Read a committed file."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path} ({type(error).__name__}): reinstall the package"
        ) from error


def check_benchmark(name: str) -> None:
    """Raise UserError for another benchmark than this one."""
    if name != BENCHMARK_NAME:
        raise UserError(
            f"benchmark {name!r} is not {BENCHMARK_NAME!r}: use matbench.bench.MatbenchBenchmark "
            "for Matbench's own"
        )


def check_tasks(names: Sequence[str]) -> None:
    """Raise UserError for tasks that the benchmark does not have."""
    known = committed_metadata()
    unknown = [name for name in names if name not in known]
    if not names:
        raise UserError(f"no tasks of {BENCHMARK_NAME} given: choose from {', '.join(known)}")
    if unknown:
        raise UserError(
            f"unknown tasks {', '.join(map(repr, unknown))} of {BENCHMARK_NAME}: "
            f"choose from {', '.join(known)}"
        )
