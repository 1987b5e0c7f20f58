"""How much the fast tests see: a random sample of small faults, planted one at a time in a copy of the sources.

The faults are those of cosmic-ray's operators (a sign, a factor, a comparison, a number, a branch, a loop). The
candidates are the lines of `theory/` and `numerics/` in order; the sample is one line out of each of as many equal
stretches, so that every module has its share, and one fault of each line. For each, the fast tests that run the line
are run, the quickest first, until one fails. Left out are texts, annotations, decorators, what is shown, `strict=` of
`zip`, and the tuning constants on top of a module. Faults come in random order. Nothing is written outside the folder
that is given; an interrupted run is taken up again.

    python -m tests.mutants DIR [--sample 200] [--seed 0] [--only numerics/linear] [--tests tests/linear] [--budget 60]
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import inf
from pathlib import Path

from tests.brief import CUT

ROOT = Path(__file__).parents[1]
PACKAGES = ("theory", "numerics")
#: Operators of cosmic-ray. Comparisons of floats that differ in equality only are no faults.
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Mul_Add", "Pow_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("FloorDiv_Mul", "Mod_Add", "BitAnd_BitOr", "BitOr_BitAnd")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_Gt", "Gt_Lt", "LtE_Gt", "GtE_Lt", "Eq_NotEq", "NotEq_Eq")),
    *("ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is", "AddNot"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop"),
)
#: Tests that run the program in other processes, of which no lines are seen.
ELSEWHERE = (
    "tests/report",
    "tests/hardening/test_environment.py",
    "tests/test_docs.py",
    "tests/test_readme.py",
    "tests/test_appendix.py",
)
#: What a test is taken to take that was cut.
LONG = 20.0
#: A test that takes this many seconds, and this many times as long as without the fault, hangs.
PATIENCE, SLOWER = 30, 6


@dataclass(frozen=True, order=True)
class Fault:
    """The `occurrence`-th change that an operator can make in a file, on a line."""

    path: str
    line: int
    operator: str
    occurrence: int


def spared(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Stretches of text, from (line, column) to (line, column), in which a change is no fault."""
    lines, tree = source.splitlines(), ast.parse(source)

    def stretch(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
        ends = ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        start, end = ((line, len(lines[line - 1].encode()[:column].decode())) for line, column in ends)
        return start, end

    nodes: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            nodes.append(node)
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            nodes += node.decorator_list
            if isinstance(node, ast.FunctionDef):
                nodes += [node.returns] if node.returns else []
                nodes += [node] if node.name.strip("_").startswith("repr") else []
    for node in tree.body:
        if isinstance(node, ast.Assign) and all(
            name.id.lstrip("_").isupper()
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        ):
            nodes.append(node)
    return [stretch(node) for node in nodes]


def faults(root: Path, path: str) -> Iterator[Fault]:
    """Everything that can be planted in a file."""
    from cosmic_ray.ast import Visitor, get_ast
    from cosmic_ray.plugins import get_operator

    source = (root / path).read_text(encoding="utf-8")
    not_here = spared(source)

    class Positions(Visitor):
        def __init__(self):
            self.operators = {name: get_operator(f"core/{name}")() for name in OPERATORS}
            self.found = {name: [] for name in OPERATORS}

        def visit(self, node):
            for name, operator in self.operators.items():
                self.found[name] += operator.mutation_positions(node)
            return node

    positions = Positions()
    positions.walk(get_ast(source))
    for name, found in positions.found.items():
        for occurrence, (start, _) in enumerate(found):
            fault = Fault(path, start[0], name, occurrence)
            if not any(first <= start < last for first, last in not_here):
                yield fault


def mutated(source: str, fault: Fault) -> str | None:
    """The source with the fault; None where it is none: no Python, or `/` for the `*` of a signature."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    try:
        code = mutate_code(source, get_operator(f"core/{fault.operator}")(), fault.occurrence)
        tree = ast.parse(code)
    except (SyntaxError, AttributeError):
        return None
    return None if any(isinstance(node, ast.arguments) and node.posonlyargs for node in ast.walk(tree)) else str(code)


def drawn(root: Path, size: int, seed: int, only: str) -> list[Fault]:
    """The sample."""
    rng = random.Random(seed)
    at_line: dict[tuple[str, int], list[Fault]] = {}
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            for fault in sorted(faults(root, path)) if path.startswith(only) else []:
                at_line.setdefault((path, fault.line), []).append(fault)
    lines = sorted(at_line)
    size, sample = min(size, len(lines)), []
    while len(sample) < size:
        line = lines[int((len(sample) + rng.random()) * len(lines) / size)]
        fault = rng.choice(at_line[line])
        if mutated((root / fault.path).read_text(encoding="utf-8"), fault) is not None:
            sample.append(fault)
    rng.shuffle(sample)
    return sample


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
    """The fast tests without any fault: which lines each runs in its first seconds, and how long it takes."""
    if (out / "durations.xml").exists():
        return
    settings = out / "coveragerc"
    settings.write_text(f"[run]\nsource = {','.join(PACKAGES)}\ndata_file = {out / 'coverage'}\n", encoding="utf-8")
    options = ["--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report=", "--timeout=600"]
    options += ["-p", "tests.brief", *(f"--ignore={place}" for place in ELSEWHERE)]
    command = [sys.executable, "-m", "pytest", "-n", "2", *options, f"--junitxml={out / 'running.xml'}", *tests]
    if subprocess.run(command, cwd=tree).returncode not in (0, 1):
        raise SystemExit("the fast tests could not be run")
    # every fault's tests import the sources: compiled once, but for the file that has the fault
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *tests]
    subprocess.run(collect, cwd=tree, env=keeping, check=True, stdout=subprocess.DEVNULL)
    (out / "running.xml").rename(out / "durations.xml")


def durations(out: Path) -> dict[str, float]:
    """Seconds of each test, by its name for pytest; infinitely many where it fails without any fault."""
    seconds = {}
    for case in ElementTree.parse(out / "durations.xml").iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name')}"
        told = [case.find(outcome) for outcome in ("failure", "error")]
        if any(CUT in (outcome.get("message") or "") for outcome in told if outcome is not None):
            seconds[name] = LONG
        elif any(outcome is not None for outcome in told):
            print(f"left out, fails without any fault: {name}", flush=True)
            seconds[name] = inf
        else:
            seconds[name] = float(case.get("time", 0))
    return seconds


def tests_of(out: Path, tree: Path, fault: Fault, seconds: dict[str, float], budget: float) -> list[str]:
    """Tests that run the line of a fault, the quickest first, as many as fit into the budget.

    A line that runs on import, as of a default, is that of the function or class that it stands in, or of the module.
    """
    import coverage

    data = coverage.CoverageData(str(out / "coverage"))
    data.read()
    by_line = data.contexts_by_lineno(str(tree / fault.path))

    def within(first: int, last: int) -> set[str]:
        return {context for line in range(first, last + 1) for context in by_line.get(line, [])}

    nodes = ast.walk(ast.parse((tree / fault.path).read_text(encoding="utf-8")))
    spans = [
        (node.lineno, node.end_lineno) for node in nodes if isinstance(node, ast.stmt) and node.lineno <= fault.line
    ]
    spans = sorted((span for span in spans if fault.line <= span[1]), key=lambda span: span[1] - span[0])
    contexts = within(fault.line, fault.line) or within(*spans[0])
    for span in [*spans, (1, max(by_line, default=1))]:
        if contexts == {""}:
            contexts = within(*span)
    found = {context.rsplit("|", 1)[0] for context in contexts if context}
    quickest = sorted((seconds.get(name, 1.0), name) for name in found if seconds.get(name) != inf)
    totals = accumulate(duration for duration, _ in quickest)
    return [name for (_, name), total in zip(quickest, totals, strict=True) if total < budget]


class Patience:
    """A plugin of pytest that gives every test its time."""

    def __init__(self, seconds: dict[str, float]):
        self.seconds = seconds

    def pytest_collection_modifyitems(self, items):
        import pytest

        for item in items:
            item.add_marker(
                pytest.mark.timeout(max(PATIENCE, SLOWER * self.seconds.get(item.nodeid, 0.0))), append=False
            )


def survives(tree: Path, fault: Fault, tests: list[str], seconds: dict[str, float]) -> tuple[bool, str]:
    """Whether all tests pass with the fault, and the last lines that they print."""
    file = tree / fault.path
    source = file.read_text(encoding="utf-8")
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
    file.write_text(mutated(source, fault), encoding="utf-8")
    try:
        return _run(tree, tests, seconds)
    finally:
        file.write_text(source, encoding="utf-8")


def _run(tree: Path, tests: list[str], seconds: dict[str, float]) -> tuple[bool, str]:
    """pytest in a process of its own, which has its imports already."""
    import pytest

    log = tree.parent / "last.log"
    child = os.fork()
    if not child:
        os.setsid()
        with log.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.chdir(tree)
        sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
            del sys.modules[name]
        code = 99
        try:
            plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
            code = int(pytest.main(["-x", *plugins, *tests], plugins=[Patience(seconds)]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    end = time.monotonic() + SLOWER * max(PATIENCE, sum(seconds.get(name, 0.0) for name in tests))
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code, text = os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8", errors="replace")
            # pytest's: passed, failed, not importable (2, 4), no test; killed by a signal
            assert code in (0, 1, 2, 4, 5) or code < 0, text
            return code in (0, 5), " | ".join(text.strip().splitlines()[-2:])[-200:]
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False, "too long"
        time.sleep(0.05)


def main() -> None:
    """Draw the sample, plant it, and print the share that is caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the copy, the coverage and results.jsonl")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="paths that start so")
    parser.add_argument("--tests", nargs="*", default=[], help="files or folders of tests; all unless given")
    parser.add_argument("--budget", type=float, default=60, help="seconds for the tests of one fault")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    tree = copied(out)
    run_once(out, tree, options.tests)
    seconds, results = durations(out), out / "results.jsonl"
    known: dict[Fault, bool] = {}
    for line in results.read_text(encoding="utf-8").splitlines() if results.exists() else []:
        entry = json.loads(line)
        known[Fault(**entry["fault"])] = entry["caught"]
    import arviz_stats.base  # noqa: F401  every process that is forked has them
    import matplotlib.pyplot  # noqa: F401
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import sympy  # noqa: F401

    sample = drawn(tree, options.sample, options.seed, options.only)
    for number, fault in enumerate(sample, 1):
        if fault not in known:
            tests = tests_of(out, tree, fault, seconds, options.budget)
            alive, told = survives(tree, fault, tests, seconds) if tests else (True, "no fast test runs this line")
            known[fault] = not alive
            with results.open("a", encoding="utf-8") as stream:
                stream.write(
                    json.dumps({"fault": asdict(fault), "caught": not alive, "tests": len(tests), "told": told}) + "\n"
                )
        print(f"{number}/{len(sample)} {'caught' if known[fault] else 'ALIVE '} {fault}", flush=True)
    caught = sum(known[fault] for fault in sample)
    print(f"{caught} of {len(sample)} caught: {caught / len(sample):.0%}")


if __name__ == "__main__":
    main()
