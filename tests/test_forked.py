"""Results that a copy of this process computes: the same as here, errors and an early end included."""

import os
import signal
import sys
import threading

import pytest

from numerics import forked
from numerics.forked import ahead

HERE = os.getpid()


def test_results_come_in_order_and_from_the_copy(monkeypatch):
    monkeypatch.setattr(forked, "_pays", lambda: sys.platform == "linux")
    with ahead(lambda item: (2 * item, os.getpid()), range(4)) as found:
        doubled, processes = zip(*found, strict=True)
    assert doubled == (0, 2, 4, 6)
    assert len(set(processes)) == 1
    assert (processes[0] != HERE) == (sys.platform == "linux")


def test_beside_other_threads_nothing_is_copied():
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with ahead(lambda item: os.getpid(), [1]) as found:
            assert list(found) == [HERE]
    finally:
        ended.set()
        thread.join()


def test_a_copy_that_is_killed_is_replaced(monkeypatch):
    monkeypatch.setattr(forked, "_pays", lambda: sys.platform == "linux")

    def killed(item):
        if item == 2 and os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with ahead(killed, [1, 2, 3]) as found:
        assert list(found) == [1, 2, 3]


def test_an_error_is_raised_here(monkeypatch):
    monkeypatch.setattr(forked, "_pays", lambda: sys.platform == "linux")
    with ahead(lambda item: 1 / item, [1, 0]) as found:
        assert next(found) == 1
        with pytest.raises(ZeroDivisionError):
            next(found)


def test_a_copy_ends_with_what_asked_for_it(monkeypatch):
    monkeypatch.setattr(forked, "_pays", lambda: sys.platform == "linux")

    def hanging(item):
        if item and os.getpid() != HERE:
            threading.Event().wait(60)
        return os.getpid()

    with ahead(hanging, [0, 1]) as found:
        copy = next(found)
    if copy != HERE:
        with pytest.raises(ProcessLookupError):
            os.kill(copy, 0)
