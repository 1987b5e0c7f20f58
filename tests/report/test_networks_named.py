"""What the report says of sampled networks: each by what tells it from the others, and kernels in the sign shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from derivations.report.panels import scores
from derivations.report.transition import branches


def test_networks_of_a_table_have_names_of_their_own(tmp_path: Path):
    table = tmp_path / "panel.csv"
    rows = ["0.4,150.0,64,0.5,a", "0.4,150.0,64,0.5,b", "0.6,153.71520471941,64,1.25,a", ",153.7,64,,a", "nan,2,64,3,a"]
    table.write_text("\n".join(["rho,signal,width,largest_z,quantity", *rows]), encoding="utf-8")
    assert scores(table) == [
        ("rho 0.4, signal 150, width 64", 0.5),  # once, though there are two quantities of it
        ("rho 0.6, signal 153.7, width 64", 1.25),
        ("signal 2, width 64", 3.0),
    ]


@pytest.mark.parametrize("T", [4])
def test_branches_are_in_the_sign_that_the_page_shows(T: int):
    """The order parameter of the figure's curve is positive, and so is that of the kernel beside it."""
    n = T - 1
    rows, columns = np.triu_indices(n)
    for branch in branches(T):
        if branch.lag == 1:
            order = branch.kernel[:, (rows == n - 2) & (columns == n - 1)]
            assert order.min() > -1e-9 * np.abs(branch.kernel).max()
