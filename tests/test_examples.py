"""The examples in docstrings are run."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("theory", "numerics", "unrolled", "derivations")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_public_functions_have_examples():
    for module in ("numerics.solving", "numerics.inputs.problem", "theory.critical_point"):
        assert module in MODULES


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str):
    results = doctest.testmod(import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
