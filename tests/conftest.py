"""For all tests: a limit on the time of each, and one BLAS thread, except where default settings are timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from numerics.threads import limited

#: Seconds for a test that is marked `slow` or `benchmark`; pyproject.toml has the limit of all others.
SLOW_TIMEOUT = 1800


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A search without an end fails by name instead of hanging the run."""
    for item in items:
        if (item.get_closest_marker("slow") or item.get_closest_marker("benchmark")) and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests run in parallel, and call what public functions call too."""
    timed = any(item.get_closest_marker("benchmark") for item in request.session.items)
    with nullcontext() if timed else limited():
        yield
