"""The sign in which a state is given, where symmetries of the posterior leave it open, and which predictions reverse.

The rule: of each pair of images the one with ``Σ_p Φ^{tt'}_{pp} > 0`` is given, for the first (t, t') at which this sum
changes sign and is not 0, lag by lag from ``(T-1, T-2)`` on, within a lag from the last times on. Where only patterns'
signs are open, single entries are looked at in the same order. With the one symmetry ``W → -W`` the order parameter
``Σ_p Φ^{T-1,T-2}_{pp}`` is positive, as in sampled networks (``numerics.sampling``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import BoolArray, FloatArray, IntArray
from numerics.symmetry.group import SignSymmetry, sign_symmetries
from numerics.symmetry.held_out import held_out_signs

#: Predictions smaller than this, relative to the largest, are 0.
SMALL_OUTPUT = 1e-6
#: Sums and entries smaller than this, relative to the diagonal, have no sign.
NO_SIGN = 1e-9


@dataclass(frozen=True, eq=False)
class SignChoice:
    """One choice between a state and an image of it.

    Attributes:
        block: entries of a kernel, rows and columns, whose sum has a sign.
        positive: whether it is positive in the state.
        symmetry: what reverses this sum, and the sum of no step before it.
    """

    block: tuple[IntArray, IntArray]
    positive: bool
    symmetry: SignSymmetry

    def sums(self, kernels: FloatArray) -> FloatArray:
        """The sum, of kernels (…, nP, nP)."""
        return np.asarray(kernels[..., self.block[0], self.block[1]].sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Gauge:
    """What tells a state from its images.

    Attributes:
        steps: the choices; a state with k of them has 2^k images, itself among them.
        unbroken: symmetries that leave the state as it is; these and those of the steps generate all there are.
    """

    steps: tuple[SignChoice, ...]
    unbroken: tuple[SignSymmetry, ...]

    def symmetric(self, kernel: FloatArray) -> FloatArray:
        """The mean of a kernel, (nP, nP), and its images under the symmetries that leave the state as it is."""
        for symmetry in self.unbroken:
            kernel = 0.5 * (kernel + symmetry.of_kernel(kernel))
        return kernel

    @property
    def images(self) -> tuple[SignSymmetry, ...]:
        """The symmetries that take the state to its other images."""
        found: list[SignSymmetry] = []
        for step in self.steps:
            found += [step.symmetry, *(known.times(step.symmetry) for known in found)]
        return tuple(found)

    @property
    def of_rule(self) -> Gauge:
        """The gauge of the state's image that the rule picks, the one whose sums are positive."""
        return replace(self, steps=tuple(replace(step, positive=True) for step in self.steps))

    def taken(self, kernels: FloatArray) -> FloatArray:
        """Kernels (…, nP, nP) on the state's side."""
        for symmetry, where in self.turning(kernels):
            kernels = np.where(where[..., None, None], symmetry.of_kernel(kernels), kernels)
        return kernels

    def turning(self, kernels: FloatArray) -> Iterator[tuple[SignSymmetry, BoolArray]]:
        """The symmetries that take kernels (…, nP, nP) to the state's side, and which kernels each has to turn, (…,).

        They are applied in this order, each before the next is asked for.
        """
        for step in self.steps:
            where = (step.sums(kernels) < 0) == step.positive
            yield step.symmetry, where
            kernels = np.where(where[..., None, None], step.symmetry.of_kernel(kernels), kernels)

    def sided(self, kernels: FloatArray) -> BoolArray:
        """Which of some kernels, (…, nP, nP), are on the state's side, (…,)."""
        there = np.ones(kernels.shape[:-2], dtype=bool)
        for step in self.steps:
            there &= (step.sums(kernels) < 0) != step.positive
        return there


def gauge(problem: Problem, kernel: FloatArray, *, odd: bool, error: FloatArray | None = None) -> Gauge:
    """The rule's steps at a state; none where no symmetry changes it.

    Args:
        problem: what is learnt.
        kernel: of the state.
        odd: φ is odd.
        error: of the kernel's entries; what is within three times it is 0.
    """
    steps: list[SignChoice] = []
    remaining = list(sign_symmetries(problem, odd))
    for kind in (_traces, _entries):
        for sum_, rows, columns, a, b in kind(kernel, problem.P, error) if remaining else ():
            turning = [symmetry for symmetry in remaining if symmetry.rows[a] * symmetry.rows[b] < 0]
            if not turning:
                continue
            chosen = turning[0]
            steps.append(SignChoice((rows, columns), sum_ > 0, chosen))
            # what is left keeps this sum
            rest = [each for each in remaining if each is not chosen]
            remaining = [each.times(chosen) if each.rows[a] * each.rows[b] < 0 else each for each in rest]
            if not remaining:
                break
    return Gauge(tuple(steps), tuple(remaining))


