"""The commands ``matbench-segvae bench …``: benchmarks of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from matbench_segvae.cli.common import SEED_LIMIT, console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matbench_segvae.bench.recovery import Attempt
    from matbench_segvae.bench.trials import BudgetKind, Trial

bench_app = typer.Typer(help="Measure the engine.", rich_markup_mode=None)


@bench_app.command("throughput")
def throughput_command(
    preset: Annotated[str, typer.Option(help="default or paper.", metavar="NAME")] = "default",
    rounds: Annotated[int, typer.Option(help="Rounds of the search.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Seed of table and search.", min=0, max=SEED_LIMIT)] = 0,
) -> None:
    """Formulas per second on a table of 743 rows and 4 features, and where the time goes.

    Where pyoperon is installed, Operon searches the same table on the same core after it.
    """
    from matbench_segvae.bench.operon import STEPS, has_operon, measure_operon
    from matbench_segvae.bench.throughput import artificial_table, measure_preset

    found = measure_preset(preset, seed, rounds)
    rows = {
        "formulas sampled": f"{found.sampled}",
        "of them valid": f"{found.valid_share:.1%}",
        "scored, constants fitted": f"{found.scored}",
        "seconds, all rounds": f"{found.seconds:.1f}",
        "sampled per second of sampling": f"{found.sampled_per_second:.0f}",
        "scored per second of scoring": f"{found.fitted_per_second:.0f}",
        "scored per second, all in all": f"{found.scored_per_second:.0f}",
        "scored per CPU second": f"{found.scored_per_cpu_second:.0f}",
        "share of sampling": f"{found.sampling_share:.1%}",
        "share of fitting and scoring": f"{found.scoring_share:.1%}",
        "share of training and all else": f"{found.training_share:.1%}",
        "peak memory, MB": f"{found.peak_megabytes:.0f}",
        "of it, loaded libraries, MB": f"{found.library_megabytes:.0f}",
    }
    if has_operon():
        peer = measure_operon(*artificial_table(seed), seed, max(1, round(found.cpu_seconds)))
        theirs, ratio = peer.scored_per_cpu_second, found.scored_per_cpu_second
        rows[f"Operon with {STEPS} steps, scored per CPU second"] = f"{theirs:.0f}"
        rows["ratio to Operon"] = f"{ratio / theirs:.2f}"
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
    outliers: Annotated[
        int, typer.Option(help="Outliers among each problem's values.", min=0, max=10)
    ] = 0,
    loss: Annotated[
        str, typer.Option(help="squared, absolute or huber.", metavar="NAME")
    ] = "squared",
    seeds: Annotated[int, typer.Option(help="Number of seeds.", min=1)] = 10,
    preset: Annotated[str, typer.Option(help="default or paper.", metavar="NAME")] = "default",
    rounds: Annotated[int, typer.Option(help="Most rounds of a search.", min=1)] = 10_000,
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

    find = EstimatorFinder(
        {"preset": preset, "loss": loss, "epochs": rounds, "time_limit": time_limit}
    )
    settings = RecoverySettings(noise, outliers, seeds, workers, str(find))
    attempts = run_suite(suite, find, settings, out, _print_attempt)
    off = f"noise {noise:g}" + f", {outliers} outliers" * (outliers > 0)
    table = Table(title=f"{suite}, {off}, preset {preset}, loss {loss}", box=SIMPLE_HEAD)
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
    suites: Annotated[
        list[str] | None,
        typer.Option("--suite", help="Repeatable; all by default.", metavar="NAME"),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Repeatable; all by default.", metavar="NAME"),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="The variant the others are compared with.", metavar="NAME")
    ] = "default",
    seed: Annotated[int, typer.Option(help="First seed.", min=0, max=SEED_LIMIT)] = 0,
    seeds: Annotated[int, typer.Option(help="Number of seeds.", min=1)] = 3,
    cpu: Annotated[
        float | None, typer.Option(help="CPU seconds to compare at; the suite's own.", min=0.1)
    ] = None,
    formulas: Annotated[
        int | None, typer.Option(help="Scored formulas to compare at; the suite's own.", min=1)
    ] = None,
    out: Annotated[
        Path, typer.Option(help="File of finished searches; a search in it is not run again.")
    ] = Path("ablation.jsonl"),
    workers: Annotated[int, typer.Option(help="Searches at a time, one core each.", min=1)] = 1,
) -> None:
    """The effect of each choice of the default settings: searches with and without it."""
    from matbench_segvae.bench.ablation import run_ablation
    from matbench_segvae.bench.search_problems import SEARCH_SUITES
    from matbench_segvae.bench.variants import VARIANTS, Budget, budget_of

    names = list(dict.fromkeys([reference, *(variants or VARIANTS)]))
    budgets = {suite: budget_of(suite) for suite in suites or SEARCH_SUITES}
    for suite, own in budgets.items():
        budget = Budget(cpu or own.cpu, formulas or own.formulas)
        trials = run_ablation(
            suite,
            names,
            range(seed, seed + seeds),
            out,
            budget=budget,
            workers=workers,
            report=_print_trial,
        )
        title = f"{suite}, losses in units of those of {reference}, after"
        _print_comparisons(f"{title} {budget.formulas} formulas", trials, names, "formulas")
        _print_comparisons(f"{title} {budget.cpu:g} CPU s", trials, names, "cpu")


def _print_comparisons(
    title: str, trials: Sequence[Trial], names: Sequence[str], budget: BudgetKind
) -> None:
    """Print the variants beside the first of them, at equal budgets."""
    from matbench_segvae.bench.trials import compared, written_by

    table = Table(title=title, box=SIMPLE_HEAD)
    headers = (
        "variant",
        "searches",
        "ratio",
        "×/÷",
        "median",
        "wins",
        "losses",
        "found",
        "leaders",
    )
    for header in headers:
        table.add_column(header, justify="left" if header in ("variant", "leaders") else "right")
    for name in names:
        c = compared(trials, name, names[0], budget)
        leaders = ", ".join(f"{n} {who}" for who, n in written_by(trials, name, budget).items())
        figures = (f"{c.ratio:.2f}", f"{c.factor:.2f}", f"{c.median:.2f}", str(c.wins))
        table.add_row(name, str(c.searches), *figures, str(c.losses), str(c.found[0]), leaders)
    console().print(table)


@bench_app.command("scaling")
def scaling_command(
    structures: Annotated[int, typer.Option(help="Structures of the small search.", min=20)] = 200,
    factor: Annotated[int, typer.Option(help="Times as many in the large one.", min=1)] = 100,
    seed: Annotated[
        int, typer.Option(help="Seed of structures and searches.", min=0, max=SEED_LIMIT)
    ] = 0,
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


def _print_trial(trial: Trial) -> None:
    """Print the state of a search at a budget."""
    print(
        f"{trial.suite} {trial.problem} seed {trial.seed} {trial.variant}: "
        f"{trial.loss:.3g} after {trial.formulas} formulas and {trial.cpu_seconds:.1f} CPU s",
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
