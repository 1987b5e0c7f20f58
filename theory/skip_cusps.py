"""Cusps of the (λ, a) plane for networks with a skip connection, any sharing matrix and T, to any precision (mpmath).

See docs/theory.md section 11. Units ``u = v = w = 1``. With ``A'`` the last n-1 rows of ``1 - aΣ``, ``E = H_{1…n-1}``,
``K = (M∘E)⁻¹`` and ``B = A'HA'ᵀ``,

``2F = λ/(H^{nn}+κ) + H^{11} + tr BK - n - ln(|H|/|M∘E|)``,

``∂(2F)/∂H = A'ᵀKA' + e₁e₁ᵀ - λ/(H^{nn}+κ)² e_n e_nᵀ - H⁻¹ + pad(M∘(K - KBK))``,

and its derivatives along a direction follow term by term. At fixed a and κ the states are curves, λ(ψ) with ψ =
``H^{n,n-1}``; at a cusp ``dλ/dψ = 0``, so that the curve's tangent V is a null vector of the Hessian, and
``F'''[V,V,V] = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpmath import mp
from sympy import Expr, Integer, Rational, sympify

from theory.kernel import require_horizon, require_noise
from theory.landau import landau_expansion
from theory.sharing import RNN, SharingFamily
from theory.sharing_landau import exact_quartic
from theory.sharing_stability import Instability, instability
from theory.sharing_transition import NeverCoherent, noise_without_quartic
from theory.skip_unfolding import unfolding, wing

#: Newton's steps for one state, and for the cusp.
STEPS = 60
#: Of the first cusp on the way to another noise: κ - κ_t over r_c^n; and the factor from one to the next.
FIRST, GROWTH = 0.05, 2.0
#: Digits on the way there.
ROUGH = 15


@dataclass(frozen=True)
class _Network:
    """F of one network at one skip and noise; its derivatives at a kernel."""

    M: Any
    skip: Any
    kappa: Any

    @property
    def n(self) -> int:
        return int(self.M.rows) + 1

    def at(self, H: Any, signal: Any) -> _Point:
        n = self.n
        rows = mp.zeros(n - 1, n)
        for t in range(n - 1):
            rows[t, t + 1], rows[t, t] = mp.mpf(1), -self.skip
        K = mp.inverse(self.shared(H))
        return _Point(self, H, signal, rows, K, rows * H * rows.T, mp.inverse(H))

    def shared(self, H: Any) -> Any:
        """``M∘E``."""
        return mp.matrix([[self.M[s, t] * H[s, t] for t in range(self.n - 1)] for s in range(self.n - 1)])


@dataclass(frozen=True)
class _Point:
    """``∂(2F)/∂H`` and its derivatives along directions, symmetric matrices."""

    network: _Network
    H: Any
    signal: Any
    rows: Any
    K: Any
    B: Any
    inverse: Any

    def padded(self, whole: Any, early: Any) -> Any:
        """``whole + pad(M∘early)``."""
        for s in range(early.rows):
            for t in range(early.rows):
                whole[s, t] += self.network.M[s, t] * early[s, t]
        return whole

    def reach(self) -> Any:
        n = self.network.n
        return self.H[n - 1, n - 1] + self.network.kappa

    def gradient(self) -> Any:
        G = self.rows.T * self.K * self.rows - self.inverse
        G[0, 0] += 1
        G[G.rows - 1, G.rows - 1] -= self.signal / self.reach() ** 2
        return self.padded(G, self.K - self.K * self.B * self.K)

    def first(self, V: Any) -> Any:
        """The gradient's derivative along V."""
        K, B, last = self.K, self.B, self.H.rows - 1
        moved = -K * self.network.shared(V) * K
        crossed = moved * B * K
        G = self.rows.T * moved * self.rows + self.inverse * V * self.inverse
        G[last, last] += 2 * self.signal * V[last, last] / self.reach() ** 3
        return self.padded(G, moved - crossed - crossed.T - K * (self.rows * V * self.rows.T) * K)

    def second(self, V: Any) -> Any:
        """The gradient's second derivative along V."""
        K, B, last = self.K, self.B, self.H.rows - 1
        D, driven = self.network.shared(V), self.rows * V * self.rows.T
        moved = -K * D * K
        twice = 2 * K * D * K * D * K
        outer, crossed = twice * B * K, 2 * moved * driven * K
        G = self.rows.T * twice * self.rows - 2 * self.inverse * V * self.inverse * V * self.inverse
        G[last, last] -= 6 * self.signal * V[last, last] ** 2 / self.reach() ** 4
        return self.padded(G, twice - outer - outer.T - 2 * moved * B * moved - crossed - crossed.T)


