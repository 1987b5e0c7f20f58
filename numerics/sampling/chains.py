"""One chain: a state that can be advanced by some steps anywhere, and what it recorded on the way.

`advance` is a function of its arguments alone. How a run is cut into segments, and which process works on
them, changes no number.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from numerics.errors import InputError
from numerics.linalg import Array, ComplexArray, FloatArray
from numerics.sampling.collapsed import CollapsedHMC, CollapsedState, Seen, activations, look, write_out
from numerics.sampling.controls import controls, functions_kept, number_of_columns, states_of_columns
from numerics.sampling.curvature import bias_terms, largest_curvature
from numerics.sampling.hmc import HMC, HMCState
from numerics.sampling.network import Network, Weights
from numerics.sampling.observables import Draw, leading_eigenvalues, observe, observe_activity
from numerics.sampling.plan import Plan
from numerics.sampling.sgld import SGLD, SGLDState, mobility
from numerics.sampling.starts import start
from numerics.sampling.tuning import TARGET, TARGET_AT_KINKS, HMCTuning, SGLDTuning

_RANDOM_NUMBER_COST = 90  # of a normal, in multiply–adds of a matrix–vector product (ten ns against a tenth)

#: Cost of a collapsed trajectory's fresh momentum, in gradient evaluations.
_SMALL_OVERHEAD = 0.3


Place = Weights | Seen | SGLDState


@dataclass(frozen=True, eq=False)
class ChainState:
    """Everything that a chain needs to go on.

    Attributes:
        index: which chain of the run.
        done: steps made, warm-up included.
        at: where the sampler stands: weights, what the collapsed sampler has seen of them, or the Langevin sampler's
            state.
        rng: state of the chain's bit generator.
        tuning: state of the adaptation, frozen after warm-up.
    """

    index: int
    done: int
    at: Place
    rng: dict[str, Any]
    tuning: HMCTuning | SGLDTuning


@dataclass(frozen=True, eq=False)
class Record:
    """What a chain recorded over some of its steps.

    Attributes:
        kernels: (draws, nP, nP).
        outputs: (draws, P + Q, n), or (draws, O, P + Q, n).
        acceptance: (steps after warm-up,), none for sgld.
        local, squared: terms of the Euler–Maruyama bias, (draws, nP, nP) and (draws,); sgld only.
        spectra: W's leading eigenvalues, (spectra, k).
        controls: control variates of the kernel, (draws, f, d); collapsed only.
    """

    kernels: FloatArray
    outputs: FloatArray
    acceptance: FloatArray
    local: FloatArray
    squared: FloatArray
    spectra: ComplexArray
    controls: FloatArray


@dataclass
class _Notes:
    """A record in the making."""

    kernels: list[FloatArray] = field(default_factory=list)
    outputs: list[FloatArray] = field(default_factory=list)
    acceptance: list[float] = field(default_factory=list)
    local: list[FloatArray] = field(default_factory=list)
    squared: list[float] = field(default_factory=list)
    spectra: list[ComplexArray] = field(default_factory=list)
    controls: list[FloatArray] = field(default_factory=list)

    def record(self, plan: Plan) -> Record:
        size = plan.problem.n * plan.problem.P
        tests = 0 if plan.problem.x_test is None else len(plan.problem.x_test)
        several = () if plan.problem.outputs == 1 else (plan.problem.outputs,)
        return Record(
            np.array(self.kernels).reshape(-1, size, size),
            np.array(self.outputs).reshape(-1, *several, plan.problem.P + tests, plan.problem.n),
            np.array(self.acceptance, dtype=np.float64),
            np.array(self.local).reshape(-1, size, size),
            np.array(self.squared, dtype=np.float64),
            np.array(self.spectra, dtype=complex).reshape(len(self.spectra), -1)
            if self.spectra
            else np.zeros((0, 0), complex),
            np.array(self.controls) if self.controls else np.zeros((0, 0, 0)),
        )


def join(records: list[Record]) -> Record:
    """Consecutive records as one."""

    def all_of(name: str) -> Array:
        return np.concatenate([getattr(record, name) for record in records])

    spectra = [record.spectra for record in records if len(record.spectra)]
    variates = [record.controls for record in records if len(record.controls)]
    return Record(
        kernels=all_of("kernels"),
        outputs=all_of("outputs"),
        acceptance=all_of("acceptance"),
        local=all_of("local"),
        squared=all_of("squared"),
        spectra=np.concatenate(spectra) if spectra else np.zeros((0, 0), complex),
        controls=np.concatenate(variates) if variates else np.zeros((0, 0, 0)),
    )


def empty_record(plan: Plan) -> Record:
    """A record of nothing yet."""
    return _Notes().record(plan)


def _generator(state: dict[str, Any] | None, sequence: np.random.SeedSequence | None) -> np.random.Generator:
    bits = np.random.SFC64(sequence)
    if state is not None:
        bits.state = cast(Any, state)
    return np.random.Generator(bits)


def first_state(plan: Plan, index: int) -> ChainState:
    """Where chain `index` of a plan begins; its random numbers come from the index-th child of the plan's
    seed.
    """
    network = plan.network()
    rng = _generator(None, np.random.SeedSequence(plan.seed, spawn_key=(index,)))
    drawn = start(rng, network, plan.init, readout=plan.reading == "sampled", law=plan.law)
    tuning: HMCTuning | SGLDTuning
    target = TARGET_AT_KINKS if plan.phi.kinks else TARGET
    at: Place = drawn
    if plan.moves == "collapsed":
        at = look(network, drawn)
        tuning = HMCTuning(plan.warming, _SMALL_OVERHEAD, target, kernel=_observe(network, at).kernel)
    elif plan.moves == "hmc-weights":
        products = 4 * max(plan.problem.n - 1, 1) * plan.problem.P
        tuning = HMCTuning(plan.warming, max(network.layers, 1) * _RANDOM_NUMBER_COST / products, target)
    else:
        relative = mobility(network, plan.preconditioner)
        slowest = min(relative.u, relative.w, relative.v)
        tuning = SGLDTuning(plan.warming, plan.chains * plan.drawing, slowest)
        tuning = tuning.meet(largest_curvature(network, drawn, relative))
        at = SGLD(network, 0.0, relative, plan.integrator).init(rng, drawn)
    return ChainState(index, 0, at, cast(dict[str, Any], rng.bit_generator.state), tuning)


def advance(plan: Plan, state: ChainState, seconds: float) -> tuple[ChainState, Record]:
    """Make at least one step, then more until the chain is finished or `seconds` have passed.

    Raises:
        InputError: the weights overflowed, which only a step that is too large can make them do.
    """
    network = plan.network()
    rng = _generator(state.rng, None)
    notes = _Notes()
    deadline = time.monotonic() + seconds
    total = plan.warming + plan.drawing
    step = _sgld_step if plan.moves == "sgld" else _hmc_step
    spare = None
    first = state.at
    while state.done < total:
        before = state.at
        state = step(plan, network, rng, state, notes, spare)
        # The memory of a state that this call made itself may be used again; the caller's must stay as it is.
        if isinstance(state.at, SGLDState):
            dense = state.at.W.dense
            spare = None if isinstance(first, SGLDState) and dense is first.W.dense else dense
        elif isinstance(before, Weights):
            spare = None if before is first or before is state.at else before.W
        drawn, rest = divmod(state.done - plan.warming, plan.interval)
        if state.done > plan.warming and rest == 0 and drawn <= plan.draws:
            if isinstance(state.at, SGLDState):
                state = replace(state, at=state.at.complete(rng, spare))
            _note(plan, network, rng, state, drawn - 1, notes)
        if time.monotonic() >= deadline:
            break
    return replace(state, rng=cast(dict[str, Any], rng.bit_generator.state)), notes.record(plan)


def weights_of(network: Network, state: ChainState) -> Weights:
    """A chain's weights; those that were integrated out are drawn from their exact law given the rest."""
    rng = _generator(state.rng, None)
    if isinstance(state.at, Seen):
        return write_out(rng, network, state.at)
    if isinstance(state.at, SGLDState):
        return state.at.complete(rng).weights
    return state.at


