# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fluctuations of the kernel at finite width
#
# Linear network, label at the last output, one pattern, $n=T-1$ hidden times, width $N\ge n$. At $N\to\infty$ the kernel
# sits at a minimum of $F$. Here: its Gaussian fluctuations $\mathrm{Cov}(H)=(\partial^2F)^{-1}/N$ in closed form, how they
# diverge at the transition, and the shift of the mean at order $1/N$.

# %%
import random
from collections.abc import Callable, Sequence

import mpmath
from mpmath import mp
from sympy import (
    Integer,
    Matrix,
    Rational,
    Symbol,
    cancel,
    diff,
    factor,
    latex,
    limit,
    log,
    oo,
    simplify,
    symbols,
)

from derivations.by_differences import free_energy
from theory import symbols as names
from theory.coherent_branch import coherent_branch
from theory.fluctuations import (
    assert_sector_inverse,
    coherent_covariance,
    coherent_mean_shift,
    divergence,
    incoherent_covariance,
    incoherent_covariance_matrix,
    incoherent_mean_shift,
    order_parameter_variance,
    sector_inverse,
)
from theory.stability import lag_sector

# %% [markdown]
# ## 1. The exact density of the kernel
#
# The rows of $h\in\mathbb R^{N\times n}$ (one neuron's trajectory each) have, with $W$ and $U$ integrated out, the density
#
# $$p(h)=|2\pi C[H]|^{-N/2}\exp\left(-\tfrac N2\,\mathrm{tr}\,HC[H]^{-1}\right),\qquad H=h^\top h/N,$$
#
# exactly: $\int dW\,\mathcal N(W|0,w/N)\,\prod_t\delta(h^{t+1}-Wh^t)$ is Gaussian in $h^+$ with covariance $wH^-$ for given
# $h^-$. It depends on $h$ through $H$ only, so $p(H)$ gets the Wishart Jacobian $|H|^{(N-n-1)/2}$. The read-out is
# $f=Vh^n\sim\mathcal N(0,vH^{nn}/N)$, and with noise $\kappa/N$ the label has density
# $|vH^{nn}+\kappa|^{-1/2}\exp(-\tfrac N2y^2/(vH^{nn}+\kappa))$. Together
#
# $$-\ln P(H|y)=N\,F(H)+A(H)+\text{const},\qquad A=\tfrac12\ln(vH^{nn}+\kappa)+\tfrac{n+1}2\ln|H| .$$
#
# The coordinates are the *independent* entries: $H^{ts}$ with $t<s$ is one variable, although it stands twice in $H$.
#
# **Check** of the Jacobian's exponent for $n=1$: $H=\chi^2_N\,u/N$ has mean $u$ for every $N$, and the formula gives
# $P\propto H^{N/2-1}e^{-NH/2u}$.

# %%
width, u = symbols("N u", positive=True)
H = Symbol("H", positive=True)
action = width * (H / u - log(H)) / 2 + log(H)
density_exponent = -action
# The mean of H^{a-1} e^{-bH} is a/b.
a, b = 1 + cancel(H * diff(density_exponent + width * H / (2 * u), H)), width / (2 * u)
assert simplify(a / b - u) == 0

# %% [markdown]
# ## 2. Incoherent branch: sectors of equal lag
#
# $H=\mathrm{diag}(r,\dots,r^n)$. With $\delta H^{t,t+l}=\sqrt{h_th_{t+l}}\,a_t$ the second variation splits by lag,
# $F_2=\tfrac12a^\top L_la$ for $l\ge1$, and $F_2=\tfrac14a^\top L_0a$ for the diagonal, with $m=n-l$ entries and
#
# $$L=\begin{pmatrix}2r&-r\\-r&2r&-r\\&&\ddots\\&&-r&d\end{pmatrix},\qquad
#   d=1\;(l\ge1),\qquad d=1+2(r-1)\zeta\;(l=0),\quad\zeta=\frac{r^n}{r^n+\kappa}.$$
#
# The lag-0 sector, from $2F=\lambda/(h_n+\kappa)+h_1+\sum_t h_{t+1}/h_t-\ln h_n$ with $h_t=r^t(1+a_t)$: the ratio
# $h_{t+1}/h_t$ contributes $r(a_t^2-a_ta_{t+1})$, the logarithm $\tfrac12a_n^2$, and the energy's second derivative
# $\lambda h_n^2/(h_n+\kappa)^3=(r-1)\zeta$. Interior elements are $r$, as $h_1$ has no second derivative and each
# $a_t$, $t<n$, appears once in a denominator:

