"""The linear network's free energy in ball arithmetic: value, gradient and Hessian of F for any problem (THEORY.md
section 3).

Around a kernel ``H_0 = LLᵀ``, L any exact lower-triangular matrix of floats, kernels are ``H = L Ĥ Lᵀ``. In this frame
``Ĉ = L⁻¹CL⁻ᵀ = Σ_k D_k Ĥ D_kᵀ + X̂``, with one D_k for the RNN and one for each time that the DNN's mask lets pass, and

``2 ∂F/∂Ĥ = Ĉ⁻¹ - Ĥ⁻¹ + Σ_k D_kᵀ (Ĉ⁻¹ - Ĉ⁻¹ĤĈ⁻¹) D_k - v T̂ᵀqqᵀT̂``, ``q = (vT̂ĤT̂ᵀ + κ)⁻¹y``, ``T̂ = 𝒯L``.

Every number is a ball of python-flint's arb that contains the exact value; matrices are ``arb_mat``. The problem's
numbers are taken as the exact binary fractions that they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.problem import InputError, Problem

FloatArray = NDArray[np.float64]


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
    """The kernels that a problem's inputs allow, by an exact basis: ``H_full = Q H Qᵀ``.

    Attributes:
        basis: Q, (nP, m), entries exact floats.
        inputs: ``X⁻`` times D in this basis, (m, m), as fractions.
        block: rows of one time, r.
    """

    basis: FloatArray
    inputs: tuple[tuple[Fraction, ...], ...]
    block: int


def exact_space(problem: Problem) -> ExactSpace:
    """Independent columns of the inputs as a basis of the patterns; the identity where the inputs have full rank.

    Raises:
        InputError: inputs of deficient rank at several times, whose kernels' range is no product of times and patterns.
    """
    flint = flint_module()
    n, P = problem.n, problem.P
    if not problem.x[:, 1:].any():
        start = flint.fmpq_mat(P, problem.D, [_fraction(flint, value) for value in problem.x[:, 0].ravel()])
        reduced, rank = start.rref()
        rows = [[_python(reduced[a, d]) for d in range(problem.D)] for a in range(rank)]
        pivots = [next(d for d, value in enumerate(row) if value) for row in rows]
        if rank == P:  # then the patterns themselves are independent
            rows = [[Fraction(float(value)) for value in row] for row in problem.x[:, 0]]
            q = np.eye(P)
        else:
            q = np.ascontiguousarray(problem.x[:, 0][:, pivots])
        gram = [[sum((a * b for a, b in zip(s, t, strict=True)), Fraction(0)) for t in rows] for s in rows]
        inputs = [[gram[i][j] if max(i, j) < rank else Fraction(0) for j in range(n * rank)] for i in range(n * rank)]
        basis: FloatArray = np.asarray(np.kron(np.eye(n), q), dtype=np.float64)
        return ExactSpace(basis, tuple(map(tuple, inputs)), rank)
    whole = problem.x.transpose(1, 0, 2).reshape(n * P, problem.D)
    exact = [[Fraction(float(value)) for value in row] for row in whole]
    gram = [[sum((a * b for a, b in zip(s, t, strict=True)), Fraction(0)) for t in exact] for s in exact]
    first = flint.fmpq_mat(P, problem.D, [_fraction(flint, value) for value in whole[:P].ravel()])
    if first.rref()[1] < P:
        raise InputError(
            "x: has inputs at several times, and those of the first are linearly dependent; "
            "accepted: independent patterns, or inputs at t = 0 only"
        )
    return ExactSpace(np.eye(n * P), tuple(map(tuple, gram)), P)


def _fraction(flint: Any, value: float) -> Any:
    return flint.fmpq(*float(value).as_integer_ratio())


def _python(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))


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
        arb, m, r = flint.arb, len(L), space.block
        frame = flint.arb_mat(L.tolist())
        inverse = frame.inv()
        root = arb(problem.w).sqrt()
        sending = range(0, m - r, r) if problem.arch == "dnn" else range(1)
        maps = []
        for first in sending:
            shifted = np.zeros_like(L)
            sent = slice(first, first + r) if problem.arch == "dnn" else slice(0, m - r)
            shifted[sent.start + r : sent.stop + r] = L[sent]
            maps.append(root * (inverse * flint.arb_mat(shifted.tolist())))
        scale = arb(problem.u) / problem.D
        X = flint.arb_mat([[scale * arb(flint.fmpq(x.numerator, x.denominator)) for x in row] for row in space.inputs])
        supervised = flint.arb_mat(space.basis[problem.supervised].tolist())
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
