"""The linear network's free energy (docs/theory.md section 3) in ball arithmetic: value, gradient and Hessian.

Around a kernel ``H_0 = LLᵀ``, L any exact lower-triangular matrix of floats, kernels are ``H = L Ĥ Lᵀ``. In this frame
``Ĉ = L⁻¹CL⁻ᵀ = Σ_k c_k D_k Ĥ D_kᵀ + X̂``, with one D_k for each term of the sharing matrix ``M = Σ_k d_k l_k l_kᵀ``,
``c_k = w d_k`` (docs/theory.md sections 10 to 12), and, summed over outputs,

``2 ∂F/∂Ĥ = Ĉ⁻¹ - Ĥ⁻¹ + Σ_k c_k D_kᵀ (Ĉ⁻¹ - Ĉ⁻¹ĤĈ⁻¹) D_k - v T̂ᵀqqᵀT̂``, ``q = (vT̂ĤT̂ᵀ + κ)⁻¹y``, ``T̂ = 𝒯L``.

Every number is a ball of python-flint's arb that contains the exact value; matrices are ``arb_mat``. The problem's
numbers are taken as the exact binary fractions that they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray


def flint_module() -> Any:
    """python-flint.

    Raises:
        InputError: it is not installed.
    """
    try:
        import flint
    except ImportError:
        raise InputError("certify: python-flint is not installed; accepted: pip install 'unrolled[certify]'") from None
    return flint


@dataclass(frozen=True, eq=False)
class ExactSpace:
    """The kernels that a problem's inputs allow, by independent rows of the joint index: ``H_full = Q H Qᵀ``, exactly.

    Every other row of a trajectory is a combination of these, with rational coefficients.

    Attributes:
        rows: positions of the independent rows, m of them, increasing.
        basis: Q, (nP, m) fractions; the identity on `rows`.
        inputs: what inputs and biases give to C on the rows, (m, m), as fractions.
        weights, maps: c_k and A_k with ``C = Σ_k c_k A_k H A_kᵀ + inputs``, each (m, m): as many as M has rank.
    """

    rows: tuple[int, ...]
    basis: Any
    inputs: Any
    weights: tuple[Any, ...]
    maps: tuple[Any, ...]

    @property
    def size(self) -> int:
        """m."""
        return len(self.rows)


def exact_space(problem: Problem) -> ExactSpace:
    """Independent rows of the joint index, found in exact arithmetic, and what depends on them.

    Trajectories depend on each other as the rows of the random network's kernel do: it is made in fractions.

    Raises:
        InputError: the sharing matrix, or that of biases, is positive semi-definite to rounding only.
    """
    flint = flint_module()
    n, P = problem.n, problem.P
    x = problem.x.transpose(1, 0, 2).reshape(n * P, -1)
    gram = _matrix_of(x) * _matrix_of(x).transpose() * (_fraction(problem.u) / problem.D)
    ones = flint.fmpq_mat(P, P, [1] * (P * P))
    steps = _matrix_of(np.eye(n) - problem.skip * np.eye(n, k=-1)).inv()
    back = _kron(steps, _matrix_of(np.eye(P)))
    drives = gram + _kron(_matrix_of(problem.bias_sharing), ones) * _fraction(problem.bias)
    inputs = back * drives * back.transpose()
    weights, maps = [], []
    for weight, column in _factors(_matrix_of(problem.sharing)):
        shift = flint.fmpq_mat(n, n)
        for t, value in enumerate(column):
            shift[t + 1, t] = value
        weights.append(weight * _fraction(problem.w))
        maps.append(back * _kron(shift, _matrix_of(np.eye(P))))
    prior = inputs
    for _ in range(n - 1):
        prior = _sum(inputs, (A * prior * A.transpose() * weight for weight, A in zip(weights, maps, strict=True)))
    # row reduction: pivots are independent rows of the joint index, in order of time
    reduced, rank = prior.rref()
    entries = reduced.tolist()[:rank]
    rows = tuple(next(i for i, value in enumerate(row) if value != 0) for row in entries)
    basis = flint.fmpq_mat(entries).transpose()
    return ExactSpace(
        rows=rows,
        basis=basis,
        inputs=_kept(inputs, rows, rows),
        weights=tuple(weights),
        maps=tuple(_kept(A * basis, rows, range(rank)) for A in maps),
    )


def _factors(M: Any) -> list[tuple[Any, list[Any]]]:
    """``d_k`` and ``l_k`` with ``M = Σ_k d_k l_k l_kᵀ``, exactly."""
    left, found, size = M, [], M.nrows()
    for k in range(size):
        pivot, column = left[k, k], [left[s, k] for s in range(size)]
        if pivot < 0 or (pivot == 0 and any(value != 0 for value in column)):
            raise InputError("arch: is positive semi-definite to rounding only; accepted: exactly so, for certificates")
        if pivot > 0:
            column = [value / pivot for value in column]
            found.append((pivot, column))
            outer = [[pivot * first * second for second in column] for first in column]
            left = left - flint_module().fmpq_mat(outer)
    return found


def _kron(A: Any, B: Any) -> Any:
    flint = flint_module()
    first, second = A.tolist(), B.tolist()
    return flint.fmpq_mat([[a * b for a in row for b in other] for row in first for other in second])


def _kept(A: Any, rows: Iterable[int], columns: Iterable[int]) -> Any:
    entries, columns = A.tolist(), list(columns)
    return flint_module().fmpq_mat([[entries[i][j] for j in columns] for i in rows])


def _matrix_of(values: FloatArray) -> Any:
    """The exact fractions that floats are."""
    flint = flint_module()
    return flint.fmpq_mat([[_fraction(float(value)) for value in row] for row in values])


def _fraction(value: float) -> Any:
    return flint_module().fmpq(*float(value).as_integer_ratio())


def ball_matrix(matrix: Any) -> Any:
    """A matrix of fractions as balls."""
    flint = flint_module()
    return flint.arb_mat([[flint.arb(value) for value in row] for row in matrix.tolist()])


@dataclass(frozen=True, eq=False)
class BallFunctional:
    """F around one kernel, in its frame. Use it within ``flint.ctx.workprec``.

    Attributes:
        size: rows of the unknown matrix, m.
        L: the frame, exact.
        weights, maps: the c_k and D_k.
        inputs: ``X̂``.
        readouts: ``T̂`` of each output, (s, m).
        labels: its y, (s, 1).
        v, kappa: balls.
    """

    size: int
    L: Any
    weights: tuple[Any, ...]
    maps: tuple[Any, ...]
    inputs: Any
    readouts: tuple[Any, ...]
    labels: tuple[Any, ...]
    v: Any
    kappa: Any

    @classmethod
    def around(cls, problem: Problem, space: ExactSpace, L: FloatArray) -> BallFunctional:
        """The functional of a problem in the frame of ``H_0 = LLᵀ``, (m, m) in the space's basis."""
        flint = flint_module()
        arb, m = flint.arb, len(L)
        frame = flint.arb_mat(L.tolist())
        inverse = frame.inv()
        maps = [inverse * ball_matrix(A) * frame for A in space.maps]
        whole = space.basis.tolist()
        return cls(
            size=m,
            L=frame,
            weights=tuple(arb(weight) for weight in space.weights),
            maps=tuple(maps),
            inputs=inverse * ball_matrix(space.inputs) * inverse.transpose(),
            readouts=tuple(
                ball_matrix(flint.fmpq_mat([whole[int(i)] for i in positions])) * frame
                for positions, _ in problem.targets
            ),
            labels=tuple(flint.arb_mat([[float(value)] for value in labels]) for _, labels in problem.targets),
            v=arb(problem.v),
            kappa=arb(problem.kappa),
        )

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Independent entries (i ≤ j) of Ĥ, row by row."""
        return [(i, j) for i in range(self.size) for j in range(i, self.size)]

    def at(self, H: Any) -> BallPoint:
        """Factorise at ``Ĥ``.

        Raises:
            ZeroDivisionError: a matrix that must be inverted may be singular.
        """
        covariance = self.inputs + self.received(H)
        gains = []
        for readout in self.readouts:
            noisy = self.v * (readout * H * readout.transpose())
            for k in range(noisy.nrows()):
                noisy[k, k] = noisy[k, k] + self.kappa
            gains.append(noisy.inv())
        return BallPoint(self, H, H.inv(), covariance, covariance.inv(), tuple(gains))

    def received(self, H: Any) -> Any:
        """``Σ_k c_k D_k Ĥ D_kᵀ``."""
        return _sum(0 * H, (c * (D * H * D.transpose()) for c, D in zip(self.weights, self.maps, strict=True)))

    def received_back(self, force: Any) -> Any:
        """Its adjoint."""
        return _sum(0 * force, (c * (D.transpose() * force * D) for c, D in zip(self.weights, self.maps, strict=True)))


@dataclass(frozen=True, eq=False)
class BallPoint:
    """F's derivatives at one matrix of balls: every value for an Ĥ inside is inside what is returned.

    Attributes:
        functional: F in its frame.
        H, inverse, covariance, precision: Ĥ, Ĥ⁻¹, Ĉ, Ĉ⁻¹.
        gains: ``(vT̂ĤT̂ᵀ + κ)⁻¹`` of each output.
    """

    functional: BallFunctional
    H: Any
    inverse: Any
    covariance: Any
    precision: Any
    gains: tuple[Any, ...]

    def free_energy(self) -> Any:
        """``F``, with the ``-m/2`` that makes the entropy a divergence."""
        f = self.functional
        energy = sum((y.transpose() * gain * y)[0, 0] for y, gain in zip(f.labels, self.gains, strict=True))
        entropy = (self.H * self.precision).trace() - f.size - self.H.det().log() + self.covariance.det().log()
        return (energy + entropy) / 2

    def gradient(self) -> Any:
        """``2 ∂F/∂Ĥ``, (m, m), every entry taken as independent."""
        f = self.functional
        total = self.precision - self.inverse
        for pull in self._pulls():
            total = total - f.v * (pull * pull.transpose())
        response = self.precision - self.precision * self.H * self.precision
        return total + f.received_back(response)

    def _pulls(self) -> list[Any]:
        """``T̂ᵀq`` of each output."""
        f = self.functional
        outputs = zip(f.readouts, self.gains, f.labels, strict=True)
        return [readout.transpose() * (gain * y) for readout, gain, y in outputs]

    def gradient_change(self, S: Any) -> Any:
        """The derivative of ``gradient`` along a symmetric direction, (m, m)."""
        f, Q = self.functional, self.precision
        change = f.received(S)
        K = Q * change * Q
        KHQ = K * self.H * Q
        response = KHQ + KHQ.transpose() - K - Q * S * Q
        total = self.inverse * S * self.inverse - K
        for readout, gain, pull in zip(f.readouts, self.gains, self._pulls(), strict=True):
            rank = f.v * (readout.transpose() * (gain * (readout * (S * pull)))) * pull.transpose()
            total = total + f.v * (rank + rank.transpose())
        return total + f.received_back(response)

    def hessian(self) -> Any:
        """Derivatives of the entries (i ≤ j) of ``gradient`` by the independent entries of Ĥ, (d, d)."""
        f, flint = self.functional, flint_module()
        columns = []
        for i, j in f.pairs:
            S = flint.arb_mat(f.size, f.size)
            S[i, j] = S[j, i] = flint.arb(1)
            change = self.gradient_change(S)
            columns.append([change[a, b] for a, b in f.pairs])
        return flint.arb_mat(columns).transpose()


def _sum(start: Any, matrices: Iterable[Any]) -> Any:
    for matrix in matrices:
        start = start + matrix
    return start
