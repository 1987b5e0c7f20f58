"""The wall around the simulator is complete: every solver module is named in it."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_simulators_wall_names_every_module_of_numerics():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    walls = {wall["name"]: wall for wall in settings["tool"]["importlinter"]["contracts"]}
    forbidden = set(walls["The simulator knows neither the theory nor any solver"]["forbidden_modules"])
    files = {path.stem for path in (ROOT / "numerics").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "numerics").glob("*/__init__.py")}
    parts = {f"numerics.{name}" for name in files | packages}
    # what a problem is made of, the gates for input, and worker processes and threads: none of these solves anything
    shared = {"inputs", "errors", "files", "linalg", "machine", "processes", "threads"}
    assert parts - forbidden == {"numerics.sampling"} | {f"numerics.{name}" for name in shared}
    assert {"theory", "sympy", "mpmath"} <= forbidden
