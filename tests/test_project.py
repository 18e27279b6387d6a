"""The project itself: the commands of the README, dependencies, entry points, the lock file."""

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
    "bench/operon": "bench",
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
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", texts[0], re.MULTILINE).group(1)
    assert re.search(r"^version: (.*)$", texts[1], re.MULTILINE).group(1) == newest


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


def canonical(name):
    """A distribution's name without version, extras and marker, as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def declared(pyproject):
    """Names of the distributions that an installation with each extra brings."""
    project = pyproject["project"]
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
    return {"": core, "dev": names(pyproject["dependency-groups"]["dev"]), **extras}


def test_every_algorithm_is_where_its_entry_point_points(pyproject):
    for value in pyproject["project"]["entry-points"]["matbench_segvae.algorithms"].values():
        module, name = value.split(":")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert f"\nclass {name}" in source, value


def imported_modules(path):
    """Modules that a file imports anywhere, functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return names


@pytest.fixture(scope="module")
def distributions():
    """Distributions by the packages that can be imported from them."""
    return packages_distributions()


@pytest.mark.parametrize("file", FILES)
def test_every_import_is_a_declared_dependency(file, declared, distributions):
    """Those of an extra are imported by the files that need it, and by no others."""
    extra = next((extra for start, extra in EXTRAS.items() if file.startswith(start)), "")
    packages = {name.split(".")[0] for name in imported_modules(PACKAGE / file)}
    for package in packages - sys.stdlib_module_names - {PACKAGE.name}:
        candidates = {canonical(name) for name in distributions.get(package, [package])}
        table = declared["dev" if package in FROM_DEV_GROUP else extra]
        assert candidates & table, f"{file} imports {package}, which is not declared"


def test_nothing_but_the_graph_networks_imports_the_graph_networks():
    """So the estimator and the pair laws work without what the graph networks need."""
    own = "matbench_segvae.algorithms.megnet"
    for file in FILES:
        if not file.startswith("algorithms/megnet/"):
            modules = imported_modules(PACKAGE / file)
            assert not any(f"{name}.".startswith(f"{own}.") for name in modules), file


def test_the_lock_file_holds_every_declared_dependency(declared):
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = {canonical(line) for line in lines if line and not line.startswith((" ", "#", "-e"))}
    # What the engine is only compared with is not installed with the rest.
    needed = [names for extra, names in declared.items() if extra != "bench"]
    assert set().union(*needed) <= locked
