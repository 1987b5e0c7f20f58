"""The linear network's free energy (docs/theory.md section 3) in ball arithmetic: value, gradient and Hessian.

Around a kernel ``H_0 = LLᵀ``, L any exact lower-triangular matrix of floats, kernels are ``H = L Ĥ Lᵀ``. In this frame
``Ĉ = L⁻¹CL⁻ᵀ = Σ_k D_k Ĥ D_kᵀ + X̂``, with one D_k for the RNN and one for each time that the DNN's mask lets pass, and

``2 ∂F/∂Ĥ = Ĉ⁻¹ - Ĥ⁻¹ + Σ_k D_kᵀ (Ĉ⁻¹ - Ĉ⁻¹ĤĈ⁻¹) D_k - v T̂ᵀqqᵀT̂``, ``q = (vT̂ĤT̂ᵀ + κ)⁻¹y``, ``T̂ = 𝒯L``.

Every number is a ball of python-flint's arb that contains the exact value; matrices are ``arb_mat``. The problem's
numbers are taken as the exact binary fractions that they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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

    Every other row of a trajectory is a combination of these, with rational coefficients: those of what the responses
    to independent random weights have in common (``responses``).

    Attributes:
        rows: positions of the independent rows, m of them, increasing.
        basis: Q, (nP, m) fractions; the identity on `rows`.
        inputs: ``X⁻`` times D on the rows, (m, m), as fractions.
        maps: the A_k with ``[H⁻] = Σ_k A_k H A_kᵀ``, each (m, m): one for the RNN, one for each W of a DNN.
    """

    rows: tuple[int, ...]
    basis: Any
    inputs: Any
    maps: tuple[Any, ...]

    @property
    def size(self) -> int:
        """m."""
        return len(self.rows)


