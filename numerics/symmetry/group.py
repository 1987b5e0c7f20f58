"""The sign symmetries of a posterior: which weights change sign, and what that does to kernels and predictions.

Reverse groups of tied matrices, ``W^(t) → σ_t W^(t)``, reflect the inputs' space, ``U → UR``, and the outputs',
``V → QV``. The prior (docs/theory.md sections 1, 10) keeps its density if ``σ_s σ_t M_st = M_st``, so that σ is one
sign for matrices that are correlated, by way of others or with whatever sign, and R and Q are orthogonal. With an odd φ
the trajectories of docs/theory.md section 11 become

    h^t_p → s_tp h^t_p,    f^(t+1)_p → s_tp Q f^(t+1)_p,

as long as every term of ``h^{t+1} = a h^t + W^(t) φ(h^t) + U x^t + b^(t+1)`` takes the same sign:

- ``s_{t+1,p} = σ_t s_tp`` once a pattern has had an input or a bias; before, h is 0;
- ``s_{t+1,p} = s_tp`` where a ≠ 0: no matrix may be reversed then, only patterns whose inputs are orthogonal to those
  of all others;
- ``R x^{t-1}_p = s_tp x^{t-1}_p``, for which a reflection R exists where inputs of opposite sign are orthogonal. A bias
  is one more input, with covariance βB between times, 1 between patterns: all patterns have one sign then, and so have
  times that share biases.

The likelihood keeps its value if ``s_tp Q y_tp = y_tp`` for the labels of each set of outputs that are supervised at
the same entries, and Q mixes no others. Such a Q exists where labels of opposite sign are orthogonal, as vectors over
these outputs: of one output, where all labels but 0 have one sign. These are linear equations for the exponents of σ, s
and the labels' signs modulo 2; a basis of their solutions generates the group. One time of input and one of labels
leave all σ free: the RNN then has the one symmetry ``W → -W``, a looped network one for each of its layers, the DNN one
for each of its matrices. Labels at several times leave those products of signs that keep the relative sign of any two.

A symmetry takes a kernel to ``s_a s_b Φ_ab`` with the same free energy, and the prediction at (t, p) to ``s_tp Q f``;
at states that it leaves as they are both are the same. Rotations of V that leave all labels change neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from numerics.inputs.driving import driving_inputs
from numerics.inputs.problem import Problem
from numerics.linalg import BoolArray, FloatArray, IntArray, components

#: Overlaps of inputs and labels below this, relative, are rounding.
NO_OVERLAP = 1e-12
#: What a symmetry leaves of a direction that it reverses, relative.
REVERSED = 1e-6
#: Images of a kernel are made under so many generators at most.
MOST_GENERATORS = 6


@dataclass(frozen=True, eq=False)
class Conditions:
    """What decides which signs may change.

    Attributes:
        odd: φ is odd.
        tied: a number for each W^(t), the same for matrices that are correlated, (n-1,).
        inputs: a number for each ``U x^{t-1}_p`` with its bias, the same for those that overlap, or do so by way of
            others; -1 where there is none; (nP,), time-major.
        labels: of each output, NaN where unsupervised, (O, nP).
        skip: a ≠ 0.
    """

    odd: bool
    tied: IntArray
    inputs: IntArray
    labels: FloatArray
    skip: bool = False

    @property
    def n(self) -> int:
        """Hidden times."""
        return len(self.tied) + 1

    @property
    def P(self) -> int:
        """Patterns."""
        return len(self.inputs) // self.n

    @cached_property
    def active(self) -> BoolArray:
        """Where h is not 0, (n, P)."""
        return np.logical_or.accumulate(self.inputs.reshape(self.n, -1) >= 0, axis=0)

    @cached_property
    def labelled(self) -> tuple[LabelledOutputs, ...]:
        """Outputs that are supervised at the same entries, together."""
        supervised = ~np.isnan(self.labels) & self.active.ravel()
        labels = np.where(supervised, self.labels, 0.0)
        alike = np.unique(supervised, axis=0, return_inverse=True)[1].ravel()
        sets = [np.flatnonzero(alike == k) for k in range(alike.max() + 1)]
        return tuple(LabelledOutputs.of(outputs, labels[outputs]) for outputs in sets)


@dataclass(frozen=True, eq=False)
class LabelledOutputs:
    """Outputs that are supervised at the same entries.

    Attributes:
        outputs: which, (k,).
        labels: as vectors over the outputs, 0 where unsupervised, (nP, k).
        numbers: the same for labels that overlap, or do so by way of others; -1 where there is none but 0; (nP,).
    """

    outputs: IntArray
    labels: FloatArray
    numbers: IntArray

    @classmethod
    def of(cls, outputs: IntArray, labels: FloatArray) -> LabelledOutputs:
        """From the labels of each output, (k, nP)."""
        present = np.abs(labels).max(axis=0) > NO_OVERLAP * np.abs(labels).max(initial=0.0)
        vectors = np.where(present, labels, 0.0).T
        return cls(outputs, vectors, overlapping(vectors))

    def reflection(self, signs: FloatArray) -> FloatArray:
        """Q with ``Q y_a = signs_a y_a``, (k, k); signs, (nP,), are opposite for orthogonal labels only."""
        frame, sizes, _ = np.linalg.svd(self.labels[signs < 0].T, full_matrices=False)
        reversed_ = frame[:, sizes > NO_OVERLAP * sizes.max(initial=0.0)]
        return np.asarray(np.eye(len(self.outputs)) - 2 * reversed_ @ reversed_.T)


@dataclass(frozen=True, eq=False)
class SignSymmetry:
    """One symmetry.

    Attributes:
        matrices: σ_t, (n-1,).
        signs: s_tp, (n, P); 1 where h is 0.
        readouts: Q, (O, O).
    """

    matrices: FloatArray
    signs: FloatArray
    readouts: FloatArray

    @property
    def rows(self) -> FloatArray:
        """s over the joint index, time-major, (nP,)."""
        return self.signs.ravel()

    def times(self, other: SignSymmetry) -> SignSymmetry:
        """One after the other."""
        return SignSymmetry(self.matrices * other.matrices, self.signs * other.signs, self.readouts @ other.readouts)

    def of_kernel(self, kernel: FloatArray) -> FloatArray:
        """``s_a s_b Φ_ab``, (…, nP, nP)."""
        return np.asarray(self.rows[:, None] * kernel * self.rows)

    def of_predictions(self, f: FloatArray, signs: FloatArray | None = None) -> FloatArray:
        """``s_tp Q f``, of f^(t+1) as (…, P, n), or (…, O, P, n) of several outputs.

        Other patterns' s_tp, (patterns, n), may be given.
        """
        turned = self.signs.T if signs is None else signs
        if len(self.readouts) == 1:
            return np.asarray(self.readouts[0, 0] * turned * f)
        return np.asarray(turned * np.einsum("cd,...dpt->...cpt", self.readouts, f))


def correlated(M: FloatArray) -> IntArray:
    """A number for each W^(t) of a sharing matrix M, (n-1, n-1): that of its group of tied matrices."""
    size = np.sqrt(M.diagonal())
    tied = np.abs(M) > NO_OVERLAP * np.outer(size, size)
    return components(len(M), *np.nonzero(tied))


@lru_cache(maxsize=64)
def conditions(problem: Problem, odd: bool) -> Conditions:
    """The conditions of a problem with an activation that is odd or not."""
    return Conditions(
        odd=odd,
        tied=correlated(problem.sharing),
        inputs=overlapping(joint_inputs(problem, problem.x)),
        labels=problem.y.reshape(problem.P, problem.n, -1).transpose(2, 1, 0).reshape(problem.outputs, -1),
        skip=problem.skip > 0,
    )


def joint_inputs(problem: Problem, x: FloatArray) -> FloatArray:
    """`driving_inputs` of some patterns (P, n, D) over the joint index, a row for each time and pattern."""
    driving = driving_inputs(problem, x)
    return driving.transpose(1, 0, 2).reshape(-1, driving.shape[2])


def overlapping(rows: FloatArray) -> IntArray:
    """A number for each row, the same for those connected by overlaps; -1 for rows that are 0."""
    given = np.flatnonzero(rows.any(axis=1))
    numbers = np.full(len(rows), -1, dtype=np.intp)
    numbers[given] = components(len(given), *np.nonzero(overlap(rows[given], rows[given])))
    return numbers


def overlap(one: FloatArray, other: FloatArray) -> BoolArray:
    """Which rows are not orthogonal."""
    size = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
    return np.asarray(np.abs(one @ other.T) > NO_OVERLAP * size)


@lru_cache(maxsize=64)
def sign_symmetries(problem: Problem, odd: bool) -> tuple[SignSymmetry, ...]:
    """Generators of the problem's sign symmetries, without those that change no kernel."""
    return generators(conditions(problem, odd))


