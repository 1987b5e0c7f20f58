"""Does a sampled kernel agree with a predicted one? Differences over their standard errors, entry by entry.

A theory at N → ∞ is compared with the sampled kernel less a shift that is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from numerics.display import Facts, number
from numerics.inputs.arrays import finite_array
from numerics.linalg import FloatArray, positive_solve
from numerics.plotting import kernel
from numerics.predictors.observables import cka
from numerics.results.base import Result
from numerics.results.labelled import Arrays, counted
from numerics.sampling.diagnostics import have_mixed, summarise

#: Probability that a correct prediction is rejected, over all entries together.
FAMILY_LEVEL = 1e-3

Verdict = Literal["agrees", "disagrees", "undecided"]


def judged(within: bool, mixed: bool, *, at_width: bool = True) -> Verdict:
    """The verdict on a sampled number; `Agreement.verdict` says when it is undecided.

    Args:
        within: it differs from the predicted one by no more than its error allows.
        mixed: the chains have mixed, so that the error can be believed.
        at_width: the prediction is for the sampled width.
    """
    if within and mixed:
        return "agrees"
    return "disagrees" if mixed and at_width else "undecided"


@dataclass(frozen=True)
class ShiftSeen:
    """The share of a predicted shift that a sampled mean kernel has, over all entries together.

    Attributes:
        share: 1 where the shift is right, 0 where there is none.
        error: its standard error, the prediction's own included.
    """

    share: float
    error: float

    @property
    def z(self) -> float:
        """(share - 1) / error."""
        return (self.share - 1) / self.error

    @property
    def z_without(self) -> float:
        """share / error: the same for a theory that leaves the shift out."""
        return self.share / self.error

    def __str__(self) -> str:
        return f"{self.share:.2f} ± {self.error:.2g}"


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(Result):
    """The comparison of a sampled mean kernel with a predicted one.

    Attributes:
        mean, standard_error: the sampled mean kernel that is compared, and its error with that of the prediction.
        z: (mean - predicted) / standard error, for each entry; 0 where both are exact and equal.
        z_limit: largest |z| that is called agreement. Two-sided, `FAMILY_LEVEL` over the independent entries
            (Bonferroni).
        shift: the share of the predicted 1/N shift that is seen; None where there is no shift, or it is not known.
        cka: uncentred kernel alignment ``tr(AB)/√(tr A² tr B²)``.
        mixed: R-hat and ESS are good enough to believe the standard errors.
        at_width: the prediction is for the sampled width; else for N → ∞, and the shift at the width is not known.
        agrees: mixed, and no |z| above the limit, that of the shift included.
        reason: the verdict in a sentence.
    """

    mean: FloatArray
    standard_error: FloatArray
    z: FloatArray
    z_limit: float
    shift: ShiftSeen | None
    cka: float
    mixed: bool
    at_width: bool
    agrees: bool
    reason: str

    @property
    def verdict(self) -> Verdict:
        """Whether theory and chains agree; undecided where the chains have not mixed, or where a difference may be the
        shift at the width, which is not known."""
        return judged(self.agrees, self.mixed, at_width=self.at_width)

    def facts(self) -> Facts:
        """The verdict and what it rests on."""
        return (
            ("verdict", f"{self.verdict}: {self.reason}"),
            ("largest |z|", f"{float(np.abs(self.z).max()):.2f} (limit {self.z_limit:.2f})"),
            *(() if self.shift is None else (("share of the predicted shift that is seen", str(self.shift)),)),
            ("alignment (CKA)", number(self.cka)),
        )

    def matrix(self) -> FloatArray:
        """z for each entry."""
        return self.z

    def draw(self, ax: Any, **style: Any) -> None:
        """z for each entry, as colours."""
        kernel(self.z, 1, ax, **{"label": "difference, in standard errors", "symmetric": True, **style})
        ax.set_title(self.verdict, loc="left")

    def labelled(self) -> Arrays:
        """z over ``row`` and ``column`` of the kernel, time-major, which count from 1."""
        rows = ("row", "column")
        names = ("z_limit", "cka", "verdict", "reason")
        coordinates = counted(row=len(self.z), column=self.z.shape[1])
        return Arrays(rows, {"z": (rows, self.z)}, coordinates, {name: getattr(self, name) for name in names})


def compare_means(
    predicted: ArrayLike,
    mean: ArrayLike,
    standard_error: ArrayLike,
    *,
    rhat: float,
    ess: float,
    at_width: bool = True,
    shift: ShiftSeen | None = None,
) -> Agreement:
    """Compare a sampled mean kernel with a prediction.

    Args:
        predicted, mean, standard_error: kernels of one shape, (nP, nP), time-major.
        rhat: largest R-hat over the entries.
        ess: smallest effective sample size over the entries.
        at_width: whether the prediction is for the sampled width; else it is for N → ∞.
        shift: what is seen of the predicted shift.
    """
    theory = finite_array(predicted, "predicted", (None, None))
    sampled = finite_array(mean, "mean", theory.shape)
    error = finite_array(standard_error, "standard_error", theory.shape)
    difference = sampled - theory
    # An entry without any fluctuation (such as an input kernel) has no standard error: rounding is then the scale.
    floor = 1e-12 * np.abs(theory).max()
    z = difference / np.maximum(error, floor)
    independent = len(theory) * (len(theory) + 1) // 2
    z_limit = float(norm.isf(FAMILY_LEVEL / (2 * independent)))
    worst = float(np.abs(z).max())
    mixed = have_mixed(rhat, ess)
    if not mixed:
        reason = f"the chains have not mixed (R-hat {rhat:.3f}, ESS {ess:.0f}), so that more steps are needed"
    elif worst > z_limit:
        reason = f"the largest |z| is {worst:.1f}, above {z_limit:.1f}"
        if not at_width:
            reason += " of the limit N → ∞, and the shift at this width, which is not known, may be the difference"
    elif shift is not None and abs(shift.z) > z_limit:
        reason = f"the share of the predicted shift that is seen is {shift}, {abs(shift.z):.1f} errors from 1"
    else:
        reason = f"every |z| is below {z_limit:.1f} (largest {worst:.1f})"
        if not at_width:
            reason += ", of the limit N → ∞ as the shift at this width is not known"
        elif shift is not None:
            reason += f", and the share of the predicted shift that is seen is {shift}"
    agrees = mixed and worst <= z_limit and (shift is None or abs(shift.z) <= z_limit)
    return Agreement(sampled, error, z, z_limit, shift, cka(theory, sampled), mixed, at_width, agrees, reason)


def shift_seen(series: FloatArray, limit: FloatArray, shift: FloatArray, error: FloatArray) -> ShiftSeen | None:
    """The share of a predicted shift in the mean of sampled kernels, over all entries together.

    The mean's deviation from the limit is ``a·shift``, and the a of least variance has the weights ``Σ⁻¹ shift`` with
    the covariance Σ of the mean, autocorrelation and the prediction's error included:
    ``a = shiftᵀΣ⁻¹(mean - limit) / shiftᵀΣ⁻¹shift``. Its error is that of this one series, which holds whatever the
    weights are, and the sum of the prediction's errors, which may all go one way.

    Args:
        series: kernels, or what control variates leave of them, (chains, draws, nP, nP).
        limit: the theory's kernel, N → ∞, (nP, nP).
        shift: predicted mean kernel at the width less that, (nP, nP).
        error: of the predicted mean kernel, (nP, nP).

    Returns:
        None where no entry that fluctuates is predicted to shift by more than rounding.
    """
    rows, columns = np.triu_indices(len(limit))
    seen = summarise(series[:, :, rows, columns])
    predicted, unsure = shift[rows, columns], error[rows, columns]
    kept = (seen.standard_error > 0) & (np.abs(predicted) > 1e-9 * np.abs(limit).max())
    if not kept.any():
        return None
    at, g, off = np.flatnonzero(kept), predicted[kept], unsure[kept]
    draws = series[:, :, rows[at], columns[at]]
    correlation = np.atleast_2d(np.corrcoef(draws.reshape(-1, len(at)), rowvar=False))
    size = seen.standard_error[kept]
    weights = positive_solve(size[:, None] * correlation * size + np.diag(off**2 + (1e-6 * size) ** 2), g[:, None])[
        :, 0
    ]
    weights /= weights @ g
    own = summarise(((draws - limit[rows[at], columns[at]]) @ weights)[..., None])
    return ShiftSeen(float(own.mean[0]), float(np.hypot(own.standard_error[0], np.abs(weights) @ off)))
