"""The tests that run with the slow ones by name are there."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.parametrize("list_of_names", ["slow.txt", "heaviest.txt"])
def test_what_is_named_exists(list_of_names):
    for line in (TESTS / list_of_names).read_text(encoding="utf-8").splitlines():
        place, _, name = line.removeprefix("tests/").partition("::")
        text = (TESTS / place).read_text(encoding="utf-8")
        # the longest tests are named by how they begin
        assert f"def {name.partition('[')[0]}" + "(" * (list_of_names == "slow.txt") in text, line
