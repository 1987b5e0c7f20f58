"""Kernels on the learnt side of a problem: where the search for the lowest state starts, beside the random network.

F may have minima that have learnt next to one that has not, and learnt ones of several kinds (docs/theory.md section 14). A
descent from the random network's kernel stays on its own side. Each start here is a kernel that fits the labels of some of
the supervised times, in one of the ways in which a network can carry them there: in fresh directions at every time, or,
with shared weights, along one direction that keeps its sign, turns by a fixed angle at each step, or is drawn at random.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.saddle.functional import KernelFunctional, KernelPoint, symmetric

FloatArray = NDArray[np.float64]

#: Angles per step, over π, by which a carried direction turns.
ANGLES = (0.0, 1 / 2, 1 / 3, 2 / 3, 1 / 4, 3 / 4)
#: Of groups of labels that leave some out.
FEW_ANGLES = (0.0, 1 / 2, 1 / 3)
#: Most groups of supervised times, and random kernels.
MOST_GROUPS, RANDOM = 7, 6
#: Smallest growth of a variance per step that a start has.
LEAST_GAIN = 1.5


def unlearnt_energy(point: KernelPoint) -> float:
    """The part of ``½ yᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y`` along eigenvectors of ``v𝒯H𝒯ᵀ`` with an eigenvalue below κ: labels that are
    reproduced by less than half."""
    f = point.functional
    rows = f.readout @ point.L
    values, vectors = np.linalg.eigh(f.v * rows @ rows.T)
    along = (vectors.T @ f.labels) ** 2
    few = values < f.kappa
    return 0.5 * float(np.sum(along[few] / (values[few] + f.kappa)))


@dataclass(frozen=True, eq=False)
class Message:
    """The labels of one time, and the directions that carry them there.

    Attributes:
        rows: covectors ρ_t at hidden times s+1-steps … s, (steps + 1, m): ρ·h at the last is the labels' combination of
            activities, and each is the one before moved one time on.
        size: ‖y‖ of these labels.
    """

    rows: FloatArray
    size: float

    @property
    def steps(self) -> int:
        """Steps through W from the first of these times to the last."""
        return len(self.rows) - 1


def kernels(functional: KernelFunctional, *, groups: bool) -> Iterator[FloatArray]:
    """Starts, (m, m) each: those that fit all labels, and with ``groups`` those that fit some, and random ones."""
    prior, sent = functional.prior_kernel(), messages(functional)
    tied = functional.arch == "rnn"
    subsets = (subset for size in range(len(sent), 0, -1) for subset in itertools.combinations(sent, size))
    for number, subset in enumerate(itertools.islice(subsets, MOST_GROUPS if groups else 1)):
        yield fresh_directions(functional, prior, subset)
        for angle in (ANGLES if number == 0 else FEW_ANGLES) if tied else ():
            yield one_direction(functional, prior, subset, np.pi * angle)
    if groups:
        rng = np.random.default_rng(0)
        largest = max((_gain(functional, prior, message, 1) for message in sent), default=LEAST_GAIN)
        for _ in range(RANDOM if tied else 0):
            yield _random(functional, prior, largest, rng)


def messages(functional: KernelFunctional) -> list[Message]:
    """The labels by time; those that are 0 are left out."""
    readout = functional.readout
    block = np.searchsorted(functional.space.starts, np.arange(functional.dimension), side="right") - 1
    met = np.abs(readout) > 1e-12 * np.abs(readout).max(axis=1, keepdims=True)
    last = np.where(met, block, 0).max(axis=1)
    found = []
    for time in np.unique(last):
        labels = functional.labels[last == time]
        size = float(np.linalg.norm(labels))
        if size > 0:
            rows = [(labels / size) @ readout[last == time]]
            while len(rows) <= time:
                before = _moved_back(functional, rows[-1])
                if not before.any():
                    break
                rows.append(before)
            found.append(Message(np.array(rows[::-1]), size))
    return found


def _moved_back(functional: KernelFunctional, row: FloatArray) -> FloatArray:
    """The covector at the time before that gives a variance along ρ by W: the leading one of the adjoint of ρρᵀ."""
    values, vectors = np.linalg.eigh(functional.space.shifted_back(np.outer(row, row), functional.arch))
    return np.sqrt(max(values[-1], 0.0)) * vectors[:, -1] if values[-1] > 1e-12 * (row @ row) else np.zeros_like(row)


def gain(signal: float, noise: float, steps: int, copies: int) -> float | None:
    """The largest x of ``s λ x^s = c (x - 1)(x^s + k)²``: the growth per step in a state that has learnt.

    Growing a variance by x per step over s steps costs an entropy of ``c (x - 1 - ln x)/2``, with as many copies c as there
    are independent steps, and leaves an energy ``λ/(2(x^s + k))``.

    Args:
        signal, noise: λ and k, of the label and of κ relative to what the random network gives.
        steps, copies: s and c.

    Returns:
        None where the energy does not pay for any growth beyond the random network's.
    """
    logs = np.linspace(1e-3, np.log(10.0 * (1.0 + signal + noise)), 2000)
    grown = steps * logs
    paid = np.log(steps * signal) + grown - 2 * np.logaddexp(grown, np.log(max(noise, 1e-300)))
    above = np.flatnonzero(paid > np.log(copies * np.expm1(logs)))
    return float(np.exp(logs[above[-1]])) if above.size else None


def fresh_directions(functional: KernelFunctional, prior: FloatArray, subset: tuple[Message, ...]) -> FloatArray:
    """The random network's recursion, with the variance along each message multiplied by its gain at every step."""
    gains = [_gain(functional, prior, message, max(message.steps, 1)) for message in subset]
    H = prior
    for _ in range(functional.space.n):
        H = functional.covariance(H)
        for x, message in zip(gains, subset, strict=True):
            for row in message.rows:
                lift = H @ row
                H = H + (x - 1) * np.outer(lift, lift) / (row @ lift)
    return symmetric(H)


