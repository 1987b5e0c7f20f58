"""Kernels on the learnt side of a problem: where the search for the lowest state starts, beside the random network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.saddle.functional import KernelFunctional, KernelPoint, symmetric

FloatArray = NDArray[np.float64]

NEGLIGIBLE = 0.1
MOST_GROUPS = 7
ANGLES = (0.0, 1 / 2, 1 / 3, 2 / 3, 1 / 4, 3/4)


def unlearnt_energy(point: KernelPoint) -> float:
    f = point.functional
    rows = f.readout @ point.L
    values, vectors = np.linalg.eigh(f.v * rows @ rows.T)
    along = (vectors.T @ f.labels) ** 2
    few = values < f.kappa
    return 0.5 * float(np.sum(along[few] / (values[few] + f.kappa)))


@dataclass(frozen=True, eq=False)
class Message:
    """The labels of one time as a direction that is sent back to the inputs.

    rows: covectors at hidden times 1 … steps: (steps, m); unit-label combination of outputs' rows at the last
    """
    rows: FloatArray
    size: float  # |y|

    @property
    def steps(self) -> int:
        return len(self.rows)


def messages(functional: KernelFunctional) -> list[Message]:
    space = functional.space
    n = space.n
    m = functional.dimension
    shift = space.shift_rows(np.eye(m))
    rows = functional.readout
    # the time of a label: how often its row can be moved back
    ages = np.zeros(len(rows), dtype=int)
    moved = rows.copy()
    for _ in range(n):
        moved = moved @ shift
        ages += np.abs(moved).max(axis=1) > 1e-12
    found = []
    for age in np.unique(ages):
        at = ages == age
        y = functional.labels[at]
        size = float(np.linalg.norm(y))
        if size == 0:
            continue
        sent = [(y / size) @ rows[at]]
        for _ in range(age):
            sent.append(sent[-1] @ shift)
        found.append(Message(np.array(sent[::-1]), size))
    return found


def gain(signal: float, noise: float, steps: int, cost: int) -> float | None:
    """Largest root x of ``steps λ x^s = cost (x-1)(x^s + k)²``; None where no such x > 1 has learnt"""
    logs = np.linspace(1e-3, np.log(10 * (1 + signal + noise)) , 4000)
    x = np.exp(logs)
    down = np.log(steps * signal) + steps * logs - 2 * np.logaddexp(steps * logs, np.log(max(noise, 1e-300))) - np.log(cost * (x - 1))
    above = np.flatnonzero(down > 0)
    if not above.size:
        return None
    return float(x[above[-1]])


def kernels(functional: KernelFunctional) -> Iterator[FloatArray]:
    prior = functional.prior_kernel()
    sent = messages(functional)
    tied = functional.arch == "rnn"
    subsets = [s for r in range(len(sent), 0, -1) for s in itertools.combinations(sent, r)][:MOST_GROUPS]
    for subset in subsets:
        yield from _incoherent(functional, prior, subset)
        if tied:
            for angle in ANGLES:
                H = _coherent(functional, prior, subset, np.pi * angle)
                if H is not None:
                    yield H


def _gain(functional, prior, message, cost):
    variance = functional.v * float(message.rows[-1] @ prior @ message.rows[-1])
    k = functional.kappa / variance
    x = gain(message.size**2 / variance, k, message.steps, cost)
    return max(k, 1.5) ** (1 / message.steps) if x is None else x


def _incoherent(functional, prior, subset):
    H = prior
    gains = [(_gain(functional, prior, message, message.steps), message) for message in subset]
    for _ in range(functional.space.n):
        H = functional.covariance(H)
        for x, message in gains:
            for row in message.rows:
                Hr = H @ row
                H = H + (x - 1) * np.outer(Hr, Hr) / (row @ Hr)
    yield symmetric(H)


def _coherent(functional, prior, subset, angle):
    H = prior.copy()
    for message in subset:
        x = _gain(functional, prior, message, 1)
        c, s = np.zeros(len(H)), np.zeros(len(H))
        for t, row in enumerate(message.rows):
            Hr = prior @ row
            lift = Hr / np.sqrt(row @ Hr) * np.sqrt(x ** (t+1) * (row @ Hr)) / np.sqrt(row @ Hr) 
            c += np.cos(angle * (message.steps - t)) * lift
            s += np.sin(angle * (message.steps - t)) * lift
        H += np.outer(c, c) + np.outer(s, s)
    return symmetric(H)
