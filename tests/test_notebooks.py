"""The notebooks run from start to end, and find what they say they find."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAIR_LAW = NOTEBOOKS / "pair_law.ipynb"
OWN_MATERIAL = NOTEBOOKS / "your_own_material.ipynb"
MAX_BYTES = 400_000


# The notebook's own code, with a shorter search; `-m slow` runs it as it stands.
SHORTER_SEARCH = """
from matbench_segvae.algorithms import segvae
from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.segvae import *
segvae.SEGVAEPairLaw = lambda: SEGVAEPairLaw({settings})
from matbench_segvae.algorithms.pair_laws import fit_law as _of_own_structures
_of_own_structures.PairLawSettings = lambda: PairLawSettings(**vars({settings}))
"""


def executed(path, folder, first_cell=""):
    """A notebook, executed in a folder."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    notebook.cells.insert(0, nbformat.v4.new_code_cell(first_cell))
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    # A cell that fails raises an error with its traceback.
    client.execute(env={**os.environ, "IPYTHONDIR": str(folder / ".ipython")})
    return notebook


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def check(notebook):
    """Look for the law, the flag of a far pair, the comparison and the picture."""
    shown = outputs(notebook)
    plain = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in shown]
    text = "\n".join(plain)
    for kind in ("V_Mo-V_S", "V_S-V_S same plane", "V_S-V_S across"):
        law = re.search(rf"^K\[{re.escape(kind)}\] = (.*)$", text, re.MULTILINE)
        assert law is not None
        assert "r" in law.group(1)
    assert re.search(r"^eps = V_Mo \S+, V_S \S+$", text, re.MULTILINE)
    comparison = plain[-1]
    assert "MAE, meV per site" in comparison
    errors = dict(re.findall(r"^(\w+) +([\d.]+)$", comparison, re.MULTILINE))
    assert errors.keys() == {"segvae", "pair_table", "dummy"}
    assert float(errors["segvae"]) < 0.25 * float(errors["dummy"])
    new = next(out for out in plain if "V_Mo + 4 V_S" in out)
    assert len(re.findall(r"\bFalse\b", new)) == 2
    assert len(re.findall(r"\bTrue\b", new)) == 1
    assert any("image/png" in out.get("data", {}) for out in shown)


def test_the_notebook_runs(tmp_path, quick_pair_laws):
    check(executed(PAIR_LAW, tmp_path, SHORTER_SEARCH.format(settings=quick_pair_laws)))


@pytest.mark.slow
def test_the_notebook_runs_as_it_stands(tmp_path):
    check(executed(PAIR_LAW, tmp_path))


def check_own(notebook):
    """Look for three laws, predictions, the files of the task and its leaderboard."""
    shown = [
        out.get("text") or out.get("data", {}).get("text/plain", "") for out in outputs(notebook)
    ]
    # In a notebook rich prints what is bold with escape sequences.
    text = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(shown))
    for line in (r"K\[V_Mo-V_S\]", r"K\[C_B-C_N\]", r"V_P-V_P same plane"):
        assert re.search(line, text)
    assert len(re.findall(r"^written: ", text, re.MULTILINE)) == 3
    assert re.search(r"^POSCAR_00,V_S,\d", text, re.MULTILINE)
    assert "croissant.json" in text
    board = re.findall(r"│ (\w+) +│ +([\d.]+) ", text)
    errors = {name: float(mae) for name, mae in board}
    assert errors.keys() == {"segvae", "pair_table", "dummy"}
    assert errors["segvae"] < errors["dummy"]


def test_the_notebook_of_your_own_material_runs(tmp_path, quick_pair_laws):
    shutil.copytree(NOTEBOOKS / "own_material", tmp_path / "own_material")
    quick = replace(
        quick_pair_laws, max_nodes=25, combinations_fitted=1, candidates=1, bootstrap_samples=2
    )
    check_own(executed(OWN_MATERIAL, tmp_path, SHORTER_SEARCH.format(settings=quick)))


@pytest.mark.parametrize("path", [PAIR_LAW, OWN_MATERIAL], ids=lambda path: path.stem)
def test_the_notebooks_are_kept_with_their_outputs(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) <= MAX_BYTES
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    (check if path == PAIR_LAW else check_own)(notebook)
    assert "stderr" not in [out.get("name") for out in outputs(notebook)]
    for trace in ("site-packages", "/home/", "/tmp/", str(NOTEBOOKS.parent)):
        assert trace not in text
