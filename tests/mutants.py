"""How much the fast tests see: a random sample of small faults, planted one at a time in a copy of the sources.

The faults are those of cosmic-ray's operators (a sign, a factor, a comparison, a number, a branch, a loop). The
candidates are the lines of `theory/` and `numerics/` in order; the sample is one line out of each of as many equal
stretches, so that every module has its share, and one fault of each line. For each, the fast tests that run the line
are run, the quickest first, until one fails that passes by itself without the fault. Left out are texts, annotations,
decorators, what is shown, `strict=` of `zip`, and the tuning constants on top of a module. Faults come in random order.
Nothing is written outside the folder that is given; an interrupted run is taken up again.

    python -m tests.mutants DIR [--sample 200] [--seed 0] [--only numerics/linear] [--tests tests/linear] [--budget 10]
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path

from tests.brief import PACKAGES, blocks
from tests.faults import Fault, difference, drawn, mutated

ROOT = Path(__file__).parents[1]
#: Tests that run the program in other processes, of which no lines are seen.
ELSEWHERE = (
    "tests/report",
    "tests/hardening/test_environment.py",
    "tests/hardening/test_command_fuzz.py",
    "tests/test_docs.py",
    "tests/test_readme.py",
    "tests/test_appendix.py",
)
#: What a test is taken to take that was cut.
LONG = 20.0
#: A test that takes this many seconds of its process, and this many times as long as without the fault, hangs.
PATIENCE, SLOWER = 10, 6
#: Seconds of a test and of a test file beside the tests themselves, and until the first test; tests in the first step.
TEST, FILE, START, FIRST = 0.02, 0.2, 5.0, 20
#: Seconds in which the tests of a fault end, whatever they wait for.
BOUND = 900


def copied(out: Path) -> Path:
    """The tree that faults are planted in, without the fault that an interrupted run may have left."""
    clean, tree = out / "clean", out / "tree"
    if not tree.exists():
        hidden = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, clean, ignore=hidden, dirs_exist_ok=True)
        shutil.copytree(clean, tree)
    for package in PACKAGES:
        shutil.copytree(clean / package, tree / package, dirs_exist_ok=True)
    return tree


def run_once(out: Path, tree: Path, tests: Sequence[str]) -> None:
    """The fast tests without any fault: which blocks each runs in its first seconds, and how long it takes."""
    if (out / "seen.jsonl").exists():
        return
    options = ["-p", "tests.brief", "--seen", str(out / "running.jsonl"), "-p", "no:cacheprovider", "--timeout=600"]
    options += [f"--ignore={place}" for place in ELSEWHERE]
    (out / "running.jsonl").unlink(missing_ok=True)
    if subprocess.run([sys.executable, "-m", "pytest", *options, *tests], cwd=tree).returncode not in (0, 1):
        raise SystemExit("the fast tests could not be run")
    # every fault's tests import the sources: compiled once, but for the file that has the fault
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *tests]
    subprocess.run(collect, cwd=tree, env=keeping, check=True, stdout=subprocess.DEVNULL)
    (out / "running.jsonl").rename(out / "seen.jsonl")


class Seen:
    """What the fast tests run without any fault."""

    def __init__(self, out: Path, tree: Path):
        self.tree, self.seconds = tree, {}
        self.by_block: dict[str, set[str]] = {}
        self.imports: dict[str, str] = {}
        for line in (out / "seen.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            name, outcome = entry["test"], entry["outcome"]
            if outcome == "failed":
                print(f"left out, fails without any fault: {name}", flush=True)
            if outcome in ("passed", "cut"):
                self.seconds[name] = LONG if outcome == "cut" else entry["seconds"]
                for block in entry["seen"]:
                    self.by_block.setdefault(block, set()).add(name)
        for file in {name.split("::")[0] for name in self.seconds}:
            self.imports[file] = (tree / file).read_text(encoding="utf-8")

    def _at(self, fault: Fault) -> set[str]:
        """Tests that run the line; if none is known to, as on import or in another process, its function, class or
        module."""
        tree = ast.parse((self.tree / fault.path).read_text(encoding="utf-8"))
        spans = [(block[0].lineno, block[-1].end_lineno or 0) for _, block in blocks(tree)]
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        around = spans + [(node.lineno, node.end_lineno or 0) for node in nodes]
        around = sorted((span for span in around if span[0] <= fault.line <= span[1]), key=lambda s: s[1] - s[0])
        for first, last in [*around, (0, sys.maxsize)]:
            # of a block its own mark, of all else every mark in it
            marks = [first] if (first, last) in spans else [line for line, _ in spans if first <= line <= last]
            found = set().union(*(self.by_block.get(f"{fault.path}:{line}", set()) for line in marks))
            if found:
                return found
        module = fault.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        return {name for name in self.seconds if module in self.imports[name.split("::")[0]]}

    def tests_of(self, fault: Fault, budget: float) -> list[str]:
        """Tests that run the line of a fault, as many as fit into the budget: the quickest first, those of files that
        import the module before others. Then the rest of their files, as tests leave values to the next.
        """
        module = fault.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        parent, _, last = module.rpartition(".")
        near = (module, f"from {parent} import {last}")
        found = self._at(fault)
        files = {name.split("::")[0] for name in found}

        def rank(name: str) -> tuple[bool, float]:
            text = self.imports[name.split("::")[0]]
            return name not in found, (self.seconds[name] + 0.1) * (1 if any(word in text for word in near) else 3)

        chosen, opened, left = [], set(), budget
        for name in sorted((name for name in self.seconds if name.split("::")[0] in files), key=rank):
            file = name.split("::")[0]
            cost = self.seconds[name] + TEST + (FILE if file not in opened else 0.0)
            if cost < left:
                left -= cost
                opened.add(file)
                chosen.append(name)
        return chosen


class Patience:
    """A plugin of pytest that gives every test its time, and all of them the budget in seconds of this process."""

    def __init__(self, tests: Sequence[str], seconds: dict[str, float], budget: float):
        self.order = {name: place for place, name in enumerate(tests)}
        self.seconds, self.budget = seconds, budget

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: self.order.get(item.nodeid, len(self.order)))

    def pytest_runtest_protocol(self, item):
        if time.process_time() > self.budget + START:
            item.session.shouldstop = "budget"

    def pytest_runtest_setup(self, item):
        import pytest

        signal.signal(signal.SIGVTALRM, lambda *_: pytest.fail("hangs"))
        signal.setitimer(signal.ITIMER_VIRTUAL, max(PATIENCE, SLOWER * self.seconds.get(item.nodeid, 0.0)))

    def pytest_runtest_teardown(self):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            print(f"\nFAILED AT {report.nodeid}", flush=True)


class Planted:
    """Runs tests of the tree with and without faults, in processes that have their imports already."""

    def __init__(self, tree: Path, seen: Seen, budget: float):
        self.tree, self.seen, self.budget = tree, seen, budget
        self._trusted: dict[str, bool] = {}

    def caught(self, fault: Fault) -> dict[str, object]:
        """Whether a test fails with the fault, and which; in two steps, as most fail at once."""
        source, tested = (self.tree / fault.path).read_text(encoding="utf-8"), 0
        code = mutated(source, fault)
        assert code is not None
        tests = self.seen.tests_of(fault, self.budget)
        told = "no fast test runs this line"
        for compiled in (self.tree / fault.path).parent.glob(f"__pycache__/{Path(fault.path).stem}.*.pyc"):
            compiled.unlink()
        (self.tree / fault.path).write_text(code, encoding="utf-8")
        try:
            for some in (tests[:FIRST], tests[FIRST:]):
                if some:
                    failed, told = self._run(some, self.budget)
                    if failed is not None:
                        return {"caught": True, "tests": tested, "told": told, "by": failed}
                    tested += len(some)
        finally:
            (self.tree / fault.path).write_text(source, encoding="utf-8")
        return {"caught": False, "tests": tested, "told": told}

    def fail_anyway(self, tests: set[str]) -> set[str]:
        """Those that fail without any fault when they do not follow all tests before them; no fault counts by them."""
        found, left = set(), sorted(tests)
        while left:
            name = self._run(left, inf)[0]
            if not name:
                break
            if self._run([name], inf)[0] is not None:
                found.add(name)
                self.seen.seconds.pop(name)
            left = left[left.index(name) + 1 :]
        return found

    def _run(self, tests: list[str], budget: float) -> tuple[str | None, str]:
        """The first test that fails, empty if none can be imported, None if all pass; and the last lines printed."""
        import pytest

        log = self.tree.parent / "last.log"
        child = os.fork()
        if not child:
            os.setsid()
            with log.open("wb") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            os.chdir(self.tree)
            sys.path[:] = [str(self.tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
            for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
                del sys.modules[name]
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            code = 99
            try:
                plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
                patience = Patience(tests, self.seen.seconds, budget)
                code = int(pytest.main(["-x", "--timeout=600", *plugins, *tests], plugins=[patience]))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        end = time.monotonic() + BOUND
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code, text = os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8", errors="replace")
                # pytest's: passed, failed, not importable or out of budget (2, 4), no test; killed by a signal
                assert code in (0, 1, 2, 4, 5) or code < 0, text
                last = " | ".join(text.strip().splitlines()[-2:])[-200:]
                if code in (0, 5) or "budget !!!" in text:
                    return None, last
                return next((line[10:] for line in text.splitlines() if line.startswith("FAILED AT ")), ""), last
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "", "too long"
            time.sleep(0.05)


def main() -> None:
    """Draw the sample, plant it, and print the share that is caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the copy, what tests run, and results.jsonl")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="paths that start so")
    parser.add_argument("--tests", nargs="*", default=[], help="files or folders of tests; all unless given")
    parser.add_argument("--budget", type=float, default=10, help="seconds for the tests of one fault")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    tree = copied(out)
    run_once(out, tree, options.tests)
    planted, results = Planted(tree, Seen(out, tree), options.budget), out / "results.jsonl"
    known: dict[Fault, dict[str, object]] = {}
    for line in results.read_text(encoding="utf-8").splitlines() if results.exists() else []:
        entry = json.loads(line)
        known[Fault(**entry.pop("fault"))] = entry
    import arviz_stats.base  # noqa: F401  every process that is forked has them
    import matplotlib.pyplot  # noqa: F401
    import scipy.optimize
    import scipy.sparse.linalg
    import scipy.stats  # noqa: F401
    import sympy  # noqa: F401

    sample = drawn(tree, options.sample, options.seed, options.only)
    while True:
        for number, fault in enumerate(sample, 1):
            if fault in known:
                continue
            known[fault] = entry = planted.caught(fault)
            with results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"fault": asdict(fault), **entry}) + "\n")
            print(f"{number}/{len(sample)} {'caught' if entry['caught'] else 'ALIVE '} {fault}", flush=True)
            if not entry["caught"]:
                print(difference((tree / fault.path).read_text(encoding="utf-8"), fault), flush=True)
        wrong = planted.fail_anyway({str(known[fault]["by"]) for fault in sample if known[fault].get("by")})
        again = [fault for fault in sample if known[fault].get("by") in wrong]
        if not again:
            break
        for fault in again:
            del known[fault]
    caught = sum(bool(known[fault]["caught"]) for fault in sample)
    print(f"{caught} of {len(sample)} caught: {caught / len(sample):.0%}")


if __name__ == "__main__":
    main()
