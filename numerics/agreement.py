"""Does a sampled kernel agree with a predicted one? Differences over their standard errors, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from numerics.predictors.observables import cka
from numerics.problem import FloatArray

#: Chance that a correct prediction is called wrong, over all entries together.
FAMILY_LEVEL = 1e-3
#: A comparison is only trusted when its chains have mixed: largest R-hat and smallest effective sample size.
RHAT_LIMIT = 1.05
ESS_LIMIT = 100.0


@dataclass(frozen=True, eq=False)
class Agreement:
    """The comparison of a sampled mean kernel with a predicted one.

    Attributes:
        z: (mean - predicted) / standard error, for each entry; 0 where both are exact and equal.
        z_limit: largest |z| that is called agreement. Two-sided, `FAMILY_LEVEL` over the independent entries
            (Bonferroni).
        cka: uncentred kernel alignment ``tr(AB)/√(tr A² tr B²)``.
        mixed: R-hat and ESS are good enough to believe the standard errors.
        agrees: mixed, and no |z| above the limit.
        reason: the verdict in a sentence.
    """

    z: FloatArray
    z_limit: float
    cka: float
    mixed: bool
    agrees: bool
    reason: str


def compare(
    predicted: FloatArray, mean: FloatArray, standard_error: FloatArray, *, rhat: float, ess: float
) -> Agreement:
    """Compare a sampled mean kernel with a prediction.

    Args:
        predicted, mean, standard_error: kernels of one shape, (nP, nP), time-major.
        rhat: largest R-hat over the entries.
        ess: smallest effective sample size over the entries.
    """
    difference = mean - predicted
    # An entry without any fluctuation (such as an input kernel) has no standard error: rounding is then the scale.
    floor = 1e-12 * np.abs(predicted).max()
    z = difference / np.maximum(standard_error, floor)
    independent = predicted.shape[0] * (predicted.shape[0] + 1) // 2
    z_limit = float(norm.isf(FAMILY_LEVEL / (2 * independent)))
    worst = float(np.abs(z).max())
    mixed = rhat <= RHAT_LIMIT and ess >= ESS_LIMIT
    if not mixed:
        reason = f"the chains have not mixed (R-hat {rhat:.3f}, ESS {ess:.0f}): more steps are needed"
    elif worst > z_limit:
        reason = f"the largest |z| is {worst:.1f}, above {z_limit:.1f}"
    else:
        reason = f"every |z| is below {z_limit:.1f} (largest {worst:.1f})"
    return Agreement(z, z_limit, cka(predicted, mean), mixed, mixed and worst <= z_limit, reason)
