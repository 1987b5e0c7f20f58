"""What a run does: every choice that its numbers depend on, validated once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import cast

from numerics.problem import InputError, Problem
from numerics.sampling.activations import Activation, activation
from numerics.sampling.hmc import READOUTS, Readout
from numerics.sampling.network import Network, make_network
from numerics.sampling.sgld import INTEGRATORS, PRECONDITIONERS, Integrator, Preconditioner
from numerics.sampling.starts import STARTS

SAMPLERS = ("hmc", "collapsed", "sgld")
#: Read-outs that a sampler can have, its default first.
_READOUTS = {"hmc": READOUTS, "collapsed": ("marginal",), "sgld": ("sampled",)}
#: Fewest draws from which R-hat and the effective sample size can be told.
_FEWEST_STEPS = 8
#: Bytes of kernels that a chain may record.
_KERNEL_BYTES = 1 << 26


def _choice(value: str, argument: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise InputError(f"{argument}: is {value!r}; accepted: {', '.join(accepted)}")


def _integer(value: int, argument: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{argument}: is {value}; accepted: an integer ≥ {least}")


@dataclass(frozen=True, eq=False)
class Plan:
    """A run of several chains. The same plan gives the same numbers, whatever runs it.

    Attributes:
        problem, width, sampler, chains, steps, seed, dtype, warmup, init, readout, step_size, preconditioner,
        integrator, phi: as in `simulate`; `readout` is "sampled" for sgld.

    Raises:
        InputError: a field is out of range, or does not belong to the sampler.
    """

    problem: Problem
    width: int
    sampler: str
    chains: int
    steps: int
    seed: int
    dtype: str
    warmup: int
    init: str
    readout: Readout
    step_size: float | None
    preconditioner: Preconditioner
    integrator: Integrator
    phi: Activation

    def __post_init__(self) -> None:
        _choice(self.sampler, "sampler", SAMPLERS)
        _integer(self.width, "width", 1)
        _integer(self.chains, "chains", 1)
        _integer(self.steps, "steps", _FEWEST_STEPS)
        _integer(self.seed, "seed", 0)
        _integer(self.warmup, "warmup", 0)
        _choice(self.init, "init", STARTS)
        _choice(self.dtype, "dtype", ("float32", "float64"))
        _choice(self.readout, "readout", _READOUTS[self.sampler])
        _choice(self.preconditioner, "preconditioner", PRECONDITIONERS if self.sampler == "sgld" else ("prior",))
        _choice(self.integrator, "integrator", INTEGRATORS if self.sampler == "sgld" else ("euler",))
        if self.problem.kappa == 0 and self.readout == "sampled":
            raise InputError(
                "kappa: is 0; accepted: a number > 0 where the read-out is sampled (hmc integrates it out)"
            )
        if self.step_size is not None and not 0 < self.step_size < 10:
            raise InputError(f"step_size: is {self.step_size}; accepted: a number between 0 and 10")
        if self.adjusted and self.step_size is None and self.warmup < 40:
            raise InputError(f"warmup: is {self.warmup}; accepted: an integer ≥ 40 for {self.sampler}")

    @property
    def adjusted(self) -> bool:
        """Whether a Metropolis decision ends each step, so that there is no discretisation bias."""
        return self.sampler != "sgld"

    def network(self) -> Network:
        """The network that is sampled."""
        return make_network(self.problem, self.width, self.dtype, self.phi)

    @property
    def interval(self) -> int:
        """Steps between recorded draws."""
        size = 8 * (self.problem.n * self.problem.P) ** 2
        least = -(-self.steps * size // _KERNEL_BYTES)
        return max(1, least, self.steps // 1000 if self.sampler == "sgld" else 1)

    @property
    def draws(self) -> int:
        """Draws recorded by each chain."""
        return self.steps // self.interval

    @property
    def spectrum_draws(self) -> frozenset[int]:
        """Draws at which W's eigenvalues are computed: fewer the wider, as they cost N³."""
        if self.problem.arch != "rnn" or self.problem.n < 2:
            return frozenset()
        count = 8 if self.width <= 256 else 4
        return frozenset((k + 1) * self.draws // count - 1 for k in range(min(count, self.draws)))

    def fingerprint(self) -> str:
        """Digest of everything that the numbers depend on, by which a checkpoint knows its own run."""
        names = (
            "width",
            "sampler",
            "chains",
            "steps",
            "seed",
            "dtype",
            "warmup",
            "init",
            "readout",
            "step_size",
        )
        words = {name: getattr(self, name) for name in (*names, "preconditioner", "integrator")}
        problem = self.problem
        words |= {name: getattr(problem, name) for name in ("arch", "u", "v", "w", "kappa")}
        words["activation"] = self.phi.name
        digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
        for array in (problem.x, problem.y, problem.x_test):
            if array is not None:
                digest.update(str(array.shape).encode() + array.tobytes())
        return digest.hexdigest()


def make_plan(
    problem: Problem,
    width: int,
    sampler: str,
    *,
    chains: int,
    steps: int,
    seed: int,
    dtype: str,
    warmup: int | None,
    init: str,
    readout: str | None,
    step_size: float | None,
    preconditioner: str,
    integrator: str,
    phi: Activation | None,
) -> Plan:
    """A plan with the sampler's defaults where nothing was asked for."""
    if warmup is None and isinstance(steps, int):
        warmup = max(300, steps // 4) if sampler != "sgld" else max(200, steps // 2)
    return Plan(
        problem=problem,
        width=width,
        sampler=sampler,
        chains=chains,
        steps=steps,
        seed=seed,
        dtype=dtype,
        warmup=0 if warmup is None else warmup,
        init=init,
        readout=cast(Readout, readout or _READOUTS.get(sampler, READOUTS)[0]),
        step_size=step_size,
        preconditioner=cast(Preconditioner, preconditioner),
        integrator=cast(Integrator, integrator),
        phi=phi or activation(problem.activation),
    )
