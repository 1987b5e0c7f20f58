"""Test patterns of a nonlinear network: hidden states that follow from the training patterns', time after time.

Nothing pulls on a test pattern a (docs/theory.md section 6). Given one neuron's trajectory g over the training
patterns, whose law is tilted, its own pre-activations are Gaussian,

    h_a^t = C_{ag} C_g⁻¹ g + ε_a^t,    Cov(ε_a) = C_{aa} - C_{ag} C_g⁻¹ C_{ga},

with C of docs/theory.md section 11, where the kernel of the time before gives the covariance of the next. Averages are
over points of the tilted trajectory, with one random ε for each and its negative; the ε have unit covariance exactly,
so that for linear φ nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.errors import InputError, NotSolvedError
from numerics.inputs.activation import Activation
from numerics.inputs.scalars import power_of_two
from numerics.linalg import FloatArray
from numerics.nonlinear.groups import whole
from numerics.nonlinear.iteration import MomentMap
from numerics.nonlinear.nodes import log_density, tilted_moments
from numerics.nonlinear.sample import BATCHES, fitted, placed, sample, standard, with_tails
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space
from numerics.nonlinear.symmetries import kept_classes, mirror

#: Points of a batch; points of one with which a mixture is fitted.
SIZE, ROUGH = 8192, 512


@dataclass(frozen=True, eq=False)
class HeldOutKernel:
    """The kernel of test patterns.

    Attributes:
        cross: with the training patterns, ``Φ_{ab}``, (n, Q, nP).
        own: ``Φ_aa^{tt}`` of each test pattern, (Q, n).
        cross_error: one standard error of `cross` from the points at each time; what the errors of the state and of
            earlier times pass on is not in it.
    """

    cross: FloatArray
    own: FloatArray
    cross_error: FloatArray


def held_out_kernel(solution: NonlinearSolution, *, size: int = SIZE) -> HeldOutKernel:
    """The kernel of the problem's test patterns.

    Args:
        solution: a state of the training patterns, whose problem has ``x_test``.
        size: points of each of 16 batches, a power of 2.

    Raises:
        InputError: the problem has no test patterns; size.
        NotSolvedError: the points are too few for the state.
    """
    problem = solution.problem
    if problem.x_test is None:
        raise InputError("problem: has no test patterns; accepted: a problem with x_test")
    size = power_of_two(size, "size")
    phi = problem.activation
    space = trajectory_space(problem)
    drawn = _drawn(space, phi, solution, size)
    rng = np.random.default_rng((0, 1))
    cross, own, error = (
        np.stack(parts) for parts in zip(*[_one(x, solution, drawn, phi, rng) for x in problem.x_test], strict=True)
    )
    return HeldOutKernel(cross.transpose(1, 0, 2), own, error.transpose(1, 0, 2))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Points of the tilted trajectory.

    Attributes:
        space: the coordinates.
        kernel: Φ of the points, (m, m).
        points: g, (K, d).
        activity: φ(h(g)), (K, nP).
        probability, batch: of each point, (K,).
    """

    space: TrajectorySpace
    kernel: FloatArray
    points: FloatArray
    activity: FloatArray
    probability: FloatArray
    batch: NDArray[np.intp]


def _drawn(space: TrajectorySpace, phi: Activation, solution: NonlinearSolution, size: int) -> _Drawn:
    """Points at the state; for φ that is not odd from a mixture that is fitted to it in two rounds."""
    inverse, classes = space.inverse_embedding, space.classes
    kernel, conjugate = classes.reduced(solution.kernel), classes.gathered(solution.conjugate)
    C = space.covariance(kernel)
    mean, covariance = np.zeros(space.d), inverse @ classes.reduced(solution.second_moment) @ inverse.T
    mixture = standard(space.d) if phi.odd else with_tails(space.d)
    for final in (True,) if phi.odd else (False, False, True):
        chosen = sample(
            space.d,
            size if final else min(size, ROUGH),
            0,
            mixture,
            mirrored=mirror(space, phi),
            paired=phi.odd,
        )
        nodes = placed((chosen,), whole(space), space, phi, mean, covariance)
        log_p = nodes.log_weight + log_density(nodes, C, conjugate)
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        if not final:
            mean, covariance = tilted_moments(nodes.points, p, odd=False)
            mixture = fitted(nodes.points, p, mean, covariance, 0)
    # stationary on these points: at a fixed Φ̃ the noise of averages is several times as large
    moments = (kernel, *tilted_moments(nodes.points, p, odd=phi.odd))
    kept = kept_classes(space, phi, kernel)
    map_ = MomentMap((chosen,), whole(space), space, phi, kept)
    last, _, reached = map_.fixed_point(moments, tolerance=1e-6)
    if not reached:
        raise NotSolvedError("the state has not been reached on the points for test patterns; try a larger size")
    nodes = placed((chosen,), whole(space), space, phi, last.mean, last.covariance)
    log_p = nodes.log_weight + log_density(nodes, space.covariance(last.kernel), last.conjugate)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    return _Drawn(space, last.kernel, nodes.points, nodes.activity, p, chosen.batch)


