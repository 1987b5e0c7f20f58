"""BLAS has one thread inside every public function that computes, and its own number again afterwards."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from numerics import Problem, endpoint, threads

#: Run where no limit holds, as the tests themselves are limited.
PROGRAM = """
import numpy as np, scipy.linalg
from threadpoolctl import threadpool_info
from numerics import Problem, threads, endpoint
from numerics.linear import trust_region
from numerics import solve

def counts():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

before, seen, minimise = counts(), [], trust_region.minimise
def watched(*arguments, **options):
    seen.append(counts())
    return minimise(*arguments, **options)
trust_region.minimise = watched
solve(endpoint(4, 20.0))
try:
    solve(endpoint(4, 20.0, arch="x"))
except Exception:
    pass
with threads.limited():
    with threads.limited():
        pass
    assert counts() == {1}
large = Problem(np.ones((6, 1)), np.ones((6, 100)))
assert threads.one_thread(lambda problem: counts())(large) == before
assert all(count == {1} for count in seen) and seen, seen
assert counts() == before, (before, counts())
"""


def test_public_functions_have_one_thread_and_give_back_the_others():
    environment = {"OPENBLAS_NUM_THREADS": "2", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_limit_ends_when_a_function_raises():
    @threads.one_thread
    def fails(problem):
        raise ValueError("inside")

    depth = threads._limit.depth
    with pytest.raises(ValueError, match="inside"):
        fails(endpoint(4, 1.0))
    assert threads._limit.depth == depth


@pytest.mark.parametrize("rows", [threads.WORTH_THREADS, threads.WORTH_THREADS + 1])
def test_the_first_argument_says_whether_a_problem_is_large(rows):
    problem = Problem(np.ones((rows, 1)), np.ones((rows, 1)))
    depths = []

    @threads.one_thread
    def computes(*arguments, **options):
        depths.append(threads._limit.depth)

    small, outside = endpoint(4, 1.0), threads._limit.depth
    for arguments in ((problem, small), (SimpleNamespace(problem=problem), small), (small, problem), ()):
        computes(*arguments, width=3)
    large = [depth == outside for depth in depths]
    assert large == [rows > threads.WORTH_THREADS, rows > threads.WORTH_THREADS, False, False]