def _observe(network: Network, at: Weights | Seen) -> Draw:
    if isinstance(at, Seen):
        return observe_activity(network, activations(network, at), None, None)
    return observe(network, at)


def _note(plan: Plan, network: Network, rng: np.random.Generator, state: ChainState, draw: int, notes: _Notes) -> None:
    at = state.at
    weights = at.weights if isinstance(at, SGLDState) else at
    if isinstance(at, Seen) and number_of_columns(network) <= 2 * plan.problem.n * plan.problem.P:
        assert isinstance(state.tuning, HMCTuning)
        B = states_of_columns(network, state.tuning.kernel)
        notes.controls.append(controls(network, at, B, functions_kept(network, plan.draws)))
    # without eigenvalues too, so that what follows has the same random numbers
    if isinstance(weights, Seen) and (plan.problem.x_test is not None or draw in plan.spectrum_draws):
        weights = write_out(rng, network, weights)
    seen = _observe(network, weights)
    if not np.isfinite(seen.kernel).all():
        raise InputError("step_size: the chain overflowed; accepted: a smaller step")
    notes.kernels.append(seen.kernel)
    notes.outputs.append(seen.outputs)
    if isinstance(weights, Seen):
        return
    if plan.moves == "sgld" and plan.integrator == "euler":
        terms = bias_terms(network, weights, mobility(network, plan.preconditioner))
        notes.local.append(terms.local)
        notes.squared.append(terms.squared)
    if plan.eigenvalues and draw in plan.spectrum_draws:
        notes.spectra.append(leading_eigenvalues(weights))


