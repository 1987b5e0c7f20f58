"""Which matrices of different times are tied: the sharing matrix M of each family, exact (docs/theory.md section 10).

``E[W^(s)_ij W^(t)_ij] = (w/N) M_st`` for s, t = 1 … n-1. A diagonal other than 1 gives each layer a prior width of
its own, and is scaled away: with the prior's variances ``g_1 = u``, ``g_{t+1} = w M_tt g_t`` and ``H^{ts} = √(g_t
g_s) Ĥ^{ts}`` the free energy of endpoint supervision is that of ``Ĥ`` for the correlations ``M_st/√(M_ss M_tt)``, in
units u = v = w = 1, at the signal ``y²/(v g_n)`` and the noise ``κ/(v g_n)``. All that follows is for matrices of
unit diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, ImmutableMatrix, Integer, Rational, sqrt

from theory import symbols
from theory.kernel import shift

ACCEPTED = "rnn, dnn, shared:ρ, drift:ρ (ρ rational from 0 to 1, or rho) or looped:p (an integer p ≥ 1)"


@dataclass(frozen=True)
class SharingFamily:
    """A family of architectures and its parameter.

    Attributes:
        family: ``"shared"``, ``"drift"`` or ``"looped"``. The RNN is ``looped:1``, the DNN ``shared:0``.
        parameter: ρ in [0, 1], exact or ``theory.symbols.rho``; for looped the number p ≥ 1 of distinct layers.
    """

    family: str
    parameter: Expr

    def __str__(self) -> str:
        if self == RNN:
            return "rnn"
        return "dnn" if self == DNN else f"{self.family}:{self.parameter}"

    def correlation(self, lag: int) -> Expr:
        """``M_st`` of two matrices ``lag`` times apart: all three families depend on the distance only."""
        if lag == 0:
            return Integer(1)
        if self.family == "looped":
            return Integer(lag % int(self.parameter) == 0)
        return self.parameter if self.family == "shared" else self.parameter**lag

    def matrix(self, n: int) -> ImmutableMatrix:
        """M, ``(n-1) × (n-1)``."""
        return ImmutableMatrix(n - 1, n - 1, lambda s, t: self.correlation(abs(s - t)))

    def biases(self, n: int) -> ImmutableMatrix:
        """B, ``n × n``: by the rule of the family (docs/theory.md section 11)."""
        apart = self.family == "looped" and self != RNN  # the first layer is U, whose bias is its own

        def entry(s: int, t: int) -> Expr:
            return Integer(0) if apart and s != t and 0 in (s, t) else self.correlation(abs(s - t))

        return ImmutableMatrix(n, n, entry)


RNN = SharingFamily("looped", Integer(1))
DNN = SharingFamily("shared", Integer(0))


def sharing(arch: str) -> SharingFamily:
    """The family that a word names; the ends ρ = 1 and ρ = 0 of shared and drift are the RNN and the DNN.

    Raises:
        ValueError: one line, for any other word.
    """
    if arch in ("rnn", "dnn"):
        return RNN if arch == "rnn" else DNN
    family, _, parameter = arch.partition(":")
    wrong = ValueError(f"arch: is {arch!r}; accepted: {ACCEPTED}")
    if family == "looped":
        if not (parameter.isascii() and parameter.isdigit() and int(parameter) >= 1):
            raise wrong
        return SharingFamily(family, Integer(parameter))
    if family not in ("shared", "drift"):
        raise wrong
    if parameter == symbols.rho.name:
        return SharingFamily(family, symbols.rho)
    try:
        value = Rational(parameter)
    except (TypeError, ValueError):
        raise wrong from None
    if not (value.is_finite and 0 <= value <= 1):
        raise wrong
    return {0: DNN, 1: RNN}.get(value, SharingFamily(family, value))


def correlations(M: ImmutableMatrix) -> ImmutableMatrix:
    """``M_st/√(M_ss M_tt)``, the sharing matrix at unit diagonal."""
    return ImmutableMatrix(*M.shape, lambda s, t: M[s, t] / sqrt(M[s, s] * M[t, t]))


def bias_correlations(M: ImmutableMatrix) -> ImmutableMatrix:
    """B of any M: M at unit diagonal from the second time on; ``B_1t = r B_2t`` with r = ``B_23``, or 0."""
    unit = correlations(M)
    first = unit[0, 1] if M.shape[0] > 1 else Integer(0)

    def entry(s: int, t: int) -> Expr:
        if s == t:
            return Integer(1)
        return first * unit[0, max(s, t) - 1] if 0 in (s, t) else unit[s - 1, t - 1]

    return ImmutableMatrix(M.shape[0] + 1, M.shape[0] + 1, entry)


def prior_variances(M: ImmutableMatrix) -> tuple[Expr, ...]:
    """``g_1 … g_n``, the diagonal of the random network's kernel."""
    variances: list[Expr] = [symbols.u]
    for s in range(M.shape[0]):
        variances.append(symbols.w * M[s, s] * variances[-1])
    return tuple(variances)


def forward_covariance(H: ImmutableMatrix, M: ImmutableMatrix) -> ImmutableMatrix:
    """``C^{s+1,t+1} = w M_st H^{st}``, and u at ``t = t' = 1``."""
    n = H.shape[0]
    shifted = shift(H)

    def entry(s: int, t: int) -> Expr:
        if s and t:
            return symbols.w * M[s - 1, t - 1] * shifted[s, t]
        return symbols.u if s == t else Integer(0)

    return ImmutableMatrix(n, n, entry)
