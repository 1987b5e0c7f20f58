"""What a plan makes of its arguments: when W's eigenvalues are computed, and which runs a checkpoint belongs to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import Plan, hmc


def plan(problem, **options):
    return Plan(problem=problem, **{"width": 16, "steps": 200, "chains": 2, "seed": 1, **options})


@pytest.mark.parametrize(
    ("problem", "width", "count"),
    [
        (endpoint(4, 2.0), 256, 8),
        (endpoint(4, 2.0), 257, 4),
        (endpoint(3, 2.0), 16, 8),
        (endpoint(4, 2.0, arch="dnn"), 16, 0),
        (Problem([[1.0]], [[1.0]]), 16, 0),
    ],
)
def test_eigenvalues_are_computed_of_the_w_of_rnns_evenly_up_to_the_last_draw(problem, width, count):
    made = plan(problem, width=width)
    draws = sorted(made.spectrum_draws)
    assert len(draws) == count
    if count:
        assert draws[-1] == made.draws - 1
        assert set(np.diff(draws)) == {made.draws // count}


def test_few_draws_have_an_eigenvalue_computation_each():
    made = plan(endpoint(4, 2.0), steps=8)
    assert made.spectrum_draws == frozenset(range(made.draws))


def test_a_checkpoint_belongs_to_one_run_only():
    """Every argument that the numbers depend on changes the fingerprint; nothing else does."""
    problem = endpoint(4, 2.0)
    first = plan(problem)
    assert plan(endpoint(4, 2.0)).fingerprint() == first.fingerprint()
    changed = [
        plan(problem, width=17),
        plan(problem, steps=201),
        plan(problem, chains=3),
        plan(problem, seed=2),
        plan(problem, warmup=50),
        plan(problem, step_size=0.1),
        plan(problem, sampler="sgld"),
        plan(problem, sampler="sgld", integrator="leimkuhler-matthews"),
        plan(problem, sampler="hmc-weights"),
        plan(problem, eigenvalues=False),
        plan(endpoint(4, 2.0, arch="dnn")),
        plan(endpoint(4, 2.0, activation="erf")),
        plan(endpoint(5, 2.0)),
        *(plan(problem.with_(**{name: 1.5})) for name in ("u", "v", "w", "kappa")),
        plan(problem.with_(y=2 * problem.y)),
        plan(problem.with_(x=2 * problem.x)),
        plan(problem.with_(x_test=problem.x)),
    ]
    prints = [made.fingerprint() for made in (first, *changed)]
    assert len(set(prints)) == len(prints)


def test_a_trajectory_has_equal_steps_no_longer_than_its_step_size_and_no_more_than_the_most():
    """Of lengths about their mean, by a share; those of too many steps are cut short."""
    rng, lengths = np.random.default_rng(0), []
    for _ in range(400):
        angle, steps = hmc.draw_trajectory(rng, 0.3, 2.0)
        assert steps >= 1
        assert angle <= 0.3
        assert angle > 0.3 * (steps - 1) / steps  # one step fewer would be too long
        lengths.append(angle * steps)
    assert min(lengths) == pytest.approx(2.0 * (1 - hmc._JITTER), rel=0.02)
    assert max(lengths) == pytest.approx(2.0 * (1 + hmc._JITTER), rel=0.02)
    assert np.mean(lengths) == pytest.approx(2.0, rel=0.05)
    assert hmc.draw_trajectory(rng, 1e-9, 2.0) == (1e-9, hmc._MOST_STEPS)
    assert hmc.draw_trajectory(rng, 50.0, 2.0)[1] == 1


def test_a_run_makes_its_network_once_and_an_equal_plan_has_the_same():
    problem = endpoint(4, 20.0)
    plan = Plan(problem=problem, width=16, sampler="sgld", chains=1, steps=8, seed=1)
    assert plan.network() is plan.network()
    assert plan.network() is replace(plan, seed=2).network()
    assert replace(plan, width=17).network().width == 17


def test_steps_are_the_samplers_own_unless_given():
    problem = endpoint(4, 1.0)
    assert [Plan(problem=problem, width=16, sampler=name).drawing for name in ("hmc", "sgld")] == [1000, 40_000]
    given, default = (Plan(problem=problem, width=16, sampler="sgld", **own) for own in ({"steps": 40_000}, {}))
    assert given.warming == default.warming == 20_000
    assert given.fingerprint() == default.fingerprint()  # so that a checkpoint serves both
    with pytest.raises(InputError, match="steps: is 0"):
        Plan(problem=problem, width=16, steps=0)
