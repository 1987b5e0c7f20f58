"""The scan command, start-up included, in units of what loading NumPy and SciPy takes: wall time, in turns, one run."""

import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.benchmark
REPEATS = 3
LOADING = ("-c", "import scipy.linalg")
SCANS = {
    "T = 6": "endpoint --T 6 --signal 0.5:6:200",
    "T = 10": "endpoint --T 10 --signal 0.5:6:200",
    "two labels, n = 5": "sequence --T 6 --angle 1.2566 --amplitude 3 --supervise 2,5 --over signal=0.2:3:200",
    "T = 5, κ": "endpoint --T 5 --signal 20 --over kappa=0.3:5:200",
}
#: Units that a scan may take: the aims for T = 6 and 10 (0.7 and 2.5 s at 0.3 s a unit), and the like for the others.
MOST = {"T = 6": 2.3, "T = 10": 8.3, "two labels, n = 5": 5, "T = 5, κ": 8}


def _seconds(arguments):
    """Time of a Python process at default settings."""
    before = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def test_scans_in_units_of_loading_scipy():
    commands = {"loading": LOADING}
    commands |= {name: ("-m", "derivations", "scan", *words.split(), "--json") for name, words in SCANS.items()}
    taken = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, arguments in commands.items():
            taken[name].append(_seconds(arguments))
    unit, *scans = (float(np.median(times)) for times in taken.values())
    print(f"\nloading: {unit:.2f} s")
    for name, seconds in zip(SCANS, scans, strict=True):
        print(f"{name}: {seconds:.2f} s, {seconds / unit:.1f} units")
    for name, seconds in zip(SCANS, scans, strict=True):
        assert seconds <= MOST[name] * unit, name
