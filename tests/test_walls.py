"""The wall around the simulator is complete; no imports of numerics go in a circle; a constant has one home."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
IMPORTS = re.compile(r"^ *from ((?:theory|numerics)\.[\w.]+) import (\([^)]*\)|.*)$", re.M)


def test_the_simulators_wall_names_every_module_of_numerics():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    walls = {wall["name"]: wall for wall in settings["tool"]["importlinter"]["contracts"]}
    forbidden = set(walls["The simulator knows neither the theory nor any solver"]["forbidden_modules"])
    files = {path.stem for path in (ROOT / "numerics").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "numerics").glob("*/__init__.py")}
    parts = {f"numerics.{name}" for name in files | packages}
    # how any result is shown, drawn, stored and labelled; the others are what solvers return
    parts |= {f"numerics.results.{path.stem}" for path in (ROOT / "numerics/results").glob("*.py")}
    common = ("", ".__init__", ".base", ".labelled", ".storage")
    parts -= {f"numerics.results{name}" for name in common}
    # what a problem is made of, gates for input, files, worker processes, threads, how far work is: nothing is solved
    shared = {
        "inputs",
        "archive",
        "cached",
        "display",
        "errors",
        "files",
        "forked",
        "lapack",
        "linalg",
        "machine",
        "plotting",
        "processes",
        "progress",
        "threads",
    }
    assert parts - forbidden == {"numerics.sampling"} | {f"numerics.{name}" for name in shared}
    assert {"theory", "sympy", "mpmath"} <= forbidden


def test_no_imports_go_in_a_circle():
    """Late ones, and those for types only, are imports too."""
    graph = grimp.build_graph("numerics")
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 100
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_a_constant_that_is_imported_has_a_name_of_its_own():
    homes = defaultdict(set)
    for package in ("theory", "numerics", "derivations"):
        for path in (ROOT / package).rglob("*.py"):
            for module, names in IMPORTS.findall(path.read_text(encoding="utf-8")):
                for name in re.findall(r"\b[A-Z][A-Z_0-9]*\b", names):
                    homes[name].add(module)
    assert len(homes) > 50
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}
