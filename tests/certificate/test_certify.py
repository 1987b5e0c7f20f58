"""Certificates: what they prove, and that they prove nothing false."""

import dataclasses
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from numerics import solve, solve_all
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence

pytest.importorskip("flint")

from numerics.certificate import balls
from numerics.certificate.certify import _negative_circles, certify


def test_both_branches_at_t_4_are_proved_with_their_signatures():
    coherent, incoherent = solve_all(endpoint(4, 20.0))
    first, second = certify(coherent), certify(incoherent)
    assert first.proved
    assert second.proved
    assert (first.negative, second.negative) == (0, 1)
    assert first.radius < 1e-13
    assert first.free_energy[0] <= coherent.free_energy + 1e-14
    assert first.free_energy[1] - first.free_energy[0] < 1e-15
    assert first.free_energy[1] < second.free_energy[0]  # the order of the branches is proved
    assert first.status.startswith("Proved: a minimum within")
    # the incoherent branch is known: H^11 = r with (r-1)(r³+1)² = 20 r³
    r = float(second.digits[0].split("+/-")[0].strip("[ "))
    np.testing.assert_allclose((r - 1) * (r**3 + 1) ** 2, 20 * r**3, rtol=1e-14)


@pytest.mark.parametrize("T", [5, pytest.param(7, marks=pytest.mark.slow)])
def test_every_stationary_state_is_proved_with_its_number_of_negative_eigenvalues(T):
    for state in solve_all(endpoint(T, 20.0)):
        certificate = certify(state)
        assert certificate.proved
        assert (certificate.negative == 0) == state.stable
        assert certificate.radius < 1e-12


def several_patterns(arch, kappa=0.3):
    rng = np.random.default_rng(0)
    y = np.full((4, 4), np.nan)
    y[:, -1], y[0, 0] = rng.normal(size=4), 0.3
    return Problem(rng.normal(size=(4, 2)), y, arch=arch, u=0.7, v=1.2, w=1.1, kappa=kappa)


def inputs_at_each_time(arch, kappa=0.0):
    rng = np.random.default_rng(1)
    y = rng.normal(size=(2, 3))
    y[1, 0] = np.nan
    return Problem(rng.normal(size=(2, 3, 3)), y, arch=arch, kappa=kappa)


def inputs_that_part_later(arch, kappa=0.1):
    """Two cues at two times: patterns with the same first cue have one trajectory until the second comes."""
    x = np.zeros((4, 3, 3))
    x[:, 0, 0], x[:, 1, 1:] = [1, 1, -1.5, -1.5], [[1, 0], [0, 1], [1, 0], [0, 1]]
    y = np.full((4, 3), np.nan)
    y[:, -1] = [1, -1, 0.5, 2]
    return Problem(x, y, arch=arch, kappa=kappa)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("make", [several_patterns, inputs_at_each_time, inputs_that_part_later])
def test_any_supervised_set_patterns_of_deficient_rank_and_no_noise(make, arch):
    solution = solve(make(arch))
    certificate = certify(solution)
    assert certificate.proved
    assert certificate.negative == 0
    assert certificate.radius < 1e-12
    assert abs(certificate.free_energy[0] - solution.free_energy) < 1e-12


def test_a_sequence_at_t_7():
    certificate = certify(solve(sequence(7, 1.2566, 3.0, (1, 3, 6))))
    assert certificate.proved
    assert certificate.radius < 1e-12


def test_the_digits_enclose_more_digits_than_the_kernel_has():
    """A solution rounded to fewer digits has a certificate of a larger radius, for the same kernel."""
    solution = solve(endpoint(4, 20.0))
    rounded = dataclasses.replace(solution, kernel=np.round(solution.kernel, 9))
    first, second = certify(solution), certify(rounded)
    assert second.proved
    assert 1e-11 < second.radius < 1e-9
    assert [d.split("+/-")[0][:24] for d in first.digits] == [d.split("+/-")[0][:24] for d in second.digits]


def test_a_point_moved_away_is_refused():
    solution = solve(endpoint(4, 20.0))
    moved = dataclasses.replace(solution, kernel=solution.kernel * (1 + 1e-6))
    certificate = certify(moved)
    assert not certificate.proved
    assert "1.0e-06 away" in certificate.status
    far = certify(dataclasses.replace(solution, kernel=solution.kernel + 0.3 * np.eye(3)))
    assert not far.proved


def test_a_wrong_signature_is_refused():
    solution = solve(endpoint(4, 20.0))
    certificate = certify(dataclasses.replace(solution, stable=False))
    assert not certificate.proved
    assert "0 negative eigenvalues" in certificate.status
    assert certificate.digits == ()


