"""The pages with results hold what the committed submission folders hold."""

import re
from pathlib import Path

import pytest

from matbench_segvae.errors import UserError
from matbench_segvae.reporting import FoldScore, rank, read_results
from matbench_segvae.reporting.low_density_table import LOW_DENSITY_TASKS, low_density_table
from matbench_segvae.reporting.results_page import LEADERBOARD, PAGES, fill, main, tables

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generated(published_predictions):
    return tables(ROOT / LEADERBOARD)


def row_of(task, algorithm, mean, **figures):
    params = {"median_error": mean / 2, "within_20_meV": 0.876, **figures}
    folds = [FoldScore(task, algorithm, fold, {"mae": mean}, params, {}) for fold in (0, 1)]
    return rank(folds)[task][0]


def test_published_models_stand_below_ours_on_every_low_density_task(published_predictions):
    task = "defects2d_mos2_low_gap"
    board = {task: [row_of(task, "ours", 0.00612), row_of(task, "old", 0.1, median_error=None)]}
    lines = low_density_table(board).splitlines()
    assert sum(line.startswith("| `") for line in lines) == len(LOW_DENSITY_TASKS) == 5
    start = next(i for i, line in enumerate(lines) if task in line)
    assert lines[start].endswith("| `ours` | 6.12 ± 0.00 | 3.06 | 87.6 % |")
    assert lines[start + 1] == "|  | `old` | 100.00 ± 0.00 | – | 87.6 % |"
    assert lines[start + 2] == "|  | MEGNet-sparse, published | 6.95 | 3.49 | 92.9 % |"
    assert "|  | MEGNet-sparse, paper, published | 3.90 ± 1.10 | – | – |" in lines
    assert sum("published" in line for line in lines) == 5 * 6 + 2


def test_tasks_without_results_have_no_row_of_errors(generated):
    committed = {
        row.task for rows in rank(read_results(ROOT / LEADERBOARD)).values() for row in rows
    }
    for task in LOW_DENSITY_TASKS:
        assert (f"`{task}`" in generated["errors"]) == (task in committed)
        assert (f"`{task}`" in generated["seeds"]) == (task in committed)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_tables_of_a_page_are_not_stale(page, generated):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert fill(text, generated) == text


def test_every_generated_table_is_on_a_page(generated):
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert all(f"<!-- generated: {name} -->\n{table}" in text for name, table in generated.items())


def test_the_command_that_fills_the_pages_stands_on_one_of_them():
    text = (ROOT / LEADERBOARD / "README.md").read_text(encoding="utf-8")
    assert "python -m matbench_segvae.reporting.results_page" in text


def test_only_what_is_between_markers_changes():
    page = "a\n<!-- generated: one -->\nold\n<!-- end -->\nb\n<!-- generated: two -->\n<!-- end -->"
    filled = fill(page, {"one": "new\n", "two": "2\n"})
    assert filled == page.replace("old", "new").replace("two -->\n", "two -->\n2\n")


def test_unknown_tables_are_refused():
    with pytest.raises(UserError, match="unknown table 'other': choose from one"):
        fill("<!-- generated: other -->\n<!-- end -->", {"one": ""})


def test_stale_pages_are_written_anew(tmp_path, published_predictions):
    (tmp_path / "leaderboard").symlink_to(ROOT / "leaderboard")
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    stale = re.sub(r"(?m)^(\| `defects2d.*?)\d+\.\d ± \d+\.\d", r"\g<1>0.0 ± 0.0", page)
    assert stale != page
    (tmp_path / "README.md").write_text(stale, encoding="utf-8")
    assert main(tmp_path) == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == page


def test_a_folder_without_results_is_an_error(tmp_path, capsys):
    assert main(tmp_path) == 2
    assert capsys.readouterr().err.startswith("error: there is no folder")
