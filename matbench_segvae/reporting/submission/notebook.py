"""The notebook of a submission: scores, formulas, parity plots, and how to run it again."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from matbench_segvae.benchmark import (
    BENCHMARK_NAME,
    OWN_BENCHMARK,
    TaskSummary,
    status,
    task_summary,
)
from matbench_segvae.benchmark.matbench_data import MATMINER_VARIABLE
from matbench_segvae.errors import UserError
from matbench_segvae.files import cache_folder
from matbench_segvae.reporting.submission import RESULTS

NOTEBOOK = "notebook.ipynb"
_NEEDED = ("nbformat", "nbclient", "ipykernel")
_FAILED = "the submission's notebook does not run"
_TIMEOUT = 300  # seconds for a cell; on a busy machine the imports alone take many
_WIDTH = 90  # characters of a line of text
_MOST_SAMPLES = 5000  # drawn in all; loading more takes longer than a minute

_LOAD = f"""\
import logging
import warnings

import matplotlib.pyplot as plt
import pandas as pd

from matbench_segvae.benchmark import (
    load_task,
    make_benchmark,
    read_benchmark,
    write_benchmark,
)
from matbench_segvae.running import run_fold

warnings.simplefilter("ignore")
logging.getLogger("matbench").setLevel(logging.ERROR)

benchmark = read_benchmark("{RESULTS}")
print("valid:", benchmark.is_valid)"""

_SCORES = """\
rows = {
    (task.dataset_name, metric): dict(statistics)
    for task in benchmark.tasks
    for metric, statistics in task.scores.items()
}
pd.DataFrame.from_dict(rows, orient="index")"""

_FORMULAS = """\
for task in benchmark.tasks:
    for fold, key in task.folds_map.items():
        params = task.results[key]["parameters"]
        if params.get("formula"):
            print(f"{task.dataset_name}, fold {fold}, complexity {params.get('complexity')}:")
            print("  " + str(params["formula"]).replace("; ", "\\n  "))"""

_PARITY = """\
def parity(task):
    \"\"\"Draw the predictions of all folds against the truth.\"\"\"
    load_task(task)
    truth = task.df[task.metadata.target]
    figure, axis = plt.subplots(figsize=(3.5, 3.5), layout="constrained")
    for fold, key in task.folds_map.items():
        predictions = task.results[key]["data"]
        axis.scatter(truth.loc[list(predictions)], list(predictions.values()), s=10, label=fold)
    axis.axline((truth.mean(), truth.mean()), slope=1, color="0.7", zorder=0)
    axis.set(title=task.dataset_name, xlabel=f"true, {task.metadata.unit}", ylabel="predicted")
    axis.legend(title="fold", fontsize=8)
    plt.show()


for name in NAMES:
    parity(benchmark.tasks_map[name])"""

_AGAIN = """\
def run_again(algorithm, seed=0):
    \"\"\"Fit and predict every fold anew, and record it with Matbench.\"\"\"
    fresh = make_benchmark(benchmark.benchmark_name, list(benchmark.tasks_map))
    for task in fresh.tasks:
        load_task(task)
        for fold in task.folds:
            result = run_fold(task, algorithm, fold, seed)
            std = None if result.stds is None else list(result.stds.values())
            predictions = list(result.predictions.values())
            task.record(fold, predictions, std=std, params=dict(result.params))
    return fresh