def generators(given: Conditions) -> tuple[SignSymmetry, ...]:
    """A basis of the sign symmetries, without those that change no kernel."""
    if not given.odd:
        return ()
    unknowns = _Unknowns(given)
    found = []
    for solution in _null_space(unknowns.equations(), unknowns.count):
        symmetry = unknowns.symmetry(solution)
        if len(set(symmetry.signs[given.active].tolist())) > 1:
            found.append(symmetry)
    return tuple(found)


class _Unknowns:
    """Exponents modulo 2, each a bit: of connected labels, of groups of tied matrices, and of connected inputs.

    The first inputs keep their sign, as reversing U and V changes nothing. A sign s_tp is the sum of the bits of the
    pattern's first inputs and of the matrices passed since, held as an integer.
    """

    def __init__(self, given: Conditions) -> None:
        self.given = given
        n, P = given.n, given.P
        inputs = given.inputs.reshape(n, P)
        driven = inputs >= 0
        #: The first bit of each set of outputs, and of what follows.
        self.outputs = np.cumsum([0, *(alike.numbers.max(initial=-1) + 1 for alike in given.labelled)]).tolist()
        self.matrices, groups = self.outputs[-1], int(given.tied.max(initial=-1)) + 1
        active = given.active
        numbers = {number: k for k, number in enumerate(dict.fromkeys(inputs[driven].tolist()))}
        self.count = self.matrices + groups + len(numbers) - 1
        first = self.matrices + groups

        def of_input(t: int, p: int) -> int:
            k = numbers[int(inputs[t, p])]
            return 1 << (first + k - 1) if k else 0

        self.signs = np.zeros((n, P), dtype=object)
        self._equations: list[int] = []
        for t in range(n):
            for p in range(P):
                passed = bool(t and active[t - 1, p])
                if passed:
                    self.signs[t, p] = self.signs[t - 1, p] ^ 1 << (self.matrices + int(given.tied[t - 1]))
                    if given.skip:
                        self._equations.append(self.signs[t, p] ^ self.signs[t - 1, p])
                if driven[t, p] and passed:
                    self._equations.append(self.signs[t, p] ^ of_input(t, p))
                elif driven[t, p]:
                    self.signs[t, p] = of_input(t, p)

    def equations(self) -> set[int]:
        """Sums of bits that are 0."""
        signs, found = self.signs.ravel(), set(self._equations)
        for first, alike in zip(self.outputs, self.given.labelled, strict=False):
            found |= {signs[a] ^ 1 << (first + int(alike.numbers[a])) for a in np.flatnonzero(alike.numbers >= 0)}
        return found - {0}

    def symmetry(self, solution: int) -> SignSymmetry:
        """The symmetry that a solution stands for."""

        def sign(bits: int) -> float:
            return -1.0 if (bits & solution).bit_count() % 2 else 1.0

        signs = np.vectorize(sign, otypes=[float])(self.signs)
        readouts = np.zeros((len(self.given.labels),) * 2)
        for alike in self.given.labelled:
            readouts[np.ix_(alike.outputs, alike.outputs)] = alike.reflection(signs.ravel())
        return SignSymmetry(
            np.array([sign(1 << (self.matrices + group)) for group in self.given.tied.tolist()]), signs, readouts
        )


