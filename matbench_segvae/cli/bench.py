"""The commands ``matbench-segvae bench …``: benchmarks of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from matbench_segvae.cli.common import console
from matbench_segvae.errors import UserError

if TYPE_CHECKING:
    from matbench_segvae.bench.pair_ablation import Comparison, PairTrial
    from matbench_segvae.bench.recovery import Attempt

bench_app = typer.Typer(help="Measure the engine.", rich_markup_mode=None)


@bench_app.command("throughput")
def throughput_command(
    preset: Annotated[str, typer.Option(help="default or paper.", metavar="NAME")] = "default",
    rounds: Annotated[int, typer.Option(help="Rounds of the search.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Seed of table and search.", min=0)] = 0,
) -> None:
    """Formulas per second on a table of 743 rows and 4 features, and where the time goes."""
    from matbench_segvae.bench.throughput import measure_preset

    found = measure_preset(preset, seed, rounds)
    rows = {
        "formulas sampled": f"{found.sampled}",
        "of them valid": f"{found.valid_share:.1%}",
        "scored, constants fitted": f"{found.scored}",
        "seconds, all rounds": f"{found.seconds:.1f}",
        "sampled per second of sampling": f"{found.sampled_per_second:.0f}",
        "scored per second of scoring": f"{found.fitted_per_second:.0f}",
        "scored per second, all in all": f"{found.scored_per_second:.0f}",
        "share of sampling": f"{found.sampling_share:.1%}",
        "share of fitting and scoring": f"{found.scoring_share:.1%}",
        "share of training and all else": f"{found.training_share:.1%}",
        "peak memory, MB": f"{found.peak_megabytes:.0f}",
        "of it, loaded libraries, MB": f"{found.library_megabytes:.0f}",
    }
    table = Table(title=f"{preset}, {found.rows} rows x {found.features}", box=SIMPLE_HEAD)
    table.add_column("what")
    table.add_column("figure", justify="right")
    for what, figure in rows.items():
        table.add_row(what, figure)
    console().print(table)


@bench_app.command("recovery")
def recovery_command(
    suite: Annotated[str, typer.Option(help="Name of the suite.", metavar="NAME")] = "nguyen",
    noise: Annotated[float, typer.Option(help="Noise, in units of RMS(y).", min=0)] = 0.0,
    seeds: Annotated[int, typer.Option(help="Number of seeds.", min=1)] = 10,
    preset: Annotated[str, typer.Option(help="default or paper.", metavar="NAME")] = "default",
    time_limit: Annotated[float, typer.Option(help="Seconds per search.", min=1)] = 60.0,
    out: Annotated[
        Path, typer.Option(help="File of finished searches; a search in it is not run again.")
    ] = Path("recovery.jsonl"),
    workers: Annotated[int, typer.Option(help="Searches at a time, one core each.", min=1)] = 1,
) -> None:
    """Share of known formulas found, under the strict and the front rule."""
    from matbench_segvae.bench.recovery import (
        EstimatorFinder,
        RecoverySettings,
        overall,
        run_suite,
        summarise,
    )

    find = EstimatorFinder({"preset": preset, "epochs": 10_000, "time_limit": time_limit})
    settings = RecoverySettings(noise, seeds=seeds, workers=workers)
    attempts = run_suite(suite, find, settings, out, _print_attempt)
    table = Table(title=f"{suite}, noise {noise:g}, preset {preset}", box=SIMPLE_HEAD)
    for header in ("problem", "searches", "strict", "front", "median s"):
        table.add_column(header, justify="left" if header == "problem" else "right")
    found = [*summarise(attempts), overall(attempts)]
    for r in found:
        table.add_row(
            r.problem, str(r.attempts), f"{r.strict:.1%}", f"{r.front:.1%}", f"{r.seconds:.1f}"
        )
    console().print(table)


@bench_app.command("ablation")
def ablation_command(
    suite: Annotated[
        str,
        typer.Option(help="nguyen, or a task whose pairs to search formulas for.", metavar="NAME"),
    ] = "nguyen",
    seeds: Annotated[int, typer.Option(help="Number of seeds.", min=1)] = 3,
    rounds: Annotated[int, typer.Option(help="Most rounds of a search.", min=1)] = 30,
    variants: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Repeatable; all by default.", metavar="NAME"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of finished searches; a search in it is not run again.")
    ] = Path("ablation"),
    outliers: Annotated[
        int, typer.Option(help="Outliers among each problem's 20 values.", min=0, max=10)
    ] = 0,
    workers: Annotated[int, typer.Option(help="Searches at a time, one core each.", min=1)] = 1,
) -> None:
    """The effect of each choice of the default settings: searches without it."""
    from matbench_segvae.bench.ablation import VARIANTS, variant
    from matbench_segvae.bench.recovery import (
        SUITES,
        EstimatorFinder,
        RecoverySettings,
        overall,
        run_suite,
    )

    if suite not in SUITES:
        if outliers or workers > 1:
            raise UserError("--outliers and --workers are for the suite nguyen")
        _pair_ablation(suite, seeds, rounds, variants, out)
        return
    names = variants or list(VARIANTS)
    chosen = [variant(name) for name in names]
    settings = RecoverySettings(outliers=outliers, seeds=seeds, workers=workers)
    out.mkdir(parents=True, exist_ok=True)
    off = f"{outliers} outliers" if outliers else "no noise"
    table = Table(title=f"{suite}, {off}, at most {rounds} rounds", box=SIMPLE_HEAD)
    for header in ("variant", "searches", "strict", "front", "median s"):
        table.add_column(header, justify="left" if header == "variant" else "right")
    for name, variation in zip(names, chosen, strict=True):
        find = EstimatorFinder(variation.arguments(rounds))
        store = out / f"{suite}-{rounds}-{name}.jsonl"
        r = overall(run_suite(suite, find, settings, store, _print_attempt))
        table.add_row(
            name, str(r.attempts), f"{r.strict:.1%}", f"{r.front:.1%}", f"{r.seconds:.1f}"
        )
    console().print(table)


def _pair_ablation(
    task_name: str,
    seeds: int,
    rounds: int,
    variants: list[str] | None,
    out: Path,
) -> None:
    """The same for searches of pair formulas, which are compared search by search."""
    from matbench_segvae.bench.pair_ablation import compared, pair_variants, search_pairs, varied
    from matbench_segvae.benchmark import (
        BENCHMARK_NAME,
        OWN_BENCHMARK,
        benchmark_name_of,
        load_task,
        make_task,
        task_name_of,
    )

    task_name = task_name_of(task_name)
    if benchmark_name_of(task_name) not in (BENCHMARK_NAME, OWN_BENCHMARK):
        raise UserError(
            f"{task_name} has no pairs of defects: choose a task of {BENCHMARK_NAME} or one of "
            "your own"
        )
    chosen = pair_variants(variants)
    task = make_task(task_name)
    load_task(task)
    training_sets = [task.get_train_and_val_data(fold) for fold in task.folds]
    out.mkdir(parents=True, exist_ok=True)
    title = f"formulas for pairs of {task_name}, at most {rounds} rounds"
    table = Table(title=title, box=SIMPLE_HEAD)
    lengths = {"15 tokens": lambda trial: trial.short, "any length": lambda trial: trial.any_length}
    headers = [header for length in lengths for header in (length, "less", "more")]
    for header in ("variant", "searches", *headers, "s"):
        table.add_column(header, justify="left" if header == "variant" else "right")
    found = {
        name: search_pairs(
            training_sets,
            varied(variant, rounds),
            seeds,
            out / f"{task_name}-{rounds}-{name}.jsonl",
            _print_pair_search,
        )
        for name, variant in chosen.items()
    }
    for name, trials in found.items():
        seconds = sum(trial.seconds for trial in trials) / len(trials)
        figures = [
            figure
            for loss in lengths.values()
            for figure in _figures(compared(trials, found["default"], loss))
        ]
        table.add_row(name, str(len(trials)), *figures, f"{seconds:.1f}")
    console().print(table)


@bench_app.command("scaling")
def scaling_command(
    structures: Annotated[int, typer.Option(help="Structures of the small search.", min=20)] = 200,
    factor: Annotated[int, typer.Option(help="Times as many in the large one.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Seed of structures and searches.", min=0)] = 0,
) -> None:
    """How the time of a search for a pair law grows with structures of the same lattice."""
    from matbench_segvae.bench.scaling import measure_scaling

    searches = measure_scaling(structures, factor, seed)
    table = Table(title="pair laws of random vacancies in MoS2", box=SIMPLE_HEAD)
    for header in ("structures", "pair distances", "seconds", "training MAE, meV per site"):
        table.add_column(header, justify="right")
    for s in searches:
        mae = f"{1000 * s.training_mae:.2f}"
        table.add_row(str(s.structures), str(s.distances), f"{s.seconds:.1f}", mae)
    console().print(table)
    ratio = searches[1].seconds / searches[0].seconds
    print(f"{factor} times the structures take {ratio:.2f} times as long")


def _figures(found: Comparison) -> tuple[str, str, str]:
    """Errors in units of the default's, and how many searches were better and worse."""
    return f"{found.ratio:.2f} ± {found.error:.2f}", str(found.better), str(found.worse)


def _print_pair_search(trial: PairTrial) -> None:
    """Print the outcome of a search for a formula of pairs."""
    print(
        f"fold {trial.part} kind {trial.kind} seed {trial.seed}: "
        f"{1000 * trial.short:.3g} meV with 15 tokens, {1000 * trial.any_length:.3g} with any, "
        f"{trial.seconds:.1f} s",
        flush=True,
    )


def _print_attempt(attempt: Attempt) -> None:
    """Print the outcome of a search."""
    verdicts = [f"{rule} {'yes' if found else 'no'}" for rule, found in
                (("strict", attempt.strict), ("front", attempt.front))]  # fmt: skip
    print(
        f"{attempt.problem} seed {attempt.seed}: {', '.join(verdicts)}, "
        f"{attempt.seconds:.1f} s  {attempt.formula}",
        flush=True,
    )