def _places(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i, n)]


def _vector(matrix: Any, n: int) -> list[Any]:
    return [matrix[i, j] for i, j in _places(n)]


def _symmetric(values: Any, n: int) -> Any:
    matrix = mp.zeros(n, n)
    for (i, j), value in zip(_places(n), values, strict=True):
        matrix[i, j] = matrix[j, i] = value
    return matrix


def _bordered(point: _Point) -> Any:
    """The Hessian with the column of λ and the row of ψ = H^{n,n-1}."""
    n = point.network.n
    places = _places(n)
    size = len(places)
    matrix = mp.zeros(size + 1, size + 1)
    for k, (i, j) in enumerate(places):
        V = mp.zeros(n, n)
        V[i, j] = V[j, i] = mp.mpf(1)
        column = _vector(point.first(V), n)
        for row in range(size):
            matrix[row, k] = column[row]
    matrix[size - 1, size] = -1 / point.reach() ** 2
    matrix[size, places.index((n - 2, n - 1))] = mp.mpf(1)
    return matrix


def state_at(network: Any, order_parameter: Any, H: Any, signal: Any) -> tuple[Any, Any]:
    """The stationary kernel with a given ψ, and its λ, by Newton's method from a kernel and a λ.

    Raises:
        ArithmeticError: if it does not converge.
    """
    n = network.n
    H = H.copy()
    H[n - 2, n - 1] = H[n - 1, n - 2] = order_parameter
    for _ in range(STEPS):
        point = network.at(H, signal)
        right = [-x for x in _vector(point.gradient(), n)] + [mp.mpf(0)]
        step = list(mp.lu_solve(_bordered(point), mp.matrix(right)))
        moved, scale = step[:-1], mp.mpf(1)
        change = _symmetric(moved, n)
        while not _positive(H + scale * change):
            scale /= 2
            if scale < mp.mpf(2) ** -40:
                raise ArithmeticError("no step leaves the kernel positive definite")
        H, signal = H + scale * change, signal + scale * step[-1]
        size = max(abs(x) for x in step) / (1 + abs(signal))
        if scale == 1 and size < mp.eps ** (mp.mpf(3) / 5):
            return H, signal
    raise ArithmeticError("Newton's method has not converged to a state")


def _positive(H: Any) -> bool:
    try:
        mp.cholesky(H)
    except ValueError:
        return False
    return True


def fold_and_cusp(network: Any, H: Any, signal: Any) -> tuple[Any, Any]:
    """``dλ/dψ`` and ``F'''[V,V,V]`` at a state, V the tangent of its curve: both vanish at a cusp."""
    n = network.n
    point = network.at(H, signal)
    matrix = _bordered(point)
    tangent = mp.lu_solve(matrix, mp.matrix([0] * (matrix.rows - 1) + [1]))
    V = _symmetric(list(tangent)[:-1], n)
    bent = point.second(V)
    third = mp.fsum(bent[i, j] * V[i, j] for i in range(n) for j in range(n)) / 2
    return tangent[matrix.rows - 1], third


@dataclass(frozen=True)
class Cusp:
    """A cusp of the (λ, a) plane, mpmath numbers.

    Attributes:
        T: of the network.
        kappa: κ.
        skip: a.
        signal: λ.
        kernel: H, n × n.
    """

    T: int
    kappa: Any
    skip: Any
    signal: Any
    kernel: Any


