"""The project's own promises: what the README says is what runs."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "matbench_segvae"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# Files that need an optional dependency, by the extra that brings it; the first match counts.
EXTRAS = {
    "algorithms/megnet/keras": "keras",
    "algorithms/megnet/": "megnet",
    "benchmark/xtb": "xtb",
}
# From the dev group: pip cannot resolve matbench's pins, and only submissions have notebooks.
# Where one of them is missing, the package reports how to install it.
FROM_DEV_GROUP = {"matbench", "nbclient"}


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


def canonical(name):
    """A distribution's name without version, extras and marker, as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


@pytest.fixture(scope="module")
def declared():
    """Names of the distributions that an installation with each extra brings."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    tables = project["optional-dependencies"]

    def names(requirements):
        found = set()
        for requirement in requirements:
            if own := re.fullmatch(r"matbench_segvae\[(\w+)\]", requirement):
                found |= names(tables[own[1]])
            else:
                found.add(canonical(requirement))
        return found

    core = names(project["dependencies"])
    extras = {extra: core | names(tables[extra]) for extra in tables}
    return {"": core, "dev": names(content["dependency-groups"]["dev"]), **extras}


def imported_packages(path):
    """Top-level packages of others that a file imports anywhere, functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    packages = {name.split(".")[0] for name in names}
    return packages - sys.stdlib_module_names - {PACKAGE.name}


@pytest.fixture(scope="module")
def distributions():
    """Distributions by the packages that can be imported from them."""
    return packages_distributions()


@pytest.mark.parametrize("file", FILES)
def test_every_import_is_a_declared_dependency(file, declared, distributions):
    """Those of an extra are imported by the files that need it, and by no others."""
    extra = next((extra for start, extra in EXTRAS.items() if file.startswith(start)), "")
    for package in imported_packages(PACKAGE / file):
        candidates = {canonical(name) for name in distributions.get(package, [package])}
        table = declared["dev" if package in FROM_DEV_GROUP else extra]
        assert candidates & table, f"{file} imports {package}, which is not declared"


def test_the_lock_file_holds_every_declared_dependency(declared):
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = {canonical(line) for line in lines if line and not line.startswith((" ", "#", "-e"))}
    assert set().union(*declared.values()) <= locked
