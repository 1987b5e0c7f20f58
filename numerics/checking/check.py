"""Theory against sampled networks: chains start in every minimum, and each is compared with the phase it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numerics.checking import kernels
from numerics.checking.agreement import Agreement, Verdict
from numerics.checking.laws import law_of
from numerics.checking.regions import distances
from numerics.checking.weights import Phase, phases
from numerics.display import Facts
from numerics.errors import InputError
from numerics.files import given_path
from numerics.inputs.arguments import of_problem
from numerics.inputs.keywords import takes
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import KERNEL, Arrays, counted, kernel_array, kernel_coordinates, problem_attributes
from numerics.results.solution import Solution
from numerics.sampling.joining import joined
from numerics.sampling.plan import Plan
from numerics.sampling.result import Simulation
from numerics.sampling.simulate import simulate
from numerics.solving import solve, solve_all

#: A chain stays in the phase in which it started if at least this share of its draws is there.
STAYS = 0.9
#: Networks of the width are taken to be in every phase of at least this weight.
CARRIES = 0.01
#: Shortest warm-up: what the Hamiltonian samplers need to adapt.
SHORTEST_WARMUP = 40


@dataclass(frozen=True, eq=False)
class PhaseCheck:
    """The chains that started in one phase.

    Attributes:
        phase: the minimum, its weight at this width, and the kernel predicted there.
        simulation: of the chains, the sign symmetry removed where the state has an image.
        shares: share of the draws that are in each phase, in the order of `Check.phases`.
        stays: every chain has nearly all its draws in this phase.
        predicted: the mean kernel predicted at this width, in the simulation's sign.
        agreement: of its chains with the prediction where all their draws are in this phase; else of all chains' draws
            in it. None where these are too few, or only `Check.mixture` is compared.
    """

    phase: Phase
    simulation: Simulation
    shares: FloatArray
    stays: bool
    predicted: FloatArray
    agreement: Agreement | None

    @property
    def sampled(self) -> tuple[FloatArray, FloatArray]:
        """The mean kernel that is compared and its standard error, with that of the prediction; the simulation's own
        where nothing is compared."""
        run, found = self.simulation, self.agreement
        return (run.kernel_mean, run.kernel_standard_error) if found is None else (found.mean, found.standard_error)


@dataclass(frozen=True, eq=False, repr=False)
class Check(Result):
    """The comparison of a problem's theory with sampled networks.

    Attributes:
        problem, width: what was compared.
        phases: the minima of the free energy, the one that carries most weight at this width first.
        mixture: the verdict on all chains together, where they move between the phases, or None.
        verdict: ``"agrees"`` if the phase that carries most weight does, and each other in which chains stay;
            ``"undecided"`` if chains have not mixed, or the theory has not converged, and nothing disagrees.
        reason: the verdict in a sentence.
    """

    problem: Problem
    width: int
    phases: tuple[PhaseCheck, ...]
    mixture: Agreement | None
    verdict: Verdict
    reason: str

    @property
    def agrees(self) -> bool:
        """Whether theory and chains are seen to agree."""
        return self.verdict == "agrees"

    @property
    def solution(self) -> Solution:
        """The minimum that carries most weight at this width."""
        return self.phases[0].phase.state

    @property
    def simulation(self) -> Simulation:
        """The chains that started there."""
        return self.phases[0].simulation

    @property
    def agreement(self) -> Agreement | None:
        """The verdict on all chains together where they move between the phases, or on those of the phase that carries
        most weight; None where neither can be compared."""
        return self.mixture or self.phases[0].agreement

    def facts(self) -> Facts:
        """The verdict, and the phases."""
        weights = ", ".join(f"{part.phase.state.free_energy:.6g} ({part.phase.weight:.2g})" for part in self.phases)
        return (("verdict", f"{self.verdict}: {self.reason}"), (f"free energies (weight at N = {self.width})", weights))

    def draw(self, ax: Any, **style: Any) -> None:
        """The differences in standard errors; the sampled kernel where nothing can be compared."""
        (self.agreement or self.simulation).draw(ax, **style)

    def labelled(self) -> Arrays:
        """Predicted and sampled kernels along the phase (from 1, the one that carries most weight first).

        ``z`` is the agreement of each phase, NaN where there is none;
        ``z_mixture`` that of all chains together.
        """
        problem, parts = self.problem, self.phases
        nothing = np.full_like(parts[0].predicted, np.nan)
        kernels = {
            "predicted": [part.predicted for part in parts],
            "sampled": [part.sampled[0] for part in parts],
            "standard_error": [part.sampled[1] for part in parts],
            "z": [nothing if part.agreement is None else part.agreement.z for part in parts],
        }
        data = {name: kernel_array(np.stack(values), problem.P, "phase") for name, values in kernels.items()}
        data["free_energy"] = (("phase",), np.array([part.phase.state.free_energy for part in parts]))
        data["weight"] = (("phase",), np.array([part.phase.weight for part in parts]))
        if self.mixture is not None:
            data["z_mixture"] = kernel_array(self.mixture.z, problem.P)
        coordinates = {**counted(phase=len(parts)), **kernel_coordinates(problem.n, problem.P)}
        described = {name: getattr(self, name) for name in ("width", "verdict", "reason")}
        return Arrays(("phase", *KERNEL), data, coordinates, problem_attributes(problem) | described)


@of_problem
@takes(Plan)
def check(
    problem: Problem,
    width: int = 256,
    *,
    workers: int | None = None,
    eigenvalues: bool = False,
    checkpoint: str | Path | None = None,
    progress: bool | Progress | None = None,
    **options: Any,
) -> Check:
    """Solve a problem, sample its networks from every minimum found, and compare.

    Networks of one width may be in several phases. Which one carries the weight follows from the minima's free energies
    and the fluctuations around each (`numerics.checking.weights`). Chains start in each minimum; where there is one
    only, half of them start from random weights, so that a minimum that the search has missed shows as chains that do
    not mix. Chains that stay in the phase they start in are compared with it. Where chains move between phases, the
    draws of all chains that are in a phase are compared with it; of a linear network whose chains have mixed, all draws
    are compared with the mean over the phases. The prediction is the mean kernel at this width, for a nonlinear network
    to first order in 1/N (`numerics.nonlinear.fluctuations`), with the size of the next order as an error.

    After the search, the work is (minima) × chains × (warm-up + steps). Unless given, the warm-up is that of
    `numerics.simulate`, but no longer than `steps` (at least 40): where draws are too few to show that the chains have
    forgotten their start, the verdict is undecided, and a longer warm-up would not change it.

    Args:
        problem: what is learnt.
        width: N.
        checkpoint: directory in which runs are saved and resumed, each in a folder of its own.
        progress: True shows how far it is, on standard error; a function is told what is being done, the steps done
            over all simulations, and their total.
        workers: processes, as of `numerics.simulate`.
        eigenvalues: whether those of an RNN's W are computed in the phase that carries most weight.
        options: of `numerics.simulate`: sampler, chains, steps, seed, …

    Raises:
        InputError: an argument is out of range.
    """
    width = integer(width, "width", 1)
    place = None if checkpoint is None else given_path(checkpoint, "checkpoint")
    options = _complete(problem, width, workers=workers, eigenvalues=eigenvalues, **options)
    with watched(progress, "solving") as told:
        return _checked(problem, width, place, told, options)


def _checked(problem: Problem, width: int, place: Path | None, told: Progress, options: dict[str, Any]) -> Check:
    """As `check`, of arguments that hold."""
    found = _weighed(problem, width, told)
    rows = len(found[0].region.inverse)
    if len(found) > 1 and width < rows:
        accepted = f"an integer ≥ {rows}, for chains that start in each of {len(found)} minima"
        raise InputError(f"width: is {width}; accepted: {accepted}")
    share = options["chains"] * (options["warmup"] + options["steps"])
    total = share * len(found)

    def of_run(run: int) -> Callable[[str, float], None]:
        return lambda what, done: told(what, share * run + done, total)

    runs = [_sampled(problem, width, k, found, place, of_run(k), options) for k in range(len(found))]
    return judged_phases(problem, width, found, runs)


def _complete(problem: Problem, width: int, *, workers: int | None = None, **options: Any) -> dict[str, Any]:
    """The simulations' options with defaults; bad ones are refused here, before the solver works."""
    if workers is not None:
        integer(workers, "workers", 1)
    plan = Plan(problem=problem, width=width, **options)
    warmup = min(plan.warming, max(SHORTEST_WARMUP, plan.drawing)) if plan.warmup is None else plan.warmup
    own = {"chains": plan.chains, "steps": plan.drawing, "seed": plan.seed, "warmup": warmup}
    return {**options, **own, "workers": workers}


