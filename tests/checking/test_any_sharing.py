"""Theory against sampled networks of every family of weight sharing, with skip, bias and two outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics import check, solve
from numerics.checking import weights
from numerics.checking.kernels import compare
from numerics.checking.laws import law_of
from numerics.checking.regions import gauge_of
from numerics.checking.signs import signed
from numerics.inputs.problem import Problem, endpoint
from numerics.results.readout import mean_outputs
from numerics.sampling import simulate
from tests.checking.test_check import planted

#: W^(1) and W^(2) are one matrix, W^(3) another.
FIRST_TWO = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def two_outputs(signal):
    y = np.full((1, 3, 2), np.nan)
    y[0, 2, 0], y[0, 1, 1] = np.sqrt(signal), 0.5 * np.sqrt(signal)
    return Problem([[1.0]], y)


#: Each below and beyond the transition, which skip and bias make a crossover.
CASES = {
    "shared": lambda strong: endpoint(4, 30.0 if strong else 3.0, arch="shared:0.8"),
    "drift": lambda strong: endpoint(4, 30.0 if strong else 3.0, arch="drift:0.8"),
    "looped": lambda strong: endpoint(5, 60.0 if strong else 6.0, arch="looped:2"),
    "tied": lambda strong: endpoint(5, 60.0 if strong else 6.0, arch=FIRST_TWO),
    "skip": lambda strong: endpoint(4, 30.0 if strong else 3.0, skip=0.5),
    "bias": lambda strong: endpoint(4, 30.0 if strong else 3.0, bias=0.3),
    "outputs": lambda strong: two_outputs(30.0 if strong else 2.5),
}


#: Steps of nonlinear networks that mix slowly; of others 250.
SLOW_TO_MIX = {("outputs", False): 400, ("outputs", True): 400, ("tied", True): 700}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strong", "activation"),  # below a transition linear networks are no harder than those of erf
    [(True, "linear"), (True, "erf"), (False, "erf")],
    ids=["beyond-linear", "beyond-erf", "below-erf"],
)
@pytest.mark.parametrize("case", CASES)
def test_sampled_networks_agree(case, strong, activation):
    problem = CASES[case](strong).with_(activation=activation)
    steps, warmup = (150, 150) if activation == "linear" else (SLOW_TO_MIX.get((case, strong), 250), 80)
    found = check(problem, 256, chains=4, steps=steps, warmup=warmup, seed=3, workers=1)
    assert found.agrees, found.reason
    if case not in ("skip", "bias"):
        assert found.solution.branch == ("coherent" if strong else "incoherent")


@pytest.mark.slow
def test_another_correlation_disagrees():
    state = solve(CASES["shared"](True))
    given = {"chains": 4, "steps": 300, "warmup": 150, "seed": 3, "workers": 1, "law": law_of(state)}
    run = simulate(state.problem, 256, **given)
    assert compare(state, run).agreement.agrees
    other = solve(run.problem.with_(arch="shared:0.95"))
    assert not compare(other, replace(run, problem=other.problem)).agreement.agrees


@pytest.mark.parametrize("case", ["looped", "tied", "shared"])
def test_draws_of_every_sign_are_taken_to_the_state(case, monkeypatch):
    """Each draw's kernel is an image under reversed layers, its outputs with it."""
    monkeypatch.setattr(weights, "DRAWS", 20_000)
    problem = CASES[case](True)
    state = solve(problem)
    gauge = gauge_of(state)
    assert len(gauge.steps) == 1  # the other layers' signs leave the state as it is
    (phase,) = weights.phases([state], 256)
    clean = planted(problem, 256, phase.kernel)
    chosen = np.random.default_rng(0).random(clean.kernels.shape[:2]) < 0.5
    (symmetry,) = gauge.images
    outputs = np.array([[predict_of(problem, K) for K in chain] for chain in clean.kernels])
    mixed = replace(
        clean,
        kernels=np.where(chosen[..., None, None], symmetry.of_kernel(clean.kernels), clean.kernels),
        outputs=np.where(chosen[..., None, None], symmetry.of_predictions(outputs), outputs),
    )
    fixed = signed(mixed, gauge)
    np.testing.assert_array_equal(fixed.kernels, clean.kernels)
    np.testing.assert_allclose(fixed.outputs, outputs, atol=1e-12)
    assert compare(state, mixed).agreement.agrees


def predict_of(problem, kernel):
    return mean_outputs(State(problem, kernel))


class State:
    def __init__(self, problem, kernel):
        self.problem, self.kernel = problem, kernel
