"""Throughput: formulas sampled, kept and fitted per second, and where the time goes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback

from matbench_segvae.expressions import Grammar
from matbench_segvae.fitting.additive_problem import AdditiveProblem
from matbench_segvae.lightning_tools import use_one_core
from matbench_segvae.segvae import (
    AdditiveObjective,
    FitSettings,
    Search,
    SearchSettings,
    paper_grammar,
    preset,
    pretrained,
)
from matbench_segvae.segvae.scoring import Criteria, DirectObjective, Objective
from matbench_segvae.types import Floats

_ROWS, _FEATURES = 743, 4


@dataclass(frozen=True)
class Throughput:
    """What a search did and how long it took, pretraining not counted.

    Attributes:
        rows: Rows of the table.
        features: Its columns.
        seconds: Time of the search.
        cpu_seconds: The same in CPU seconds of the process.
        sampled: Formulas sampled.
        valid_share: Share of the samples that were complete formulas.
        scored: Different formulas whose constants were fitted.
        sampling_share: Share of the time that went into sampling.
        scoring_share: Share that went into fitting constants and scoring.
        peak_megabytes: Largest memory of the process so far, in units of 1e6 bytes.
        library_megabytes: The same before the search: Python, torch, Lightning and other
            libraries as loaded.
    """

    rows: int
    features: int
    seconds: float
    cpu_seconds: float
    sampled: int
    valid_share: float
    scored: int
    sampling_share: float
    scoring_share: float
    peak_megabytes: float
    library_megabytes: float

    @property
    def scored_per_second(self) -> float:
        """Formulas fitted and scored per second of the whole search."""
        return self.scored / self.seconds

    @property
    def scored_per_cpu_second(self) -> float:
        """Formulas fitted and scored per CPU second of the whole search."""
        return self.scored / self.cpu_seconds

    @property
    def fitted_per_second(self) -> float:
        """Formulas fitted and scored per second of fitting."""
        return self.scored / (self.scoring_share * self.seconds)

    @property
    def sampled_per_second(self) -> float:
        """Formulas sampled per second of sampling."""
        return self.sampled / (self.sampling_share * self.seconds)

    @property
    def training_share(self) -> float:
        """Share of the time that went into training the network and everything else."""
        return 1 - self.sampling_share - self.scoring_share


class _Recorder(Callback):
    """Collects the figures of every round."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.rounds: list[dict[str, float]] = []

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keep the round's figures."""
        self.rounds.append({k: float(v) for k, v in self._search.metrics.items()})


def measure_throughput(
    settings: SearchSettings | None = None,
    grammar: Grammar | None = None,
    seed: int = 0,
    rounds: int = 8,
) -> Throughput:
    """Time a search on an artificial table of 743 rows and 4 features, on one core.

    Args:
        settings: Those of the search; its number of rounds is replaced.
        grammar: The language; up to 30 tokens of common operators by default.
        seed: Seed of the table and the search.
        rounds: Rounds to run; one more comes first, to compile, and is not counted.
    """
    use_one_core()
    libraries = _peak_megabytes()
    settings = replace(settings or SearchSettings(), epochs=rounds)
    grammar = grammar or Grammar(tuple(f"x{i}" for i in range(_FEATURES)))
    points, values = artificial_table(seed)
    objective = _objective(points, values, grammar, settings, seed)
    module = pretrained(grammar, settings, seed)
    compiled = AdditiveProblem.table(points, values, np.ones(_ROWS))
    warm_up = AdditiveObjective(compiled, grammar.variables, FitSettings(), seed)
    warm_up.score([("exp", "mul", "c", grammar.variables[0])])
    search = Search(grammar, objective, module, settings, seed)
    recorder = _Recorder(search)
    start, cpu_start = time.perf_counter(), time.process_time()
    search.run(trainer_options={"callbacks": [recorder]})
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    figures = recorder.rounds
    return Throughput(
        rows=_ROWS,
        features=_FEATURES,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        sampled=round(figures[-1]["sampled"]),
        valid_share=float(np.mean([f["valid_share"] for f in figures])),
        scored=round(figures[-1]["formulas"]),
        sampling_share=sum(f["sampling_seconds"] for f in figures) / seconds,
        scoring_share=sum(f["scoring_seconds"] for f in figures) / seconds,
        peak_megabytes=_peak_megabytes(),
        library_megabytes=libraries,
    )


def measure_preset(name: str, seed: int = 0, rounds: int = 8) -> Throughput:
    """Measure the settings and the language of a preset.

    Raises:
        UserError: If there is no such preset.
    """
    settings = preset(name)  # type: ignore[arg-type]  # it checks the name itself
    variables = tuple(f"x{i}" for i in range(_FEATURES))
    grammar = paper_grammar(variables) if name == "paper" else None
    return measure_throughput(settings, grammar, seed, rounds)


def artificial_table(seed: int) -> tuple[Floats, Floats]:
    """A smooth function of four features with a little noise: points and values."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.5, 5, (_ROWS, _FEATURES))
    values = points[:, 0] * np.exp(-points[:, 1]) + np.cos(points[:, 2]) / points[:, 3]
    return points, values + 0.01 * rng.normal(size=_ROWS)


def _objective(
    points: Floats, values: Floats, grammar: Grammar, settings: SearchSettings, seed: int
) -> Objective:
    """The objective of the search: formulas with constants fitted, or as they are."""
    problem = AdditiveProblem.table(points, values, np.ones(len(values)))
    if not settings.linear_scaling:
        return DirectObjective(problem, grammar.variables)
    criteria = Criteria(constant_free_target=values)
    return AdditiveObjective(problem, grammar.variables, FitSettings(), seed, criteria)


def _peak_megabytes() -> float:
    """Largest resident memory of this process so far; NaN where the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