def _weighed(problem: Problem, width: int, progress: Progress) -> tuple[Phase, ...]:
    """The phases, with progress on the way."""
    progress("solving", 0, 0)
    states = minima(problem, progress)
    progress(f"weighing minima ({len(states)})", 0, 0)
    return phases(states, width)


def minima(problem: Problem, progress: Progress | None = None) -> list[Solution]:
    """The minima of the free energy that the search finds; the best state it has where it finds none."""
    is_linear = problem.activation.name == "linear"
    large = is_linear and kernel_functional(problem).dimension > trust_region.DENSE_MODES
    states = [solve(problem, progress=progress)] if large else solve_all(problem, progress=progress)
    return [state for state in states if state.stable and state.converged] or [states[0]]


def _sampled(
    problem: Problem,
    width: int,
    position: int,
    found: Sequence[Phase],
    place: Path | None,
    progress: Callable[[str, float], None],
    options: dict[str, Any],
) -> Simulation:
    """Chains from one minimum; from random weights too where it is the only one."""
    chains, seed = options["chains"], options["seed"]
    several = len(found) > 1
    random = 0 if several else chains // 2
    if width < len(found[position].region.inverse):
        random = chains  # too narrow for given trajectories
    parts: list[Simulation] = []
    for name, count, law in (
        (f"phase-{position + 1}", chains - random, None if random == chains else law_of(found[position].state)),
        ("random", random, None),
    ):
        if count == 0:
            continue
        label = f"N = {width}, from {'random weights' if law is None else f'phase {position + 1} of {len(found)}'}"
        told = _labelled(progress, label, (chains - count) * (options["warmup"] + options["steps"]) if parts else 0)
        changes = {"chains": count, "seed": seed + position + (1 if law is None else 0), "law": law}
        changes["eigenvalues"] = options["eigenvalues"] and position == 0
        folder = None if place is None else place / name
        parts.append(simulate(problem, width, checkpoint=folder, progress=told, **{**options, **changes}))
    return joined(parts)


