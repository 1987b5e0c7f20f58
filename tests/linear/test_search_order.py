"""The order in which the linear search meets states, on planted states of one number each: nothing is minimised."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from sympy import Rational

from numerics import solve, solve_all
from numerics.inputs.problem import endpoint
from numerics.linear import search
from numerics.linear.functional import kernel_functional
from numerics.linear.images import turned
from numerics.linear.search import (
    MOST_DESCENTS,
    PERTURBATION,
    _Found,
    _Search,
    lowest_state,
    search_all,
    with_minima_counted,
)
from numerics.results.solution import LOOK_FURTHER
from theory.learning_onset import onset, onset_noise
from theory.learning_transition import learning_transition

nan = math.nan


class Point(SimpleNamespace):
    functional = None

    @property
    def H(self):
        return self.place

    def move(self, S):
        return Point(place=self.place + S, free_energy=nan)


class Stop(SimpleNamespace):
    """The end of a descent at a place."""


class Landscape:
    """Ends of descents by place: F, curvatures with modes, and whether they converge."""

    def __init__(self, monkeypatch, ends, *, n=4, dimension=10, independent=False, starts=(), unlearnt=0.0):
        self.ends, self.asked, self.groups = ends, [], []
        self.functional = SimpleNamespace(
            space=SimpleNamespace(n=n, is_independent=independent),
            dimension=dimension,
            unexplained_energy=0.0,
            prior_kernel=lambda: 0.0,
            at=lambda H: Point(place=H, free_energy=0.0),
        )
        monkeypatch.setattr(search, "phase_signs", lambda functional: {1: "sign"})
        monkeypatch.setattr(search, "is_new", lambda point, known: all(abs(point.place - k.place) > 0.5 for k in known))
        monkeypatch.setattr(search, "turns", lambda point, mode: point.place == 100.0)
        monkeypatch.setattr(search, "_amplified_states", lambda functional: [40.0])
        monkeypatch.setattr(search, "turned", lambda functional, H: [H])
        monkeypatch.setattr(search.steps, "prepared", lambda point: point)
        monkeypatch.setattr(search.starts, "unlearnt_energy", lambda point: unlearnt)
        monkeypatch.setattr(search.starts, "kernels", self.kernels(starts))
        monkeypatch.setattr(search.trust_region, "minimise", self.minimise)
        monkeypatch.setattr(search.trust_region, "smallest_modes", self.modes)
        monkeypatch.setattr(search.trust_region, "Basin", SimpleNamespace(of=lambda stop, smallest: stop))
        monkeypatch.setattr(search, "descend", self.descend)
        self.known = []

    def kernels(self, starts):
        def given(functional, *, groups):
            self.groups.append(groups)
            return starts

        return given

    def end(self, place):
        return min(self.ends, key=lambda one: abs(one - place))

    def minimise(self, start, *, tolerance, max_iterations, signs, known=(), near=0.0, told=None):
        self.asked.append((round(start.place, 6), max_iterations, tuple(signs), len(known), near))
        place = self.end(start.place)
        F, _, converged = self.ends[place]
        return Stop(point=Point(place=place, free_energy=F), converged=converged)

    def modes(self, point):
        values = self.ends[point.place][1]
        return np.array(values), np.array([100.0 * (k + 1) for k in range(len(values))])

    def descend(self, functional, kernels, *, known):
        self.known.append(list(known))
        return [(H, self.ends[self.end(H)][0]) for H in kernels]


def places(one):
    return [found.stop.point.place for found in one.found]


def test_the_first_state_is_left_along_every_mode_and_others_along_the_most_unstable(monkeypatch):
    ends = {0.0: (5.0, [-1.0, -0.5, 1.0], True)}
    ends |= {10.0: (4.0, [-2.0, -1.0], True), -10.0: (3.0, [1.0], True), 20.0: (2.0, [0.5], True)}
    ends |= {-20.0: (6.0, [1.0], False)}
    landscape = Landscape(monkeypatch, ends)
    one = _Search(landscape.functional, 1e-10, whole=False)
    one.descend(Point(place=0.0, free_energy=0.0), ["sign"])
    step = 100.0 * PERTURBATION
    # the last of the queue first: both ways along the second mode, then along the first, then off the state at 10
    asked = [place for place, *_ in landscape.asked]
    assert asked[:3] == [0.0, -2 * step, -2 * step]  # one that does not converge is tried once more with more steps
    assert set(places(one)) == set(ends)
    assert [each[2] for each in landscape.asked] == [("sign",), *[()] * (len(asked) - 1)]
    assert math.isnan(next(found.smallest for found in one.found if found.stop.point.place == -20.0))
    assert {2 * step, step, -step} <= set(asked)
    # 10 is unstable both ways along two modes, and is left along the first only
    assert 10.0 + step in asked
    assert 10.0 + 2 * step not in asked
    whole = Landscape(monkeypatch, ends)
    each = _Search(whole.functional, 1e-10, whole=True, enlarged=True)
    each.descend(Point(place=0.0, free_energy=0.0))
    assert 10.0 + 2 * step in [place for place, *_ in whole.asked]


def test_a_mode_that_a_symmetry_turns_around_is_taken_one_way(monkeypatch):
    landscape = Landscape(
        monkeypatch, {100.0: (5.0, [-1.0], True), 110.0: (1.0, [1.0], True), 90.0: (1.0, [1.0], True)}
    )
    one = _Search(landscape.functional, 1e-10, whole=False)
    one.descend(Point(place=100.0, free_energy=0.0))
    assert places(one) == [100.0, 110.0]
    assert one.descents == 2


def test_descents_are_bounded_and_the_bound_is_said(monkeypatch):
    landscape = Landscape(monkeypatch, {0.0: (5.0, [-1.0], True)})
    fresh = count()
    monkeypatch.setattr(search, "is_new", lambda point, known: True)

    def minimise(start, **given):
        return Stop(point=Point(place=0.0, free_energy=float(next(fresh))), converged=True)

    monkeypatch.setattr(search.trust_region, "minimise", minimise)
    one = _Search(landscape.functional, 1e-10, whole=False)
    assert one.met_bound == ""
    one.descend(Point(place=0.0, free_energy=0.0))
    assert one.descents == MOST_DESCENTS == len(one.found)
    assert one.met_bound == f" The search ended at its bound of {MOST_DESCENTS} descents; {LOOK_FURTHER}."


ONE = {0.0: (5.0, [1.0], True), 10.0: (4.0, [1.0], True), 40.0: (3.0, [1.0], True)}


@pytest.mark.parametrize("whole", [False, True])
def test_learnt_states_are_sought_where_labels_are_not_learnt(monkeypatch, whole):
    landscape = Landscape(monkeypatch, ONE, starts=[9.0, 11.0], unlearnt=1.0)
    one = _Search(landscape.functional, 1e-10, whole=whole, enlarged=whole)
    one.run()
    assert landscape.groups == [True]
    if whole:
        assert places(one) == [0.0, 40.0, 10.0]
        assert landscape.known == [[]]
    else:  # the second start leads to an F that is known by then
        assert places(one) == [0.0, 10.0]
        assert landscape.known == [[5.0]]
        assert [place for place, *_ in landscape.asked] == [0.0, 9.0]


def test_networks_that_share_weights_are_looked_at_even_where_labels_are_learnt(monkeypatch):
    def groups(**given):
        landscape = Landscape(monkeypatch, ONE, starts=[9.0], **given)
        one = _Search(landscape.functional, 1e-10, whole=False)
        one.run()
        return landscape.groups, places(one)

    assert groups() == ([False], [0.0, 10.0])
    assert groups(independent=True) == ([], [0.0])
    assert groups(dimension=search.LARGEST_SEARCHED) == ([False], [0.0, 10.0])
    assert groups(dimension=search.LARGEST_DESCENDED) == ([False], [0.0, 10.0])
    assert groups(dimension=search.LARGEST_DESCENDED + 1) == ([], [0.0])
    assert groups(dimension=search.LARGEST_DESCENDED + 1, unlearnt=1.0) == ([True], [0.0, 10.0])
    assert groups(unlearnt=search.NEGLIGIBLE / 4) == ([False], [0.0, 10.0])
    assert groups(unlearnt=1.01 * search.NEGLIGIBLE / 4) == ([True], [0.0, 10.0])
    assert groups(unlearnt=search.NEGLIGIBLE_INDEPENDENT / 4, independent=True) == ([], [0.0])
    assert groups(unlearnt=1.01 * search.NEGLIGIBLE_INDEPENDENT / 4, independent=True) == ([True], [0.0, 10.0])


@pytest.mark.parametrize("T", [3, 4, 9, 200])
@pytest.mark.parametrize("beyond", [1.001, 1.3, 10.0])
def test_no_state_of_independent_times_is_lower_where_the_energy_is_negligible(T, beyond):
    transition = learning_transition(T, Rational(beyond * float(onset_noise(T))))
    energies = [transition.equal.signal / (2 * (h + transition.kappa)) for h in transition.equal.last_variances]
    smallest = math.sqrt(3) * (3 + math.sqrt(3)) / 2  # at the onset, for n → ∞
    assert (T - 1) * max(energies) > smallest > 4 * search.NEGLIGIBLE_INDEPENDENT
    if beyond < 1.01 and T == 200:
        at = onset(T)  # where both states are one
        energy = (T - 1) * float(at.signal / (2 * (at.last_variance + at.kappa)))
        assert smallest < energy < 1.02 * smallest


def test_nothing_more_is_sought_below_a_negligible_free_energy(monkeypatch):
    small = 0.99 * search.NEGLIGIBLE / 4
    for F, expected in ((small, []), (1.02 * small, [True])):
        landscape = Landscape(monkeypatch, {0.0: (F, [1.0], True)}, starts=[0.0], unlearnt=1.0)
        _Search(landscape.functional, 1e-10, whole=False).run()
        assert landscape.groups == expected
    # what no kernel explains does not count
    landscape = Landscape(monkeypatch, {0.0: (3.0 + small, [1.0], True)}, starts=[0.0], unlearnt=1.0)
    landscape.functional.unexplained_energy = 3.0
    _Search(landscape.functional, 1e-10, whole=False).run()
    assert landscape.groups == []


def test_a_slow_descent_goes_on_in_relative_factors(monkeypatch):
    landscape = Landscape(monkeypatch, {0.0: (5.0, [1.0], False)})
    one = _Search(landscape.functional, 1e-10, whole=False)
    one.minimised(Point(place=0.0, free_energy=0.0), ())
    assert [steps for _, steps, *_ in landscape.asked] == [search.FEW_STEPS, search.MOST_STEPS]
    assert len(landscape.known) == 1
    large = Landscape(monkeypatch, {0.0: (5.0, [1.0], False)}, dimension=search.LARGEST_DESCENDED + 1)
    _Search(large.functional, 1e-10, whole=False).minimised(Point(place=0.0, free_energy=0.0), ())
    assert [steps for _, steps, *_ in large.asked] == [search.MOST_STEPS]
    assert large.known == []
    rough = Landscape(monkeypatch, {0.0: (5.0, [1.0], False)}, dimension=search.LARGEST_DESCENDED + 1)
    _Search(rough.functional, search.EXPLORE, whole=False).minimised(Point(place=0.0, free_energy=0.0), ())
    assert [steps for _, steps, *_ in rough.asked] == [search.EXPLORE_STEPS]
    assert all(math.isnan(F) for _, F in _Search(large.functional, 1e-10, whole=False).nearer([1.0, 2.0]))


def test_of_large_kernels_only_the_lowest_end_is_followed_to_its_minimum(monkeypatch):
    ends = {0.0: (5.0, [-1.0], True), 0.1: (4.5, [1.0], True), 10.0: (4.0, [1.0], True), 20.0: (3.0, [1.0], True)}
    for dimension, expected in (
        (search.LARGEST_SEARCHED + 1, [0.0, 20.0]),
        (search.LARGEST_SEARCHED, [0.0, 10.0, 20.0]),
    ):
        landscape = Landscape(monkeypatch, ends, starts=[10.0, 20.0], dimension=dimension)
        one = _Search(landscape.functional, 1e-10, whole=False)
        one.run()
        assert places(one) == expected
        assert len(landscape.known) == (4 if dimension > search.LARGEST_SEARCHED else 1)  # two starts, two beside 0
        assert not one.waiting


def test_basins_of_known_minima_end_a_descent_and_are_wider_where_the_lowest_is_sought(monkeypatch):
    for whole, near in ((False, search.trust_region.NEAR_STATE), (True, 0.0)):
        landscape = Landscape(monkeypatch, ONE)
        one = _Search(landscape.functional, 1e-10, whole=whole, enlarged=whole)
        minimum, saddle = (Stop(point=Point(place=p, free_energy=1.0), converged=True) for p in (70.0, 80.0))
        one.found = [_Found(minimum, 0.5), _Found(saddle, -0.5)]
        one.minimised(Point(place=0.0, free_energy=0.0), ())
        assert landscape.asked[0][3:] == (1, near)
    assert one.is_known(1.0)
    assert one.is_known(1.0 + 0.5 * search.SAME_FREE_ENERGY)
    assert not one.is_known(1.0 + 3 * search.SAME_FREE_ENERGY)
    one.found = [_Found(Stop(point=Point(place=0, free_energy=1.0), converged=False), nan)]
    assert not one.is_known(1.0)


def test_a_descent_to_the_image_of_a_known_minimum_ends_there():
    one = _Search(kernel_functional(endpoint(4, 20.0)), 1e-10, whole=True)
    one.run()
    minimum = next(found for found in one.found if found.smallest > 0)
    H, image = turned(one.functional, minimum.stop.point.H)
    for kernel in (H, image):
        start = one.functional.at(1.0001 * kernel)
        assert one.minimised(start, ()) is minimum.stop
        assert [basin.holds(start, 0.0) for basin in minimum.basins] == [kernel is H, kernel is image]


def test_states_are_counted_in_order():
    state = solve(endpoint(3, 1.0))

    def like(F, stable=True, converged=True):
        return replace(state, free_energy=F, stable=stable, converged=converged)

    found = with_minima_counted([like(3.0), like(1.0, stable=False), like(2.0), like(4.0, converged=False)])
    assert [each.free_energy for each in found] == [1.0, 2.0, 3.0, 4.0]
    assert [each.minima for each in found] == [2] * 4
    assert [each.next_free_energy for each in found] == [2.0, 3.0, None, None]


def test_the_lowest_state_is_told_of_the_next_minimum():
    """T = 4, κ = 60, DNN: both sides of the learning transition are minima at λ = 575."""
    problem = endpoint(4, 575.0, kappa=60.0, arch="dnn")
    state = lowest_state(problem)
    minima = [each.free_energy for each in solve_all(problem) if each.stable]
    assert state.minima == len(minima) == 2
    assert state.free_energy == pytest.approx(minima[0], rel=1e-12)
    assert state.next_free_energy == pytest.approx(minima[1], rel=1e-12)
    assert [each.next_free_energy is None for each in search_all(problem)][-1]


def test_states_at_enlarged_labels_are_followed_back_in_two_steps(monkeypatch):
    """The minima among them; not those that are lost on the way."""
    asked = []

    class Stronger:
        """Found at labels times a factor: a minimum at 10 times it, one that is lost, a saddle, a failure."""

        def __init__(self, functional, tolerance, whole):
            assert (tolerance, whole) == (search.EXPLORE, True)
            self.functional = functional

        def leave_unstable(self):
            assert self.found

        def descend(self, start):
            assert start.place == "prior"
            places = [(10.0, 1.0, True), (20.0, 1.0, True), (30.0, -1.0, True), (40.0, 1.0, False)]
            self.found = [
                _Found(Stop(point=Point(place=place * self.functional.factor, free_energy=0.0), converged=done), curved)
                for place, curved, done in places
            ]

    def labelled(factor):
        return SimpleNamespace(
            factor=factor,
            dimension=4,
            space=SimpleNamespace(is_independent=False),
            with_labels=labelled,
            prior_kernel=lambda: "prior",
            at=lambda H: Point(place=H, free_energy=0.0, factor=factor),
        )

    def minimise(start, *, tolerance, max_iterations):
        asked.append((start.place, round(start.factor, 6)))
        assert (tolerance, max_iterations) == (search.EXPLORE, search.EXPLORE_STEPS)
        return Stop(point=Point(place=start.place + 1, free_energy=0.0), converged=start.place % 20 != 0)

    monkeypatch.setattr(search, "_Search", Stronger)
    monkeypatch.setattr(search.trust_region, "minimise", minimise)
    functional = labelled(1.0)
    found = list(search._amplified_states(functional))
    factors = search.AMPLIFICATIONS
    # 10 · 4 = 40 is lost at once, as are 20 · 1.5 + 10 … : those that are no multiple of 20 come two steps back
    expected = [10 * f for f in factors if 10 * f % 20] + [20 * f for f in factors if 20 * f % 20]
    assert sorted(found) == sorted(place + 2 for place in expected)
    back = [factor for place, factor in asked if place in (15.0, 16.0)]
    assert back == pytest.approx([1.5 ** (2 / 3), 1.5 ** (1 / 3)], rel=1e-5)
    functional.dimension = search.LARGEST_SEARCHED + 1
    assert list(search._amplified_states(functional)) == []
    functional.dimension, functional.space.is_independent = 4, True
    assert list(search._amplified_states(functional)) == []


def test_of_the_states_that_are_found_the_lowest_that_converged_is_the_answer(monkeypatch):
    """Unstable ones are none; one whose curvature is not known is; minima are those that converged."""
    found = [(1.0, -1.0, True), (2.0, 1.0, False), (3.0, nan, True), (4.0, 1.0, True), (3.5, 1.0, False)]

    class Planted(_Search):
        def run(self):
            for F, smallest, converged in found:
                stop = Stop(point=Point(place=F, free_energy=F), converged=converged)
                self.found.append(_Found(stop, smallest, neutral=F == 3.0))

    state = solve(endpoint(3, 1.0))

    def solution_of(problem, stop, *, curvature):
        assert math.isnan(curvature[0]) or curvature[0] > 0
        return replace(state, free_energy=stop.point.free_energy, status=f"{curvature[1]}", converged=stop.converged)

    monkeypatch.setattr(search, "_Search", Planted)
    monkeypatch.setattr(search, "solution_of", solution_of)
    lowest = lowest_state(endpoint(3, 1.0))
    assert (lowest.free_energy, lowest.minima, lowest.next_free_energy) == (3.0, 2, 4.0)
    assert lowest.status == "True"
    found[2:4] = []
    lost = lowest_state(endpoint(3, 1.0))
    assert (lost.free_energy, lost.converged, lost.minima, lost.next_free_energy) == (2.0, False, 0, None)
