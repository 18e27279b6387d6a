"""The project's own promises: what the README says is what runs."""

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


def test_the_lock_file_names_no_host_and_pins_everything_with_hashes():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and not line.startswith((" ", "#", "-e"))]
    assert requirements
    assert all("==" in line and line.endswith("\\") for line in requirements)
    assert not any("://" in line for line in lines)
