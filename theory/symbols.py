"""Every symbol of the theory, defined once, with its assumptions (docs/theory.md sections 1 and 5)."""

from __future__ import annotations

from functools import cache

from sympy import Symbol

#: Prior widths: U ~ N(0, u/D), V ~ N(0, v/N²), W ~ N(0, w/N).
u = Symbol("u", positive=True)
v = Symbol("v", positive=True)
w = Symbol("w", positive=True)
#: Noise of the likelihood, K = κ/N. Non-negative, so that the limit κ = 0 may be substituted.
kappa = Symbol("kappa", nonnegative=True)
#: Learning signal λ = ‖y‖²/(v w^(T-2) u) of endpoint supervision. SymPy's spelling, since "lambda" does not parse.
signal = Symbol("lamda", nonnegative=True)
#: Index of the last output and number of hidden times, n = T - 1.
T = Symbol("T", integer=True, positive=True)
n = Symbol("n", integer=True, positive=True)
#: Number of patterns, and of supervised pairs (t, p).
P = Symbol("P", integer=True, positive=True)
m = Symbol("m", integer=True, positive=True)
#: Hidden time as a running index, and lag between two hidden times.
t = Symbol("t", integer=True, positive=True)
lag = Symbol("l", integer=True, nonnegative=True)
#: Share of the last kernel entry in what the likelihood inverts, ζ = v H^{nn}/(v H^{nn} + κ): 1 at κ = 0.
zeta = Symbol("zeta", positive=True)
#: Width of the network.
N = Symbol("N", integer=True, positive=True)
#: Growth ratio h_t / h_(t-1) of the incoherent branch, its one parameter.
r = Symbol("r", positive=True)
#: Parameter of the coherent branch at T = 4, ``H^{11}/u``; s = 2 is the critical point.
s = Symbol("s", positive=True)
#: Kernel of T = 4 as two regressions on time 2 (``theory.coherent_branch``): slopes p, q, residual variances α, δ,
#: residual covariance γ, variance c of time 2; η = q/p, and the energy's stress μ = λ/(H^{33}+κ)².
p, q = Symbol("p", real=True), Symbol("q", real=True)
alpha, delta, c = (Symbol(name, positive=True) for name in ("alpha", "delta", "c"))
gamma = Symbol("gamma", real=True)
eta = Symbol("eta", positive=True)
mu = Symbol("mu", nonnegative=True)
#: Correlation of the matrices of different times in `shared:ρ`, of neighbouring times in `drift:ρ` (theory.sharing).
rho = Symbol("rho", positive=True)
#: Weight a of the skip connection, and variance β of the biases, whose plain name is a function of SymPy's.
skip = Symbol("a", nonnegative=True)
beta = Symbol("beta_b", nonnegative=True)
#: Coherence of successive times in units of the skip's: ``H^{t,t+1}/H^{tt}`` over a.
g = Symbol("g", real=True)
#: Second parameter of the states with a skip at T = 4 (``theory.skip_tied``); 2/a² where g = 1.
chi = Symbol("chi", positive=True)
#: Complex variable of characteristic polynomials: the eigenvalues of W.
z = Symbol("z")


@cache
def kernel_entry(t: int, s: int) -> Symbol:
    """``H^{ts}``, one symbol for both orders of its times: positive on the diagonal, real off it."""
    a, b = sorted((int(t), int(s)))
    name = f"H_{a}{b}" if b < 10 else f"H_{a}_{b}"
    return Symbol(name, positive=True) if a == b else Symbol(name, real=True)


@cache
def label(t: int) -> Symbol:
    """``y^t``, the label of output ``f^(t+1)`` at hidden time t, one pattern."""
    return Symbol(f"y_{t}", real=True)


@cache
def label_propagator(t: int) -> Symbol:
    """``E_t = 1/(v h_t + κ)``, the likelihood's inverse on the prior kernel's diagonal ``h_t``."""
    return Symbol(f"E_{t}", positive=True)


@cache
def supervised_rows(output: int) -> Symbol:
    """Number of supervised pairs of output c = 1, 2, …; m where there is one output only, c = 0."""
    return Symbol(f"m_{output}", integer=True, positive=True) if output else m


@cache
def joint_entry(name: str, first: tuple[int, int], second: tuple[int, int]) -> Symbol:
    """An entry of a symmetric matrix over the joint index, each place a time and a pattern: one symbol for both orders.

    ``H_11_32`` is ``H^{13}_{12}``, between (t, p) = (1, 1) and (3, 2).
    """
    places = "_".join(map(_place, sorted((first, second))))
    return Symbol(f"{name}_{places}", real=True)


@cache
def joint_label(place: tuple[int, int], output: int = 0) -> Symbol:
    """The label at a time and a pattern, ``y_12`` for (t, p) = (1, 2); ``y_3_12`` that of output 3."""
    return Symbol(f"y_{output}_{_place(place)}" if output else f"y_{_place(place)}", real=True)


def _place(place: tuple[int, int]) -> str:
    t, p = place
    return f"{t}{p}" if max(place) < 10 else f"{t}p{p}"
