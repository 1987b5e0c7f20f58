"""A limit on the time of every test, so that a search without an end fails by name instead of hanging the run."""

from __future__ import annotations

import pytest

#: Seconds for a test that is marked `slow` or `benchmark`; pyproject.toml has the limit of all others.
SLOW_TIMEOUT = 1800


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (item.get_closest_marker("slow") or item.get_closest_marker("benchmark")) and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))