# %%
r, kappa = symbols("r kappa", positive=True)
n = 4
steps = symbols(f"a1:{n + 1}")
h = [r ** (t + 1) * (1 + x) for t, x in enumerate(steps)]
lam = (r - 1) * (r**n + kappa) ** 2 / r**n
twice_F = lam / (h[-1] + kappa) + h[0] + sum(later / early for early, later in zip(h, h[1:], strict=False)) - log(h[-1])
zero = dict.fromkeys(steps, 0)
assert all(simplify(diff(twice_F, x).subs(zero)) == 0 for x in steps)
quadratic = Matrix(n, n, lambda i, j: simplify(diff(twice_F, steps[i], steps[j]).subs(zero) / 2))
last = 1 + 2 * (r - 1) * r**n / (r**n + kappa)
L0 = Matrix(n, n, lambda i, j: (last if i == n - 1 else 2 * r) if i == j else (-r if abs(i - j) == 1 else 0))
assert simplify(2 * quadratic - L0) == Matrix.zeros(n, n)
print("2 F_2 at lag 0, n = 4:", latex(quadratic))

# %% [markdown]
# For the off-diagonal sectors the package's $L_l$ is confirmed below against the Hessian of the full $F$.
#
# ## 3. The inverse for symbolic length
#
# $L$ is $r$ times a discrete Laplacian. A column $G_{\cdot s}$ of the inverse is linear before and after its diagonal
# element, vanishes at $t=0$, and obeys $d\,G_m=r\,G_{m-1}$ at the end. With the jump of slope $1/r$,
#
# $$(L^{-1})_{ts}=\frac tr\left[1-\frac{s\,(d-r)}{m(d-r)+r}\right],\qquad t\le s .$$
#
# The six kinds of rows of $LL^{-1}=1$ are checked with $t,s,m$ symbolic. A wrong diagonal would be refused:

# %%
for lag in (0, names.lag):
    assert_sector_inverse(lag_sector(names.T, lag))
for size in (1, 2, 5):
    sector = lag_sector(size + 2, 1)
    exact = sector.matrix().inv()
    closed = Matrix(size, size, lambda i, j: sector_inverse(sector, min(i, j) + 1, max(i, j) + 1))  # noqa: B023
    assert simplify(exact - closed) == Matrix.zeros(size, size)

# %% [markdown]
# So, at $u=v=w=1$, entries of different lag are uncorrelated and for $1\le t\le s\le n-l$
#
# $$N\,\mathrm{Cov}(H^{t,t+l},H^{s,s+l})=r^{t+s+l-1}\,t\left[1+\frac{s(r-1)}{m-(m-1)r}\right]\quad(l\ge1),$$
#
# $$N\,\mathrm{Cov}(H^{tt},H^{ss})=2\,r^{t+s-1}\,t\left[1-\frac{s\,e}{n\,e+r}\right],\qquad e=1-r+2(r-1)\zeta .$$
#
# At $r=1$, the prior: $N\,\mathrm{Var}(H^{tt})=2t$ and $N\,\mathrm{Var}(H^{t,t+l})=t$.

# %%
t = names.t
plain = {names.u: 1, names.w: 1, names.v: 1}
print("lag l >= 1:", latex(incoherent_covariance(t, t, names.lag)))
assert incoherent_covariance(3, 3, 0, 6).subs(plain).subs(names.r, 1) == 6
assert incoherent_covariance(2, 2, 1, 6).subs(plain).subs(names.r, 1) == 2

# %% [markdown]
# **Numerical confirmation.** Hessian of the full $F$, written again in mpmath, by differences; inverted; three random
# points; 40 digits.


# %%
def numeric_covariance(entries: Sequence[mpmath.mpf], level: mpmath.mpf, noise: mpmath.mpf) -> mpmath.matrix:
    """Inverse Hessian by central differences of fourth order."""
    step, count = mp.mpf(10) ** -13, len(entries)

    def at(*moves: tuple[int, int]) -> mpmath.mpf:
        moved = list(entries)
        for i, k in moves:
            moved[i] += k * step
        return free_energy(moved, 1, level, noise)

    first = {1: mp.mpf(2) / 3, -1: -mp.mpf(2) / 3, 2: -mp.mpf(1) / 12, -2: mp.mpf(1) / 12}
    second = {0: -mp.mpf(5) / 2, 1: mp.mpf(4) / 3, -1: mp.mpf(4) / 3, 2: -mp.mpf(1) / 12, -2: -mp.mpf(1) / 12}
    hessian = mp.matrix(count, count)
    for i in range(count):
        hessian[i, i] = sum(c * at((i, k)) for k, c in second.items()) / step**2
        for j in range(i):
            mixed = sum(c * d * at((i, k), (j, m)) for k, c in first.items() for m, d in first.items())
            hessian[i, j] = hessian[j, i] = mixed / step**2
    return mp.inverse(hessian)