def gauge_signs(problem: Problem, kernel: FloatArray, *, odd: bool) -> FloatArray:
    """The signs s over the joint index, (nP,), that take a state to the sign of the rule: to ``s_a s_b Φ_ab``."""
    signs = np.ones(len(kernel))
    for step in gauge(problem, kernel, odd=odd).steps:
        a, b = (index[np.abs(kernel[step.block]).argmax()] for index in step.block)
        if step.positive == (signs[a] * signs[b] < 0):
            signs = signs * step.symmetry.rows
    return signs


#: A sum of entries, their rows and columns, and one of them that is not 0.
_Sum = tuple[float, IntArray, IntArray, int, int]


def _traces(kernel: FloatArray, P: int, error: FloatArray | None) -> Iterator[_Sum]:
    """``Σ_p Φ^{tt'}_{pp}`` that are not 0, in the rule's order."""
    n = len(kernel) // P
    size = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    for lag in range(1, n):
        for t in range(n - 1, lag - 1, -1):
            rows = np.arange(t * P, (t + 1) * P)
            columns = rows - lag * P
            entries = kernel[rows, columns]
            least = NO_SIGN * float(size[rows] @ size[columns])
            least = least if error is None else max(least, 3 * float(error[rows, columns].sum()))
            if abs(entries.sum()) > least:
                p = int(np.abs(entries).argmax())
                yield float(entries.sum()), rows, columns, int(rows[p]), int(columns[p])


def _entries(kernel: FloatArray, P: int, error: FloatArray | None) -> Iterator[_Sum]:
    """Entries that are not 0, in the rule's order."""
    n = len(kernel) // P
    size = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    least = NO_SIGN * np.outer(size, size)
    least = least if error is None else np.maximum(least, 3 * error)
    for lag in range(n):
        for t in range(n - 1, lag - 1, -1):
            rows, columns = slice(t * P, (t + 1) * P), slice((t - lag) * P, (t - lag + 1) * P)
            for p, q in np.argwhere(np.abs(kernel[rows, columns]) > least[rows, columns]).tolist():
                a, b = t * P + p, (t - lag) * P + q
                yield float(kernel[a, b]), np.array([a]), np.array([b]), a, b


def fixed(problem: Problem, kernel: FloatArray, *, odd: bool) -> FloatArray:
    """A kernel of the problem, (nP, nP), in the sign of the rule; with an activation that is odd or not."""
    signs = gauge_signs(problem, kernel, odd=odd)
    return kernel * np.outer(signs, signs)


def rounded_gauge(problem: Problem, kernel: FloatArray, *, odd: bool, error: FloatArray | None = None) -> Gauge:
    """`gauge` of a state that a solver found: entries within `SMALL_OUTPUT` of its diagonal are 0 too."""
    size = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    rounding = SMALL_OUTPUT / 3 * np.outer(size, size)
    return gauge(problem, kernel, odd=odd, error=rounding if error is None else np.maximum(rounding, error))


def reversed_times(
    problem: Problem, prediction: FloatArray, *, odd: bool, tolerance: float = SMALL_OUTPUT, held_out: bool = False
) -> tuple[int, ...]:
    """Hidden times t, 1-based, at which a symmetry of the posterior reverses predictions f^(t+1) that are not 0.

    Their mean over the state and its images is 0; with several outputs, that of their part in some direction. Those
    that are 0, to a tolerance relative to the largest, have no sign: a symmetry that leaves the state as it is makes
    them so.

    Args:
        problem: what is learnt.
        prediction: of a state, (patterns, n), or (O, patterns, n) of several outputs.
        odd: φ is odd.
        tolerance: largest prediction, relative, that counts as 0.
        held_out: the patterns are the problem's test patterns.
    """
    reverses = np.zeros(prediction.shape[-2:], dtype=bool)
    smallest = tolerance * np.abs(prediction).max(initial=0.0)
    for symmetry in sign_symmetries(problem, odd):
        signs = held_out_signs(problem, symmetry) if held_out else symmetry.signs.T
        lost = 0.5 * np.abs(prediction - symmetry.of_predictions(prediction, signs)).reshape(-1, *reverses.shape)
        reverses |= (lost > smallest).any(axis=0) & (signs != 0)
    return tuple((1 + np.flatnonzero(reverses.any(axis=0))).tolist())
