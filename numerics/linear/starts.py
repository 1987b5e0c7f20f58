"""Kernels on the learnt side of a problem: where the search for the lowest state starts, beside the random network.

F may have minima that have learnt next to one that has not, and learnt ones of several kinds (docs/theory.md section
14). A descent from the random network's kernel stays on its own side. Each start here is a kernel that fits labels, of
some of the supervised times, in one of the ways in which a network can carry them there: in fresh directions at every
time, or, with shared weights, along one direction that turns by a fixed angle at each step. Random ones are added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from numerics.linalg import FloatArray, symmetric
from numerics.linear.carrying import Carried
from numerics.linear.energy import Target
from numerics.linear.functional import KernelFunctional, KernelPoint

#: Angles per step, over π, by which a carried direction turns.
ANGLES = (0.0, 1 / 2, 1 / 3, 2 / 3, 1 / 4, 3 / 4)
#: Of groups of labels that leave some out.
FEW_ANGLES = (0.0, 1 / 2, 1 / 3)
#: Most groups of supervised times, or of single labels, and random kernels.
MOST_GROUPS, RANDOM, FEW_RANDOM = 7, 12, 8
#: Smallest growth of a variance per step that a start has, and over all steps, where these are many.
LEAST_GAIN, LEAST_GROWTH = 1.5, 100.0


def unlearnt_energy(point: KernelPoint) -> float:
    """The part of ``½ yᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y`` along eigenvectors of ``v𝒯H𝒯ᵀ`` with an eigenvalue below κ: labels that are
    reproduced by less than half."""
    f, found = point.functional, 0.0
    for part in point.energies:
        values, vectors = np.linalg.eigh(f.v * part.rows @ part.rows.T)
        along = np.sum((vectors.T @ part.target.labels) ** 2, axis=1)
        few = values < f.kappa
        found += 0.5 * float(np.sum(along[few] / (values[few] + f.kappa)))
    return found


@dataclass(frozen=True, eq=False)
class Message:
    """The labels of one time, and the directions that carry them there.

    Attributes:
        rows: covectors ρ_t at successive times, (steps, m): ρ·h at the last is the labels' combination of activities,
            and each is the one before moved one time on.
        size: ‖y‖ of these labels.
    """

    rows: FloatArray
    size: float

    @property
    def steps(self) -> int:
        """Steps from the inputs to the last of these times, that through U included."""
        return len(self.rows)


def kernels(functional: KernelFunctional, *, groups: bool) -> Iterator[FloatArray]:
    """Starts, (m, m) each: those that fit all labels; with ``groups`` also those that fit some; and random ones."""
    prior, tied = functional.prior_kernel(), not functional.space.is_independent
    whole = messages(functional, functional.targets)
    subsets = [tuple(whole)]
    if groups:
        smaller = (part for size in range(len(whole) - 1, 0, -1) for part in itertools.combinations(whole, size))
        subsets += itertools.islice(smaller, MOST_GROUPS)
        if len(whole) < sum(target.labels.size for target in functional.targets) <= MOST_GROUPS:
            subsets += [(message,) for target in _single(functional) for message in messages(functional, [target])]
    for number, subset in enumerate(subsets):
        yield fresh_directions(functional, prior, subset)
        for angle in (ANGLES if number == 0 else FEW_ANGLES) if tied else ():
            yield one_direction(functional, prior, subset, np.pi * angle)
    rng, least = np.random.default_rng(0), _least_gain(functional.space.n)
    largest = max((_gain(functional, prior, message, 1) for message in whole), default=least)
    for _ in range(RANDOM if groups else min(FEW_RANDOM, functional.dimension)):
        # of every size, from little growth to that which fits the labels
        yield _random(functional, least * (largest / least) ** rng.random(), rng)


def _random(functional: KernelFunctional, x: float, rng: np.random.Generator) -> FloatArray:
    """``H = KQQᵀKᵀ``, ``KKᵀ = C[H]``, with a random lower triangular Q: variances that grow by up to x at each step,
    and directions that are mixed with those of earlier times."""
    m = functional.dimension
    Q = np.tril(rng.normal(size=(m, m)) * np.sqrt(rng.uniform(0.0, x) / m), -1)
    Q[np.diag_indices(m)] = np.exp(rng.uniform(0.0, 0.5 * np.log(x), size=m))
    L = Carried.of(functional, Q[None]).L[0]
    return np.asarray(L @ L.T)


def _single(functional: KernelFunctional) -> Iterator[Target]:
    """Each label by itself."""
    for target in functional.targets:
        for place, label in np.ndenumerate(target.labels):
            labels = np.zeros_like(target.labels)
            labels[place] = label
            yield Target(target.readout, labels, 0.0)


def messages(functional: KernelFunctional, targets: Sequence[Target]) -> list[Message]:
    """Labels by their time, in orthogonal combinations of several outputs; those that are 0 are left out."""
    block = np.searchsorted(functional.space.starts, np.arange(functional.dimension), side="right") - 1
    found = []
    for target in targets:
        met = np.abs(target.readout) > 1e-12 * np.abs(target.readout).max(axis=1, keepdims=True)
        last = np.where(met, block, 0).max(axis=1)
        for time in sorted(set(last.tolist())):
            readout = target.readout[last == time]
            for labels in _orthogonal(target.labels[last == time]):
                size = float(np.linalg.norm(labels))
                rows = [(labels / size) @ readout]
                while len(rows) <= time:
                    before = _moved_back(functional, rows[-1])
                    if not before.any():
                        break
                    rows.append(before)
                found.append(Message(np.array(rows[::-1]), size))
    return found


def _orthogonal(labels: FloatArray) -> list[FloatArray]:
    """Orthogonal combinations of columns that span them, without those that are 0."""
    if labels.shape[1] == 1:
        return [labels[:, 0]] if labels.any() else []
    left, sizes, _ = np.linalg.svd(labels, full_matrices=False)
    return [size * column for size, column in zip(sizes, left.T, strict=True) if size > 1e-10 * sizes[0]]


def _moved_back(functional: KernelFunctional, row: FloatArray) -> FloatArray:
    """The covector at the time before that gives a variance along ρ by W: the leading one of the adjoint of ρρᵀ."""
    adjoint, found = functional.space.shifted_back(np.outer(row, row)), np.zeros_like(row)
    met = np.flatnonzero(adjoint.any(axis=0))  # few of many times
    if met.size:
        values, vectors = np.linalg.eigh(adjoint[np.ix_(met, met)])
        if values[-1] > 1e-12 * (row @ row):
            found[met] = np.sqrt(values[-1]) * vectors[:, -1]
    return found


def gain(signal: float, noise: float, steps: int, copies: int) -> float | None:
    """The largest x of ``s λ x^s = c (x - 1)(x^s + k)²``: the growth per step in a state that has learnt.

    Growing a variance by x per step over s steps costs an entropy of ``c (x - 1 - ln x)/2``, with as many copies c as
    there are independent steps, and leaves an energy ``λ/(2(x^s + k))``.

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
    gains = [_gain(functional, prior, message, message.steps) for message in subset]
    H = prior
    for _ in range(functional.space.n):
        H = functional.covariance(H)
        for x, message in zip(gains, subset, strict=True):
            for row in message.rows:
                read = np.flatnonzero(row)
                lift = H[:, read] @ row[read]
                met = np.flatnonzero(lift)  # one time of many where the random network correlates none
                H[np.ix_(met, met)] += (x - 1) * np.outer(lift[met], lift[met]) / (row @ lift)
    return symmetric(H)


