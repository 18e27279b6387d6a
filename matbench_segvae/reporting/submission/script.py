"""The file ``run.py`` of a submission: the commands that make its results again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matbench_segvae.reporting.seeds import SeedScore

SCRIPT = "run.py"

_TEMPLATE = '''"""Make the results of {folder} again.

    python run.py [FOLDER]

writes the same predictions to FOLDER, by default the folder `rerun` beside this file.
The packages it was made with are listed in info.json.
"""

import sys
from pathlib import Path

from matbench_segvae.cli import main

RUNS = [
{runs}
]

if __name__ == "__main__":
    beside = Path(__file__).resolve().parent / "rerun"
    folder = sys.argv[1] if len(sys.argv) > 1 else str(beside)
    for options in RUNS:
        status = main(["run", *options.split(), "--out", folder])
        if status != 0:
            sys.exit(status)
'''


@dataclass(frozen=True)
class Recipe:
    """One run: an algorithm on a task with a seed.

    Attributes:
        task: Task name.
        algorithm: Name of the algorithm's entry point.
        seed: Seed of every fold.
        folds: Fold numbers; empty for all.
        seeds: Number of seeds, from `seed` on.
    """

    task: str
    algorithm: str
    seed: int
    folds: tuple[int, ...] = ()
    seeds: int = 1

    def options(self) -> str:
        """The command line's options for it."""
        folds = "".join(f" --fold {fold}" for fold in self.folds)
        seeds = f" --seeds {self.seeds}" if self.seeds > 1 else ""
        return f"--task {self.task} --algorithm {self.algorithm} --seed {self.seed}{seeds}{folds}"


def recorded_recipes(algorithm: str, benchmark: Any) -> list[Recipe]:  # noqa: ANN401
    """The runs that a benchmark's recorded folds came from: one for every task and seed.

    Args:
        algorithm: Name of the algorithm's entry point.
        benchmark: A benchmark with results.
    """
    recipes = []
    for name, task in benchmark.tasks_map.items():
        seeds: dict[int, list[int]] = {}
        for fold, key in task.folds_map.items():
            params = task.results[key]["parameters"]
            seeds.setdefault(int(params.get("seed", 0)), []).append(int(fold))
        for seed, folds in seeds.items():
            chosen = [] if len(folds) == len(task.folds) else folds
            recipes.append(Recipe(name, algorithm, seed, tuple(chosen)))
    return recipes


def with_seeds(recipe: Recipe, scores: Sequence[SeedScore]) -> Recipe:
    """The recipe, extended to the further seeds in the table of seeds."""
    seeds = {score.seed for score in scores if score.task == recipe.task}
    last = recipe.seed
    while last + 1 in seeds:
        last += 1
    return replace(recipe, seeds=last - recipe.seed + 1)


def run_script(folder: str, recipes: Iterable[Recipe]) -> str:
    """Python source that runs the recipes again.

    Args:
        folder: Name of the submission folder.
        recipes: What to run.
    """
    runs = "\n".join(f'    "{recipe.options()}",' for recipe in recipes)
    return _TEMPLATE.format(folder=folder, runs=runs)
