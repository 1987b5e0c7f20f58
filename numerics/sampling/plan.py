"""What a run does: every choice that its numbers depend on, validated once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import cast

from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.arguments import require_choice, require_kind
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer, real
from numerics.sampling.collapsed import collapses
from numerics.sampling.hmc import READOUTS, Readout
from numerics.sampling.network import PRECISIONS, Network, make_network
from numerics.sampling.sgld import INTEGRATORS, PRECONDITIONERS, Integrator, Preconditioner
from numerics.sampling.starts import STARTS
from numerics.sampling.trajectories import TrajectoryLaw

SAMPLERS = ("hmc", "collapsed", "hmc-weights", "sgld")
#: Read-outs that a sampler can have, its default first.
_READOUTS: dict[str, tuple[str, ...]] = {
    "hmc": READOUTS,
    "hmc-weights": READOUTS,
    "collapsed": ("marginal",),
    "sgld": ("sampled",),
}
#: Fewest draws from which R-hat and the effective sample size can be told.
_FEWEST_STEPS = 8
#: Bytes of kernels that a chain may record.
_KERNEL_BYTES = 1 << 26


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A run of several chains. The same plan gives the same numbers, whatever runs it.

    Attributes:
        problem: what is learnt.
        width: N.
        sampler: "hmc", exact up to rounding. It integrates W out ("collapsed") wherever it can, which is many times
            faster, and otherwise moves all weights ("hmc-weights"); either can also be asked for. Or "sgld", the
            Langevin dynamics of the poster, exact up to its step.
        chains: number of independent chains.
        steps: of each chain after warm-up: trajectories (by default 1000), or Langevin steps (sgld; 40,000).
        seed: of all random numbers; chain k uses the k-th child of this seed.
        dtype: precision of weights and activity, "float32" or "float64".
        warmup: steps that adapt the sampler and are thrown away; by default a quarter or half (sgld) of `steps`, and at
            least 300 or 200.
        init: where chains start: "prior", "coherent", "coherent-negative" or "incoherent".
        law: where chains start, in place of `init`: the law of one neuron's trajectory.
        readout: "marginal" (default of the Hamiltonian samplers) integrates V out exactly, "sampled" samples it too.
        step_size: fixed step, in place of the adapted one.
        preconditioner: sgld: "prior" moves whitened weights alike, "identity" is the poster's plain form.
        integrator: sgld: "euler", or the second-order "leimkuhler-matthews".
        eigenvalues: whether those of an RNN's W are computed, at some draws; they change no draw.

    Raises:
        InputError: a field is out of range, or does not belong to the sampler.
    """

    problem: Problem
    width: int
    sampler: str = "hmc"
    chains: int = 4
    steps: int | None = None
    seed: int = 0
    dtype: str = "float32"
    warmup: int | None = None
    init: str = "prior"
    law: TrajectoryLaw | None = None
    readout: Readout | None = None
    step_size: float | None = None
    preconditioner: Preconditioner = "prior"
    integrator: Integrator = "euler"
    eigenvalues: bool = True

    def __post_init__(self) -> None:
        require_choice(self.sampler, "sampler", SAMPLERS)
        least = {"width": 1, "chains": 1, "steps": _FEWEST_STEPS, "seed": 0, "warmup": 0}
        for name in least:
            if name not in ("steps", "warmup") or getattr(self, name) is not None:
                object.__setattr__(self, name, integer(getattr(self, name), name, least[name]))
        require_choice(self.init, "init", STARTS)
        self._check_law()
        require_choice(self.dtype, "dtype", PRECISIONS)
        require_kind(self.eigenvalues, "eigenvalues", lambda given: isinstance(given, bool), "True or False")
        require_choice(self.reading, "readout", _READOUTS[self.sampler])
        require_choice(self.preconditioner, "preconditioner", PRECONDITIONERS if self.sampler == "sgld" else ("prior",))
        require_choice(self.integrator, "integrator", INTEGRATORS if self.sampler == "sgld" else ("euler",))
        if self.problem.kappa == 0 and self.reading == "sampled":
            raise InputError(
                "kappa: is 0; accepted: a number > 0 where the read-out is sampled (hmc integrates it out)"
            )
        if self.step_size is not None:
            size = real(self.step_size, "step_size", "a number between 0 and 10")
            if not 0 < size < 10:
                raise InputError(f"step_size: is {size:g}; accepted: a number between 0 and 10")
            object.__setattr__(self, "step_size", size)
        if self.adjusted and self.step_size is None and self.warming < 40:
            raise InputError(f"warmup: is {self.warming}; accepted: an integer ≥ 40 for {self.sampler}")

    def _check_law(self) -> None:
        size = self.problem.n * self.problem.P
        require_kind(
            self.law, "law", lambda law: isinstance(law, TrajectoryLaw | None), "the law of a neuron's trajectory"
        )
        if self.law is not None and self.law.size != size:
            raise InputError(f"law: has {self.law.size} entries; accepted: times × patterns, {size}")
        if self.law is not None and self.init != "prior":
            raise InputError(f"init: is {self.init!r} beside a law; accepted: one of both")

    @property
    def warming(self) -> int:
        """Steps of the warm-up."""
        if self.warmup is not None:
            return self.warmup
        return max(300, self.drawing // 4) if self.adjusted else max(200, self.drawing // 2)

    @property
    def drawing(self) -> int:
        """Steps after the warm-up."""
        if self.steps is not None:
            return self.steps
        return 1000 if self.adjusted else 40_000

    @property
    def reading(self) -> Readout:
        """What is done with the read-out."""
        return cast(Readout, _READOUTS[self.sampler][0] if self.readout is None else self.readout)

    @property
    def adjusted(self) -> bool:
        """Whether a Metropolis decision ends each step, so that there is no discretisation bias."""
        return self.sampler != "sgld"

    @cached_property
    def moves(self) -> str:
        """The sampler that runs: "collapsed", "hmc-weights" or "sgld"."""
        if self.sampler != "hmc":
            return self.sampler
        collapsed = self.reading == "marginal" and collapses(self.network())
        return "collapsed" if collapsed else "hmc-weights"

    @property
    def phi(self) -> Activation:
        """The network's activation."""
        return self.problem.activation

    def network(self) -> Network:
        """The network that is sampled."""
        return _network(self.problem, self.width, self.dtype)

    @property
    def interval(self) -> int:
        """Steps between recorded draws."""
        size = 8 * (self.problem.n * self.problem.P) ** 2
        least = -(-self.drawing * size // _KERNEL_BYTES)
        return max(1, least, self.drawing // 1000 if self.sampler == "sgld" else 1)

    @property
    def draws(self) -> int:
        """Draws recorded by each chain."""
        return self.drawing // self.interval

    @property
    def spectrum_draws(self) -> frozenset[int]:
        """Draws at which W's eigenvalues are computed: fewer the wider, as they cost N³."""
        if self.problem.arch != "rnn" or self.problem.n < 2:
            return frozenset()
        count = 8 if self.width <= 256 else 4
        return frozenset((k + 1) * self.draws // count - 1 for k in range(min(count, self.draws)))

    def fingerprint(self) -> str:
        """Digest of everything that the numbers depend on, by which a checkpoint knows its own run."""
        names = ("width", "chains", "drawing", "seed", "dtype", "warming", "init", "reading", "step_size", "moves")
        words = {name: getattr(self, name) for name in (*names, "preconditioner", "integrator", "eigenvalues")}
        words["problem"] = self.problem.digest
        digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
        for array in () if self.law is None else self.law.arrays():
            digest.update(str(array.shape).encode() + array.tobytes())
        return digest.hexdigest()


@lru_cache(maxsize=8)
def _network(problem: Problem, width: int, dtype: str) -> Network:
    """Made once, and not for each step; a plan that goes to another process does not carry it."""
    return make_network(problem, width, dtype)
