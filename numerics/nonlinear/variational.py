r"""The Gaussian variational approximation: one neuron's tilted trajectory replaced by a centred Gaussian N(0, S).

At fixed Φ, ``max_Φ̃ [tr Φ̃Φ - ln Z]`` is the least Kullback–Leibler divergence from N(0, C[Φ]) of a law of h under which
``⟨φφᵀ⟩ = Φ``. Restricted to centred Gaussians, ``Φ = K(S)`` with ``K_ij = ⟨φ(h_i)φ(h_j)⟩``, and F becomes

    F_G(S) = ½ yᵀ(v𝒯K𝒯ᵀ+κ)⁻¹y + ½ tr[S C⁻¹] - d/2 - ½ ln(|S|/|C|),   C = w[K(S)⁻] + uX⁻,

with stationarity ``S⁻¹ = C⁻¹ - 2 K'ᵀ[Φ̃]``, Φ̃ as in docs/theory.md section 4 with ``⟨hhᵀ⟩ = S``. Since the law is
restricted, ``F(K(S)) ≤ F_G(S)``: the minimum of F_G is an upper bound on the minimum of F, met for linear φ. It is an
approximation for every other φ, and for ReLU, whose trajectories have a mean, a crude one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.linalg as sla
from scipy.optimize import minimize

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.lowering.scalar import Lowered, lower
from numerics.nonlinear.forward import forward_kernel, require_regular
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.space import TrajectorySpace, trajectory_space
from numerics.results.solution import Branch, coherence_beyond
from theory.gaussian_averages import a, average, b, c

#: Activations with averages in closed form, or (tanh) with derivatives known to a rule.
ACTIVATIONS = ("linear", "erf", "relu", "tanh")
#: Half-width and points of the trapezoidal rule for tanh, each of two variables; pairs of entries worked on together.
EDGE, POINTS, CHUNK = 8.5, 100, 128
#: Relative residual at which the minimisation has converged; its steps.
TOLERANCE, STEPS = 1e-7, 4000
#: Correlations between times with which the second start breaks the symmetry W → -W.
BROKEN = 0.6
#: Temporal coherence beyond the random network's that counts as coherent.
COHERENT = 1e-3


@dataclass(frozen=True, eq=False)
class GaussianApproximation:
    """A minimum of F_G: an approximate state of the network, and an upper bound on its free energy.

    Attributes:
        problem: what was solved.
        kernel, conjugate: ``K(S)`` and Φ̃, (nP, nP), time-major index ``(t-1) P + p``.
        covariance, second_moment: ``C[K(S)]`` and S over the pre-activations, (nP, nP).
        free_energy, energy, entropy: F_G and its two parts, in units of N.
        residual: norm of ∂F_G/∂S, in the metric of S, over the summed norms of the terms that cancel in it.
        converged: whether the residual is within `TOLERANCE`. Says nothing about the error of the approximation.
        status: one sentence: how it ended.
        branch: as for the exact states.
        iterations: steps of the minimisation.
    """

    problem: Problem
    kernel: FloatArray
    conjugate: FloatArray
    covariance: FloatArray
    second_moment: FloatArray
    free_energy: float
    energy: float
    entropy: float
    residual: float
    converged: bool
    status: str
    branch: Branch
    iterations: int


def solve_gaussian(problem: Problem) -> GaussianApproximation:
    """The lowest minimum of F_G found from the random network, and from it with correlated times.

    Raises:
        InputError: κ = 0, an activation of the user's own, or inputs that give a singular kernel.
    """
    if problem.kappa <= 0:
        raise InputError("kappa: is 0; accepted: a finite number > 0 for a nonlinear network")
    if not problem.activation.known:
        raise InputError(f"activation: is {problem.activation.name!r}; accepted: {', '.join(ACTIVATIONS)}")
    space = trajectory_space(problem)
    prior = forward_kernel(space, problem.activation)
    require_regular(space, prior)
    start = sla.cholesky(space.covariance(prior), lower=True)
    found = [_minimum(space, prior, first) for first in (start, _correlated(space, start))]
    return min(found, key=lambda state: (not state.converged, state.free_energy))


def gaussian_kernel(activation: str, S: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``K(S)`` and its derivatives, each (m, m).

    Returns:
        ``K_ij``; ``∂K_ij/∂S_ij`` for i ≠ j, and on the diagonal the whole derivative of ``K_ii`` by ``S_ii``; and
        ``∂K_ij/∂S_ii`` for i ≠ j, zero on the diagonal.
    """
    m = len(S)
    i, j = np.triu_indices(m, 1)
    variance = np.diagonal(S)
    value, by_first, by_second, by_cross = _pairs(activation, variance[i], variance[j], S[i, j])
    square, growth = _squares(activation, variance)
    K, cross, own = np.diag(square), np.diag(growth), np.zeros((m, m))
    K[i, j] = K[j, i] = value
    cross[i, j] = cross[j, i] = by_cross
    own[i, j], own[j, i] = by_first, by_second
    return K, cross, own