def _null_space(equations: set[int], count: int) -> list[int]:
    """A basis of the bits whose sums vanish, by elimination from the lowest bit on."""
    pivots: dict[int, int] = {}
    for equation in equations:
        left = equation
        for bit, row in pivots.items():
            if left >> bit & 1:
                left ^= row
        if left:
            bit = (left & -left).bit_length() - 1
            for other, row in pivots.items():
                if row >> bit & 1:
                    pivots[other] = row ^ left
            pivots[bit] = left
    free = [bit for bit in range(count) if bit not in pivots]
    return [1 << f | sum(1 << bit for bit, row in pivots.items() if row >> f & 1) for f in free]


def finest_classes(given: Conditions, joined: IntArray | None = None) -> IntArray:
    """The finest classes that stay independent of one another, a number for each joint index, (nP,).

    Entries of Φ and Φ̃ between classes vanish at the state that the random network's kernel is followed to, as they
    vanish under docs/theory.md section 4's conditions if they do in them: then C and the tilted density factorise
    over the classes, and with an odd φ each factor is even. It takes that inputs overlap and labels that are not 0 lie
    within one class, and that for tied matrices ``(t, p)`` and ``(t', q)`` share a class if, and only if, their
    successors do. Each sign symmetry has one sign on a class. Pairs of joint indices, (k, 2), may be kept together.
    """
    n, P = given.n, given.P
    size = n * P
    if not given.odd:
        return np.zeros(size, dtype=np.intp)
    order = np.argsort(given.inputs, kind="stable")
    linked = (np.diff(given.inputs[order]) == 0) & (given.inputs[order][1:] >= 0)
    pairs = [_chained(order)[linked], *([] if joined is None else [joined])]
    for alike in given.labelled:
        pairs += [_chained(np.flatnonzero(alike.numbers == k)) for k in range(alike.numbers.max(initial=-1) + 1)]
    if given.skip:
        pairs.append(np.stack([np.arange(size - P), np.arange(P, size)], axis=1))
    tied = np.repeat(given.tied, P)
    classes = _merged(size, pairs)
    while True:
        here, after = classes[: size - P], classes[P:]
        for source, target in ((here, np.arange(P, size)), (after, np.arange(size - P))):
            order = np.lexsort((source, tied))
            together = (np.diff(source[order]) == 0) & (np.diff(tied[order]) == 0)
            pairs.append(np.stack([target[order][:-1][together], target[order][1:][together]], axis=1))
        merged = _merged(size, pairs)
        if merged.max() == classes.max():
            return classes
        classes = merged


def _chained(members: IntArray) -> IntArray:
    return np.stack([members[:-1], members[1:]], axis=1)


def _merged(size: int, pairs: list[IntArray]) -> IntArray:
    """Connected components of pairs of indices."""
    return components(size, *np.concatenate(pairs).T)