def exact_space(problem: Problem) -> ExactSpace:
    """Independent rows of the joint index, found in exact arithmetic, and what depends on them."""
    flint = flint_module()
    P = problem.P
    response = _responses(problem)
    # row reduction of the transpose: pivots are independent rows of the joint index, in order of time
    reduced, rank = response.transpose().rref()
    entries = reduced.tolist()[:rank]
    rows = tuple(next(i for i, value in enumerate(row) if value != 0) for row in entries)
    basis = flint.fmpq_mat(entries).transpose()
    whole = problem.x.transpose(1, 0, 2).reshape(-1, problem.D)
    inputs = flint.fmpq_mat([[_fraction(flint, value) for value in whole[i]] for i in rows])
    times = [i // P for i in rows]
    # h^(t+1) of a pattern takes what h^t of the same pattern is made of
    before = [basis.tolist()[i - P] if i >= P else [flint.fmpq(0)] * rank for i in rows]
    groups: list[set[int]] = [set(times)] if problem.arch == "rnn" else [{t} for t in range(1, problem.n)]
    maps = []
    for group in groups:
        kept = [row if t in group else [flint.fmpq(0)] * rank for row, t in zip(before, times, strict=True)]
        maps.append(flint.fmpq_mat(kept))
    return ExactSpace(rows, basis, inputs * inputs.transpose(), tuple(maps))


def _responses(problem: Problem) -> Any:
    """Responses to independent weights, (nP, columns): their span is the range of the random network's kernel.

    RNN: those to W^k U, one for each k. DNN: those to U, and for each time those of the fresh W to the span of the time
    before.
    """
    flint = flint_module()
    n, P, D = problem.n, problem.P, problem.D
    x = [[[_fraction(flint, value) for value in problem.x[p, s]] for p in range(P)] for s in range(n)]
    zero = flint.fmpq(0)
    rows = []
    for t in range(n):
        for p in range(P):
            if problem.arch == "rnn":
                row = [value for k in range(n) for value in (x[t - k][p] if k <= t else [zero] * D)]
            else:
                row = list(x[t][p])
                for after in range(1, n):
                    row += [value for s in range(after) for value in (x[s][p] if after == t else [zero] * D)]
            rows.append(row)
    return flint.fmpq_mat(rows)


def _fraction(flint: Any, value: float) -> Any:
    return flint.fmpq(*float(value).as_integer_ratio())


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
        maps: the D_k, with √w in them.
        inputs: ``X̂``.
        readout: ``T̂``, (s, m).
        labels: y, (s, 1).
        v, kappa: balls.
    """

    size: int
    L: Any
    maps: tuple[Any, ...]
    inputs: Any
    readout: Any
    labels: Any
    v: Any
    kappa: Any

    @classmethod
    def around(cls, problem: Problem, space: ExactSpace, L: FloatArray) -> BallFunctional:
        """The functional of a problem in the frame of ``H_0 = LLᵀ``, (m, m) in the space's basis."""
        flint = flint_module()
        arb, m = flint.arb, len(L)
        frame = flint.arb_mat(L.tolist())
        inverse = frame.inv()
        root = arb(problem.w).sqrt()
        maps = [root * (inverse * ball_matrix(A) * frame) for A in space.maps]
        X = arb(problem.u) / problem.D * ball_matrix(space.inputs)
        whole = space.basis.tolist()
        supervised = ball_matrix(flint.fmpq_mat([whole[int(i)] for i in problem.supervised]))
        return cls(
            size=m,
            L=frame,
            maps=tuple(maps),
            inputs=inverse * X * inverse.transpose(),
            readout=supervised * frame,
            labels=flint.arb_mat([[float(value)] for value in problem.labels]),
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
        covariance = _sum(self.inputs, (D * H * D.transpose() for D in self.maps))
        noisy = self.v * (self.readout * H * self.readout.transpose())
        for k in range(noisy.nrows()):
            noisy[k, k] = noisy[k, k] + self.kappa
        return BallPoint(self, H, H.inv(), covariance, covariance.inv(), noisy.inv())


@dataclass(frozen=True, eq=False)
class BallPoint:
    """F's derivatives at one matrix of balls: every value for an Ĥ inside is inside what is returned.

    Attributes:
        functional: F in its frame.
        H, inverse, covariance, precision: Ĥ, Ĥ⁻¹, Ĉ, Ĉ⁻¹.
        gain: ``(vT̂ĤT̂ᵀ + κ)⁻¹``.
    """

    functional: BallFunctional
    H: Any
    inverse: Any
    covariance: Any
    precision: Any
    gain: Any

    def free_energy(self) -> Any:
        """``F``, with the ``-m/2`` that makes the entropy a divergence."""
        f = self.functional
        energy = (f.labels.transpose() * self.gain * f.labels)[0, 0]
        entropy = (self.H * self.precision).trace() - f.size - self.H.det().log() + self.covariance.det().log()
        return (energy + entropy) / 2

    def gradient(self) -> Any:
        """``2 ∂F/∂Ĥ``, (m, m), every entry taken as independent."""
        f = self.functional
        pull = f.readout.transpose() * (self.gain * f.labels)
        total = self.precision - self.inverse - f.v * (pull * pull.transpose())
        response = self.precision - self.precision * self.H * self.precision
        return _sum(total, (D.transpose() * response * D for D in f.maps))

    def gradient_change(self, S: Any) -> Any:
        """The derivative of ``gradient`` along a symmetric direction, (m, m)."""
        f, Q = self.functional, self.precision
        change = _sum(0 * S, (D * S * D.transpose() for D in f.maps))
        K = Q * change * Q
        KHQ = K * self.H * Q
        response = KHQ + KHQ.transpose() - K - Q * S * Q
        pull = f.readout.transpose() * (self.gain * f.labels)
        moved = f.v * (f.readout.transpose() * (self.gain * (f.readout * (S * pull))))
        rank = moved * pull.transpose()
        total = self.inverse * S * self.inverse - K + f.v * (rank + rank.transpose())
        return _sum(total, (D.transpose() * response * D for D in f.maps))

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
