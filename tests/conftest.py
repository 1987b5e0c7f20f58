"""For all tests: a limit on the time of each, and one BLAS thread, except where default settings are timed."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from numerics.threads import limited
from tests.few_draws import draw_few

#: Seconds for a test that is marked `slow` or `benchmark`; pyproject.toml has the limit of all others.
SLOW_TIMEOUT = 1800
#: Beginnings of the names of tests that take longest, the longest first.
HEAVIEST = Path(__file__).with_name("heaviest.txt").read_text(encoding="utf-8").split("\n")[:-1]
#: Tests that run with the slow ones, since a quicker one of the same kind is fast.
SLOW = {"tests/" + line for line in Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").split("\n")[:-1]}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay to the end: garbage is not looked for among them, neither meanwhile nor in any test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A search without an end fails by name instead of hanging the run; the longest tests begin, so that workers end
    together."""

    def place(item: pytest.Item) -> int:
        return next((k for k, name in enumerate(HEAVIEST) if item.nodeid.startswith(name)), len(HEAVIEST))

    for item in items:
        if item.nodeid in SLOW:
            item.add_marker(pytest.mark.slow)
    if any(item.get_closest_marker("slow") for item in items):
        items.sort(key=lambda item: place(item) if item.get_closest_marker("slow") else len(HEAVIEST))
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


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages over the exact density of a kernel have fewer draws, where their last digits do not matter."""
    draw_few(monkeypatch)
