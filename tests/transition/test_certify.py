"""Certificates: what they prove, and that they prove nothing false."""

import dataclasses

import numpy as np
import pytest

from numerics.problem import InputError, Problem, endpoint, sequence
from numerics.saddle.search import solve, solve_all

pytest.importorskip("flint")

from numerics.transition.certify import certify


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


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_other_widths_inputs_and_t_5(arch):
    problem = Problem([[2.0, 1.0]], [[np.nan, np.nan, np.nan, 3.0]], arch=arch, u=0.7, v=1.2, w=1.1, kappa=0.3)
    certificate = certify(solve(problem))
    assert certificate.proved
    assert certificate.negative == 0
    assert certificate.radius < 1e-12


def test_a_point_that_is_no_root_gets_no_certificate_for_it():
    """Newton in mpmath moves a disturbed kernel to the root: the radius then says how far it was."""
    solution = solve(endpoint(4, 20.0))
    moved = dataclasses.replace(solution, kernel=solution.kernel * (1 + 1e-6))
    certificate = certify(moved)
    assert certificate.proved
    assert 1e-7 < certificate.radius < 1e-5


def test_a_box_in_which_the_hessian_changes_its_signature_proves_nothing(monkeypatch):
    """Half-widths as large as the kernel's own entries are far too wide for a proof, and it says so."""
    from numerics.transition import certify as module

    monkeypatch.setattr(module, "HALF_WIDTH", 0.3)
    certificate = certify(solve(endpoint(4, 81 / 8 * 1.001)))
    assert not certificate.proved
    assert certificate.status.startswith("Not proved")
    assert certificate.digits == ()


def test_refusals():
    with pytest.raises(InputError, match="one pattern"):
        certify(solve(sequence(4, 1.0, 1.0, (1, 3))))
    with pytest.raises(InputError, match="one pattern"):
        certify(solve(endpoint(7, 1.0)))
    solution = solve(endpoint(4, 1.0))
    with pytest.raises(InputError, match="converged"):
        certify(dataclasses.replace(solution, converged=False))