@cache
def _lowered(activation: str) -> Lowered:
    return lower(average(activation), (a, b, c), ())


def _pairs(activation: str, first: FloatArray, second: FloatArray, cross: FloatArray) -> tuple[FloatArray, ...]:
    """``⟨φ(x)φ(y)⟩`` and its derivatives by the two variances and the covariance, each (k,)."""
    if activation == "linear" or not len(cross):
        return cross, np.zeros_like(cross), np.zeros_like(cross), np.ones_like(cross)
    if activation == "tanh":
        parts = [slice(start, start + CHUNK) for start in range(0, len(cross), CHUNK)]
        found = [_tanh_pairs(first[part], second[part], cross[part]) for part in parts]
        return tuple(np.concatenate(each) for each in zip(*found, strict=True))
    # rounding may take a correlation beyond 1, where the closed forms end
    bound = np.sqrt(first * second) * (1 - 1e-12)
    at = np.stack([first, second, np.clip(cross, -bound, bound)])
    none = np.zeros((0, at.shape[1]))
    derivatives = _lowered(activation).derivatives(at, none).gradient
    return np.asarray(_lowered(activation).values(at, none)).reshape(-1), *derivatives


def _squares(activation: str, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``⟨φ(x)²⟩`` and its derivative by the variance, each (m,)."""
    if activation == "linear":
        return variance, np.ones_like(variance)
    if activation == "relu":
        return 0.5 * variance, np.full_like(variance, 0.5)
    if activation == "erf":
        q = 0.5 * np.pi * variance
        return 2 / np.pi * np.arcsin(q / (1 + q)), 1 / ((1 + q) * np.sqrt(1 + 2 * q))
    z, weight = _rule()
    x = np.sqrt(variance)[:, None] * z
    phi = np.tanh(x)
    slope = 1 - phi**2
    return (phi**2) @ weight, (slope**2 - 2 * phi**2 * slope) @ weight


def _tanh_pairs(first: FloatArray, second: FloatArray, cross: FloatArray) -> tuple[FloatArray, ...]:
    """By Bonnet's and Price's theorems: ``½⟨φ''φ⟩``, ``½⟨φφ''⟩`` and ``⟨φ'φ'⟩``."""
    z, weight = _rule()
    along = cross / np.sqrt(first)
    rest = np.sqrt(np.maximum(second - along**2, 0.0))
    phi_x = np.tanh(np.sqrt(first)[:, None] * z)  # (k, z)
    phi_y = np.tanh(along[:, None, None] * z[:, None] + rest[:, None, None] * z)  # (k, z, z')
    slope_x, slope_y = 1 - phi_x**2, (1 - phi_y**2) @ weight
    bend_x, bend_y = -2 * phi_x * slope_x, (-2 * phi_y * (1 - phi_y**2)) @ weight
    mean_y = phi_y @ weight
    return (
        (phi_x * mean_y) @ weight,
        0.5 * (bend_x * mean_y) @ weight,
        0.5 * (phi_x * bend_y) @ weight,
        (slope_x * slope_y) @ weight,
    )


@cache
def _rule() -> tuple[FloatArray, FloatArray]:
    """Points and weights for the standard normal; exponentially convergent, unlike Gauss–Hermite near tanh's poles."""
    line, step = np.linspace(-EDGE, EDGE, POINTS, retstep=True)
    return line, float(step) * np.exp(-0.5 * line**2) / np.sqrt(2 * np.pi)


@dataclass(frozen=True, eq=False)
class _Point:
    """F_G at an S, with its gradient ``dF_G = tr[G dS]`` (d, d)."""

    energy: float
    entropy: float
    gradient: FloatArray
    scale: float
    kernel: FloatArray
    conjugate: FloatArray
    covariance: FloatArray
    second_moment: FloatArray


def _at(space: TrajectorySpace, L: FloatArray) -> _Point:
    E, S = space.embedding, L @ L.T
    K, cross, own = gaussian_kernel(space.problem.activation.name, E @ S @ E.T)
    C = space.covariance(K)
    factor = sla.cholesky(C, lower=True)
    Q, S_inverse = np.asarray(np.linalg.inv(C)), sla.cho_solve((L, True), np.eye(space.d))
    conjugate = explicit_conjugate(space, K, S, Q)
    # K'ᵀ: an entry of K depends on its own S_ij and on the variances of its two variables
    back = cross * conjugate
    back[np.diag_indices(space.m)] += 2 * np.sum(own * conjugate, axis=1)
    terms: tuple[Any, ...] = (0.5 * Q, -0.5 * S_inverse, -E.T @ back @ E)
    log_ratio = np.log(np.diagonal(L)).sum() - np.log(np.diagonal(factor)).sum()
    return _Point(
        space.labels.duals(K).energy,
        0.5 * float(np.vdot(S, Q)) - 0.5 * space.d - float(log_ratio),
        np.asarray(sum(terms)),
        float(sum(np.linalg.norm(L.T @ term @ L) for term in terms)),
        K,
        conjugate,
        C,
        S,
    )


def _minimum(space: TrajectorySpace, prior: FloatArray, start: FloatArray) -> GaussianApproximation:
    """Quasi-Newton minimisation over the factor of ``S = A B Bᵀ Aᵀ``, A the start's, B lower triangular."""
    lower_part = np.tril_indices(space.d)

    def factor(entries: FloatArray) -> tuple[FloatArray, FloatArray]:
        B = np.zeros((space.d, space.d))
        B[lower_part] = entries
        diagonal = np.exp(np.diagonal(B))
        B[np.diag_indices(space.d)] = diagonal
        return start @ B, diagonal

    def objective(entries: Any) -> Any:
        try:
            L, diagonal = factor(np.clip(entries, -30, 30))
            point = _at(space, L)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(entries)
        slope = 2 * start.T @ point.gradient @ L
        slope[np.diag_indices(space.d)] *= diagonal
        return point.energy + point.entropy, slope[lower_part]

    options: Any = {"maxiter": STEPS, "maxfun": 4 * STEPS, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 40}
    run: Any = minimize(objective, np.zeros(len(lower_part[0])), jac=True, method="L-BFGS-B", options=options)
    L, _ = factor(run.x)
    point = _at(space, L)
    residual = float(np.linalg.norm(L.T @ point.gradient @ L) / point.scale)
    good = residual <= TOLERANCE
    E, expand = space.embedding, space.classes.expand
    beyond = coherence_beyond(expand(point.kernel), expand(prior), space.problem.P)
    return GaussianApproximation(
        problem=space.problem,
        kernel=expand(point.kernel),
        conjugate=space.classes.shared(point.conjugate),
        covariance=expand(E @ point.covariance @ E.T),
        second_moment=expand(E @ point.second_moment @ E.T),
        free_energy=point.energy + point.entropy,
        energy=point.energy,
        entropy=point.entropy,
        residual=residual,
        converged=good,
        status="converged" if good else f"not converged: relative residual {residual:.1e} after {run.nit} steps",
        branch="coherent" if beyond > COHERENT else "incoherent",
        iterations=int(run.nit),
    )


def _correlated(space: TrajectorySpace, start: FloatArray) -> FloatArray:
    """A start whose later times carry one pattern of correlated activity."""
    S = start @ start.T
    scale = np.sqrt(np.diagonal(S))
    time = space.times
    within = np.arange(space.d) - np.searchsorted(time, time)
    link = (within[:, None] == within) & (time[:, None] != time) & (time[:, None] > 0) & (time > 0)
    mixed = S + BROKEN * link * np.outer(scale, scale)
    values, frame = np.linalg.eigh(mixed)
    repaired = (frame * np.maximum(values, 0.05 * values.max())) @ frame.T
    return np.asarray(sla.cholesky(repaired, lower=True))