def one_direction(
    functional: KernelFunctional, prior: FloatArray, subset: tuple[Message, ...], angle: float
) -> FloatArray:
    """The random network's kernel and one trajectory for each message, which grows and turns by an angle at each step."""
    H = prior.copy()
    for message in subset:
        x = _gain(functional, prior, message, 1)
        lifts = message.rows @ prior
        variances = np.einsum("tm,tm->t", message.rows, lifts)
        sizes = np.sqrt(x ** np.arange(1, message.steps + 2) / variances)
        phases = angle * np.arange(message.steps, -1, -1)
        for turned in (np.cos(phases), np.sin(phases)):
            trajectory = (turned * sizes) @ lifts
            H += np.outer(trajectory, trajectory)
    return symmetric(H)


def _random(functional: KernelFunctional, prior: FloatArray, x: float, rng: np.random.Generator) -> FloatArray:
    """A kernel of random gains and mixtures of earlier directions: ``H = KQQᵀKᵀ`` with a random lower triangular Q."""
    m = functional.dimension
    Q = np.tril(rng.normal(size=(m, m)) * np.sqrt(rng.uniform(0.0, x) / m), -1)
    Q[np.diag_indices(m)] = np.exp(rng.uniform(0.0, 0.5 * np.log(x)))
    H = prior
    for _ in range(functional.space.n):
        L = np.linalg.cholesky(functional.covariance(H)) @ Q
        H = L @ L.T
    return H


def _gain(functional: KernelFunctional, prior: FloatArray, message: Message, copies: int) -> float:
    """The growth per step that fits a message, or, where that does not pay, that brings it above the noise."""
    steps = max(message.steps, 1)
    variance = functional.v * float(message.rows[-1] @ prior @ message.rows[-1])
    noise = functional.kappa / variance
    x = gain(message.size**2 / variance, noise, steps, copies)
    return max(noise ** (1 / steps), LEAST_GAIN) if x is None else x
