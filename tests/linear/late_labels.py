"""Random problems with late labels, and the lowest free energy that another minimiser knows of each.

The minimiser takes seconds for a problem, so what it finds is kept in ``late_labels.csv``; ``python -m
tests.linear.late_labels`` finds it anew.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from numerics.inputs.problem import Problem
from numerics.inputs.teachers import sequence
from tests.linear.independent_minimiser import lowest

STORED = Path(__file__).with_suffix(".csv")


def late_labels(rng):
    """Labels at one or two of the last three times: P ≤ 3, T ≤ 9, w from 0.1 to 2, κ/(v w^(T-2) u) from 1 to 1e5, and
    labels from the noise's size to far beyond it; a third of those of two patterns are sequences."""
    T, P = int(rng.integers(4, 10)), int(rng.integers(1, 4))
    n, arch = T - 1, str(rng.choice(["rnn", "dnn"]))
    w, noise = np.exp(rng.uniform(np.log(0.1), np.log(2.0))), np.exp(rng.uniform(0.0, np.log(1e5)))
    kappa = noise * w ** (T - 2)
    size = np.sqrt(np.exp(rng.uniform(0.0, np.log(100.0))) * kappa)
    times = rng.choice(np.arange(max(1, n - 3), n), size=int(rng.integers(1, 3)), replace=False)
    options = {"w": w, "kappa": kappa, "arch": arch}
    if P == 2 and rng.random() < 0.3:
        supervised = sorted(int(t) + 1 for t in times)
        return sequence(T, float(rng.uniform(0.2, 2.5)), size / np.sqrt(2), supervised, **options)
    y = np.full((P, n), np.nan)
    y[:, times] = size * rng.normal(size=(P, len(times)))
    x = np.sqrt(max(P, 2)) * np.eye(max(P, 2))[:P] if rng.random() < 0.5 else rng.normal(size=(P, P + 2))
    return Problem(x, y, **options)


def late_labels_of_any_network(rng):
    """The same for any sharing matrix, half of them with skip connections, half with biases, at T ≤ 8; noise and labels
    relative to what the random network gives."""
    T, P = int(rng.integers(4, 9)), int(rng.integers(1, 3))
    n = T - 1
    families = [f"shared:{rng.uniform(0.1, 1.0)}", f"drift:{rng.uniform(0.3, 1.0)}", "looped:2", "looped:3", "blocks"]
    arch = families[int(rng.integers(len(families)))]
    if arch == "blocks":
        root = rng.normal(size=(n - 1, int(rng.integers(1, n))))
        arch = root @ root.T + np.diag(rng.uniform(0.1, 0.5, size=n - 1))
    w, noise = np.exp(rng.uniform(np.log(0.1), np.log(2.0))), np.exp(rng.uniform(0.0, np.log(1e5)))
    skip, bias = (float(rng.choice(values)) if rng.random() < 0.5 else 0.0 for values in ([0.3, 0.7, 1.0], [0.1, 1.0]))
    M = Problem(np.ones((1, 1)), np.ones((1, n)), arch=arch).sharing
    size = 1.0 + bias
    for t in range(n - 1):
        size = (skip**2 + w * M[t, t]) * size + bias
    y = np.full((P, n), np.nan)
    times = rng.choice(np.arange(max(1, n - 3), n), size=int(rng.integers(1, 3)), replace=False)
    y[:, times] = np.sqrt(np.exp(rng.uniform(0.0, np.log(100.0))) * noise * size) * rng.normal(size=(P, len(times)))
    x = np.sqrt(max(P, 2)) * np.eye(max(P, 2))[:P] if rng.random() < 0.5 else rng.normal(size=(P, P + 2))
    return Problem(x, y, w=w, kappa=noise * size, arch=arch, skip=skip, bias=bias)


#: The problems whose lowest free energies are kept, by how they are drawn.
SEEDS = {late_labels: range(1000, 1300), late_labels_of_any_network: range(100)}


def mark_of(problem):
    """A number that changes with what is drawn."""
    return float(np.abs(problem.x).sum() + np.log(problem.kappa) + problem.w + np.nansum(np.abs(problem.y)))


def found(drawn, seed):
    """By the other minimiser: the problem's mark and the lowest free energy."""
    problem = drawn(np.random.default_rng(seed))
    return mark_of(problem), float(lowest(problem, starts=16, seed=seed)[0])


@cache
def stored():
    """Mark and lowest free energy by (the draw's name, seed)."""
    rows = (line.split(",") for line in STORED.read_text(encoding="utf-8").splitlines())
    return {(name, int(seed)): (float(mark), float(lowest_known)) for name, seed, mark, lowest_known in rows}


if __name__ == "__main__":
    lines = [
        f"{drawn.__name__},{seed},{mark!r},{value!r}\n"
        for drawn, seeds in SEEDS.items()
        for seed in seeds
        for mark, value in (found(drawn, seed),)
    ]
    STORED.write_text("".join(lines), encoding="utf-8")
