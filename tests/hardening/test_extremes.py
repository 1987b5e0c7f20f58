"""Numerical extremes against solutions that share no code with the solvers: closed forms and Newton at 60 digits.

The references write the stationarity of docs/theory.md section 3 with mpmath matrices, for any small problem, and the
incoherent branch of endpoint supervision in its one ratio r. A solver may refuse or say that it has not converged; what
it calls converged must be right.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from numerics import Problem, endpoint, scan, sequence, solve
from numerics.errors import InputError
from numerics.predictors.finite_width import kernel_sd
from numerics.results.readout import mean_outputs

DIGITS = 60


def ratios(T: int, signal: mpf, kappa: mpf) -> list[mpf]:
    """Every r of the incoherent branch, λ = (r-1)(r^n+κ)²/r^n: three where large noise makes λ(r) bend back."""
    n, grid = T - 1, [mpf(k) / 4 for k in range(-480, 160)]

    def excess(s: mpf) -> mpf:
        r = 1 + mpmath.exp(s)
        return s + 2 * mpmath.log(r**n + kappa) - n * mpmath.log(r) - mpmath.log(signal)

    values = [excess(s) for s in grid]
    return [
        1 + mpmath.exp(mpmath.findroot(excess, (a, b), solver="anderson", tol=mpf(10) ** -90))
        for a, b, x, y in zip(grid, grid[1:], values, values[1:], strict=False)
        if x * y <= 0
    ]


def incoherent_free_energy(T: int, r: mpf, signal: mpf, kappa: mpf) -> mpf:
    """``½λ/(r^n+κ) + ½ n (r - 1 - ln r)``: each step of the chain multiplies the variance by r."""
    n = T - 1
    return signal / (r**n + kappa) / 2 + n * (r - 1 - mpmath.log(r)) / 2


def check_incoherent(T: int, signal: mpf, kappa: mpf, arch: str) -> None:
    """`solve` on the incoherent branch is the closed form's state of lowest free energy."""
    with mpmath.workdps(DIGITS):
        found = ratios(T, signal, kappa)
        r = min(found, key=lambda ratio: incoherent_free_energy(T, ratio, signal, kappa))
        exact = np.array([float(r**t) for t in range(1, T)])
        F = float(incoherent_free_energy(T, r, signal, kappa))
    solution = solve(endpoint(T, float(signal), arch=arch, kappa=float(kappa)))  # type: ignore[arg-type]
    assert solution.converged
    assert solution.branch == "incoherent"
    np.testing.assert_allclose(np.diagonal(solution.kernel), exact, rtol=1e-9)
    size = np.sqrt(np.outer(exact, exact))
    assert np.abs(solution.kernel / size - np.eye(T - 1)).max() < 1e-9
    assert solution.free_energy == pytest.approx(F, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize(
    ("T", "arch", "signal", "kappa"),
    [
        (3, "rnn", 1e-12, 1e12),
        (4, "dnn", 1e12, 1e-12),
        *(
            pytest.param(T, arch, signal, kappa, marks=pytest.mark.slow)
            for T, arch, signal in ((3, "rnn", 1e6), (4, "dnn", 1e-12), (4, "dnn", 1e6), (8, "dnn", 1e12))
            for kappa in (0.0, 1e-12, 1.0, 1e12)
        ),
    ],
)
def test_incoherent_kernels_at_extreme_signals_and_noises(T: int, arch: str, signal: float, kappa: float):
    check_incoherent(T, mpf(signal), mpf(kappa), arch)


# --- any small problem: Newton in mpmath ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """A problem in mpmath, in coordinates that measure each entry by the kernel that Newton starts from."""

    problem: Problem
    scale: list[mpf]

    @property
    def rows(self) -> int:
        return self.problem.n * self.problem.P

    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.rows) for j in range(i, self.rows)]

    def kernel(self, z: list[mpf]) -> mpmath.matrix:
        H = mpmath.zeros(self.rows)
        for (i, j), value in zip(self.pairs(), z, strict=True):
            H[i, j] = H[j, i] = value * self.scale[i] * self.scale[j]
        return H

    def covariance(self, H: mpmath.matrix) -> mpmath.matrix:
        p, rows = self.problem, self.rows
        x = p.x.transpose(1, 0, 2).reshape(rows, p.D)
        C = mpmath.zeros(rows)
        for i in range(rows):
            for j in range(rows):
                C[i, j] = mpf(p.u) * mpmath.fsum(mpf(a) * mpf(b) for a, b in zip(x[i], x[j], strict=True)) / p.D
                same = p.arch == "rnn" or i // p.P == j // p.P
                if min(i, j) >= p.P and same:
                    C[i, j] += mpf(p.w) * H[i - p.P, j - p.P]
        return C

    def dual(self, H: mpmath.matrix) -> dict[int, mpf]:
        """``(v𝒯H𝒯ᵀ+κ)⁻¹y`` at the supervised positions."""
        p, T = self.problem, [int(a) for a in self.problem.supervised]
        gram = mpmath.matrix([[mpf(p.v) * H[a, b] + (mpf(p.kappa) if a == b else 0) for b in T] for a in T])
        return dict(zip(T, mpmath.lu_solve(gram, mpmath.matrix([mpf(y) for y in p.labels])), strict=True))

    def gradient(self, *z: mpf) -> list[mpf]:
        """∂F/∂z for each independent entry."""
        p, H = self.problem, self.kernel(list(z))
        inverse = self.covariance(H) ** -1
        message = inverse - inverse * H * inverse
        G = (inverse - H**-1) / 2
        q = self.dual(H)
        for i in range(self.rows):
            for j in range(self.rows):
                if max(i, j) + p.P < self.rows and (p.arch == "rnn" or i // p.P == j // p.P):
                    G[i, j] += mpf(p.w) * message[i + p.P, j + p.P] / 2
                if i in q and j in q:
                    G[i, j] -= mpf(p.v) * q[i] * q[j] / 2
        return [(1 if i == j else 2) * (G[i, j] + G[j, i]) / 2 * self.scale[i] * self.scale[j] for i, j in self.pairs()]

    def hessian(self, z: list[mpf]) -> mpmath.matrix:
        """By central differences of the gradient, good to half the digits and more."""
        step, size = mpf(10) ** -20, len(z)
        columns = []
        for k in range(size):
            ends = [self.gradient(*(value + sign * step * (i == k) for i, value in enumerate(z))) for sign in (1, -1)]
            columns.append([(a - b) / (2 * step) for a, b in zip(*ends, strict=True)])
        return mpmath.matrix(columns)


def check_against_newton(problem: Problem, tolerance: float = 1e-9) -> None:
    """Kernel, prediction and fluctuations of what `solve` calls converged, against 60 digits."""
    solution = solve(problem)
    assert solution.converged
    with mpmath.workdps(DIGITS):
        reference = Reference(problem, [mpmath.sqrt(mpf(d)) for d in np.diagonal(solution.kernel)])
        z = [mpf(solution.kernel[i, j]) / (reference.scale[i] * reference.scale[j]) for i, j in reference.pairs()]
        for _ in range(4):
            change = mpmath.lu_solve(reference.hessian(z), mpmath.matrix(reference.gradient(*z)))
            z = [value - delta for value, delta in zip(z, change, strict=True)]
        assert max(abs(delta) for delta in change) < mpf(10) ** -30, "the reference has converged"
        H = reference.kernel(z)
        exact = np.array(H.tolist(), dtype=float)
        covariance = reference.hessian(z) ** -1
        sd = np.zeros_like(exact)
        for k, (i, j) in enumerate(reference.pairs()):
            sd[i, j] = sd[j, i] = float(mpmath.sqrt(covariance[k, k] / 100) * reference.scale[i] * reference.scale[j])
        q = reference.dual(H)
        outputs = [mpf(problem.v) * mpmath.fsum(H[a, b] * q[b] for b in q) for a in range(reference.rows)]
        mean = np.array([float(f) for f in outputs]).reshape(problem.n, problem.P).T
    size = np.sqrt(np.outer(np.diagonal(exact), np.diagonal(exact)))
    np.testing.assert_allclose(solution.kernel / size, exact / size, atol=tolerance)
    np.testing.assert_allclose(mean_outputs(solution), mean, atol=1e4 * tolerance * np.abs(problem.labels).max())
    np.testing.assert_allclose(kernel_sd(solution, 100) / size, sd / size, rtol=1e3 * tolerance)


SMALL = {
    "coherent": lambda: endpoint(4, 20.0),
    "tiny widths": lambda: endpoint(4, 20.0, u=1e-6, v=1e-6, w=1e-6, kappa=1e-24),
    "tiny inputs": lambda: Problem(1e-12 * np.ones((1, 2)), np.array([[np.nan, np.nan, 1e-11]]), kappa=1e-26),
}
SLOW = {
    "coherent, strong signal": lambda: endpoint(4, 1e6, kappa=1e-12),
    "huge widths": lambda: endpoint(4, 20.0, u=1e6, v=1e6, w=1e6, kappa=1e24),
    "huge inputs": lambda: Problem(1e12 * np.ones((1, 2)), np.array([[np.nan, np.nan, 1e13]]), kappa=1e22),
    "sequence": lambda: sequence(4, 1.2566, 3.0, (1, 3)),
    "sequence, DNN, little noise": lambda: sequence(4, 1.2566, 3.0, (1, 3), arch="dnn", kappa=1e-9),
    "sequence, strong": lambda: sequence(4, 0.7, 1e3, (3,), kappa=1e-3),
    "coherent, strongest signal": lambda: endpoint(4, 1e12),
    "coherent, strongest signal, no noise": lambda: endpoint(4, 1e12, kappa=0.0),
    "longer": lambda: endpoint(6, 1e4),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_problems_agree_with_newton_at_60_digits(name: str):
    check_against_newton(SMALL[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_more_problems_agree_with_newton_at_60_digits(name: str):
    check_against_newton(SLOW[name](), 1e-8)


def test_the_reference_would_see_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch):
    import tests.hardening.test_extremes as here

    right = here.solve
    monkeypatch.setattr(here, "solve", lambda problem: right(problem.with_(w=1.0 + 1e-6)))
    with pytest.raises(AssertionError):
        check_against_newton(endpoint(4, 20.0))


def silent(**options) -> Problem:
    """One pattern with input at first, and the label 0 after twelve times."""
    arch = "matrix" if "sharing" in options else "rnn"
    return Problem([[1.0]], [[*[np.nan] * 11, 0.0]], **{"arch": arch, **options})


# --- refused, with the reason ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: endpoint(4, 1e16), "signal: is 1e\\+16; accepted: at most 1e\\+15"),
        (lambda: endpoint(64, 1.0, w=1e6), "w: gives the scale 1e\\+372 at t = 63"),
        (lambda: endpoint(64, 1.0, w=1e-6), "w: gives the scale 1e-372 at t = 63"),
        (lambda: silent(w=1e-6), "w: gives the scale 1e-66 at t = 12"),
        (lambda: silent(arch="dnn", u=1e-58, w=0.1), "w: gives the scale 1e-69 at t = 12"),
        (lambda: silent(sharing=1e6 * np.eye(11)), "w: gives the scale 1e\\+66 at t = 12"),
        (lambda: silent(w=1e-6, skip=1e3), "w: gives the scale 1e-66 at t = 12"),
        (lambda: silent(skip=999.0), "skip: gives the scale 1e\\+66 at t = 12"),
        (lambda: silent(bias=1e59), "w: gives the scale 1e\\+61 at t = 12"),
        (lambda: endpoint(4, 1.0, kappa=1e300), "kappa: is 1e\\+300"),
        (lambda: endpoint(10**9, 1.0), "T: is 1000000000"),
        (lambda: Problem([[1e-200]], [[1.0]]), "x: has inputs of size 1e-200"),
        (lambda: Problem([[1e-20]], [[1.0]]), "y: has at t = 1 a label whose square is 1e\\+40 times v H_0"),
        (lambda: sequence(7, 1.0, 1e40, (1,)), "amplitude: is 1e\\+40"),
    ],
)
def test_what_double_precision_cannot_carry_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    "options",
    [
        {"w": 1e-5, "arch": "dnn"},
        {"w": 1e-6, "sharing": 1e6 * np.eye(11)},
        {"w": 1e6, "sharing": 1e-6 * np.eye(11)},
        {"bias": 1e57},
    ],
)
def test_scales_at_which_networks_of_twelve_times_stay_within_double_precision_are_accepted(options):
    assert silent(**options).n == 12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("T", "signals"),
    # four coherent branches are followed at T = 5: the last decades are left to T = 3 and 4
    [(T, (1e-12, 1e-6)) for T in (3, 4, 5)] + [(3, (1e6, 1e12)), (4, (1e6, 1e12)), (5, (1e6, 1e8))],
)
def test_scans_at_extreme_signals_are_right_or_absent(T: int, signals: tuple[float, float]):
    found = scan(endpoint(T, 1.0), {"signal": np.geomspace(*signals, 3)})
    (base,) = (branch for branch in found.branches if branch.name == "incoherent")
    with mpmath.workdps(DIGITS):
        for k, signal in enumerate(found.value):
            (r,) = ratios(T, mpf(signal), mpf(1))
            exact = np.array([float(r**t) for t in range(1, T)])
            kernel = base.kernel[k]
            assert np.isnan(kernel).all() or np.allclose(np.diagonal(kernel), exact, rtol=1e-9)