def _labelled(progress: Callable[[str, float], None], label: str, before: int) -> Progress:
    return lambda what, done, total: progress(label, before + done)


def judged_phases(problem: Problem, width: int, found: Sequence[Phase], runs: Sequence[Simulation]) -> Check:
    """The verdict on the chains of each phase.

    Args:
        problem, width: what was sampled.
        found: the phases, heaviest first.
        runs: of chains that started in each.
    """
    away = [distances([phase.region for phase in found], run.kernels) for run in runs]
    places = [np.argmin(each, axis=-1) for each in away]
    own = [(place == position).mean(axis=1) for position, place in enumerate(places)]
    stay = [bool((share >= STAYS).all()) for share in own]
    mixture = None
    if not all(stay) and problem.activation.name == "linear":
        pooled = kernels.compare_mixture(tuple(found), joined(runs))
        # chains that have left a phase once and for all say nothing on its weight
        mixture = pooled if pooled.mixed else None
    parts = []
    for position, (phase, simulation) in enumerate(zip(found, runs, strict=True)):
        shares = np.array([float((places[position] == k).mean()) for k in range(len(found))])
        compared = kernels.compare_phase(phase, simulation)
        agreement: Agreement | None = compared.agreement
        if not (own[position] == 1.0).all():
            wanted = stay[position] or (mixture is None and phase.weight >= CARRIES)
            every = joined(runs), np.concatenate(away)
            agreement = kernels.compare_visits(phase, *every, position) if wanted else None
        parts.append(PhaseCheck(phase, compared.simulation, shares, stay[position], compared.predicted, agreement))
    verdict, reason = _verdict(parts, mixture)
    failed = [phase.state for phase in found if not phase.state.converged]
    if failed:
        verdict, reason = "undecided", f"the theory has not converged: {failed[0].status}"
    return Check(problem, width, tuple(parts), mixture, verdict, reason)


def _verdict(parts: Sequence[PhaseCheck], mixture: Agreement | None) -> tuple[Verdict, str]:
    """Whether theory and chains agree, and why."""
    if len(parts) == 1:
        assert parts[0].agreement is not None
        return parts[0].agreement.verdict, parts[0].agreement.reason
    heaviest = parts[0].phase
    name = f"the phase F = {heaviest.state.free_energy:.6g} carries {heaviest.weight:.3g} of the weight"
    if mixture is not None:
        return mixture.verdict, f"{name}, and chains move between the phases: {mixture.reason}"
    if parts[0].agreement is None:
        return "undecided", f"{name}, but chains that start there leave it"
    moving = "" if parts[0].stays else ", and chains move between the phases"
    said = [f"{name}{moving}: {parts[0].agreement.reason}"]
    verdicts = [parts[0].agreement.verdict]
    for part in parts[1:]:
        other = f"the phase F = {part.phase.state.free_energy:.6g} (weight {part.phase.weight:.2g})"
        if part.agreement is None:
            verdicts += ["undecided"] if part.phase.weight >= CARRIES else []
            said.append(f"{other} is left by chains that start there")
        else:
            verdicts.append(part.agreement.verdict)
            said.append(f"{other} {'keeps its chains' if part.stays else 'is visited'}: {part.agreement.reason}")
    worst: Verdict = "disagrees" if "disagrees" in verdicts else "undecided" if "undecided" in verdicts else "agrees"
    return worst, "; ".join(said)