def skip_cusp(T: int, kappa: Expr, digits: int = 40) -> Cusp:
    """Where, at this noise, the RNN's discontinuous transition ends as the skip grows, to so many digits.

    From the wing's cusp near the tricritical κ (``theory.skip_unfolding``) on to κ, step by step.

    Args:
        T: an integer ≥ 4.
        kappa: exact, beyond the tricritical κ.
        digits: of λ and a.

    Raises:
        ValueError: one line, where the transition at a = 0 is continuous.
        ArithmeticError: if the search does not converge.
    """
    require_horizon(T, 4)
    noise = require_noise(kappa, number=True)
    tricritical = wing_noise(T)
    if noise <= tricritical:
        raise ValueError(f"kappa: is {kappa}; accepted: above the tricritical {float(tricritical):.6g} at T = {T}")
    with mp.workdps(ROUGH):
        excess = _number(noise - tricritical)
        ratio = _number(_first_instability(T).ratio)
        # not below κ = 0, where the tricritical κ is
        first = min(excess, max(FIRST * ratio ** (T - 1), -_number(tricritical)))
        steps = int(mp.ceil(mp.log(excess / first) / mp.log(GROWTH)))
        offsets = [first * (excess / first) ** (mp.mpf(k) / steps) for k in range(steps)] if steps else []
        found = _started(T, tricritical, offsets[0] if offsets else excess)
        before = offsets[0] if offsets else excess
        for offset in [*offsets[1:], excess]:
            stretch = offset / before
            guess = (found[0] * mp.sqrt(stretch), found[1] * stretch**2)
            found, before = _solved(T, _number(tricritical) + offset, guess, found[2], found[3]), offset
    with mp.workdps(digits + 15):
        _, skip, H, signal = _solved(T, _number(noise), found[:2], found[2], found[3])
        return Cusp(T, _number(noise), skip, signal, H)


def wing_noise(T: int) -> Expr:
    """The RNN's κ beyond which wings leave a = 0; below 0 where the transition is discontinuous at every κ ≥ 0."""
    return noise_without_quartic(*exact_quartic(RNN.matrix(T - 1), _first_instability(T)))


def _first_instability(T: int) -> Instability:
    found = instability(RNN.matrix(T - 1))
    if found is None:
        raise NeverCoherent(RNN, T)
    return found


def _number(value: Expr) -> Any:
    return mp.mpf(sympify(value).evalf(mp.dps + 5))


def _network(T: int, arch: SharingFamily, skip: Any, kappa: Any) -> _Network:
    M = arch.matrix(T - 1)
    return _Network(mp.matrix([[_number(M[s, t]) for t in range(T - 2)] for s in range(T - 2)]), skip, kappa)


def _started(T: int, tricritical: Expr, offset: Any) -> tuple[Any, Any, Any, Any]:
    """The cusp at ``κ_t + offset`` from the wing's leading order."""
    near = max(Rational(str(mp.nstr(_number(tricritical) + offset, 12))), Integer(0))
    expansion = landau_expansion(T, near, RNN)
    leading = wing(expansion, unfolding(T, Integer(0), RNN).overlap)
    ratio, amplitude = _number(leading.ratio), _number(leading.amplitude)
    n = T - 1
    H = mp.diag([ratio**t for t in range(1, n + 1)])
    kappa = _number(near)
    signal = (ratio - 1) * (ratio**n + kappa) ** 2 / ratio**n
    order_parameter = ratio ** (n - mp.mpf(1) / 2) * amplitude
    return _solved(T, kappa, (order_parameter, _number(leading.skip)), H, signal)


def _solved(T: int, kappa: Any, guess: tuple[Any, Any], H: Any, signal: Any) -> tuple[Any, Any, Any, Any]:
    """ψ, a, H and λ of the cusp at this κ: Newton's method for its two conditions, from a guess of ψ and a."""
    place = mp.matrix([+guess[0], +guess[1]])
    step = mp.eps ** (mp.mpf(1) / 3)

    def conditions(order_parameter: Any, skip: Any, H: Any, signal: Any) -> tuple[Any, Any, Any]:
        network = _network(T, RNN, skip, kappa)
        H, signal = state_at(network, order_parameter, H, signal)
        return mp.matrix(fold_and_cusp(network, H, signal)), H, signal

    for _ in range(STEPS):
        value, H, signal = conditions(place[0], place[1], H, signal)
        columns = []
        for k in range(2):
            moved = place.copy()
            moved[k] *= 1 + step
            columns.append((conditions(moved[0], moved[1], H, signal)[0] - value) / (place[k] * step))
        slope = mp.matrix([[columns[0][0], columns[1][0]], [columns[0][1], columns[1][1]]])
        change = -mp.lu_solve(slope, value)
        scale = min(mp.mpf(1), *(abs(place[k] / change[k]) / 4 for k in range(2) if change[k]))
        place += scale * change
        if max(abs(change[k] / place[k]) for k in range(2)) < mp.eps ** (mp.mpf(1) / 2):
            value, H, signal = conditions(place[0], place[1], H, signal)
            # one more step with the slope that is there: the error is squared
            place -= mp.lu_solve(slope, value)
            _, H, signal = conditions(place[0], place[1], H, signal)
            return place[0], place[1], H, signal
    raise ArithmeticError(f"the cusp's conditions are not met at T = {T}, kappa = {mp.nstr(kappa, 8)}")