def _one(
    x: FloatArray, solution: NonlinearSolution, drawn: _Drawn, phi: Activation, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One test pattern (n, D): its kernel with the training patterns (n, nP), own squares (n,), and errors (n, nP)."""
    problem, space = solution.problem, drawn.space
    n, w, u, a, classes = problem.n, problem.w, problem.u, problem.skip, space.classes
    points, activity, probability, batch = drawn.points, drawn.activity, drawn.probability, drawn.batch
    precision = np.linalg.inv(drawn.space.covariance(drawn.kernel))
    train = classes.inputs(problem)
    sharing, biases = np.pad(problem.sharing, (0, 1)), problem.bias * problem.bias_sharing
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    skipped = np.where(lags >= 0, float(a) ** np.maximum(lags, 0), 0.0)  # h of the drives so far
    drive = u * x @ x.T / problem.D + biases
    noise = rng.standard_normal((len(points), n))
    spread = sla.cholesky((noise * probability[:, None]).T @ noise, lower=True)
    noise = sla.solve_triangular(spread, noise.T, lower=True).T
    cross, error, own = np.zeros((n, space.m)), np.zeros((n, space.m)), np.zeros((n, n))
    C_cross, rest, L = np.zeros((n, len(precision))), np.zeros((n, n)), np.zeros((n, n))
    hidden = np.zeros((2, len(points), n))  # with ε and with -ε
    for t in range(n):
        C_cross[t] = space.drives @ (u * train @ x[t] / problem.D + biases[classes.times, t])
        if t:
            C_cross[t] += a * C_cross[t - 1] + w * space.receive @ (sharing[t - 1, classes.times] * cross[t - 1])
            drive[t, 1 : t + 1] += w * sharing[t - 1, :t] * own[t - 1, :t]
            drive[:t, t] = drive[t, :t]
        C_own = skipped[t, : t + 1] @ drive[: t + 1, : t + 1] @ skipped[: t + 1, : t + 1].T
        for s in range(t + 1):
            rest[t, s] = C_own[s] - C_cross[t] @ precision @ C_cross[s]
            beyond = rest[t, s] - L[t, :s] @ L[s, :s]
            L[t, s] = np.sqrt(max(beyond, 0.0)) if s == t else (beyond / L[s, s] if L[s, s] > 0 else 0.0)
        mean, deviation = points @ (precision @ C_cross[t]), noise[:, : t + 1] @ L[t, : t + 1]
        hidden[0, :, t], hidden[1, :, t] = phi.value(mean + deviation), phi.value(mean - deviation)
        weighted = probability * hidden[:, :, t].mean(axis=0)
        each = np.stack([weighted[batch == b] @ activity[batch == b] for b in range(BATCHES)])
        total = np.array([probability[batch == b].sum() for b in range(BATCHES)])
        cross[t] = each.sum(axis=0)
        error[t] = np.sqrt(np.sum((each - total[:, None] * cross[t]) ** 2, axis=0) * BATCHES / (BATCHES - 1))
        squares = np.einsum("skt,sk,k->t", hidden[:, :, : t + 1], hidden[:, :, t], 0.5 * probability)
        own[t, : t + 1] = own[: t + 1, t] = squares
    return classes.expand_rows(cross), np.diagonal(own).copy(), np.abs(classes.expand_rows(error))
