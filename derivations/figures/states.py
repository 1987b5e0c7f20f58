"""The picture of a state or a simulation: its kernels on one colour scale, and its outputs beside the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from derivations.figures.panel import styled
from numerics.files import whole_file
from numerics.plotting import kernel, kernel_label
from numerics.results.outputs import Outputs, draw_outputs

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.linalg import FloatArray


def picture(problem: Problem, kernels: Mapping[str, FloatArray], outputs: Mapping[str, Outputs], path: Path) -> None:
    """Draw kernels side by side, and outputs against time.

    Args:
        problem: whose labels are drawn as open circles.
        kernels: title → kernel, (nP, nP).
        outputs: name → outputs; those without errors are lines, others points with bars.
        path: FILE.png, .pdf or .svg, written whole or not at all.
    """
    with styled():
        from matplotlib import pyplot as plt

        count = len(kernels)
        widths = [1.0] * count + [1.25]
        figure, axes = plt.subplots(1, count + 1, figsize=(2.1 * sum(widths), 2.2), width_ratios=widths)
        largest = max(float(np.abs(each).max()) for each in kernels.values())
        for ax, (title, each) in zip(axes, kernels.items(), strict=False):
            kernel(each, problem.P, ax, label=kernel_label(problem.kernel_symbol), largest=largest)
            ax.set_title(title, loc="left")
        draw_outputs(problem, outputs, axes[-1])
        with whole_file(path) as temporary:
            figure.savefig(temporary)
