"""The notebooks run from start to end, and find what they say they find."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAIR_LAW = NOTEBOOKS / "pair_law.ipynb"
MAX_BYTES = 400_000


# The notebook's own code, with a shorter search; `-m slow` runs it as it stands.
SHORTER_SEARCH = """
from matbench_segvae.algorithms import segvae
from matbench_segvae.algorithms.pair_laws.algorithm import SEGVAEPairLaw
from matbench_segvae.algorithms.pair_laws.constraints import ConstraintSettings
from matbench_segvae.algorithms.pair_laws.settings import PairLawSettings
from matbench_segvae.segvae import *
segvae.SEGVAEPairLaw = lambda: SEGVAEPairLaw({settings})
"""


def executed(folder, first_cell=""):
    """The story of the pair law, executed in a folder."""
    notebook = nbformat.read(PAIR_LAW, as_version=4)
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
    check(executed(tmp_path, SHORTER_SEARCH.format(settings=quick_pair_laws)))


@pytest.mark.slow
def test_the_notebook_runs_as_it_stands(tmp_path):
    check(executed(tmp_path))


def test_the_notebook_is_kept_with_its_outputs():
    text = PAIR_LAW.read_text(encoding="utf-8")
    assert len(text) <= MAX_BYTES
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    check(notebook)
    assert "stderr" not in [out.get("name") for out in outputs(notebook)]
    for trace in ("site-packages", "/home/", "/tmp/", str(NOTEBOOKS.parent)):
        assert trace not in text
