"""Stationary states on a sample that moves with the state: the conditions iterated as a map of moments.

Given Φ and the second moment ``⟨ggᵀ⟩`` of one neuron's trajectory, the second condition of docs/theory.md section 4
gives Φ̃ explicitly,

    Φ̃ = ½ v R y yᵀ R on supervised entries + (w/2) [C⁻¹⟨ggᵀ⟩C⁻¹ - C⁻¹], shifted back by one time,

and averages under ``N(g|0, C_g[Φ]) exp(φᵀΦ̃φ)`` give Φ and the moments again: a map whose fixed points are the
stationary states. Averages are over ``g = μ + L z`` with fixed z, weighted by the tilted density over that of the
points. As μ and LLᵀ are the tilted trajectory's own mean and covariance, and normal z have mean 0 and covariance 1
exactly, their weights are equal where the trajectory is Gaussian, as for linear φ, and the averages exact: the error of
the sample is that of what is not Gaussian (``averaging``). Where the law factorises over ``groups``, each has a sample
of its own, and what correlates two of them is known. Anderson's acceleration (type II; Walker & Ni, SIAM J. Numer.
Anal. 49, 1715 (2011)) makes the map converge where plain repetition does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.acceleration import accelerated
from numerics.nonlinear.averaging import LARGE, Averaged, GroupLaw, averaged
from numerics.nonlinear.frames import Frame, Moments
from numerics.nonlinear.groups import Group, inverse, largest
from numerics.nonlinear.instability import beyond_one, leads_back
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.response import NormalResponse
from numerics.nonlinear.sample import Sample
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import Classes, kept_matrices
from numerics.progress import Told

#: Residuals kept, iterations, and the relative residual at which they end.
HISTORY, ITERATIONS, TOLERANCE = 25, 500, 1e-8
#: Iterations in which the residual must halve.
PATIENCE = 100
#: Longest step in the relative change of Φ and the moments, for each row.
LONGEST_CHANGE = 0.15
#: Share of the residual in a damped step; halved, to the least, where a step makes the residual grow by a factor.
DAMPED, LEAST_DAMPED, STIFF = 0.3, 0.05, 1.1
#: Length of the differences that give the map's derivative.
DIFFERENCE = 1e-4
#: Newton steps where acceleration fails, on the way of a state and downhill; unknowns up to which they are taken, for
#: each step costs as many maps; longest step, as `LONGEST_CHANGE`.
FOLLOWING, DOWNHILL, NEWTON_UNKNOWNS, NEWTON_LONGEST = 8, 80, 120, 0.3
#: Sizes of a Krylov space at which it may show that a state is stable, beside that of normal laws.
FEW_SHOW = (6, 9, 12, 18, 24)
#: How far from 1 it must be: equations with the normal laws' derivative are solved to a share only.
FAR_FROM_1 = 0.05
#: Smallest |1 - eigenvalue| that a Newton step divides by.
SOFTEST = 1e-3
#: Lengths of a step off an unstable state, over sqrt(rows of Φ).
PERTURBATIONS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
#: Share of the points that count which a step must keep: one that is far too long makes the tilt too strong.
KEPT_BY_STEP = 0.6
#: Factor by which a step may make the residual larger.
GROWN = 2.0
#: Share of the points that must count; on fewer the moments mean nothing.
FEWEST = 0.01


@dataclass(frozen=True, eq=False)
class Iterate:
    """Φ with mean and covariance of g, and what the averages make of them.

    Attributes:
        kernel, mean, covariance: Φ (m, m), μ (d,), LLᵀ (d, d).
        conjugate: Φ̃ of these.
        after: ``⟨φφᵀ⟩``, mean and covariance under the tilted trajectory.
        counting: share of the points that count, ``1/(K Σ p²)``, of the group that has fewest.
        log_Z: of the tilted law.
        batches: mean weights of each group's batches, relative, (groups, BATCHES).
    """

    kernel: FloatArray
    mean: FloatArray
    covariance: FloatArray
    conjugate: FloatArray
    after: Moments
    counting: float
    log_Z: float
    batches: FloatArray


def explicit_conjugate(
    space: TrajectorySpace, kernel: FloatArray, second: FloatArray, precision: FloatArray | None = None
) -> FloatArray:
    """Φ̃ from Φ and ``⟨ggᵀ⟩`` by the second condition, (m, m); ``C_g[Φ]⁻¹`` may be given.

    Raises:
        numpy.linalg.LinAlgError: ``C_g[Φ]`` is singular.
    """
    if precision is None:
        precision = np.asarray(np.linalg.inv(space.covariance(kernel)))
    pulled = space.pull_back(0.5 * (precision @ second @ precision - precision))
    return pulled + space.labels.duals(kernel).conjugate


@dataclass(frozen=True, eq=False)
class MomentMap:
    """The map of (Φ, mean and covariance of g) on one sample of each group.

    Attributes:
        samples, groups: random numbers of each group.
        space, phi: coordinates, activation.
        classes: what states are kept to, where groups are coarser.
        told: how far the residual has fallen.
    """

    samples: tuple[Sample, ...]
    groups: tuple[Group, ...]
    space: TrajectorySpace
    phi: Activation
    classes: Classes | None = None
    told: Told = field(default_factory=Told)

    @recorded
    def fixed_point(
        self, start: Moments, *, relaxed: int = 0, tolerance: float = TOLERANCE
    ) -> tuple[Iterate, int, bool]:
        """Iterate to a fixed point: with Anderson acceleration; where that fails and unknowns are few, Newton's method.

        Args:
            start: Φ, and mean and covariance of g.
            relaxed: so many damped steps without acceleration come first. They lead away from an unstable state, where
                acceleration goes to the fixed point that is close, stable or not.
            tolerance: relative residual at which the iteration ends.

        Returns:
            The last iterate; iterations; whether its residual is below the tolerance.

        Raises:
            numpy.linalg.LinAlgError: Φ or the covariance is not positive-definite.
        """
        at = self.near(start)
        x = from_here = at.frame.coordinates(*start)
        now, residual = at(x)
        steps: list[FloatArray] = []
        changes: list[FloatArray] = []
        norms: list[float] = []
        longest, damped = LONGEST_CHANGE * np.sqrt(self.space.m + self.space.d), DAMPED
        falls = self.told.falling(tolerance)
        for iteration in range(relaxed + ITERATIONS):
            if iteration == relaxed:
                from_here = x
            relative = float(np.linalg.norm(residual) / np.linalg.norm(x))
            falls(relative)
            if relative <= tolerance:
                return now, iteration, True
            if now.counting < FEWEST:
                break
            if iteration < relaxed:
                step = damped * residual
            else:
                step = accelerated(residual, steps, changes) if steps else residual
            step = step * min(1.0, longest / float(np.linalg.norm(step)))
            moved = possible(at, x, step, KEPT_BY_STEP * now.counting, GROWN * float(np.linalg.norm(residual)))
            if moved is None:
                break
            step, (now, new) = moved
            if np.linalg.norm(new) > STIFF * np.linalg.norm(residual):
                damped = max(0.5 * damped, LEAST_DAMPED)
            if iteration >= relaxed:
                norms.append(float(np.linalg.norm(new)))
            if len(norms) > PATIENCE and min(norms[-PATIENCE:]) > 0.5 * min(norms[:-PATIENCE]):
                break
            steps, changes = [*steps, step][-HISTORY:], [*changes, new - residual][-HISTORY:]
            x, residual = x + step, new
        if self._unknowns > NEWTON_UNKNOWNS:
            return now, iteration, False
        last, more, reached = self._newton(at, from_here, downhill=relaxed > 0, tolerance=tolerance)
        return (last, iteration + more, True) if reached else (now, iteration + more, False)

    def _newton(self, at: MapNear, x: FloatArray, *, downhill: bool, tolerance: float) -> tuple[Iterate, int, bool]:
        """Newton's method on the fixed point; results as those of `fixed_point`.

        Going downhill, steps along directions in which the map leads away are reversed: F falls along them.
        """
        basis = at.frame.basis(odd=self.phi.odd)
        now, residual = at(x)
        longest = NEWTON_LONGEST * np.sqrt(self.space.m + self.space.d)
        most = DOWNHILL if downhill else FOLLOWING
        for step_number in range(most):
            self.told.steps(step_number, most)
            if np.linalg.norm(residual) <= tolerance * np.linalg.norm(x):
                return now, step_number, True
            size, modes = np.linalg.eig(at.slope(x, residual, basis))
            size = np.where(np.abs(size) < SOFTEST, SOFTEST, size)
            if downhill:
                size = np.abs(size.real) + 1j * size.imag
            step = basis @ np.real(modes @ (np.linalg.solve(modes, basis.T @ residual) / size))
            step *= min(1.0, longest / float(np.linalg.norm(step)))
            moved = possible(at, x, step, KEPT_BY_STEP * now.counting, GROWN * float(np.linalg.norm(residual)))
            if moved is None or moved[1][0].counting < FEWEST:
                break
            step, (now, residual) = moved
            x = x + step
        return now, step_number, False

    @recorded
    def relax(self, start: Moments, steps: int) -> Iterate:
        """Where so many damped steps lead, or fewer if they lead nowhere.

        Raises:
            numpy.linalg.LinAlgError: Φ or the covariance is not positive-definite.
        """
        at = self.near(start)
        x = at.frame.coordinates(*start)
        now, residual = at(x)
        longest = LONGEST_CHANGE * np.sqrt(self.space.m + self.space.d)
        for _ in range(steps):
            size = float(np.linalg.norm(residual))
            step = residual * min(DAMPED, longest / max(size, 1e-300))
            moved = possible(at, x, step, KEPT_BY_STEP * now.counting, GROWN * size)
            if moved is None:
                break
            step, (now, residual) = moved
            x = x + step
        return now

    def at(self, moments: Moments) -> Iterate:
        """What the averages make of Φ, and mean and covariance of g."""
        at = self.near(moments)
        return at(at.frame.coordinates(*moments))[0]

    def even_part(self, direction: FloatArray, symmetry: Classes) -> FloatArray:
        """The part of a direction that a symmetry leaves as it is."""
        return np.asarray(direction * self._kept(symmetry))

    @recorded
    def unstable_modes(self, state: Iterate, most: int) -> list[FloatArray]:
        """Directions in which the map leads away from a fixed point: eigenvalues of its derivative beyond 1.

        The smallest eigenvalue of the Hessian of F(Φ) and that of 1 - derivative vanish together, and as long as no
        complex pair crosses, as many of the one as of the other are negative. The sample's own derivative is used: it
        has far less noise than a Hessian from covariances of so many products.
        """
        here = (state.kernel, state.mean, state.covariance)
        at = self.near(here)
        x = at.frame.coordinates(*here)
        _, residual = at(x)

        def along(direction: FloatArray) -> FloatArray:
            return at.change(x, residual, direction) + direction

        if self.phi.odd and largest(self.groups) > LARGE:
            # where normal laws are stable, and 1 - derivative times the inverse of theirs has no eigenvalue below 0,
            # none of its own has changed sign on the way from theirs
            response = NormalResponse(self.phi, at.frame, x)

            def beside(direction: FloatArray) -> FloatArray:
                return direction - response.solved(direction - along(direction))

            if leads_back(response, len(x)) and leads_back(beside, len(x), FEW_SHOW, FAR_FROM_1):
                return []
        return beyond_one(along, len(x), at.frame.moved, most)

    def off(self, state: Iterate, direction: FloatArray) -> Moments | None:
        """Moments off a state along an unstable mode, to where the map leads back or no further."""
        here = (state.kernel, state.mean, state.covariance)
        at = self.near(here)
        x = at.frame.coordinates(*here)
        reached = None
        for length in PERTURBATIONS:
            try:
                moved, residual = at(x + length * np.sqrt(self.space.m) * direction)
            except np.linalg.LinAlgError:
                break
            if moved.counting < max(FEWEST, 0.2 * state.counting):
                break
            reached = moved
            if float(residual @ direction) < 0:
                break
        return None if reached is None else (reached.kernel, reached.mean, reached.covariance)

    @property
    def _unknowns(self) -> int:
        """Entries of Φ and of the covariance of g, within groups."""
        sizes = [size for group in self.groups for size in (len(group.rows), len(group.coordinates))]
        return sum(size * (size + 1) // 2 for size in sizes)

    def near(self, start: Moments) -> MapNear:
        """The map in coordinates in which a start is the unit."""
        moving = None if self.classes is None else self._kept(self.classes)
        of_kernel, of_covariance = kept_matrices(self.space, self.classes)
        kernel, covariance = np.where(of_kernel, start[0], 0.0), np.where(of_covariance, start[2], 0.0)
        return MapNear(self, Frame.of(self.space, self.groups, kernel, covariance, moving))

    def _conjugate(self, moments: Moments) -> FloatArray:
        kernel, mean, covariance = moments
        precision = inverse(self.groups, self.space.covariance(kernel))
        return explicit_conjugate(self.space, kernel, covariance + np.outer(mean, mean), precision)

    def completed(self, kernel: FloatArray, iterate: Iterate) -> FloatArray:
        """A kernel within groups, with the entries between groups that an iterate has."""
        full = iterate.after[0].copy()
        for group in self.groups:
            full[np.ix_(group.rows, group.rows)] = group.of_rows(kernel)
        return full

    def _kept(self, classes: Classes) -> FloatArray:
        """1 for coordinates that need not vanish, 0 for others."""
        rows, coordinates = (kept.astype(float) for kept in classes.matrices())
        parts = []
        for group in self.groups:
            parts += [group.of_rows(rows).ravel(), group.of_coordinates(coordinates).ravel()]
            parts.append(np.zeros(len(group.coordinates)))
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class MapNear:
    """The map in a frame's coordinates: the iterate there, and its residual."""

    map: MomentMap
    frame: Frame

    def __call__(self, x: FloatArray) -> tuple[Iterate, FloatArray]:
        """What the averages make of x, and the residual."""
        map_, moments = self.map, self.frame.state(x)
        conjugate = map_._conjugate(moments)
        after, parts = self._after(moments, conjugate)
        iterate = Iterate(
            *moments,
            conjugate,
            after,
            min(part.counting for part in parts),
            sum(part.log_Z for part in parts),
            np.stack([part.batches for part in parts]),
        )
        residual = self.frame.coordinates(*after) - x
        return replace(iterate, kernel=map_.completed(iterate.kernel, iterate)), residual

    def laws(self, moments: Moments, conjugate: FloatArray) -> list[GroupLaw]:
        """The tilted law of each group, at points of these moments."""
        kernel, mean, covariance = moments
        C, E = self.map.space.covariance(kernel), self.map.space.embedding
        return [
            GroupLaw(
                E[np.ix_(group.rows, group.coordinates)],
                mean[group.coordinates],
                sla.cholesky(group.of_coordinates(covariance), lower=True),
                group.of_coordinates(C),
                group.of_rows(conjugate),
            )
            for group in self.map.groups
        ]

    def _after(self, moments: Moments, conjugate: FloatArray) -> tuple[Moments, list[Averaged]]:
        phi, space = self.map.phi, self.map.space
        mean, activity = np.zeros(space.d), np.zeros(space.m)
        covariance, kernels, parts = np.zeros((space.d, space.d)), [], []
        for i, law in enumerate(self.laws(moments, conjugate)):
            group, part = self.map.groups[i], averaged(self.map.samples[i], phi, law)
            at = np.zeros_like(part.mean) if phi.odd else part.mean
            activity[group.rows] = 0.0 if phi.odd else part.activity
            mean[group.coordinates] = at
            covariance[np.ix_(group.coordinates, group.coordinates)] = part.second - np.outer(at, at)
            kernels.append(part.kernel)
            parts.append(part)
        kernel = np.outer(activity, activity)
        for group, own in zip(self.map.groups, kernels, strict=True):
            kernel[np.ix_(group.rows, group.rows)] = own
        return (kernel, mean, covariance), parts

    def slope(self, x: FloatArray, residual: FloatArray, basis: FloatArray) -> FloatArray:
        """1 minus the map's derivative, in a basis of columns, at x with its residual."""
        return np.asarray(-basis.T @ np.stack([self.change(x, residual, unit) for unit in basis.T], axis=1))

    def change(self, x: FloatArray, residual: FloatArray, direction: FloatArray) -> FloatArray:
        """Derivative along a direction of the residual, whose value at x is given."""
        length = DIFFERENCE / max(float(np.linalg.norm(direction)), 1e-300)
        return np.asarray((self(x + length * direction)[1] - residual) / length)


def possible(
    at: MapNear,
    x: FloatArray,
    step: FloatArray,
    counting: float,
    residual: float,
    tries: int = 10,
) -> tuple[FloatArray, tuple[Iterate, FloatArray]] | None:
    """The step, halved until everything is positive-definite, enough points count and the residual is not too large."""
    for _ in range(tries):
        try:
            reached = at(x + step)
            if reached[0].counting >= counting and np.linalg.norm(reached[1]) <= residual:
                return step, reached
        except np.linalg.LinAlgError:
            pass
        step = 0.5 * step
    return None
