"""The project's own promises: what the README says is what runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in readme.splitlines()]
    return [line for line in lines if line.startswith("pip install uv")]


def test_continuous_integration_runs_the_test_command_of_the_readme(commands):
    assert len(commands) == 2
    assert commands[0].endswith("matbench-segvae run")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert commands[1] in script.splitlines()


def test_the_workflow_runs_both_commands_of_the_readme(commands):
    lines = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8").splitlines()
    steps = [line.strip().removeprefix("- run: ") for line in lines]
    assert commands[0] in steps
    assert ".ci/run" in steps


def test_the_commit_hooks_run_the_checks_of_continuous_integration():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    checks = [line for line in script if re.match(r"uv run --no-sync (ruff|mypy)", line)]
    assert len(checks) == 3
    assert re.findall(r"entry: (.*)", hooks) == checks


def test_the_version_to_cite_is_the_newest_of_the_changelog():
    texts = [(ROOT / n).read_text(encoding="utf-8") for n in ("CHANGELOG.md", "CITATION.cff")]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", texts[0], re.MULTILINE).group(1)
    assert re.search(r"^version: (.*)$", texts[1], re.MULTILINE).group(1) == newest
    assert re.search(r"version = \{(.*)\}", readme).group(1) == newest


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "leaderboard/README.md",
                                  ".github/CONTRIBUTING.md"])  # fmt: skip
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if target.startswith("https:"):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors, link


def test_the_lock_file_names_no_host_and_pins_everything_with_hashes():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and not line.startswith((" ", "#", "-e"))]
    assert requirements
    assert all("==" in line and line.endswith("\\") for line in requirements)
    assert not any("://" in line for line in lines)
