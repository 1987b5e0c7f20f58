"""The free energy to second order where C has no entries between groups of times, nor with what inputs give.

See docs/theory.md section 3.

In coordinates in which C is block-diagonal only ``½ ln|H|`` couples all entries of a change Δ of H. With ``P_t`` and
``R_t`` the blocks of ``C⁻¹`` and ``C⁻¹HC⁻¹`` and ``δ_t = w M̂_t∘(B_t Δ B_tᵀ)`` the change of C's block t, that of the
group t of times whose matrices are correlated (a DNN's single times), which take the rows ``B_t g``,

``∂²F Δ = ½ H⁻¹ΔH⁻¹ - ½ Σ_t P_t δ_t P_t + ½ w Σ_t B_tᵀ (M̂_t∘(P_t δ_t R_t + R_t δ_t P_t - P_t (δ_t + Δ_t) P_t)) B_t``

and the energy's part.

Two products of whole matrices serve for it and two for the inverse of the random network's Hessian, however many times
there are: conjugate gradients in Δ cost a third of those in the natural coordinates.
"""

from __future__ import annotations

import math

import numpy as np

from numerics.linalg import FloatArray, solve_factored, symmetric
from numerics.linear import recursion
from numerics.linear.functional import KernelPoint


class SeparateCurvature:
    """``∂²F`` at a point whose C is block-diagonal, with the curvature of ``L exp(S) Lᵀ``."""

    def __init__(self, point: KernelPoint) -> None:
        f, half = point.functional, point.inverse_factor
        self._point, self._w, self._links = point, f.w, f.space.links
        self.inverse = half.T @ half
        self.gradient = half.T @ point.gradient @ half
        self._right = 0.5 * self.inverse + self.gradient
        C, H = point.covariance, point.H
        self._precision, self._response = [], []
        for link in self._links:
            P = np.linalg.inv(C[link.entries])
            self._precision.append(P)
            self._response.append(P @ H[link.entries] @ P)

    def product(self, change: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``∂²F Δ`` and ``H⁻¹Δ``."""
        f, w = self._point.functional, self._w
        relative = self.inverse @ change
        force = symmetric(relative @ self._right)
        for target, energy in zip(f.targets, self._point.energies, strict=True):
            pull = target.readout.T @ energy.dual
            moved = solve_factored(energy.noisy_factor, target.readout @ (change @ pull))
            outer = (target.readout.T @ moved) @ pull.T
            force += 0.5 * f.v**2 * (outer + outer.T)
        for link, P, R in zip(self._links, self._precision, self._response, strict=True):
            own, mixed = P @ (w * link.between(change)), P @ change[link.entries] @ P
            direct = own @ P
            force[link.entries] -= 0.5 * direct
            back = own @ R
            link.add_back(force, 0.5 * w * (back + back.T - direct - mixed))
        return force, relative

    def inverse_of_random(self, force: FloatArray) -> FloatArray:
        """The inverse of the random network's Hessian, a change of H."""
        return recursion.in_kernel(self._point, force)

    def step(self, S: FloatArray) -> FloatArray:
        """A change of H in the natural coordinates, ``L⁻¹ΔL⁻ᵀ``."""
        half = self._point.inverse_factor
        return symmetric(half @ S @ half.T)


def truncated(point: KernelPoint, radius: float, smallest_share: float) -> tuple[FloatArray, float, int, bool]:
    """Steihaug's truncated conjugate gradients in Δ, the length of a step being that of ``S = L⁻¹ΔL⁻ᵀ``.

    Returns:
        S; the fall of F that the quadratic model predicts; products spent; whether the step ends on the boundary.
    """
    at = SeparateCurvature(point)
    r = at.gradient.copy()
    z = at.inverse_of_random(r)
    rz = float(np.vdot(r, z))
    goal = smallest_share**2 * rz
    p = -z
    change, relative, force = (np.zeros_like(r) for _ in range(3))
    products, boundary = 0, False
    for _ in range(4 * len(r)):
        Hp, Pp = at.product(p)
        products += 1
        curvature, pp = float(np.vdot(p, Hp)), float(np.vdot(Pp, Pp.T))
        xp, xx = float(np.vdot(relative, Pp.T)), float(np.vdot(relative, relative.T))
        tau = rz / curvature if curvature > 1e-14 * pp else math.inf
        if not xx + 2 * tau * xp + tau**2 * pp < radius**2:
            tau, boundary = (-xp + math.sqrt(max(0.0, xp * xp + pp * (radius**2 - xx)))) / pp, True
        change, relative, force = change + tau * p, relative + tau * Pp, force + tau * Hp
        if boundary:
            break
        r = r + tau * Hp
        z = at.inverse_of_random(r)
        new = float(np.vdot(r, z))
        if new <= goal:
            break
        p = -z + (new / rz) * p
        rz = new
    predicted = -float(np.vdot(at.gradient, change) + 0.5 * np.vdot(change, force))
    return at.step(change), predicted, products, boundary