def test_the_critical_point_itself_is_refused():
    """At λ_c = 81/8 the Hessian is singular in exact arithmetic; a millionth beyond it is not."""
    assert not certify(solve(endpoint(4, 81 / 8))).proved
    assert certify(solve(endpoint(4, 81 / 8 * (1 + 1e-6)))).proved


def test_a_wrong_derivative_proves_nothing(monkeypatch):
    """The Hessian enters as the derivative of the gradient: with one coefficient changed the box need not contract."""
    change = balls.BallPoint.gradient_change

    def wrong(self, S):
        return change(self, S) + 3 * (self.inverse * S * self.inverse)

    monkeypatch.setattr(balls.BallPoint, "gradient_change", wrong)
    solution = solve(endpoint(4, 20.0))
    assert not certify(dataclasses.replace(solution, kernel=np.round(solution.kernel, 9))).proved


def test_a_box_in_which_the_hessian_changes_its_signature_proves_nothing(monkeypatch):
    """Half-widths as large as the kernel's own entries are far too wide for a proof, and it says so."""
    from numerics.certificate import certify as module

    monkeypatch.setattr(module, "HALF_WIDTH", 0.3)
    certificate = certify(solve(endpoint(4, 81 / 8 * 1.001)))
    assert not certificate.proved
    assert certificate.status.startswith("Not proved")
    assert certificate.digits == ()


def test_refusals():
    solution = solve(endpoint(4, 1.0))
    unfinished = certify(dataclasses.replace(solution, converged=False))
    assert not unfinished.proved
    assert "converged" in unfinished.status
    singular = certify(dataclasses.replace(solution, kernel=np.zeros((3, 3))))
    assert not singular.proved
    assert "singular to rounding" in singular.status
    with pytest.raises(InputError, match="at most 24"):
        certify(dataclasses.replace(solution, problem=endpoint(26, 1.0)))
    with pytest.raises(InputError, match="linear"):
        certify(dataclasses.replace(solution, problem=solution.problem.with_(activation="erf")))


def test_circles_count_negative_eigenvalues_only_where_none_may_hold_0():
    import flint

    def circles(rows, radius=0.0):
        return _negative_circles(flint.arb_mat([[flint.arb(entry, radius) for entry in row] for row in rows]))

    assert circles([[1.0, 0.0, 0.0], [0.0, -2.0, 0.0], [0.0, 0.0, 3.0]]) == 1
    assert circles([[-1.0, 0.9], [0.9, -1.0]]) == 2
    assert circles([[1.0, 0.9], [0.9, 1.0]]) == 0
    assert circles([[1.0, 1.0], [1.0, 2.0]]) is None
    assert circles([[0.4, -0.5], [-0.5, 2.0]]) is None
    assert circles([[0.4, 0.2, 0.3], [0.2, 2.0, 0.0], [0.3, 0.0, 2.0]]) is None
    assert circles([[1.0, 0.9], [0.9, 1.0]], radius=0.06) is None
    assert circles([[0.05]], radius=0.06) is None


@pytest.mark.parametrize("u", [1e-4, 1.0, 1e4])
def test_the_radius_is_relative_to_the_kernels_size(u):
    state = solve(endpoint(4, 20.0, u=u))
    moved = dataclasses.replace(state, kernel=(1 + 1e-7) * state.kernel)
    assert certify(state).radius < 1e-12
    proof = certify(moved)
    assert proof.proved
    assert proof.radius == pytest.approx(1e-7, rel=1e-3)


@pytest.mark.parametrize(("sizes", "corrected"), [([0.5, 1e-3, 0.0], True), ([0.5, 2.0, 0.0], False)])
def test_corrections_that_grow_are_given_up_at_once(sizes, corrected, monkeypatch):
    """Planted corrections of one number: those that do not shrink below one lead nowhere."""
    arb, certify_module = pytest.importorskip("flint"), import_module("numerics.certificate.certify")
    left = iter(sizes)
    monkeypatch.setattr(certify_module, "_identity", lambda functional: None)
    monkeypatch.setattr(certify_module, "_matrix", lambda functional, centre: None)
    given = []

    def entries(functional, H):
        given.append(H)
        value = 1.0 if H is None and len(given) == 1 else next(left)
        return arb.arb_mat([[value]])

    monkeypatch.setattr(certify_module, "_entries", entries)
    functional = SimpleNamespace(at=lambda H: SimpleNamespace(gradient=lambda: "gradient"))
    centre, converged = certify_module._corrected(functional, arb.arb_mat([[1.0]]))
    assert converged == corrected
    assert len(given) == 1 + (3 if corrected else 2)
    assert float(centre[0, 0]) == pytest.approx(1.0 - sum(sizes[: len(given) - 1]))