generator = random.Random(8)
with mpmath.workdps(120):
    for horizon in (4, 4, 5):
        n = horizon - 1
        ratio = Rational(generator.randint(105, 145), 100)
        noise = Rational(generator.randint(0, 300), 100)
        x, k = mp.mpf(ratio.p) / ratio.q, mp.mpf(noise.p) / noise.q
        entries = [x ** (i + 1) if i == j else mp.mpf(0) for i in range(n) for j in range(i, n)]
        level = (x - 1) * (x**n + k) ** 2 / x**n
        numeric = numeric_covariance(entries, level, k)
        matrix = incoherent_covariance_matrix(horizon).subs(plain).subs({names.r: ratio, names.kappa: noise})
        worst = max(
            abs(numeric[i, j] - mp.mpf(matrix[i, j].p) / matrix[i, j].q)
            for i in range(len(entries))
            for j in range(len(entries))
        )
        assert worst < mp.mpf(10) ** -40
        print(f"T = {horizon}, r = {ratio}, kappa = {noise}: largest difference {mp.nstr(worst, 3)}")

# %% [markdown]
# ## 4. The coherent branch at $T=4$
#
# In its parameter $s=H^{11}$, with $b=H^{12}$ a square root: an element of $\partial^2F$ has the parity of its two
# entries under $W\to-W$, so $D\,\partial^2F\,D$ with $D=\mathrm{diag}(1,b,1,1,b,1)$ is rational in $s$ and $\kappa$, and is
# inverted exactly.

# %%
branch = coherent_branch()
covariance = coherent_covariance(branch)
s = branch.parameter
labels = ("11", "12", "13", "22", "23", "33")
for i, label in enumerate(labels):
    print(rf"N\,\mathrm{{Var}}(H^{{{label}}}) =", latex(factor(covariance[i, i])))
fold = branch.stability()
# Poles: at the fold and, in odd entries, at the critical point; the diagonal ones are regular there.
assert all(cancel(covariance[i, i] * fold).subs(s, 2).is_finite for i in (0, 2, 3, 5))

# %%
with mpmath.workdps(120):
    for text, noise in (("2.35", Rational(1, 2)), ("3.7", Rational(3)), ("8.2", Rational(0))):
        place = {s: Rational(text), names.kappa: noise}
        exact = [[mp.mpf(str(covariance[i, j].subs(place).evalf(110))) for j in range(6)] for i in range(6)]
        entries = [mp.mpf(str(value.subs(place).evalf(115))) for _, value in sorted(branch.kernel.items())]
        level = mp.mpf(str(branch.signal.subs(place).evalf(115)))
        numeric = numeric_covariance(entries, level, mp.mpf(noise.p) / noise.q)
        worst = max(abs(numeric[i, j] / exact[i][j] - 1) for i in range(6) for j in range(6))
        assert worst < mp.mpf(10) ** -40
        print(f"s = {text}, kappa = {noise}: largest relative difference {mp.nstr(worst, 3)}")

# %% [markdown]
# ## 5. Divergence at the critical point
#
# $N\,\mathrm{Var}(H^{n,n-1})=(n-1)r^{2n-1}/((n-1)-(n-2)r)$ has a simple pole at $r_c=(n-1)/(n-2)$, and $\lambda$ is regular
# there: the variance diverges as $|\lambda-\lambda_c|^{-1}$, mean-field $\gamma=1$. From above, at $T=4$, with half the
# amplitude, as for every continuous transition with a quartic term. At the tricritical $\kappa=56/3$ the term is of order
# six and the ratio is 4. Within $|\lambda-\lambda_c|\sim N^{-1/2}$ the expansion about one minimum does not hold.

# %%
print(r"N\,\mathrm{Var}(H^{n,n-1}) =", latex(order_parameter_variance()))
both = divergence(4, branch)
print("T = 4, below:", latex(both.below))
print("T = 4, above:", latex(both.above))
assert simplify(both.below / both.above) == 2
tricritical = divergence(4, coherent_branch(Rational(56, 3)))
assert tricritical.below / tricritical.above == 4
print("any T, below:", latex(divergence(names.T).below))

