"""Warm-up: step sizes and trajectory lengths are adapted, then frozen, so that a Markov chain follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from numerics.linalg import FloatArray
from numerics.sampling.curvature import euler_bias

#: Acceptance probability that dual averaging aims at, and where φ has kinks. It is ``a = 2 Φ(-c εᵏ)`` for an energy
#: error whose standard deviation is ``2c εᵏ`` at a step ε: k = 2 for smooth energies, 1 where neurons that pass a kink
#: within a step prevail, each of whose errors, of either sign, is ``∝ ε``. If trajectories forget, ``a/(2 - a)`` of the
#: draws are independent: most for the work at a = 0.76 and 0.55, and 4 % less at 0.65 in both cases.
TARGET, TARGET_AT_KINKS = 0.8, 0.65
#: Trajectory lengths that are compared, the middle one the usual choice. π/2 makes a prior direction independent of
#: where it started; directions that the likelihood flattens, as the order parameter is near a transition, turn more
#: slowly.
_LENGTHS = (math.pi / 2, math.pi, 3 * math.pi / 2)
#: How much better, on few trajectories, a length must look than the usual one to replace it.
_CLEARLY_BETTER = 1.5
#: h times the largest curvature. The relative excess variance of that direction is half of it.
_STABLE_STEP = 0.2
#: Wanted bias of the mean kernel in units of its expected standard error.
_BIAS_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class HMCTuning:
    """Dual averaging of the step size (Hoffman & Gelman 2014, section 3.2) and choice of a trajectory length.

    The first half of the warm-up adapts the step size at a middle length. The third quarter runs each length
    in turn at a fixed step and measures the squared jump of the slowest kernel entry; the length with the
    largest jump per unit of work is kept. The last quarter adapts the step size to it.

    Attributes:
        warmup: number of steps.
        overhead: cost of a trajectory's fresh momentum, in gradient evaluations.
        target: acceptance probability that is aimed at.
        log_step, log_average, error, count, centre: state of dual averaging.
        length: current mean trajectory length.
        kernels: (steps so far in the third quarter + 1, nP, nP).
        gradients: work of each of these steps.
        kernel: mean kernel of the last quarter; before, the one that the chain starts with.
        seen: steps that it is a mean of.
    """

    warmup: int
    overhead: float
    target: float = TARGET
    log_step: float = math.log(0.1)
    log_average: float = math.log(0.1)
    error: float = 0.0
    count: int = 0
    centre: float = math.log(0.3)
    length: float = _LENGTHS[1]
    kernels: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    gradients: FloatArray = field(default_factory=lambda: np.zeros(0))
    kernel: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    seen: int = 0

    @property
    def step_size(self) -> float:
        """Step size outside warm-up."""
        return math.exp(self.log_average)

    def setting(self, step: int) -> tuple[float, float]:
        """Step size and length at a step of warm-up."""
        if self._exploring(step):
            return self.step_size, _LENGTHS[self._candidate(step)]
        return min(math.exp(self.log_step), self.length), self.length

    def update(self, step: int, acceptance: float, gradients: int, kernel: FloatArray) -> HMCTuning:
        """Learn from a step of warm-up and the kernel after it."""
        if self._exploring(step - 1) or self._exploring(step):
            seen = kernel[None] if len(self.kernels) == 0 else np.concatenate([self.kernels, kernel[None]])
            noted = replace(self, kernels=seen, gradients=np.append(self.gradients, gradients))
            return noted if self._exploring(step) else noted._choose_length()._average(acceptance)
        if self._exploring(step + 1):
            seen = kernel[None]
            return replace(self._average(acceptance), kernels=seen, gradients=np.array([float(gradients)]))
        if 4 * step < 3 * self.warmup:
            return self._average(acceptance)
        mean = kernel if self.seen == 0 else self.kernel + (kernel - self.kernel) / (self.seen + 1)
        return replace(self._average(acceptance), kernel=mean, seen=self.seen + 1)

    def _exploring(self, step: int) -> bool:
        return self.warmup // 2 <= step < 3 * self.warmup // 4

    def _candidate(self, step: int) -> int:
        span = 3 * self.warmup // 4 - self.warmup // 2
        return min((step - self.warmup // 2) * len(_LENGTHS) // span, len(_LENGTHS) - 1)

    def _average(self, acceptance: float) -> HMCTuning:
        count = self.count + 1
        rate = 1 / (count + 10)
        error = (1 - rate) * self.error + rate * (self.target - acceptance)
        log_step = self.centre - math.sqrt(count) / 0.05 * error
        weight = count**-0.75
        return replace(
            self,
            count=count,
            error=error,
            log_step=log_step,
            log_average=weight * log_step + (1 - weight) * self.log_average,
        )

    def _choose_length(self) -> HMCTuning:
        first = self.warmup // 2
        span = len(self.kernels) - 2
        flat = self.kernels.reshape(len(self.kernels), -1)
        spread = flat.var(axis=0)
        moving = spread > 1e-20 * (1 + flat.mean(axis=0) ** 2)
        jumps = np.diff(flat[:, moving], axis=0)[:span] ** 2 / spread[moving]
        efficiency = []
        for index in range(len(_LENGTHS)):
            chosen = [step for step in range(span) if self._candidate(first + step) == index]
            work = self.overhead + float(self.gradients[1 : span + 1][chosen].mean())
            efficiency.append(float(jumps[chosen].mean(axis=0).min(initial=math.inf)) / work)
        best = int(np.argmax(efficiency))
        return replace(
            self,
            length=_LENGTHS[best if efficiency[best] > _CLEARLY_BETTER * efficiency[1] else 1],
            count=0,
            error=0.0,
            centre=self.log_average,
            log_step=self.log_average,
            kernels=np.zeros((0, 0, 0)),
            gradients=np.zeros(0),
        )


@dataclass(frozen=True, eq=False)
class SGLDTuning:
    """Choice of the Langevin step from the posterior's stiffness and the bias that it causes.

    During warm-up ``h = 0.2/k_max`` with the largest curvature met in the last tenth of it or so. At its end
    the bias per unit of step is estimated from the draws of its second half, and h is lowered until the
    expected bias of every kernel entry is below a quarter of its expected standard error, which is
    ``sd/√(chains · steps · h)`` for a relaxation time of one unit.

    Attributes:
        warmup: number of steps.
        exposure: chains · steps, of the sampling that follows.
        slowest: smallest mobility, which turns h into time.
        step_size: current h.
        stiffness: running maximum of the curvature, slowly forgotten.
        kernels, local, squared: the pilot's draws.
    """

    warmup: int
    exposure: int
    slowest: float
    step_size: float = 0.0
    stiffness: float = 0.0
    kernels: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    local: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    squared: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def probe_interval(self) -> int:
        """Steps between measurements of the curvature."""
        return max(1, min(10, self.warmup // 20))

    @property
    def pilot_interval(self) -> int:
        """Steps between the pilot's draws in the second half of warm-up."""
        return max(1, self.warmup // 400)

    def meet(self, curvature: float) -> SGLDTuning:
        """Learn a curvature."""
        forget = 1 - self.probe_interval / max(1.0, 0.1 * self.warmup)
        stiffness = max(curvature, max(forget, 0.0) * self.stiffness)
        return replace(self, stiffness=stiffness, step_size=_STABLE_STEP / stiffness)

    def note(self, kernel: FloatArray, local: FloatArray, squared: float) -> SGLDTuning:
        """Learn a pilot draw."""
        if len(self.kernels) == 0:
            return replace(self, kernels=kernel[None], local=local[None], squared=np.array([squared]))
        return replace(
            self,
            kernels=np.concatenate([self.kernels, kernel[None]]),
            local=np.concatenate([self.local, local[None]]),
            squared=np.append(self.squared, squared),
        )

    def finish(self) -> SGLDTuning:
        """Freeze the step; the pilot is forgotten."""
        done = replace(self, kernels=np.zeros((0, 0, 0)), local=np.zeros((0, 0, 0)), squared=np.zeros(0))
        if len(self.squared) < 10:
            return done
        per_step = np.abs(euler_bias(1.0, self.kernels, self.local, self.squared))
        sd = self.kernels.std(axis=0)
        moving = (sd > 0) & (per_step > 0)
        # h · bias = share · sd/√(exposure · slowest · h), solved for h.
        error = sd[moving] / math.sqrt(self.exposure * self.slowest)
        allowed = (_BIAS_SHARE * error / per_step[moving]) ** (2 / 3)
        return replace(done, step_size=min(self.step_size, float(allowed.min(initial=math.inf))))
