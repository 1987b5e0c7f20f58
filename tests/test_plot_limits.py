"""The colours of a drawn kernel: 0 in the middle where it has both signs, at the end where it has one."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from numerics.plotting import kernel


@pytest.mark.parametrize(
    ("matrix", "symmetric", "limits"),
    [
        ([[2.0, 1.0], [1.0, 3.0]], False, (0.0, 3.0)),
        ([[2.0, -1.0], [-1.0, 3.0]], False, (-3.0, 3.0)),
        ([[2.0, -4.0], [-4.0, 3.0]], False, (-4.0, 4.0)),
        ([[2.0, -0.1], [-0.1, 3.0]], False, (0.0, 3.0)),
        ([[2.0, 1.0], [1.0, 3.0]], True, (-3.0, 3.0)),
    ],
)
def test_limits(matrix, symmetric, limits):
    ax = Figure().subplots()
    kernel(np.array(matrix), 1, ax, symmetric=symmetric)
    assert ax.images[0].get_clim() == limits
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2"]
