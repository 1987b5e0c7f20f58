"""Special points of branches: where they meet, turn, or have the free energy of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PointType = Literal["pitchfork", "fold", "branch-point", "equal-free-energy"]


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A pitchfork, fold or branch point of a branch, or a crossing of the free energies of two minima.

    Attributes:
        type: ``"pitchfork"``, ``"fold"``, ``"branch-point"`` or ``"equal-free-energy"``.
        value: the parameter.
        interval: values around it that bracket it (see ``events.Event``).
        branches: numbers of the branches that meet, in ``Diagram.branches``; none where they are not followed.
        order_parameter: of each of these there.
        names: of the stretches of branches that meet (``ScannedBranch.name``), once they are named.
    """

    type: PointType
    value: float
    interval: tuple[float, float]
    branches: tuple[int, ...]
    order_parameter: tuple[float, ...]
    names: tuple[str, ...] = ()