def _hmc_step(
    plan: Plan, network: Network, rng: np.random.Generator, state: ChainState, notes: _Notes, spare: Array | None
) -> ChainState:
    tuning = state.tuning
    assert isinstance(tuning, HMCTuning)
    warming = state.done < plan.warming
    step_size, length = tuning.setting(state.done) if warming else (tuning.step_size, tuning.length)
    if plan.step_size is not None:
        step_size = plan.step_size
    after: Weights | Seen
    assert not isinstance(state.at, SGLDState)
    if isinstance(state.at, Seen):
        collapsed, info = CollapsedHMC(network, step_size, length).step(rng, CollapsedState(state.at))
        after = collapsed.seen
    else:
        moved, info = HMC(network, step_size, length, plan.reading).step(rng, HMCState(state.at), spare)
        after = moved.weights
    if warming:
        kernel = _observe(network, after).kernel
        tuning = tuning.update(state.done, info.acceptance, info.gradients, kernel)
    else:
        notes.acceptance.append(info.acceptance)
    return replace(state, done=state.done + 1, at=after, tuning=tuning)


def _sgld_step(
    plan: Plan, network: Network, rng: np.random.Generator, state: ChainState, notes: _Notes, spare: Array | None
) -> ChainState:
    tuning = state.tuning
    assert isinstance(tuning, SGLDTuning)
    assert isinstance(state.at, SGLDState)
    relative, at = mobility(network, plan.preconditioner), state.at
    warming = state.done < plan.warming and plan.step_size is None
    if warming and state.done % tuning.probe_interval == 0:
        at = at.complete(rng, spare)
        tuning = tuning.meet(largest_curvature(network, at.weights, relative))
    step_size = tuning.step_size if plan.step_size is None else plan.step_size
    after, _ = SGLD(network, step_size, relative, plan.integrator).step(rng, at, spare)
    done = state.done + 1
    if warming and plan.integrator == "euler" and 2 * done > plan.warming and done % tuning.pilot_interval == 0:
        after = after.complete(rng, spare)
        weights = after.weights
        terms = bias_terms(network, weights, relative)
        tuning = tuning.note(observe(network, weights).kernel, terms.local, terms.squared)
    if warming and done == plan.warming:
        tuning = tuning.finish()
    return replace(state, done=done, at=after, tuning=tuning)
