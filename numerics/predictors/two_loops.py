"""The free energy at width N to order 1/N: the diagrams of two loops around a minimum, of any activation.

See docs/theory.md section 13. With modes c_a of signs ε_a, ``Σ = Σ_a ε_a c_a c_aᵀ`` (-1 for those of Φ̃, which lies
along the imaginary axis), ``F_abc = ∂³F[c_a, c_b, c_c]`` and the force r of the shift,

    F_N = N F + Γ + Γ_2/N + O(1/N²),
    Γ_2 = ⅛ Σ_ab ε_a ε_b F_aabb - (1/12) Σ_abc ε_a ε_b ε_c F_abc² + ½ Σ_a ε_a A_aa - ½ r·Σr.

Changes of the Hessian and of A along each mode are central differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.linalg import FloatArray, from_vector, symmetric, symmetric_vectors, to_vector
from numerics.linear import fluctuations as linear
from numerics.linear.solution import linear_state
from numerics.nonlinear.fluctuations import (
    DETERMINANT_POINTS,
    Fluctuations,
    OneLoop,
    fluctuations,
    one_loop,
)
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.quadrature import MOST_DIMENSIONS
from numerics.nonlinear.reduced import kkt_blocks, stationary_point
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.trajectories import LAW_PARTS
from numerics.predictors import finite_width
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Most rows of a linear network's kernel: its Hessian is needed along each of m(m+1)/2 modes.
LARGEST_LINEAR = 16
#: Most points times modes cubed of a sample: some seconds.
MOST_WORK = 5e8
#: Step of the central differences, in the smaller of a mode's standard deviation at N = 1 and the kernel's own size.
STEP = 1e-3


@dataclass(frozen=True, eq=False)
class TwoLoops:
    """What two loops add to the free energy of a minimum at width N, times N.

    Attributes:
        irreducible: diagrams that no cut of one line parts: ``⅛ F_aabb - (1/12) F_abc² + ½ A_aa``.
        reducible: the others, ``-½ r·Σr``: the shift's own gain.
        error: standard error of their sum, of averages over a sample; 0 by quadrature and of a linear network.
    """

    irreducible: float
    reducible: float
    error: float

    @property
    def value(self) -> float:
        """Γ_2."""
        return self.irreducible + self.reducible

    @property
    def size(self) -> float:
        """Size of the two parts, ``√(irreducible² + reducible²)``: they may nearly cancel."""
        return math.hypot(self.irreducible, self.reducible)

    def left(self, width: int) -> float:
        """Size of what two loops leave out of the log of a probability: their size over N, squared."""
        return (self.size / width) ** 2


@dataclass(frozen=True, eq=False)
class _Action:
    """N F + A around a minimum, in changes x of coordinates, (s,).

    Attributes:
        modes: c_a as columns, (s, k).
        signs: ε_a, (k,).
        sizes: of each mode relative to the kernel, (k,).
        force: r, (s,).
        hessian: ∂²F at x, (s, s).
        order_one: A at x.
    """

    modes: FloatArray
    signs: FloatArray
    sizes: FloatArray
    force: FloatArray
    hessian: Callable[[FloatArray], FloatArray]
    order_one: Callable[[FloatArray], float]


@one_thread
def two_loops(solution: Solution) -> TwoLoops | None:
    """Γ_2 of a minimum; None where the kernel is too large for it.

    Raises:
        InputError, NotSolvedError: as for `numerics.kernel_sd`.
    """
    if isinstance(solution, NonlinearSolution):
        return _nonlinear(fluctuations(solution))
    if len(linear_state(solution).reduced) > LARGEST_LINEAR:
        return None
    return TwoLoops(*_diagrams(_linear(solution)), 0.0)


def _nonlinear(found: Fluctuations) -> TwoLoops | None:
    """On all points of a quadrature; on as many of a sample as there is time for, whose parts tell error and bias."""
    nodes, s = found.nodes, len(found.loop.root)
    if found.space.d <= MOST_DIMENSIONS:
        return TwoLoops(*_diagrams(_two_kernels(found.space, found.loop, nodes)), 0.0)
    count = min(len(nodes.points), int(MOST_WORK // (2 * s) ** 3))
    if count < 2 * DETERMINANT_POINTS * s:
        return None
    count = 1 << (count.bit_length() - 1)  # a part of so many points of a Sobol sequence is evenly spread

    def on(first: int, step: int) -> FloatArray:
        part = slice(first, count, step)
        taken = Nodes(nodes.points[part], nodes.activity[part], nodes.log_weight[part])
        point = found.loop.point
        loop = one_loop(found.space, taken, point.kernel, point.conjugate)
        return np.array(_diagrams(_two_kernels(found.space, loop, taken)))

    try:
        whole, parts = on(0, 1), np.array([on(first, LAW_PARTS) for first in range(LAW_PARTS)])
    except np.linalg.LinAlgError:
        return None
    bias = (parts.mean(axis=0) - whole) / (LAW_PARTS - 1)
    error = np.hypot(float(parts.sum(axis=1).std(ddof=1)) / math.sqrt(LAW_PARTS), float(bias.sum()))
    irreducible, reducible = (whole - bias).tolist()
    return TwoLoops(irreducible, reducible, float(error))


def _two_kernels(space: TrajectorySpace, loop: OneLoop, nodes: Nodes) -> _Action:
    """In ``x = (Φ̃, Φ)``, on fixed points."""
    vectors, s = symmetric_vectors(space.m), len(loop.root)
    spread = loop.point.average.covariance
    assert spread is not None
    of_kernel = sla.solve_triangular(loop.root, loop.covariance[s:], lower=False).T  # Σ U⁻ᵀ: both parts of each c_a
    conjugate = np.concatenate([np.linalg.inv(sla.cholesky(spread[:s, :s], lower=True)).T, np.zeros((s, s))])
    changes, kernel, at = vectors.matrix(loop.root.T), loop.point.kernel, vectors.vec(loop.point.kernel)
    L = sla.cholesky(kernel, lower=True)
    relative = np.linalg.solve(L, np.swapaxes(np.linalg.solve(L, changes), -1, -2))
    before = vectors.vec(loop.point.conjugate)

    def hessian(x: FloatArray) -> FloatArray:
        moved, tilt = vectors.matrix(at + x[s:]), vectors.matrix(before + x[:s])
        kernels, mixed, spread = kkt_blocks(
            space, vectors, stationary_point(space, vectors, nodes, moved, tilt, covariance=True)
        )
        return np.block([[-spread, mixed], [mixed.T, kernels]])

    return _Action(
        np.concatenate([of_kernel, conjugate], axis=1),
        np.repeat([1.0, -1.0], s),
        np.concatenate([np.linalg.norm(relative, axis=(1, 2)), np.ones(s)]),
        loop.force,
        hessian,
        lambda x: 0.5 * space.labels.duals(vectors.matrix(at + x[s:])).log_determinant,
    )


def _linear(solution: Solution) -> _Action:
    """In S, ``H = L(1+S)Lᵀ``, by the explicit density."""
    at = linear.fluctuations(linear_state(solution))
    f, L, m = at.point.functional, at.point.L, at.point.functional.dimension
    basis = from_vector(np.eye(len(at.hessian)), m)

    def hessian(x: FloatArray) -> FloatArray:
        moved = f.at(symmetric(L @ (np.eye(m) + from_vector(x, m)) @ L.T))
        frame = sla.solve_triangular(moved.L, L, lower=True)
        products = frame.T @ moved.euclidean_hessian_product(frame @ basis @ frame.T) @ frame
        return to_vector(symmetric(products))

    return _Action(
        at.root,
        np.ones(len(at.root)),
        np.linalg.norm(at.root, axis=0),
        to_vector(at.force),
        hessian,
        lambda x: finite_width.order_one(f, L @ (np.eye(m) + from_vector(x, m)) @ L.T),
    )


def _diagrams(action: _Action) -> tuple[float, float]:
    """The irreducible ones and the reducible one."""
    C, signs = action.modes, action.signs
    pairs = np.outer(signs, signs)
    here, A, x = C.T @ action.hessian(0 * C[:, 0]) @ C, action.order_one(0 * C[:, 0]), C.T
    irreducible = 0.0
    for change, sign, size in zip(x, signs, action.sizes, strict=True):
        step = STEP / max(1.0, float(size))
        above, below = (C.T @ action.hessian(side * step * change) @ C for side in (1, -1))
        third, fourth = (above - below) / (2 * step), (above - 2 * here + below) / step**2
        bent = action.order_one(step * change) - 2 * A + action.order_one(-step * change)
        irreducible += sign * (
            float(signs @ np.diagonal(fourth)) / 8 - float(np.sum(pairs * third**2)) / 12 + 0.5 * bent / step**2
        )
    force = C.T @ action.force
    return float(irreducible), -0.5 * float(signs @ force**2)
