"""The linear network's kernel free energy for any problem, with exact derivatives in the natural metric.

``F(H) = ½ Σ_c y_cᵀ(v 𝒯_cH𝒯_cᵀ+κ)⁻¹y_c + ½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2``, ``C = w M̂∘(RHRᵀ) + C_0``, in the
coordinates of ``numerics.linear.space`` (docs/theory.md sections 3 and 10-12): skip connections and biases are in R and
C_0 there.

A kernel close to ``H = LLᵀ`` is ``L exp(S) Lᵀ`` with a symmetric ``S``: then H stays positive-definite, and the entropy
is of order one in S whatever the scales of H. Gradient and Hessian here are in S: ``dF = ⟨G, S⟩ + ½⟨S, 𝓗S⟩ + …``; the
Hessian is that along straight lines and ``½(GS + SG)``, the curvature of the path ``exp(S)`` itself.

They are derived from the matrix expression of F in ``theory.matrix_calculus.natural`` and lowered to
``numerics.linear.derived``. Where M ties times in groups that are independent of each other, the groups' blocks are
followed by hand, which is quicker: ``numerics.linear.received`` (tests/benchmarks/test_lowered_functional.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numerics.cached import cached_property
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, eigh, lower_factor, norm, solve_factored, solve_lower, symmetric
from numerics.linear.actions import actions
from numerics.linear.coordinates import kernel_space
from numerics.linear.derived import ENTROPY_MASKED, ENTROPY_TIED
from numerics.linear.energy import Energy, Target
from numerics.linear.labels import targets_of
from numerics.linear.received import Received, taken
from numerics.linear.space import KernelSpace
from numerics.lowering.stages import Point


@dataclass(frozen=True, eq=False)
class KernelFunctional:
    """``F`` of one problem on the space of kernels that its inputs allow.

    Attributes:
        space: the m-dimensional space in which kernels are positive-definite, with the sharing matrix M.
        targets: labels, and the rows that read them out.
        v, w, kappa: widths and noise.
        input_covariance: ``C_0``, of inputs and biases, in the space, (m, m).
        reversals: how each generator of the sign symmetries acts on kernels (``numerics.linear.actions``).
    """

    space: KernelSpace
    targets: tuple[Target, ...]
    v: float
    w: float
    kappa: float
    input_covariance: FloatArray
    reversals: tuple[FloatArray, ...]

    @property
    def dimension(self) -> int:
        """Rows of the unknown matrix, m."""
        return self.space.dimension

    @cached_property
    def unexplained_energy(self) -> float:
        """``½|y|²/κ`` of labels that no kernel reaches."""
        unexplained = sum(target.unexplained for target in self.targets)
        return 0.5 * unexplained / self.kappa if unexplained else 0.0

    @cached_property
    def readout(self) -> FloatArray:
        """Rows of the basis that are read out for any label, (s, m)."""
        return np.concatenate([target.readout for target in self.targets])

    @property
    def labels(self) -> FloatArray:
        """Labels of the only output at these rows, (s,)."""
        (target,) = self.targets
        (labels,) = target.labels.T
        return np.asarray(labels)

    def with_labels(self, factor: float) -> KernelFunctional:
        """The same with all labels times a factor."""
        targets = tuple(target.times(factor) for target in self.targets)
        numbers = self.v, self.w, self.kappa, self.input_covariance, self.reversals
        return KernelFunctional(self.space, targets, *numbers)  # `replace` takes several times as long

    def covariance(self, H: FloatArray) -> FloatArray:
        """``C = w M̂∘(RHRᵀ) + C_0``."""
        return np.asarray(self.w * self.space.shifted(H) + self.input_covariance)

    @cached_property
    def is_separate(self) -> bool:
        """Whether C is what matrices give and, in the first block alone, what inputs do: its groups have no entries
        between each other."""
        return not any(self.input_covariance[link.target].any() for link in self.space.links)

    def prior_kernel(self) -> FloatArray:
        """``H_0 = C[H_0]``, the kernel of the random network: n forward steps."""
        H = self.input_covariance
        for _ in range(self.space.n - 1):
            H = self.covariance(H)
        return H

    def at(self, H: FloatArray) -> KernelPoint:
        """Factorise at ``H``.

        Raises:
            numpy.linalg.LinAlgError: H is not positive-definite.
        """
        return KernelPoint(self, H, lower_factor(H))


@dataclass(frozen=True, eq=False)
class KernelPoint:
    """A kernel with its factorisations: value, gradient and Hessian–vector products of F.

    Attributes:
        functional: the free energy.
        H: kernel in the space, (m, m).
        L: its lower Cholesky factor; S is measured in it.
    """

    functional: KernelFunctional
    H: FloatArray
    L: FloatArray

    @cached_property
    def covariance(self) -> FloatArray:
        """C, (m, m)."""
        return self.functional.covariance(self.H)

    @cached_property
    def _covariance_factor(self) -> FloatArray:
        return lower_factor(self.covariance)

    @cached_property
    def inverse_factor(self) -> FloatArray:
        """``L⁻¹``."""
        return solve_lower(self.L, np.eye(len(self.L)))

    @cached_property
    def _entropy(self) -> Point:
        """The lowered entropy, without what W takes."""
        stages = ENTROPY_TIED if self.functional.space.is_tied else ENTROPY_MASKED
        return stages.at(L=self.L, K=self._covariance_factor, w=self.functional.w)

    @cached_property
    def _derivatives(self) -> Point | None:
        """The lowered entropy; None where groups of times are independent of each other."""
        space, point = self.functional.space, self._entropy
        if not space.is_tied and len(space.links) > 1:
            return None
        if space.is_tied:
            point.state["B"] = space.shift_rows(self.L)
        else:
            point.state.update(taken(space, self.L))
        return point

    @property
    def M(self) -> FloatArray:
        """``LᵀC⁻¹L``; its eigenvalues are those of ``C⁻¹H``."""
        return np.asarray(self._entropy.get("relative"))

    @cached_property
    def energies(self) -> tuple[Energy, ...]:
        """The energy's parts: outputs with one supervised set have one factorisation."""
        f = self.functional
        return tuple(Energy.of(target, self.L, f.v, f.kappa) for target in f.targets)

    @cached_property
    def energy(self) -> float:
        """``½ Σ_c y_cᵀ(v𝒯_cH𝒯_cᵀ + κ)⁻¹y_c``."""
        return sum(part.value for part in self.energies) + self.functional.unexplained_energy

    @cached_property
    def entropy(self) -> float:
        """``½ tr[HC⁻¹] - m/2 - ½ ln(|H|/|C|)``, the divergence from the random network; at least 0."""
        # sum of x - 1 - ln x over the eigenvalues x of C⁻¹H, from diagonals where nothing cancels badly
        logs = 2.0 * np.log(self.L.diagonal() / self._covariance_factor.diagonal())
        return 0.5 * float((self.M.diagonal() - 1.0 - logs).sum())

    @cached_property
    def free_energy(self) -> float:
        """``F``."""
        return self.energy + self.entropy

    # --- gradient -----------------------------------------------------------------------------------------------

    @cached_property
    def _messages(self) -> FloatArray:
        """``½ × `` the adjoint of the covariance map on ``C⁻¹ - C⁻¹HC⁻¹``, in S-coordinates."""
        lowered = self._derivatives
        return self._received.adjoint if lowered is None else np.asarray(lowered.get("messages"))

    @cached_property
    def energy_gradient(self) -> FloatArray:
        """The energy's part of ``G``, (m, m)."""
        first, *others = (part.gradient for part in self.energies)
        return sum(others, first)

    @cached_property
    def gradient(self) -> FloatArray:
        """``G`` with ``dF = ⟨G, S⟩`` for ``H → L exp(S) Lᵀ``, (m, m)."""
        G = 0.5 * self.M + self._messages + self.energy_gradient
        G.flat[:: len(G) + 1] -= 0.5
        return symmetric(G)

    @cached_property
    def gradient_terms(self) -> float:
        """``Σ‖terms of G‖`` (Frobenius norms), which cancel at a stationary point."""
        energy = sum(part.gradient_size for part in self.energies)
        scale = energy + 0.5 * norm(self.M) + 0.5 * math.sqrt(self.functional.dimension)
        return scale + norm(self._messages)

    @cached_property
    def residual(self) -> float:
        """``‖G‖/Σ‖terms of G‖``."""
        return norm(self.gradient) / self.gradient_terms

    # --- Hessian ------------------------------------------------------------------------------------------------

    @cached_property
    def _received(self) -> Received:
        inverse = solve_factored(self._covariance_factor, np.eye(self.functional.dimension))
        return Received.of(self.functional.space, self.functional.w, inverse, self.L, self.functional.is_separate)

    def hessian_product(self, S: FloatArray) -> FloatArray:
        """``𝓗S`` for a symmetric S, or a stack of them (…, m, m); exactly symmetric, as iterations on it need."""
        return symmetric(self._curvature(S) + self.gradient @ S)

    def euclidean_hessian_product(self, S: FloatArray) -> FloatArray:
        """The change of ``Lᵀ(∂F/∂H)L`` with L held fixed: ``𝓗S`` without the curvature of the path."""
        return symmetric(self._curvature(S))

    def _curvature(self, S: FloatArray) -> FloatArray:
        """Up to an antisymmetric part."""
        lowered = self._derivatives
        if lowered is None:
            found = 0.5 * S + self._received.curvature(S)
        elif self.functional.space.is_tied:
            X, Y = self._sandwiches
            found = 0.5 * S + X @ (S[..., None, :, :] @ Y).reshape(*S.shape[:-2], -1, S.shape[-1])
        else:
            found = lowered.change(S)
        for part in self.energies:
            found += part.curvature(S)
        return found

    @cached_property
    def _sandwiches(self) -> tuple[FloatArray, FloatArray]:
        """The lowered terms of ``Σ X S Y`` but ½S: X side by side, Y in a stack, for two products in all."""
        lowered = self._derivatives
        assert lowered is not None
        left, right = _sides(lowered)
        return np.concatenate(left[1:], axis=1), np.array(right[1:])

    def distance(self, other: KernelPoint) -> float:
        """``‖L'⁻¹HL'⁻ᵀ - 1‖`` in the natural metric at another kernel."""
        half = solve_lower(other.L, self.L)
        return norm(half @ half.T - np.eye(len(half)))

    def curvature_terms(self) -> tuple[FloatArray, FloatArray]:
        """X and Y, (terms, m, m) each, with ``sym Σ X S Yᵀ`` the change of ``Lᵀ(∂F/∂H)L``, where all times share W."""
        lowered = self._derivatives
        assert lowered is not None
        left, right = _sides(lowered)
        pulls, pulled = zip(*(part.curvature_terms() for part in self.energies), strict=True)
        return np.array([*left, *pulls]), np.array([*(factor.T for factor in right), *pulled])

    # --- moves --------------------------------------------------------------------------------------------------

    def move(self, S: FloatArray) -> KernelPoint:
        """The point ``L exp(S) Lᵀ``; the factor is recomputed."""
        values, vectors = eigh(symmetric(S))
        half = (self.L @ vectors) * np.exp(0.5 * values)
        return self.functional.at(half @ half.T)

    def reflected(self, flips: Sequence[FloatArray]) -> KernelPoint:
        """The mean of the kernel and its images under diagonal signs."""
        H = self.H
        for flip in flips:
            H = 0.5 * (H + flip[:, None] * H * flip)
        return self.functional.at(H)


def _sides(lowered: Point) -> tuple[list[FloatArray], list[FloatArray]]:
    """X and Y of the entropy's ``Σ X S Y``; the first two are 1 and ½."""
    left, right = lowered.stages.sides
    return [lowered.get(name) for name in left], [lowered.get(name) for name in right]


def kernel_functional(problem: Problem) -> KernelFunctional:
    """The free energy of a linear problem on the space that its inputs span."""
    space = kernel_space(problem)
    factor = math.sqrt(problem.u) * space.inputs
    return KernelFunctional(
        space=space,
        targets=targets_of(problem, space),
        v=problem.v,
        w=problem.w,
        kappa=problem.kappa,
        input_covariance=factor @ factor.T,
        reversals=actions(problem, space),
    )