def one_direction(
    functional: KernelFunctional, prior: FloatArray, subset: tuple[Message, ...], angle: float
) -> FloatArray:
    """The random network's kernel, and for each message a trajectory that grows and turns by an angle at each step."""
    H = prior.copy()
    for message in subset:
        x = _gain(functional, prior, message, 1)
        lifts = message.rows @ prior
        variances = np.einsum("tm,tm->t", message.rows, lifts)
        sizes = np.sqrt(x ** np.arange(1, message.steps + 1) / variances)
        phases = angle * np.arange(message.steps - 1, -1, -1)
        for turned in (np.cos(phases), np.sin(phases)):
            trajectory = (turned * sizes) @ lifts
            H += np.outer(trajectory, trajectory)
    return symmetric(H)


def _gain(functional: KernelFunctional, prior: FloatArray, message: Message, copies: int) -> float:
    """The growth per step that fits a message, at least that which brings it up to the noise."""
    variance = functional.v * float(message.rows[-1] @ prior @ message.rows[-1])
    noise = functional.kappa / variance
    x = gain(message.size**2 / variance, noise, message.steps, copies)
    return float(max(noise ** (1 / message.steps), _least_gain(message.steps), x or 0.0))


def _least_gain(steps: int) -> float:
    """The smallest growth of a variance per step that a start of so many steps has."""
    return float(min(LEAST_GAIN, LEAST_GROWTH ** (1 / steps)))
