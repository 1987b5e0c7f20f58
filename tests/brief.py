"""A plugin of pytest that follows no test for long: what a test runs in its first seconds, and once for each function.

For `tests.mutants`, which asks which lines a test runs: `python -m pytest -p tests.brief --cov …`. A test that is cut
fails with the message `CUT`.
"""

import signal
from collections.abc import Iterator

import pytest

#: Seconds of this process's time.
FOLLOWED = 1.5
CUT = "cut, as it takes long"

_costly: set[str] = set()


def _cut(*_: object) -> None:
    pytest.fail(CUT, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Further parameters of a test that was cut are left out."""
    if item.nodeid.split("[")[0] in _costly:
        pytest.skip(CUT)
    return (yield from _followed(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The test itself."""
    return (yield from _followed(item))


def _followed(item: pytest.Item) -> Iterator[None]:
    signal.signal(signal.SIGVTALRM, _cut)
    signal.setitimer(signal.ITIMER_VIRTUAL, FOLLOWED)
    try:
        return (yield)
    except pytest.fail.Exception as failure:
        if failure.msg == CUT:
            _costly.add(item.nodeid.split("[")[0])
        raise
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
