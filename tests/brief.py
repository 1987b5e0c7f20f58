"""A plugin of pytest that writes down which blocks of the sources each test runs, and how long it takes.

For `tests.mutants`. Every block of statements of `theory/` and `numerics/` (a function's, a branch's, a loop's) begins
with a mark when it is imported, which costs next to nothing beside a tracer. A test is followed in its first seconds
only, and then one set of its parameters; what other processes run is not seen.

    python -m pytest -p tests.brief --seen FILE
"""

from __future__ import annotations

import ast
import builtins
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("theory", "numerics")
#: Seconds of this process's time.
FOLLOWED = 3.0
CUT = "cut, as it takes long"

_seen: set[str] = set()
_costly: set[str] = set()
_OUTCOME = pytest.StashKey[str]()


def blocks(tree: ast.Module) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    """Lists of statements that run together, beyond those that run on import, with the node that they belong to."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if not isinstance(node, ast.Module | ast.ClassDef) and isinstance(block, list) and block:
                yield node, block


class _Marked(SourceFileLoader):
    """Compiles a source with marks."""

    def get_code(self, fullname: str):
        path = self.get_filename(fullname)
        tree, name = ast.parse(self.get_data(path)), Path(path).relative_to(ROOT).as_posix()
        for node, block in list(blocks(tree)):
            first = block[0]
            mark = ast.parse(f"__seen__({f'{name}:{first.lineno}'!r})").body[0]
            for part in ast.walk(mark):
                ast.copy_location(part, first)
            documented = isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None
            block.insert(int(documented), mark)
        return compile(tree, path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the sources that are marked."""

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname.split(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            spec.loader = _Marked(fullname, spec.origin)
        return spec


def pytest_addoption(parser: pytest.Parser) -> None:
    """Before any source is imported."""
    builtins.__seen__ = _seen.add  # type: ignore[attr-defined]
    sys.meta_path.insert(0, _Finder())
    # beside another thread nothing is left to a copy of this process
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    parser.addoption("--seen", type=Path, help="file for what each test runs, a line each")


def _cut(*_: object) -> None:
    pytest.fail(CUT, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What a test runs, with its fixtures."""
    _seen.clear()
    begun, item.stash[_OUTCOME] = time.process_time(), "passed"
    answer = yield
    told = {"test": item.nodeid, "seconds": time.process_time() - begun, "outcome": item.stash[_OUTCOME]}
    with item.config.getoption("--seen").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**told, "seen": sorted(_seen)}) + "\n")
    return answer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Further parameters of a test that was cut are left out."""
    if item.nodeid.split("[")[0] in _costly:
        item.stash[_OUTCOME] = "cut"
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
    except pytest.skip.Exception:
        item.stash[_OUTCOME] = "skipped"
        raise
    except BaseException as failure:
        item.stash[_OUTCOME] = "failed"
        if getattr(failure, "msg", "") == CUT:
            item.stash[_OUTCOME] = "cut"
            _costly.add(item.nodeid.split("[")[0])
        raise
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
