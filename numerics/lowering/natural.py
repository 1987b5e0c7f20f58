"""``numerics/linear/derived.py``, the code that the linear solver runs, written from the expressions of the theory.

``python -m numerics.lowering.natural`` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from numerics.lowering.staged import stages_source
from theory.matrix_calculus import natural
from theory.symbols import kappa, v, w

TARGET = Path(__file__).parents[1] / "linear" / "derived.py"
_HEAD = '''"""Energy and entropy of the linear network in the natural metric (docs/theory.md sections 3 and 10-12).

Written by ``python -m numerics.lowering.natural`` from ``theory.matrix_calculus.natural``, where gradient and Hessian
are derived: not to be edited. ENERGY is that of one supervised set; ENTROPY_TIED is for one W at all times,
ENTROPY_MASKED for any sharing matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.linalg import FloatArray, solve_lower, symmetric
from numerics.lowering.operations import log_determinant, mask
from numerics.lowering.stages import Computed, Stages


'''


def source() -> str:
    """The module's text."""
    L, B, K, S = natural.L, natural.B, natural.COVARIANCE, natural.S
    labels = (natural.T, natural.LABELS, natural.NOISY, v, kappa, S)
    parts = [stages_source("ENERGY", natural.energy(), labels, S)]
    parts += [stages_source("ENTROPY_TIED", natural.entropy(True), (L, B, K, w, S), S)]
    parts += [
        stages_source(
            "ENTROPY_MASKED", natural.entropy(False), (L, natural.TAKEN, natural.PLACES, K, natural.SHARING, w, S), S
        )
    ]
    return _HEAD + "\n\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(source(), encoding="utf-8")
