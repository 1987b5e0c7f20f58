"""Sign symmetries among the states of the linear theory: images, and whether two states are one up to them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product

import numpy as np

from numerics.linalg import FloatArray, norm, solve_lower
from numerics.linear.actions import acted
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.linear.trust_region import smallest_modes
from numerics.symmetry.group import MOST_GENERATORS, REVERSED

#: Two kernels closer than this, relative, are one; entries of a symmetric one that this much is left of are rounding.
SAME, ROUNDING = 1e-6, 1e-12
#: Along a direction in which F is flat Newton's method is slow, and rounding moves its end far. Kernels closer than the
#: first are one if they are as high as the residuals allow, and the smallest curvature, of the steeper place, times
#: their distance is at most so many gradients: along x⁴ it is six, of -x and x. A residual is
#: not known to less than the last.
FLAT, QUARTIC, ROUNDED = 0.1, 6.0, 1e-16


def turned(functional: KernelFunctional, H: FloatArray) -> list[FloatArray]:
    """A kernel and its images under the sign symmetries that change it."""
    size = np.sqrt(np.diagonal(H))
    rounding = ROUNDING * np.outer(size, size)
    changing = [R for R in functional.reversals if (np.abs(acted(R, H) - H) > rounding).any()][:MOST_GENERATORS]
    images = []
    for chosen in product((False, True), repeat=len(changing)):
        image = H
        for R, used in zip(changing, chosen, strict=True):
            image = acted(R, image) if used else image
        images.append(image)
    return images


def number_of_images(point: KernelPoint) -> int:
    """How many different states the sign symmetries make of one, itself among them."""
    different: list[KernelPoint] = []
    for H in turned(point.functional, point.H):
        if not any(distance(H, other) < SAME for other in different):
            different.append(point.functional.at(H))
    return len(different)


def distance(H: FloatArray, other: KernelPoint) -> float:
    """``‖L⁻¹HL⁻ᵀ - 1‖`` per row: a relative difference that sees small entries too."""
    half = solve_lower(other.L, solve_lower(other.L, H).T)
    half.flat[:: len(H) + 1] -= 1.0
    return norm(half) / math.sqrt(len(H))


def distance_up_to_symmetry(point: KernelPoint, other: KernelPoint) -> float:
    """The distance of two states, sign symmetries allowed for."""
    return min(distance(H, other) for H in turned(point.functional, point.H))


def is_new(point: KernelPoint, known: Iterable[KernelPoint]) -> bool:
    """Whether no known state is the same up to symmetry."""
    return not any(_is_same(point, other) for other in known)


def _is_same(point: KernelPoint, other: KernelPoint) -> bool:
    """Whether two kernels are one state up to symmetry.

    At a critical point F rises as the fourth power of the distance, so that Newton's method ends at kernels that are
    far apart: within its tolerance, or within rounding, 1e-5 apart at a residual of 1e-16.
    """
    apart = distance_up_to_symmetry(point, other)
    if apart < SAME or apart > FLAT:
        return apart < SAME
    worst = max(point.residual, other.residual)
    rise = abs(point.free_energy - other.free_energy)
    if rise > worst * apart * len(point.H) + ROUNDING * (1 + abs(point.free_energy)):
        return False
    curvature = max(abs(float(smallest_modes(each, 1)[0][0])) for each in (point, other))
    steepest = max(max(each.residual, ROUNDED) * each.gradient_terms for each in (point, other))
    return curvature * apart * math.sqrt(len(point.H)) <= QUARTIC * steepest


def turns(point: KernelPoint, mode: FloatArray) -> bool:
    """Whether a sign symmetry leaves a state as it is and turns a direction S, (m, m), into its negative."""
    change = point.L @ mode @ point.L.T
    size = REVERSED * np.linalg.norm(change)
    return any(
        bool(np.linalg.norm(acted(R, change) + change) < size) and distance(acted(R, point.H), point) < SAME
        for R in point.functional.reversals
    )
