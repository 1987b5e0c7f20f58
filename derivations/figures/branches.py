"""The picture of a scan: order parameter and free energy of every branch, with names of branches and special points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from derivations.figures.panel import styled
from numerics.files import whole_file

if TYPE_CHECKING:
    from numerics.continuation.scanned import Scan


def picture(found: Scan, path: Path) -> None:
    """Order parameter above, free energy below."""
    with styled():
        from matplotlib import pyplot as plt

        figure, (above, below) = plt.subplots(2, 1, figsize=(3.4, 4.4), sharex=True)
        found.draw(above)
        found.draw(below, height="free_energy")
        first, second, last = found.value[[0, 1, -1]]
        wide = last > 20 * first > 0 and second < 2 * first
        above.set(xlabel="", xscale="log" if wide else "linear")
        below.set(xlim=(found.value[0], found.value[-1]))
        for ax in (above, below):
            ax.set_title("", loc="left")
            ax.get_legend().remove()
        shown = above.get_legend_handles_labels()
        figure.legend(*shown, loc="outside upper center", ncols=3, fontsize=6, title=found.title(), title_fontsize=7)
        with whole_file(path) as temporary:
            figure.savefig(temporary)