RUN_AGAIN = False  # takes as long as the run did
if RUN_AGAIN:
    write_benchmark(run_again(ALGORITHM), "again.json.gz")"""

# Warnings of libraries name folders of the machine that runs the notebook.
_QUIET = {"PYTHONWARNINGS": "ignore"}

_METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
}


def executed_notebook(
    algorithm: str, info: Mapping[str, Any], recorded: Mapping[str, Any], folder: Path
) -> str:
    """Write the notebook and execute it beside the results.

    Data are drawn only where they are on this machine already, so no network is needed.

    Args:
        algorithm: Name of the algorithm's entry point.
        info: Content of the submission's ``info.json``.
        recorded: Content of its results file.
        folder: A folder with the results; nothing is written there.

    Returns:
        The notebook with its outputs, as JSON text.

    Raises:
        UserError: If a package that runs notebooks is missing, or a cell fails.
    """
    nbformat, nbclient = _packages()
    notebook = nbformat.v4.new_notebook(metadata=_METADATA)
    for number, (kind, text) in enumerate(_cells(algorithm, info, recorded)):
        make = nbformat.v4.new_markdown_cell if kind == "text" else nbformat.v4.new_code_cell
        # Numbers instead of random names: the same results give the same notebook.
        notebook.cells.append(make(text, id=f"cell-{number}"))
    client = nbclient.NotebookClient(
        notebook,
        timeout=_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    failures = nbclient.exceptions
    try:
        client.execute(env={**os.environ, **_QUIET, "IPYTHONDIR": str(folder / ".ipython")})
    except failures.CellExecutionError as error:
        # Its text is a traceback in colours.
        raise UserError(f"{_FAILED}: {error.ename}: {error.evalue}") from error
    except (failures.CellTimeoutError, failures.DeadKernelError) as error:
        raise UserError(f"{_FAILED}: {str(error).strip().splitlines()[0]}") from error
    return str(nbformat.writes(notebook)) + "\n"


def _packages() -> tuple[Any, Any]:
    """The packages that write and run notebooks, which only submissions need."""
    loaded = []
    for name in _NEEDED:
        try:
            loaded.append(import_module(name))
        except ImportError as error:
            raise UserError(
                f"{name} is not installed, and a submission has an executed notebook: run "
                f'"pip install {" ".join(_NEEDED)}"'
            ) from error
    nbformat, nbclient, _ = loaded
    import_module("nbclient.exceptions")
    return nbformat, nbclient


def recorded_parameters(recorded: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a results file holds of each fold beside its predictions.

    Raises:
        UserError: If it is not shaped as results are.
    """
    for task in _object(recorded.get("tasks"), "tasks").values():
        for fold in _object(_object(task, "a task").get("results"), "results").values():
            yield _object(_object(fold, "a fold").get("parameters") or {}, "parameters")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"these are no results of Matbench: {what} should be a JSON object")
    return value


def _cells(
    algorithm: str, info: Mapping[str, Any], recorded: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Text and code, in order."""
    cells = [
        ("text", _introduction(str(recorded["benchmark_name"]), info)),
        ("text", "## Results\n\nThe folds as they were recorded, read by the benchmark's class."),
        ("code", _LOAD),
        ("text", "Scores over the folds, in the unit of the target."),
        ("code", _SCORES),
    ]
    if any(params.get("formula") for params in recorded_parameters(recorded)):
        cells.append(("text", "Every fold has a formula of its own."))
        cells.append(("code", _FORMULAS))
    drawn = _drawn(recorded["tasks"])
    if drawn:
        cells.append(("text", "Predictions for the test sets against the truth."))
        cells.append(("code", _PARITY.replace("NAMES", repr(drawn))))
    cells.append(("text", "## Running it again\n\n`python run.py` does the same."))
    cells.append(("code", _AGAIN.replace("ALGORITHM", repr(algorithm))))
    return cells


def _introduction(benchmark: str, info: Mapping[str, Any]) -> str:
    references = info.get("bibtex_refs") or []
    listed = references if isinstance(references, list) else [references]
    requirements = (info.get("requirements") or {}).get("python", [])
    about = [str(info.get(key, "")) for key in ("algorithm", "algorithm_long", "notes")]
    paragraphs = [
        f"# A submission to {benchmark}",
        _as_it_is("\n\n".join(textwrap.fill(text, _WIDTH) for text in about if text)),
        "## References\n\n" + _as_it_is("\n".join(map(str, listed)), "bibtex"),
        "## Requirements\n\n" + _as_it_is("\n".join(map(str, requirements))),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _as_it_is(text: str, language: str = "") -> str:
    """A text of unknown origin as a block of code that no backticks in it can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _drawn(tasks: Iterable[str]) -> list[str]:
    """Regression tasks whose data are on this machine, as many as load within seconds."""
    drawn: list[str] = []
    n_samples = 0
    for summary in map(task_summary, tasks):
        fits = n_samples + summary.n_samples <= _MOST_SAMPLES
        if fits and summary.task_type == "regression" and _is_here(summary):
            drawn.append(summary.name)
            n_samples += summary.n_samples
    return drawn


def _is_here(summary: TaskSummary) -> bool:
    """Whether a task's data are on this machine."""
    if summary.benchmark == OWN_BENCHMARK:
        return True  # else it would have no summary
    if summary.benchmark != BENCHMARK_NAME:
        chosen = os.environ.get(MATMINER_VARIABLE)
        folder = Path(chosen) if chosen else cache_folder() / "matminer"
        return (folder / f"{summary.name}.json.gz").is_file()
    return summary.source == "embedded" or all(row.place != "absent" for row in status())
