"""Every tolerance and bound of a continuation that is a choice, in one place.

What only rounding, or the way in which something is computed, asks for stands where that is done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from numerics.errors import InputError


@dataclass(frozen=True)
class Options:
    """How branches are followed; lengths are arclengths in the natural metric of kernels and in θ.

    Attributes:
        goal: relative residual to which every point is corrected.
        accepted: the one that rounding may leave in its place.
        corrections: Newton steps after which a step of the branch counts as failed.
        most_newton: of Newton's steps to a state at a fixed parameter.
        longest_correction: the longest of a step of either.
        smallest_cosine: a tangent that turns by more in one step may belong to another branch.
        first_step: of a branch.
        largest_step: over ``√m``, a relative change of each row of the kernel.
        outer_step: times as long where branches are followed, but no new ones started.
        shortest_step: below it a branch is lost.
        sure_step: longer steps are repeated, shorter, where what happens on them cannot be located.
        most_rows: of the unknown matrix, as a branch keeps some hundred kernels.
        most_points: of a branch.
        most_branches: of a problem.
        near: factor of the signal beyond the range up to which new branches are started.
        far: and up to which they are followed.
        weak: pull of the labels on the random network's kernel, over 1/n, at which there is no other state yet.
        search_factor: states are searched for at powers of this factor of the signal, and at both ends of the range.
        most_searches: as many of these powers at most.
        same_state: relative distance of two kernels that are one state.
        same_value: values of θ closer than this are one.
        same_point: eigenvalues that vanish closer together than this along a branch do so at one point.
        same_branch: a state further than this from where the branch must be belongs to another, relative.
        zero: eigenvalues smaller than this, of a Hessian of order one, have no certain sign.
        same_free_energy: free energies that differ by less do so by rounding.
        compared: points at which the free energies of two stable pieces are compared, at least.
        perturbation: length of the first step off a state that has become unstable.
        beyond: how far beyond the end of a stable piece it starts, in θ, at most.
        descents: saddle points that a descent may meet on its way before it is given up.
        reached: relative distance to a state of a stable piece below which a descent has reached it.
        continuous: a state closer than this to the one before was reached without a jump.
    """

    goal: float = 1e-14
    accepted: float = 1e-11
    corrections: int = 10
    most_newton: int = 15
    longest_correction: float = 0.5
    smallest_cosine: float = 0.9
    first_step: float = 0.01
    largest_step: float = 0.08
    outer_step: float = 2.0
    shortest_step: float = 1e-7
    sure_step: float = 1e-3
    most_rows: int = 512
    most_points: int = 4000
    most_branches: int = 120
    near: float = 4.0
    far: float = 100.0
    weak: float = 0.05
    search_factor: float = 4.0
    most_searches: int = 12
    same_state: float = 1e-6
    same_value: float = 1e-9
    same_point: float = 1e-9
    same_branch: float = 0.02
    zero: float = 1e-9
    same_free_energy: float = 1e-12
    compared: int = 16
    perturbation: float = 0.05
    beyond: float = 1e-3
    descents: int = 10
    reached: float = 1e-4
    continuous: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is no positive number.

        Raises:
            InputError: an option is not as above.
        """
        for field in fields(self):
            value, whole = getattr(self, field.name), field.type == "int"
            kind = int if whole else (int, float)
            if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < math.inf:
                accepted = "an integer > 0" if whole else "a finite number > 0"
                raise InputError(f"{field.name}: is {value!r}; accepted: {accepted}")
        for low, high in (("goal", "accepted"), ("shortest_step", "sure_step"), ("near", "far")):
            if getattr(self, low) > getattr(self, high):
                raise InputError(f"{low}: is {getattr(self, low):g}; accepted: at most {high}, {getattr(self, high):g}")


DEFAULT = Options()