# %% [markdown]
# ## 6. The mean at order $1/N$
#
# With $H=H^*+\xi/\sqrt N$, $NF+A$ is $\tfrac12F_{ij}\xi_i\xi_j+N^{-1/2}(\tfrac16F_{ijk}\xi_i\xi_j\xi_k+A_i\xi_i)+\dots$, and
# with $S=(\partial^2F)^{-1}$ and Wick's theorem,
#
# $$N\langle H_i-H_i^*\rangle=-\langle\xi_i(A_j\xi_j+\tfrac16F_{jkl}\xi_j\xi_k\xi_l)\rangle
#   =-S_{ij}\left(A_j+\tfrac12F_{jkl}S_{kl}\right).$$
#
# On the incoherent branch at $T=4$, exactly in $r$ and $\kappa$:

# %%
shift = incoherent_mean_shift(4)
for times, value in shift.items():
    print(rf"N\langle{{}}H^{{{times[0]}{times[1]}}}-H_*\rangle =", latex(value))

# %% [markdown]
# Odd lags have no shift (symmetry), $H^{13}$ has $r^2/(2-r)$: at finite width even the incoherent state is not diagonal.
# **Exact checks.** The prior ($r=1$, $\kappa\to\infty$): $\langle H^{tt}\rangle=1$ up to $N^{-2}$, and
# $\langle h^{1\top}W^2h^1\rangle/N=\langle(W^2)_{ii}\rangle=1/N$. At $r=1$ and finite $\kappa$ the determinant of the read-out
# weights the prior by $(H^{33}+\kappa)^{-1/2}$: shift $-\tfrac12N\mathrm{Var}(H^{33})/(1+\kappa)=-3/(1+\kappa)$.

# %%
at_prior = {times: limit(value.subs(names.r, 1), names.kappa, oo) for times, value in shift.items()}
assert at_prior == {(1, 1): 0, (1, 2): 0, (1, 3): 1, (2, 2): 0, (2, 3): 0, (3, 3): 0}
assert simplify(shift[3, 3].subs(names.r, 1) + 3 / (1 + names.kappa)) == 0
assert simplify(shift[1, 3] - names.r**2 / (2 - names.r)) == 0

# %% [markdown]
# **A finite-width check that shares nothing with the expansion.** At $T=3$ the density of section 1 can be integrated:
# over $H^{12}$ it gives a power of $H^{11}H^{22}$, over $H^{11}$ a Bessel function,
#
# $$P(H^{22})\propto (H^{22})^{N/2-1}K_0\!\left(N\sqrt{H^{22}}\right)
#   \frac{e^{-\frac N2\lambda/(H^{22}+\kappa)}}{\sqrt{H^{22}+\kappa}} .$$
#
# The mean at $N=100,\dots,800$, extrapolated, against the formula at $r=3/2$, $\kappa=1$:


# %%
def exact_mean(size: int, level: mpmath.mpf, noise: mpmath.mpf) -> mpmath.mpf:
    """⟨H^{22}⟩ at T = 3 and finite width by quadrature."""

    def weight(d: mpmath.mpf) -> mpmath.mpf:
        rest = mp.exp(-size * level / (d + noise) / 2) / mp.sqrt(d + noise)
        return d ** (mp.mpf(size) / 2 - 1) * mp.besselk(0, size * mp.sqrt(d)) * rest

    points = [mp.mpf(9) / 4 + 2 * k / mp.sqrt(size) for k in range(-10, 16)]
    points = [point for point in points if point > 0]
    return mp.quad(lambda d: d * weight(d), points) / mp.quad(weight, points)


ratio = Rational(3, 2)
predicted = incoherent_mean_shift(3, Integer(1))[2, 2].subs(names.r, ratio)
level = (ratio - 1) * (ratio**2 + 1) ** 2 / ratio**2
with mpmath.workdps(30):
    values = [size * (exact_mean(size, mp.mpf(level.p) / level.q, 1) - mp.mpf(9) / 4) for size in (100, 200, 400, 800)]
    print("N (mean - saddle point):", ", ".join(mp.nstr(value, 8) for value in values), "→", float(predicted))
    order = 1
    while len(values) > 1:
        values = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in zip(values, values[1:], strict=False)]
        order += 1
    assert abs(values[0] / (mp.mpf(predicted.p) / predicted.q) - 1) < 1e-5

# %% [markdown]
# On the coherent branch the same formula gives the shift in $s$ and $\kappa$ (`coherent_mean_shift`), within the state of
# one sign. The order parameter's shift has a double pole at $s=2$ times the square root: close to the critical point
# the expansion breaks down as said above. Confirmation, at $\kappa=1$ and one point: the saddle-point expansion is
# covariant, so the same shift must come out in the regression coordinates $(\alpha,c,\delta,p,q,\gamma)$, with the Jacobian
# $c^2$ in the density:
#
# $$N\langle H_i-H_i^*\rangle=\partial_aH_i\,\Delta_a+\tfrac12\partial_a\partial_bH_i\,S_{ab},\qquad
#   \Delta=-S\left(\partial(A-2\ln c)+\tfrac12F'''S\right).$$


