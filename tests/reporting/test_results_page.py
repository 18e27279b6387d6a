"""The pages with results hold what the committed submission folders hold."""

from pathlib import Path

import pytest

from matbench_segvae.errors import UserError
from matbench_segvae.reporting.results_page import LEADERBOARD, PAGES, fill, main, tables

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generated():
    return tables(ROOT / LEADERBOARD)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_tables_of_a_page_are_not_stale(page, generated):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert fill(text, generated) == text


def test_every_generated_table_is_on_the_page_of_the_leaderboard(generated):
    text = (ROOT / LEADERBOARD / "README.md").read_text(encoding="utf-8")
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


def test_stale_pages_are_written_anew(tmp_path):
    (tmp_path / "leaderboard").symlink_to(ROOT / "leaderboard")
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(page.replace("8.6 ± 4.3", "0.0 ± 0.0"), encoding="utf-8")
    assert main(tmp_path) == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == page


def test_a_folder_without_results_is_an_error(tmp_path, capsys):
    assert main(tmp_path) == 2
    assert capsys.readouterr().err.startswith("error: there is no folder")
