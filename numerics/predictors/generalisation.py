"""Predictions away from the supervised entries: test patterns, variances at width N, and losses.

A test pattern is an unsupervised pattern of the joint kernel (docs/theory.md section 6). Nothing pulls on it, so that
its hidden states follow from the training patterns' by the forward covariance alone, time after time:
``H_{ab} = C_{ab} C⁻¹ H`` and ``H_{aa} = C_{aa} - C_{ab}C⁻¹C_{ba} + C_{ab}C⁻¹HC⁻¹C_{ba}`` for a test pattern a and the
training patterns b, where C is that of the drives, ``C_{ab} = w M∘H_{ab}⁻ + uX⁻_{ab} + βB``, of which a skip connection
makes the hidden states (docs/theory.md sections 10 and 11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.errors import InputError
from numerics.inputs.driving import driving_inputs
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, from_vector, symmetric, to_vector
from numerics.linear import trust_region
from numerics.linear.functional import KernelFunctional, KernelPoint, kernel_functional
from numerics.linear.krylov import Preconditioned
from numerics.linear.solution import LinearSolution, linear_state
from numerics.nonlinear import held_out as nonlinear_held_out
from numerics.nonlinear.fluctuations import fluctuations
from numerics.nonlinear.solution import NonlinearSolution
from numerics.predictors.output_shift import variance_of_outputs
from numerics.results.readout import KernelState, mean_outputs, regression
from numerics.results.solution import Solution
from numerics.symmetry.gauge import SMALL_OUTPUT, reversed_times

#: Largest m for which the Hessian is formed, and directions solved for at once above it.
DENSE, CHUNK = 24, 32


@dataclass(frozen=True, eq=False)
class OutputLaw:
    """Mean and variance of the outputs of a set of patterns.

    Attributes:
        mean: ``⟨f⟩`` at N → ∞, (patterns, n), or (O, patterns, n) of several outputs; column t-1 is f^(t+1).
        scaled_variance: N times the variance of f over the posterior at large N: of the read-out given the kernel, and,
            where it is included (see the function), of the kernel.
        sign_arbitrary: hidden times t, 1-based, at which a symmetry of the posterior reverses a pattern's mean: over
            the state and its images it is 0 (``numerics.symmetry``).
    """

    mean: FloatArray
    scaled_variance: FloatArray
    sign_arbitrary: tuple[int, ...] = ()


def training(solution: Solution) -> OutputLaw:
    """Training patterns at every time, supervised or not; the variance includes the kernel's fluctuations.

    ``N Var f_a = v[H_aa - v H_{a𝒯}(vH_{𝒯𝒯}+κ)⁻¹H_{𝒯a}] + ∇f_aᵀ (∂²F)⁻¹ ∇f_a``, with f_a as a function of the kernel.

    Raises:
        InputError: the state is not a minimum, so that it has no fluctuations.
        NotSolvedError: fluctuations of a large kernel: too close to a transition (``numerics.linear.krylov``), or, of
            a nonlinear state, more than its points tell.
    """
    if isinstance(solution, NonlinearSolution):
        variance = variance_of_outputs(solution, fluctuations(solution).changes)
        return OutputLaw(mean_outputs(solution), variance, solution.sign_arbitrary)
    state = linear_state(solution)
    problem, H = state.problem, state.kernel
    if not state.stable:
        raise InputError("solution: is not a minimum; accepted: a stable state")
    functional = kernel_functional(problem)
    point = functional.at(state.reduced)
    frame = functional.space.full_basis() @ point.L
    variances = []
    for output, (T, _) in enumerate(problem.targets):
        given, weights, dual = _readout(state, H[:, T], np.diagonal(H), output)
        # df_a = v (e_a - 𝒯ᵀweights_a)ᵀ dH 𝒯ᵀq = v ⟨left_a, S q̂⟩
        left = frame - weights @ frame[T]
        fluctuating = np.einsum("ai,ij,aj->a", left, _message_response(point, dual @ frame[T]), left)
        variances.append((given + problem.v**2 * fluctuating).reshape(problem.n, problem.P).T)
    return OutputLaw(mean_outputs(state), _of_outputs(variances), state.sign_arbitrary)


def _message_response(point: KernelPoint, message: FloatArray) -> FloatArray:
    """N times the covariance of ``S q̂`` for the kernel's fluctuations S, (m, m)."""
    m = point.functional.dimension
    response = np.empty((m, m))
    factor = sla.cho_factor(trust_region.dense_hessian(point)) if m <= DENSE else None
    for rows in np.array_split(np.arange(m), -(-m // CHUNK)):
        forces = np.zeros((len(rows), m, m))
        forces[np.arange(len(rows)), rows] = message
        forces = symmetric(forces)
        if factor is not None:
            solved = from_vector(sla.cho_solve(factor, to_vector(forces).T).T, m)
        else:
            solved = Preconditioned(point).solve(forces, tolerance=1e-10)
        response[rows] = solved @ message
    return symmetric(response)


def held_out(solution: Solution) -> OutputLaw:
    """The problem's test patterns ``x_test``; the variance is that of the read-out given the kernel.

    For a nonlinear state their kernel is an average over a sample: see ``numerics.nonlinear.held_out``.

    Raises:
        InputError: the problem has no test patterns.
    """
    problem = solution.problem
    if problem.x_test is None:
        raise InputError("problem: has no test patterns; accepted: a problem with x_test")
    if isinstance(solution, NonlinearSolution):
        found = nonlinear_held_out.held_out_kernel(solution)
        cross, own = found.cross, found.own
        tolerance = max(SMALL_OUTPUT, 5 * float(found.cross_error.max() / np.abs(cross).max()))
    else:
        (cross, own), tolerance = held_out_kernel(linear_state(solution)), SMALL_OUTPUT
    count = cross.shape[1]
    rows = cross.transpose(1, 0, 2).reshape(count * problem.n, -1)
    means, variances = [], []
    for output, (T, labels) in enumerate(problem.targets):
        given, weights, _ = _readout(solution, rows[:, T], own.ravel(), output)
        means.append((weights @ labels).reshape(count, problem.n))
        variances.append(given.reshape(count, problem.n))
    mean, odd = _of_outputs(means), problem.activation.odd
    arbitrary = reversed_times(problem, mean, odd=odd, tolerance=tolerance, held_out=True)
    return OutputLaw(mean, _of_outputs(variances), arbitrary)


def held_out_kernel(solution: LinearSolution) -> tuple[FloatArray, FloatArray]:
    """Kernel of test with training patterns ``H_{ab}``, (n, Q, nP), and of each test pattern, ``H_aa^{tt}``, (Q, n)."""
    functional = kernel_functional(solution.problem)
    found = following(functional, solution.problem, solution.reduced)
    return found.cross @ functional.space.full_basis().T, np.diagonal(found.own, axis1=1, axis2=2)


@dataclass(frozen=True, eq=False)
class Following:
    """Hidden states of test patterns, which follow from the training patterns'.

    Attributes:
        cross: ``⟨h_a^t g⟩`` with the training patterns' coordinates g, (n, Q, m).
        own: ``H_aa^{tt'}`` of each test pattern, (Q, n, n).
        rest: covariance over times of the part of the drives that g does not determine, (Q, n, n).
    """

    cross: FloatArray
    own: FloatArray
    rest: FloatArray


def following(functional: KernelFunctional, problem: Problem, reduced: FloatArray) -> Following:
    """The test patterns of a linear problem, given the training patterns' kernel in reduced coordinates, (m, m)."""
    assert problem.x_test is not None
    n, Q = problem.n, len(problem.x_test)
    space, u, w = functional.space, problem.u, problem.w
    # by the coordinates g of the training patterns: H_ag = C_ag C⁻¹ G
    C = functional.covariance(reduced)
    forward, inverse = sla.solve(C, reduced, assume_a="pos"), np.linalg.inv(C)
    inputs = driving_inputs(problem, problem.x_test) / np.sqrt(problem.D)
    # of hidden states, and of the drives that they are made of
    cross, own = np.zeros((n, Q, functional.dimension)), np.zeros((Q, n, n))
    C_cross, own_drive, rest = np.zeros_like(cross), np.zeros_like(own), np.zeros_like(own)
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    passed = np.where(lags >= 0, problem.skip ** np.maximum(lags, 0.0), 0.0)
    for t in range(n):
        C_cross[t] = u * inputs[:, t] @ space.inputs.T
        cross[t] = problem.skip * cross[t - 1] if t else 0.0
        if t:
            C_cross[t] += w * space.received(cross[t - 1], t)
        explained = C_cross[t] @ inverse
        cross[t] += C_cross[t] @ forward
        for s in range(t + 1):
            covariance = u * np.sum(inputs[:, t] * inputs[:, s], axis=1)
            if s:
                covariance = covariance + w * problem.sharing[t - 1, s - 1] * own[:, t - 1, s - 1]
            rest[:, t, s] = rest[:, s, t] = covariance - np.sum(explained * C_cross[s], axis=1)
            known = np.sum((explained @ reduced @ inverse) * C_cross[s], axis=1)
            own_drive[:, t, s] = own_drive[:, s, t] = rest[:, t, s] + known
        now = slice(t + 1)
        own[:, now, now] = passed[now, now] @ own_drive[:, now, now] @ passed[now, now].T
    return Following(cross, own, rest)


def _of_outputs(arrays: list[FloatArray]) -> FloatArray:
    """The same arrays of several outputs, stacked."""
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


def _readout(
    solution: KernelState, cross: FloatArray, own: FloatArray, output: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of one output: read-out variance times N, regression weights on the labels, and ``q = (vH_{𝒯𝒯}+κ)⁻¹y``."""
    problem = solution.problem
    weights, dual = regression(solution, cross, output)
    return problem.v * (own - np.sum(weights * cross, axis=1)), weights, dual
