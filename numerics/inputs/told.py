"""A task in words and as a picture: who is given what, and supervised, when."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np

from numerics.linalg import FloatArray
from numerics.plotting import whole_ticks


def spelled(times: list[int]) -> str:
    """Increasing times, with stretches as first–last: [2, 4, 5, 6] becomes "2, 4–6"."""
    starts = [times[0], *(b for a, b in pairwise(times) if b > a + 1)]
    ends = [*(a for a, b in pairwise(times) if b > a + 1), times[-1]]
    parts = [str(a) if a == b else f"{a}{', ' if b == a + 1 else '–'}{b}" for a, b in zip(starts, ends, strict=True)]
    return ", ".join(parts)


def inputs_told(x: FloatArray) -> str:
    """At which times there is an input, x (P, n, D)."""
    there = np.flatnonzero((x != 0).any(axis=(0, 2)))
    return f"t = {spelled(there.tolist())}"


def labels_told(y: FloatArray) -> str:
    """Which outputs f^t are supervised, y (P, n) or (P, n, O); how many of them where patterns or outputs differ."""
    there = ~np.isnan(y.reshape(*y.shape[:2], -1))
    times = np.flatnonzero(there.any(axis=(0, 2)))
    some = there[:, times]
    part = "" if some.all() else f" ({int(some.sum())} of {some.size} labels)"
    return f"t = {spelled((times + 2).tolist())}{part}"


def opposed(x: FloatArray, y: FloatArray) -> tuple[int, int] | None:
    """The first two patterns whose inputs x, (P, n, D), are opposite and labels y are not, where both have one."""
    for first, second in combinations(range(len(x)), 2):
        total = y[first] + y[second]
        if not np.any(x[first] + x[second]) and np.any(np.nan_to_num(total)):
            return first, second
    return None


def raster(x: FloatArray, y: FloatArray, ax: Any, **style: Any) -> None:
    """Squares where x, (P, n, D), is not 0, and circles coloured by the labels y, (P, n) or (P, n, O)."""
    P, n = y.shape[:2]
    labels = y.reshape(P, n, -1)
    pattern, time = np.nonzero((x != 0).any(axis=2))
    ax.plot(time, pattern + 1, "s", color="0.75", label="input $x^t$")
    pattern, column, output = np.nonzero(~np.isnan(labels))
    values = labels[pattern, column, output]
    largest = float(np.abs(values).max()) or 1.0
    lower = (output - (labels.shape[2] - 1) / 2) / (labels.shape[2] + 1)
    style = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest, "edgecolors": "0.3", **style}
    marks = ax.scatter(column + 2, pattern + 1 + lower, c=values, label="label of $f^t$", **style)
    ax.figure.colorbar(marks, ax=ax, label="label")
    ax.set(xlabel="time $t$", ylabel="pattern", xlim=(-0.5, n + 1.5), ylim=(P + 0.5, 0.5))
    whole_ticks(ax)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
