"""The kernel landscape of endpoint supervision: F against the order parameter, with everything else minimised out.

See docs/theory.md section 5.

RNN, one pattern, units u = v = w = 1. The order parameter is ``q = H^{T-1,T-2}/√(H^{T-1,T-1} H^{T-2,T-2})``, the last
two times' correlation, in (-1, 1): at fixed q the other entries minimise F, which is even in q by ``W → -W``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numerics.display import Facts, number
from numerics.endpoint_task.factorised import Factorised, factorise
from numerics.errors import InputError
from numerics.inputs.arrays import finite_array, real_array
from numerics.inputs.problem import endpoint
from numerics.inputs.scalars import integer, real
from numerics.linalg import FloatArray, from_vector, to_vector
from numerics.linear.search import lowest_state
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays, Labelled, kernel_array, kernel_coordinates
from numerics.threads import one_thread

#: Correlations at which the landscape is found unless others are given.
CORRELATIONS = np.linspace(-0.98, 0.98, 81)
#: Points of the drawn curve from each of them to the next.
BETWEEN = 8
#: Residual to which the constrained minimum is solved, relative.
TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class Landscape(Result):
    """F along the order parameter.

    Attributes:
        correlation: q, (L,).
        order_parameter: ``H^{T-1,T-2}`` of the constrained minimum, (L,).
        free_energy: (L,); NaN where the constrained minimum was not reached.
        kernel: the constrained minimum, (L, n, n).
        residual: relative residual of the constrained stationarity, (L,).
    """

    correlation: FloatArray
    order_parameter: FloatArray
    free_energy: FloatArray
    kernel: FloatArray
    residual: FloatArray

    def facts(self) -> Facts:
        """Where F was computed, and where it is smallest."""
        if not np.isfinite(self.free_energy).any():
            return (("points", str(len(self.correlation))), ("reached", "none"))
        lowest = int(np.nanargmin(self.free_energy))
        return (
            ("points", f"{len(self.correlation)}, {int(np.isfinite(self.free_energy).sum())} reached"),
            ("lowest F", f"{number(self.free_energy[lowest])} at q = {number(self.correlation[lowest])}"),
            ("largest residual", f"{float(self.residual.max()):.1e}"),
        )

    def turning_points(self, *, minima: bool = True) -> list[tuple[float, float]]:
        """Order parameter and F of the minima along the curve, or of its maxima, which are saddles of F.

        A cubic spline through the points places them between: its error falls with the fourth power of the distance
        of two points. Those at the ends are not told.
        """
        from scipy.interpolate import CubicSpline

        sign = 1.0 if minima else -1.0
        q, first = np.unique(self.correlation, return_index=True)
        F, psi = sign * self.free_energy[first], self.order_parameter[first]
        turns = 1 + np.flatnonzero((np.diff(F)[:-1] < 0) & (np.diff(F)[1:] > 0))
        if not len(turns):
            return []
        there = np.isfinite(F)
        height, order = CubicSpline(q[there], F[there]), CubicSpline(q[there], psi[there])
        roots = height.derivative().roots(extrapolate=False)
        lowest = [float(roots[np.argmin(np.abs(roots - q[k]))]) for k in turns]
        return [(float(order(root)), sign * float(height(root))) for root in lowest]

    def draw(self, ax: Any, **style: Any) -> None:
        """F above the lowest against the order parameter; circles are minima, crosses saddles."""
        from scipy.interpolate import CubicSpline

        lowest = np.nanmin(self.free_energy)
        q, first = np.unique(self.correlation, return_index=True)
        psi, F = self.order_parameter[first], self.free_energy[first]
        if len(q) > 3 and np.isfinite(F).all():
            # points of equal distance in q lie far apart at the ends
            fine = np.concatenate([np.linspace(*pair, BETWEEN, endpoint=False) for pair in pairwise(q)] + [q[-1:]])
            psi, F = CubicSpline(q, psi)(fine), CubicSpline(q, F)(fine)
        ax.plot(psi, F - lowest, **style)
        for minima, mark, name in ((True, "o", "minimum"), (False, "X", "saddle")):
            turns = np.array(self.turning_points(minima=minima))
            if len(turns):
                ax.plot(turns[:, 0], turns[:, 1] - lowest, mark, color="white", mec="black", ms=5, label=name)
        T = self.kernel.shape[-1] + 1
        ax.set(
            xlabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$ (all else minimised out)",
            ylabel=r"free energy $F - F_\mathrm{lowest}$",
        )
        ax.set_title(f"RNN, $T = {T}$", loc="left")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize="small")

    def labelled(self) -> Arrays:
        """Along the correlation."""
        names = ("order_parameter", "free_energy", "residual")
        data: dict[str, Labelled] = {name: (("correlation",), getattr(self, name)) for name in names}
        data["kernel"] = kernel_array(self.kernel, 1, "correlation")
        coordinates: dict[str, Labelled] = {"correlation": (("correlation",), self.correlation)}
        coordinates |= kernel_coordinates(self.kernel.shape[-1], 1)
        return Arrays(("correlation",), data, coordinates)


@one_thread
def landscape(
    T: int,
    signal: float,
    correlations: ArrayLike = CORRELATIONS,
    kappa: float = 1.0,
    *,
    progress: bool | Progress | None = None,
) -> Landscape:
    """``min F`` at each of the correlations ``|q| < 1``, started from the incoherent state and followed outwards.

    Args:
        T: index of the last output, of the RNN with one pattern.
        signal: λ.
        correlations: q of the last two hidden times, ``H^{T-1,T-2}`` over the root of their variances.
        kappa: noise.
        progress: True shows how far it is, on standard error; a function is told (`numerics.progress`).

    Raises:
        InputError: T below 4, a correlation outside (-1, 1), or parameters that `inputs.problem.endpoint` refuses.
    """
    q, T = real_array(correlations, "correlations"), integer(T, "T", 4)
    signal, kappa = real(signal, "signal"), real(kappa, "kappa")
    if q.ndim != 1 or not q.size or not (np.abs(q) < 1).all():
        raise InputError("correlations: are not all in (-1, 1); accepted: a list of numbers between -1 and 1")
    # the DNN's state is the incoherent one of both architectures
    incoherent = lowest_state(endpoint(T, signal, kappa=kappa, arch="dnn")).kernel
    kernels: dict[float, FloatArray] = {}
    residuals: dict[float, float] = {}
    H, reached = np.array(incoherent), 0.0
    sizes = np.unique(np.abs(q))
    with watched(progress, "landscape") as told:
        for number, size in enumerate(sizes):
            told("landscape", number, len(sizes))
            # steps between grid points keep each start close
            for value in np.linspace(reached, size, max(2, int(np.ceil((size - reached) / 0.02)) + 1))[1:]:
                H, residual = _constrained_minimum(H, float(value), signal, kappa)
            kernels[size], residuals[size], reached = H, residual, float(size)
    n = T - 1
    flip = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    stack = np.array([kernels[abs(x)] if x >= 0 else flip[:, None] * kernels[abs(x)] * flip for x in q])
    here = factorise(np.asarray(np.linalg.cholesky(stack)))
    residual_all = np.array([residuals[abs(x)] for x in q])
    F = np.where(residual_all <= TOLERANCE, here.entropy() + 0.5 * signal / (here.last + kappa), np.nan)
    return Landscape(q, stack[:, -1, -2], F, stack, residual_all)


def _constrained_minimum(start: FloatArray, q: float, signal: float, kappa: float) -> tuple[FloatArray, float]:
    """Newton–Lagrange on ``F + μ·(q - q(H))`` with halved steps; the kernel and its relative residual."""
    n = len(start)
    H = start.copy()
    H[-1, -2] = H[-2, -1] = q * np.sqrt(H[-1, -1] * H[-2, -2])
    if np.linalg.eigvalsh(H)[0] <= 0:
        H = start.copy()
    residual, multiplier = np.inf, 0.0
    for _ in range(60):
        L = np.asarray(np.linalg.cholesky(H))
        here = factorise(L[None])
        gradient, hessian, scale = _free_energy_derivatives(here, signal, kappa)
        slope, bend, gap = _constraint(L, q)
        k = len(gradient)
        multiplier = float(slope @ gradient / (slope @ slope))
        error = gradient - multiplier * slope
        residual = float(np.linalg.norm(error)) / scale + abs(gap)
        if residual < 1e-13:
            break
        system = np.zeros((k + 1, k + 1))
        system[:k, :k] = hessian - multiplier * bend
        system[:k, k] = system[k, :k] = -slope
        step = np.linalg.solve(system, np.concatenate([-error, [-gap]]))[:k]
        step *= min(1.0, 0.5 / float(np.linalg.norm(step)))
        S = from_vector(step, n)
        H = L @ (np.eye(n) + S + 0.5 * S @ S) @ L.T
        H = 0.5 * (H + H.T)
    return H, residual


def _free_energy_derivatives(here: Factorised, signal: float, kappa: float) -> tuple[FloatArray, FloatArray, float]:
    """Gradient and Hessian of F along ``L exp(S) Lᵀ`` in orthonormal coordinates of S, and the gradient's terms."""
    n = here.L.shape[-1]
    total = float(here.last[0]) + kappa
    label = here.label[0]
    gradient = here.gradient[0] - 0.5 * signal / total**2 * label
    basis = from_vector(np.eye(n * (n + 1) // 2), n)
    flat = to_vector(label)
    path = to_vector(0.5 * (gradient @ basis + basis @ gradient))
    hessian = to_vector(here.curvature(basis[None])[0]) + path + signal / total**3 * np.outer(flat, flat)
    scale = 0.5 * (float(np.linalg.norm(here.M[0])) + np.sqrt(n) + signal / total**2 * float(np.linalg.norm(flat)))
    return to_vector(gradient), 0.5 * (hessian + hessian.T), float(scale)


def _constraint(L: FloatArray, q: float) -> tuple[FloatArray, FloatArray, float]:
    """Gradient and Hessian of the correlation along ``L exp(S) Lᵀ``, and ``q`` minus its value.

    With ``H = LLᵀ``: ``dH^{ab} = l_aᵀ(S + S²/2)l_b`` for rows l of L; the correlation is ``H^{ab}/√(H^{aa}H^{bb})``.
    """
    n = len(L)
    pairs = [(n - 1, n - 2), (n - 1, n - 1), (n - 2, n - 2)]
    values = np.array([L[a] @ L[b] for a, b in pairs])
    forms = [0.5 * (np.outer(L[a], L[b]) + np.outer(L[b], L[a])) for a, b in pairs]
    basis = from_vector(np.eye(n * (n + 1) // 2), n)
    first = np.array([to_vector(form) for form in forms])
    second = np.array([to_vector(0.5 * (form @ basis + basis @ form)) for form in forms])
    value = values[0] / np.sqrt(values[1] * values[2])
    # ln of the correlation's modulus is ln|x| - ½ ln y - ½ ln z; here derivatives of x (yz)^{-1/2} itself
    d = value * np.array([np.nan, -0.5 / values[1], -0.5 / values[2]])
    d[0] = 1.0 / np.sqrt(values[1] * values[2])
    dd = np.zeros((3, 3))
    dd[0, 1] = dd[1, 0] = -0.5 * d[0] / values[1]
    dd[0, 2] = dd[2, 0] = -0.5 * d[0] / values[2]
    dd[1, 1], dd[2, 2] = 0.75 * value / values[1] ** 2, 0.75 * value / values[2] ** 2
    dd[1, 2] = dd[2, 1] = 0.25 * value / (values[1] * values[2])
    gradient = d @ first
    hessian = np.tensordot(d, second, axes=1) + first.T @ dd @ first
    return gradient, 0.5 * (hessian + hessian.T), float(q - value)


@one_thread
def negative_log_density(curve: Landscape, width: int, signal: float, kappa: float = 1.0) -> FloatArray:
    """``-ln P(q)/N`` of networks of width N up to a constant, to first order in 1/N, (L,).

    Linear networks' kernels have the density ``exp(-NF) |H|^{-(n+1)/2} (H^{nn}+κ)^{-1/2}``. In ``H = L exp(S) Lᵀ`` the
    volume element cancels the determinant, and the Gaussian integral over ``q(S) = q`` around the constrained minimum
    gives ``NF + ½ ln(H^{nn}+κ) + ln‖∇q‖ + ½ ln det_⊥(∇²F - μ∇²q)``, μ the multiplier, ⟂ on the directions along which
    q stays.
    """
    width, signal, kappa = integer(width, "width", 1), real(signal, "signal"), real(kappa, "kappa")
    corrections = [_fluctuations(H, q, signal, kappa) for H, q in zip(curve.kernel, curve.correlation, strict=True)]
    return np.asarray(curve.free_energy + np.array(corrections) / width)


def _fluctuations(H: FloatArray, q: float, signal: float, kappa: float) -> float:
    L = np.asarray(np.linalg.cholesky(H))
    gradient, hessian, _ = _free_energy_derivatives(factorise(L[None]), signal, kappa)
    slope, bend, _ = _constraint(L, q)
    size = float(slope @ slope)
    tangent = np.linalg.svd(slope[None])[2][1:]
    along = tangent @ (hessian - (slope @ gradient) / size * bend) @ tangent.T
    sign, log_det = np.linalg.slogdet(along)
    if sign <= 0:
        return np.nan
    return float(0.5 * np.log(H[-1, -1] + kappa) + 0.5 * np.log(size) + 0.5 * log_det)


@one_thread
def plane(T: int, signal: float, x: ArrayLike, y: ArrayLike, kappa: float = 1.0) -> FloatArray:
    """A two-dimensional cut of F, (len(y), len(x)): kernels ``H_0 + x (H_+ - H_-)/2 + y ((H_+ + H_-)/2 - H_0)``.

    ``H_0`` is the incoherent state and ``H_±`` the coherent ones of both signs: x = ±1, y = 1 are the coherent minima,
    the origin is the incoherent state, and x → -x is ``W → -W``. NaN where the kernel is not positive-definite.

    Raises:
        InputError: the state of lowest free energy is not coherent.
    """
    signal, kappa = real(signal, "signal"), real(kappa, "kappa")
    best = lowest_state(endpoint(T, signal, kappa=kappa))
    if best.branch != "coherent":
        raise InputError(f"signal: is {signal:g}, where the lowest state is incoherent; accepted: a larger one")
    centre = lowest_state(endpoint(T, signal, kappa=kappa, arch="dnn")).kernel
    flip = np.where(np.arange(T - 1) % 2 == 0, 1.0, -1.0)
    other = flip[:, None] * best.kernel * flip
    odd, even = (best.kernel - other) / 2, (best.kernel + other) / 2 - centre
    across, up = np.meshgrid(finite_array(x, "x"), finite_array(y, "y"))
    H = centre + across[..., None, None] * odd + up[..., None, None] * even
    F = np.full(across.shape, np.nan)
    inside = np.linalg.eigvalsh(H)[..., 0] > 0
    here = factorise(np.asarray(np.linalg.cholesky(H[inside])))
    F[inside] = here.entropy() + 0.5 * signal / (here.last + kappa)
    return F
