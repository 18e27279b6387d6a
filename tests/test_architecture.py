"""Imports point one way, and importing the package is cheap."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import matbench_segvae

PACKAGE = Path(matbench_segvae.__file__).parent
NAME = "matbench_segvae"
GROUND = {"errors", "types"}
ALLOWED = {
    "errors": set(),
    "types": set(),
    "files": set(),
    "seeding": GROUND,
    "lightning_tools": GROUND | {"seeding"},
    "processes": {"lightning_tools"},
    "expressions": GROUND,
    "fitting": GROUND | {"expressions"},
    "defects": GROUND,
    "features": GROUND | {"files"},
    "segvae": GROUND | {"files", "seeding", "lightning_tools", "expressions", "fitting"},
    "regressor": GROUND | {"files", "expressions", "fitting", "segvae"},
    "benchmark": GROUND | {"files", "defects"},
    "algorithms": GROUND
    | {"seeding", "lightning_tools", "expressions", "fitting", "defects", "features", "segvae"},
    "running": GROUND | {"files", "processes", "benchmark", "algorithms"},
    "bench": GROUND
    | {"files"}
    | {"lightning_tools", "processes", "expressions", "fitting", "defects", "benchmark"}
    | {"segvae", "regressor", "algorithms"},
    "reporting": GROUND | {"files", "defects", "benchmark", "algorithms", "running"},
    "cli": GROUND
    | {"files", "segvae", "regressor", "bench", "benchmark", "algorithms", "running", "reporting"},
}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path):
    """Modules of this package that a module imports anywhere, functions included."""
    own = module_name(path)
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            # `from room import module` names a module as much as `import room.module` does.
            names = [
                full if (full := f"{base}.{alias.name}") in MODULES else base
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == NAME)


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else NAME


@pytest.mark.parametrize("module", MODULES)
def test_no_import_points_upward(module):
    if room(module) == NAME:
        return  # the package itself only gathers public names
    allowed = ALLOWED[room(module)] | {room(module)}
    upward = {name for name in imported(MODULES[module]) if room(name) not in allowed}
    assert not upward, f"{module} must not import {sorted(upward)}"


@pytest.mark.parametrize("family", ["pair_laws", "level_laws", "feature_formulas", "megnet"])
def test_families_of_algorithms_do_not_import_each_other(family):
    inside = f"{NAME}.algorithms.{family}"
    allowed = (f"{inside}.", f"{NAME}.algorithms.protocol", f"{NAME}.algorithms.references")
    for module in (m for m in MODULES if m.startswith(f"{inside}.")):
        siblings = {n for n in imported(MODULES[module]) if room(n) == "algorithms"}
        assert {n for n in siblings if not n.startswith(allowed)} == set(), module


# The same word for the same idea, in rooms that are alike. A package may be called what one of its
# files is called (regressor, benchmark), and `algorithms/segvae.py` what its algorithm is.
PARALLEL = {"algorithm", "registry", "settings", "search", "training"}


def test_a_file_name_stands_for_one_idea():
    # A file of the command line is called what its command is called.
    rooms = [m for m, p in MODULES.items() if p.stem != "__init__" and room(m) != "cli"]
    names = [module.rpartition(".")[2] for module in rooms]
    assert {name for name in names if names.count(name) > 1} <= PARALLEL


def test_every_room_is_known():
    assert {room(module) for module in MODULES} - {NAME, "__main__"} <= set(ALLOWED)


def test_there_is_no_cycle_of_modules():
    graph = {m: {n for n in imported(p) if n in MODULES and n != m} for m, p in MODULES.items()}
    # A package's __init__ gathers its modules; they in turn may ask other packages' __init__.
    done, path = set(), []

    def visit(module):
        assert module not in path, f"cycle: {' -> '.join([*path[path.index(module) :], module])}"
        if module in done:
            return
        path.append(module)
        for other in graph[module]:
            visit(other)
        path.pop()
        done.add(module)

    for module in graph:
        visit(module)


LIGHT_COMMANDS = ("--help", "tasks", "algorithms", "data list", "--version")


@pytest.fixture(scope="module")
def loaded():
    """What is loaded after the import, and after each command, all in one fresh process."""
    script = f"""
import json, sys
def heavy(): return sorted({{"torch", "tensorflow", "matgl"}} & set(sys.modules))
import matbench_segvae
loaded = {{"import": heavy()}}
from matbench_segvae.cli import main
for command in {LIGHT_COMMANDS}:
    main(command.split())
    loaded[command] = heavy()
print(json.dumps(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_package_loads_no_deep_learning(loaded):
    assert loaded["import"] == []


@pytest.mark.parametrize("command", LIGHT_COMMANDS)
def test_light_commands_load_no_deep_learning(command, loaded):
    assert loaded[command] == []