# %%
def kernel_of(y: Sequence[mpmath.mpf]) -> list[mpmath.mpf]:
    al, c, de, p, q, ga = y
    return [al + c * p**2, c * p, ga + c * p * q, c, c * q, de + c * q**2]


def shift_direct(place: Sequence[mpmath.mpf], noise: mpmath.mpf) -> mpmath.matrix:
    """In the six entries, derivatives by mpmath."""
    entries = kernel_of(place)
    end = entries[5]
    level = (end + noise) ** 2 / (4 * entries[0] * (entries[0] - 1))

    def F(*x: mpmath.mpf) -> mpmath.mpf:
        return free_energy(x, 1, level, noise)

    def action(*x: mpmath.mpf) -> mpmath.mpf:
        K = mp.matrix([[x[0], x[1], x[2]], [x[1], x[3], x[4]], [x[2], x[4], x[5]]])
        return mp.log(x[5] + noise) / 2 + 2 * mp.log(mp.det(K))

    return drift(F, action, entries)[0]


def drift(
    F: Callable[..., mpmath.mpf], action: Callable[..., mpmath.mpf], x: Sequence[mpmath.mpf]
) -> tuple[mpmath.matrix, mpmath.matrix]:
    """-S(∂A + ½F'''S) and S by numeric differentiation in six coordinates."""

    def partial(f: Callable[..., mpmath.mpf], *indices: int) -> mpmath.mpf:
        return mp.diff(f, tuple(x), tuple(indices.count(i) for i in range(6)))

    S = mp.inverse(mp.matrix([[partial(F, i, j) for j in range(6)] for i in range(6)]))
    force = mp.matrix(6, 1)
    for i in range(6):
        pairs = [(j, k) for j in range(6) for k in range(j, 6)]
        force[i] = partial(action, i) + sum((0.5 if j == k else 1) * partial(F, i, j, k) * S[j, k] for j, k in pairs)
    return -S * force, S


def shift_curved(place: Sequence[mpmath.mpf], noise: mpmath.mpf) -> list[mpmath.mpf]:
    """In regression coordinates, mapped to the entries."""
    end, first = kernel_of(place)[5], kernel_of(place)[0]
    level = (end + noise) ** 2 / (4 * first * (first - 1))

    def F(*y: mpmath.mpf) -> mpmath.mpf:
        return free_energy(kernel_of(y), 1, level, noise)

    def action(*y: mpmath.mpf) -> mpmath.mpf:
        determinant = y[1] * (y[0] * y[2] - y[5] ** 2)
        return mp.log(kernel_of(y)[5] + noise) / 2 + 2 * mp.log(determinant) - 2 * mp.log(y[1])

    delta, S = drift(F, action, place)
    result = []
    for entry in range(6):

        def component(*y: mpmath.mpf, entry: int = entry) -> mpmath.mpf:
            return kernel_of(y)[entry]

        def partial(*indices: int, component: Callable[..., mpmath.mpf] = component) -> mpmath.mpf:
            return mp.diff(component, tuple(place), tuple(indices.count(i) for i in range(6)))

        first_order = sum(partial(i) * delta[i] for i in range(6))
        result.append(first_order + sum(partial(i, j) * S[i, j] for i in range(6) for j in range(6)) / 2)
    return result


with mpmath.workdps(50):
    s0 = mp.mpf(3)
    c0 = 2 * s0 * (s0 - 1)
    p0 = mp.sqrt(2 * s0 * (s0 - 1) * (s0 - 2)) / c0
    start = [mp.mpf(2), c0, 4 * s0, p0, 2 * s0 * p0, mp.mpf(0)]
    direct, curved = shift_direct(start, mp.mpf(1)), shift_curved(start, mp.mpf(1))
    for label, first, second in zip(labels, direct, curved, strict=True):
        assert abs(first / second - 1) < 1e-12
        print(f"s = 3, kappa = 1: N <H^{label} - H*> = {mp.nstr(first, 12)}")
    # The package's closed form, in s at κ = 1.
    closed = coherent_mean_shift(coherent_branch(Integer(1)))
    for first, value in zip(direct, closed.values(), strict=True):
        assert abs(first / mp.mpf(str(value.subs(names.s, 3).evalf(45))) - 1) < 1e-12
    print("order parameter:", latex(factor(closed[2, 3])))
